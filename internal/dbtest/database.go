package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// adminURL is the URL of a server's administrator, who may create databases.
type adminURL struct{ url *url.URL }

func parseAdminURL(text string) (adminURL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		// The text is left out, and so is url.Error, which repeats it: it holds a password.
		return adminURL{}, errors.New("an administrator URL is not a URL")
	}
	if parsed.Scheme == "postgresql" {
		parsed.Scheme = "postgres"
	}
	if parsed.Scheme != "postgres" && parsed.Scheme != "mysql" {
		return adminURL{}, fmt.Errorf("administrator URL %s: want postgres:// or mysql://", parsed.Redacted())
	}
	if parsed.Host == "" {
		return adminURL{}, fmt.Errorf("administrator URL %s: want a host", parsed.Redacted())
	}
	return adminURL{parsed}, nil
}

func (a adminURL) postgres() bool { return a.url.Scheme == "postgres" }

// database returns the URL of a database on the server.
func (a adminURL) database(name string) string {
	there := *a.url
	there.Path, there.RawPath = "/"+name, ""
	return there.String()
}

// open returns a pool of one connection. Nothing is dialled yet.
func (a adminURL) open() (*sql.DB, error) {
	pool, err := a.pool()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	return pool, nil
}

func (a adminURL) pool() (*sql.DB, error) {
	if a.postgres() {
		config, err := pgx.ParseConfig(a.url.String())
		if err != nil {
			return nil, err
		}
		return stdlib.OpenDB(*config), nil
	}
	config, err := a.mysqlConfig()
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (a adminURL) mysqlConfig() (*mysql.Config, error) {
	// The driver's own parser knows the options; user, password and address need none of its escapes this way.
	config, err := mysql.ParseDSN("/?" + a.url.RawQuery)
	if err != nil {
		return nil, err
	}
	config.User = a.url.User.Username()
	config.Passwd, _ = a.url.User.Password()
	config.Net, config.Addr = "tcp", a.url.Host
	if a.url.Port() == "" {
		config.Addr += ":3306"
	}
	config.DBName = strings.TrimPrefix(a.url.Path, "/")
	// Every failed attempt while a server starts would be a line in the test's output.
	config.Logger = &mysql.NopLogger{}
	return config, nil
}

// createDatabase makes an empty database with a name of its own.
func createDatabase(ctx context.Context, admin adminURL) (string, error) {
	name := "cape_test_" + strings.ToLower(rand.Text()[:16])
	pool, err := admin.open()
	if err != nil {
		return "", err
	}
	options := " CHARACTER SET utf8mb4"
	if admin.postgres() {
		options, err = postgresOptions(ctx, pool)
	}
	if err == nil {
		_, err = pool.ExecContext(ctx, "CREATE DATABASE "+name+options)
	}
	return name, errors.Join(err, pool.Close())
}

// postgresOptions asks for copies of files where that is not the only way: with tests on both cores it took 70 ms, and
// the way of new versions, through the log, 370 ms.
func postgresOptions(ctx context.Context, pool *sql.DB) (string, error) {
	const firstWithStrategies = 150_000
	var version int
	if err := pool.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return "", err
	}
	if version < firstWithStrategies {
		return "", nil
	}
	return " STRATEGY file_copy", nil
}

// dropDatabase drops a database together with the connections that a test left open to it.
func dropDatabase(ctx context.Context, admin adminURL, name string) error {
	pool, err := admin.open()
	if err != nil {
		return err
	}
	if admin.postgres() {
		_, err = pool.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	} else {
		err = dropMySQL(ctx, pool, name)
	}
	return errors.Join(err, pool.Close())
}

func dropMySQL(ctx context.Context, pool *sql.DB, name string) error {
	// An open transaction of a connection that was left behind would make DROP wait for its locks.
	connections, err := connectionsTo(ctx, pool, name)
	if err != nil {
		return err
	}
	for _, id := range connections {
		const noSuchThread = 1094 // it has gone since
		_, err := pool.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
		if failure := new(mysql.MySQLError); err != nil && (!errors.As(err, &failure) || failure.Number != noSuchThread) {
			return err
		}
	}
	_, err = pool.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name)
	return err
}

func connectionsTo(ctx context.Context, pool *sql.DB, name string) (_ []uint64, err error) {
	rows, err := pool.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = ?", name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var ids []uint64
	for rows.Next() {
		var id uint64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// identify asks a running server which engine it is.
func identify(ctx context.Context, admin adminURL) (_ string, err error) {
	pool, err := admin.open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	var version string
	if err := pool.QueryRowContext(ctx, "SELECT version()").Scan(&version); err != nil {
		return "", err
	}
	switch {
	case admin.postgres():
		return Postgres, nil
	case strings.Contains(version, "MariaDB"):
		return MariaDB, nil
	default:
		return MySQL, nil
	}
}
