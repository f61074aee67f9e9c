package sqldriver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// endless is a statement that takes very long.
func (b bed) endless() string {
	switch b.Dialect().Name() {
	case "postgres":
		return "SELECT pg_sleep(600)"
	case "mysql":
		return "SELECT SLEEP(600)"
	default:
		return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
	}
}

// promptly fails the test when f takes longer than a cancelled call may.
func promptly(t *testing.T, what string, f func()) {
	t.Helper()
	const limit = 20 * time.Second // of a loaded machine; what is interrupted would take minutes
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v", what, took)
	}
}

func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		never := func(context.Context, *sqldriver.Conn) error {
			t.Error("a function ran whose context had ended")
			return nil
		}
		_, prepared := b.SQL().PrepareContext(ctx, "SELECT id FROM item")
		_, begun := b.SQL().BeginTx(ctx, nil)
		for name, err := range map[string]error{
			"Update": b.Update(ctx, never), "UpdateRetry": b.UpdateRetry(ctx, never), "View": b.View(ctx, never),
			"Read": b.Read(ctx, never), "Ping": b.Ping(ctx), "Exec": b.add(ctx, 1), "Prepare": prepared, "BeginTx": begun,
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.want(0)
	})
}

func TestCancelledWhileWaitingForTheWriter(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{WriteWait: time.Hour})
	err := b.Update(t.Context(), func(context.Context, *sqldriver.Conn) error {
		ctx, cancel := context.WithTimeout(t.Context(), shortWait)
		defer cancel()
		promptly(t, "waiting for the writer", func() { wantError(t, b.add(ctx, 1), context.DeadlineExceeded) })
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	b.want(0)
}

func TestCancelledStatements(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		timed := func(run func(ctx context.Context) error) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), shortWait)
			defer cancel()
			promptly(t, "a cancelled statement", func() { wantError(t, run(ctx), context.DeadlineExceeded) })
		}
		query := func(ctx context.Context) error {
			var ignored any
			return b.SQL().QueryRowContext(ctx, b.endless()).Scan(&ignored)
		}
		timed(query)
		timed(func(ctx context.Context) error {
			return b.View(ctx, func(ctx context.Context, _ *sqldriver.Conn) error { return query(ctx) })
		})
		timed(func(ctx context.Context) error {
			return b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
				if err := b.insert(ctx, c, 1); err != nil {
					return err
				}
				return query(ctx)
			})
		})
		timed(func(ctx context.Context) error {
			tx, err := b.SQL().BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.ExecContext(ctx, "INSERT INTO item(id) VALUES (2)"); err != nil {
				return err
			}
			var ignored any
			return tx.QueryRowContext(ctx, b.endless()).Scan(&ignored)
		})
		b.want(0)
		if err := b.add(t.Context(), 3); err != nil { // nothing is left locked
			t.Error(err)
		}
	})
}

// Only the call is cancelled, not the transaction: on SQLite that goes on; elsewhere the drivers close the connection.
func TestCancelledCallInATransaction(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if err := b.insert(ctx, c, 1); err != nil {
				return err
			}
			short, cancel := context.WithTimeout(ctx, shortWait)
			defer cancel()
			var ignored any
			wantError(t, b.SQL().QueryRowContext(short, b.endless()).Scan(&ignored), context.DeadlineExceeded)
			return b.insert(ctx, c, 2)
		})
		if err == nil {
			b.want(2)
			return
		}
		wantError(t, err, sqldriver.ErrDown)
		b.want(0)
	})
}

func TestCancelledBeforeCommit(t *testing.T) {
	t.Parallel()
	hooked := make(chan context.CancelFunc, 10)
	o := sqldriver.Options{Commit: func(context.Context, *sqldriver.Conn) error {
		select {
		case cancel := <-hooked:
			cancel()
		default:
		}
		return nil
	}}
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			err := b.insert(ctx, c, 1)
			cancel()
			wantError(t, b.insert(context.WithoutCancel(ctx), c, 2), context.Canceled) // the transaction has ended with its context
			return err
		})
		wantError(t, err, context.Canceled)

		ctx, cancel = context.WithCancel(t.Context())
		tx := mustBegin(t, ctx, b.SQL())
		if _, err := tx.ExecContext(ctx, "INSERT INTO item(id) VALUES (3)"); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := tx.Commit(); err == nil {
			t.Error("a cancelled transaction was committed")
		}
		b.want(0)
	})
	t.Run("in the commit slot", func(t *testing.T) {
		b := onSQLite(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			hooked <- cancel
			return b.insert(ctx, c, 1)
		})
		wantError(t, err, context.Canceled)
		b.want(0)
	})
}

func TestCancelledBetweenRows(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		for id := range int64(50) {
			if err := b.add(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// Enough rows that they do not all lie in a buffer.
		rows, err := b.SQL().QueryContext(ctx, "SELECT a.id FROM item a, item b, item c, item d WHERE a.id >= 0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		if !rows.Next() {
			t.Fatal("no row")
		}
		cancel()
		promptly(t, "reading on", func() {
			for rows.Next() {
				continue // until it is noticed
			}
		})
		wantError(t, rows.Err(), context.Canceled)
		b.want(50)
	})
}
