package sqldriver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/sqlite"
)

func openTemp(t testing.TB, o sqldriver.Options) *sqldriver.DB {
	t.Helper()
	backend, err := sqlite.Temp().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldriver.Open(backend, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func benchTable(b *testing.B, db *sqldriver.DB) {
	b.Helper()
	for _, text := range []string{
		"CREATE TABLE item(id INTEGER PRIMARY KEY, owner TEXT, n INTEGER, name TEXT)",
		"INSERT INTO item VALUES (1,'a',1,'x'),(2,'a',1,'x'),(3,'a',1,'x'),(4,'a',1,'x'),(5,'a',1,'x'),(6,'a',1,'x')",
	} {
		if _, err := db.SQL().ExecContext(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

const benchSelect = "SELECT id, owner, n, name FROM item WHERE id = ? AND owner = ?"

func BenchmarkView(b *testing.B) {
	db := openTemp(b, sqldriver.Options{})
	benchTable(b, db)
	args := []driver.NamedValue{{Ordinal: 1, Value: int64(3)}, {Ordinal: 2, Value: "a"}}
	dest := make([]driver.Value, 4)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for b.Loop() {
		err := db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			rows, err := c.Query(ctx, benchSelect, args)
			if err != nil {
				return err
			}
			for {
				if err := rows.Next(dest); err != nil {
					if !errors.Is(err, io.EOF) {
						return err
					}
					return rows.Close()
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	db := openTemp(b, sqldriver.Options{})
	benchTable(b, db)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for b.Loop() {
		err := db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := c.Exec(ctx, "UPDATE item SET n = n + 1 WHERE id = ?", []driver.NamedValue{{Ordinal: 1, Value: int64(3)}})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSQLQueryRow(b *testing.B) {
	db := openTemp(b, sqldriver.Options{})
	benchTable(b, db)
	benchQueryRow(b, db.SQL())
}

func BenchmarkDriverQueryRow(b *testing.B) {
	backend, err := sqlite.Temp().Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	pool := sql.OpenDB(backend.Writer)
	pool.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = errors.Join(pool.Close(), backend.Close()) })
	for _, text := range []string{
		"CREATE TABLE item(id INTEGER PRIMARY KEY, owner TEXT, n INTEGER, name TEXT)",
		"INSERT INTO item VALUES (3,'a',1,'x')",
	} {
		if _, err := pool.ExecContext(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("prepared", func(b *testing.B) {
		s, err := pool.PrepareContext(b.Context(), benchSelect)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		var id, n int64
		var owner, name string
		for b.Loop() {
			if err := s.QueryRowContext(ctx, 3, "a").Scan(&id, &owner, &n, &name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("text", func(b *testing.B) { benchQueryRow(b, pool) })
}

func benchQueryRow(b *testing.B, pool *sql.DB) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var id, n int64
	var owner, name string
	for b.Loop() {
		if err := pool.QueryRowContext(ctx, benchSelect, 3, "a").Scan(&id, &owner, &n, &name); err != nil {
			b.Fatal(err)
		}
	}
}
