package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"       // registers pgx
	_ "github.com/ncruces/go-sqlite3/driver" // registers sqlite3
)

// Database is a fresh database for one server.
type Database struct {
	// URL is what the server is told: sqlite:PATH, postgres://… or mysql://….
	URL  string
	name string // on a database server
	at   *url.URL
}

// Kind is the kind of database that an address of -database names.
func Kind(address string) string {
	kind, _, _ := strings.Cut(address, ":")
	return kind
}

// Fresh makes a database for the server of the name: a file in the directory for "sqlite", else a database on the
// server at the address, whose user must be allowed to create it.
func Fresh(ctx context.Context, address, directory, name string) (*Database, error) {
	if address == "sqlite" {
		return &Database{URL: "sqlite:" + filepath.Join(directory, name+".db")}, nil
	}
	at, err := url.Parse(address)
	if err != nil || at.Host == "" || at.Scheme != "postgres" && at.Scheme != "mysql" {
		return nil, errors.New("want sqlite, postgres://… or mysql://…")
	}
	d := &Database{name: fmt.Sprintf("capebase_bench_%s_%d", name, os.Getpid()), at: at}
	own := *at
	own.Path = "/" + d.name
	d.URL = own.String()
	create := "CREATE DATABASE " + d.name
	if at.Scheme == "mysql" {
		create += " CHARACTER SET utf8mb4"
	}
	if err := execute(ctx, address, create); err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	return d, nil
}

// Drop removes the database. Files go with their directory.
func (d *Database) Drop() error {
	if d.at == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := execute(ctx, d.at.String(), "DROP DATABASE "+d.name); err != nil {
		return fmt.Errorf("drop the database %s: %w", d.name, err)
	}
	return nil
}

// Count counts the rows of a table.
func (d *Database) Count(ctx context.Context, table string) (n int, err error) {
	pool, err := open(d.URL)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	err = pool.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

func execute(ctx context.Context, address, statement string) (err error) {
	pool, err := open(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	_, err = pool.ExecContext(ctx, statement)
	return err
}

func open(address string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return sql.Open("sqlite3", "file:"+path)
	}
	at, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the database's address is no URL")
	}
	if at.Scheme == "postgres" {
		return sql.Open("pgx", address)
	}
	config := mysql.NewConfig()
	config.User = at.User.Username()
	config.Passwd, _ = at.User.Password()
	config.Net, config.Addr = "tcp", at.Host
	config.DBName = strings.TrimPrefix(at.Path, "/")
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
