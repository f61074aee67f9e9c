package sqldriver_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// count reads the number of items on a connection.
func count(ctx context.Context, c *sqldriver.Conn) (n int64, err error) {
	rows, err := c.Query(ctx, "SELECT count(*) FROM item", nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return 0, err
	}
	n, _ = row[0].(int64)
	if err := rows.Next(row); !errors.Is(err, io.EOF) {
		return 0, errors.New("there is a second row")
	}
	return n, nil
}

func expect(t *testing.T, what string, n int64, err error, want int64) {
	t.Helper()
	if err != nil || n != want {
		t.Errorf("%s: %d items, error %v; want %d", what, n, err, want)
	}
}

// TestSnapshotStaysAsItIs has rows committed while a snapshot is read, from within and from outside of a transaction.
func TestSnapshotStaysAsItIs(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		look := func(ctx context.Context, want int64) {
			err := b.Snapshot(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
				n, err := count(ctx, c)
				expect(t, "first", n, err, want)
				if err := b.add(sqldriver.Outside(t.Context()), 100+want); err != nil {
					return err
				}
				n, err = count(ctx, c)
				expect(t, "then", n, err, want)
				return b.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					n, err := count(ctx, c)
					expect(t, "joined", n, err, want)
					return err
				})
			})
			if err != nil {
				t.Error(err)
			}
		}
		look(t.Context(), 0)
		if b.Dialect().Name() == "sqlite" {
			return // its one writer would wait for itself
		}
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if err := b.add(ctx, 1); err != nil {
				return err
			}
			look(ctx, 1) // what is not committed is not in it
			return b.Read(sqldriver.Outside(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
				n, err := count(ctx, c)
				expect(t, "outside", n, err, 2)
				return err
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestApartTakesNothingFromThePool uses a connection apart while the pool's only one is in use.
func TestApartTakesNothingFromThePool(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	target.URL += "&pool_max_conns=1"
	b := newBed(t, target, sqldriver.Options{WriteWait: 10 * time.Second})
	session := func(c *sqldriver.Conn) (pid int64) {
		rows, err := c.Query(t.Context(), "SELECT pg_backend_pid()::bigint", nil)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]driver.Value, 1)
		if err := errors.Join(rows.Next(row), rows.Close()); err != nil {
			t.Fatal(err)
		}
		pid, _ = row[0].(int64)
		return pid
	}
	seen := make(map[int64]bool)
	for range 2 {
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			seen[session(c)] = true
			return b.Apart(ctx, func(_ context.Context, c *sqldriver.Conn) error {
				seen[session(c)] = true
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d sessions were used, want one of the pool and two apart", len(seen))
	}
}

// TestWait listens on PostgreSQL, and learns elsewhere that there is nothing to listen to.
func TestWait(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Apart(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if b.Dialect().Name() != "postgres" {
				_, err := c.Wait(ctx)
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("got %v, want ErrUnsupported", err)
				}
				return nil
			}
			if _, err := c.Exec(ctx, "LISTEN news", nil); err != nil {
				return err
			}
			for range 3 {
				short, cancel := context.WithTimeout(ctx, time.Millisecond)
				_, err := c.Wait(short)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want that the time is over", err)
				}
			}
			b.exec(ctx, "SELECT pg_notify('news', 'one'), pg_notify('news', 'two')")
			if _, err := count(ctx, c); err != nil { // the connection is as good as before
				return err
			}
			for _, want := range []string{"one", "two"} {
				if payload, err := c.Wait(ctx); payload != want || err != nil {
					t.Errorf("got %q, error %v; want %q", payload, err, want)
				}
			}
			b.exec(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'SELECT count%' AND pid <> pg_backend_pid()")
			if _, err := c.Wait(ctx); !errors.Is(err, sqldriver.ErrDown) {
				t.Errorf("got %v, want ErrDown", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
