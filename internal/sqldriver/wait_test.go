package sqldriver_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	shortWait = 300 * time.Millisecond
	// writeWait leaves a loaded machine the time to open a connection.
	writeWait = 2 * time.Second
)

func TestTheOuterContextInATransaction(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{WriteWait: writeWait})
	err := b.Update(t.Context(), func(ctx context.Context, _ *sqldriver.Conn) error {
		start := time.Now()
		err := b.add(t.Context(), 1) // the mistake
		if waited := time.Since(start); waited < writeWait {
			t.Errorf("failed after %v, want at least %v", waited, writeWait)
		}
		wantError(t, err, sqldriver.ErrBusy)
		for _, part := range []string{"wait_test.go:", "TestTheOuterContextInATransaction", "not the outer context", writeWait.String()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error lacks %q: %v", part, err)
			}
		}
		wantError(t, b.Update(t.Context(), func(context.Context, *sqldriver.Conn) error { return nil }), sqldriver.ErrBusy)
		return b.add(ctx, 2)
	})
	if err != nil {
		t.Error(err)
	}
	b.want(1)
}

func TestTheHolderIsNamed(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{WriteWait: writeWait})
	tx := mustBegin(t, t.Context(), b.SQL())
	err := b.add(t.Context(), 1)
	wantError(t, err, sqldriver.ErrBusy)
	if !strings.Contains(err.Error(), "main_test.go:") || !strings.Contains(err.Error(), "mustBegin") {
		t.Errorf("the error does not name who began the transaction: %v", err)
	}
	b.want(0) // reads are not held up
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := b.add(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func TestConnectionsRunOut(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{WriteWait: 5 * time.Second}, func(t *testing.T, b bed) {
		if err := b.add(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		var open []interface{ Close() error }
		for {
			rows, err := b.SQL().QueryContext(t.Context(), "SELECT id FROM item")
			if err != nil {
				wantError(t, err, sqldriver.ErrBusy)
				if !strings.Contains(err.Error(), "left open") {
					t.Errorf("the error does not say why: %v", err)
				}
				break
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if open = append(open, rows); len(open) > 200 {
				t.Fatal("there is no bound")
			}
		}
		for _, rows := range open {
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
		b.want(1)
	})
}

func TestUpdateRetry(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		calls := 0
		err := b.UpdateRetry(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if calls++; calls < 3 {
				return errors.Join(b.insert(ctx, c, int64(calls)), busyError(t, b))
			}
			return b.insert(ctx, c, 9)
		})
		if err != nil || calls != 3 {
			t.Errorf("%d calls, %v", calls, err)
		}
		b.want(1)

		calls = 0
		err = b.UpdateRetry(t.Context(), func(context.Context, *sqldriver.Conn) error {
			calls++
			return busyError(t, b)
		})
		wantError(t, err, sqldriver.ErrBusy)
		if calls != 5 || !strings.Contains(err.Error(), "5 attempts") {
			t.Errorf("%d calls, %v", calls, err)
		}

		calls = 0
		wantError(t, b.UpdateRetry(t.Context(), func(context.Context, *sqldriver.Conn) error { calls++; return errMine }), errMine)
		if calls != 1 {
			t.Errorf("what cannot be helped was tried %d times", calls)
		}

		calls = 0
		err = b.Update(t.Context(), func(ctx context.Context, _ *sqldriver.Conn) error {
			return b.UpdateRetry(ctx, func(context.Context, *sqldriver.Conn) error { calls++; return busyError(t, b) })
		})
		if err == nil || calls != 1 {
			t.Errorf("inside a transaction: %d calls, %v", calls, err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		calls = 0
		err = b.UpdateRetry(ctx, func(context.Context, *sqldriver.Conn) error {
			if calls++; calls == 2 {
				cancel()
			}
			return busyError(t, b)
		})
		cancel()
		wantError(t, err, context.Canceled)
	})
}

// busyError is an error of the engine's driver by which it gave up a transaction for the sake of another.
func busyError(t *testing.T, b bed) error {
	t.Helper()
	err := map[string]error{"sqlite": sqliteBusy, "postgres": postgresBusy, "mysql": mysqlBusy}[b.Dialect().Name()]
	if err == nil {
		t.Fatal("no such error is known for", b.Dialect().Name())
	}
	return err
}
