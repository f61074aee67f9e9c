package soak

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	gomysql "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/gormlite"
	gormmysql "gorm.io/driver/mysql"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase/internal/dbtest"
)

// openPool opens a target as a program that knows nothing of CapeBase would.
func openPool(t testing.TB, target dbtest.Target) *sql.DB {
	t.Helper()
	pool, err := dial(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

func dial(target dbtest.Target) (*sql.DB, error) {
	switch target.Engine {
	case dbtest.SQLite:
		return driver.Open("file:" + sqlitePath(target) + "?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=synchronous(normal)")
	case dbtest.Postgres:
		config, err := pgx.ParseConfig(target.URL)
		if err != nil {
			return nil, err
		}
		config.RuntimeParams["deadlock_timeout"] = deadlockTimeout
		return stdlib.OpenDB(*config), nil
	}
	config, err := mysqlConfig(target)
	if err != nil {
		return nil, err
	}
	connector, err := gomysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// deadlockTimeout is after how many milliseconds PostgreSQL looks for a deadlock: writers of random scripts have many.
const deadlockTimeout = "20"

func sqlitePath(target dbtest.Target) string { return strings.TrimPrefix(target.URL, "sqlite:") }

func mysqlConfig(target dbtest.Target) (*gomysql.Config, error) {
	u, err := url.Parse(target.URL)
	if err != nil {
		return nil, err
	}
	config := gomysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.ParseTime = true
	config.Logger = &gomysql.NopLogger{}
	return config, nil
}

// openORM is GORM over a pool, without a logger: that rows are missing and transactions fail is expected.
func openORM(t testing.TB, engine string, pool *sql.DB) *gorm.DB {
	t.Helper()
	var dialector gorm.Dialector
	switch engine {
	case dbtest.SQLite:
		dialector = gormlite.OpenDB(pool)
	case dbtest.Postgres:
		dialector = gormpostgres.New(gormpostgres.Config{Conn: pool})
	default:
		dialector = gormmysql.New(gormmysql.Config{Conn: pool})
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.NewSlogLogger(slog.New(slog.DiscardHandler), logger.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// current reads what the tables hold.
func current(ctx context.Context, pool *sql.DB, postgres bool) (map[rowID]row, error) {
	found := map[rowID]row{}
	deleted := "deleted_at IS NOT NULL"
	queries := [...]string{
		tasks:    "SELECT id, owner_id, level, 0, 1 = 0, 1 = 0, v, tx, note FROM tasks",
		memos:    "SELECT id, org_id, 0, 0, public, " + deleted + ", v, tx, '' FROM memos",
		readings: "SELECT id, '', 0, score, 1 = 0, 1 = 0, v, tx, label FROM readings",
		parts:    "SELECT id, '', task_id, slot, 1 = 0, 1 = 0, v, tx, COALESCE(memo_id, '') FROM parts",
	}
	for table, query := range queries {
		if postgres {
			query = strings.Replace(query, "SELECT id", "SELECT id::text", 1)
		}
		rows, err := pool.QueryContext(ctx, query)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.key, &r.owner, &r.level, &r.score, &r.public, &r.deleted, &r.v, &r.tx, &r.hidden); err != nil {
				return nil, err
			}
			found[rowID{table, r.key}] = r
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// differences lists how two states differ.
func differences(journal, table map[rowID]row) []string {
	var found []string
	for id, r := range journal {
		if there, ok := table[id]; !ok || there != r {
			found = append(found, fmt.Sprintf("%v: the journal ends with %+v, and the table has %+v (%v)", id, r, there, ok))
		}
	}
	for id, r := range table {
		if _, ok := journal[id]; !ok {
			found = append(found, fmt.Sprintf("%v: the journal has no such row, and the table has %+v", id, r))
		}
	}
	return found
}
