package sqldriver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/capebase/capebase/internal/sqldriver"
)

var errReported = errors.New("reported")

// TestReport asks for the mark that Report puts on each error that leaves SQL, and on none of the others.
func TestReport(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{Report: func(_ context.Context, err error) error {
		return fmt.Errorf("%w: %w", errReported, err)
	}}, func(t *testing.T, b bed) {
		ctx := t.Context()
		b.exec(ctx, "INSERT INTO item(id, name) VALUES (1, 'one')")
		again := b.sql("INSERT INTO item(id, name) VALUES (?, 'one')")
		reported := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, errReported) {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err := b.SQL().ExecContext(ctx, again, 1)
		reported("exec", err)
		_, err = b.SQL().PrepareContext(ctx, "SELECT no_such_column FROM item")
		reported("prepare", err)
		_, err = b.SQL().QueryContext(ctx, "SELECT no_such_column FROM item") //nolint:rowserrcheck,sqlclosecheck // there are none
		reported("query", err)
		if b.Dialect().Returning() {
			reported("returning", b.SQL().QueryRowContext(ctx, again+" RETURNING id", 1).Scan(new(int64)))
		}
		statement, err := b.SQL().PrepareContext(ctx, again)
		if err != nil {
			t.Fatal(err)
		}
		defer statement.Close() //nolint:errcheck // it holds nothing
		_, err = statement.ExecContext(ctx, 1)
		reported("prepared", err)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err = b.SQL().ExecContext(ended, again, 1); errors.Is(err, errReported) { // database/sql's own
			t.Errorf("a call that was not made: %v", err)
		}
		err = b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 1) })
		if err == nil || errors.Is(err, errReported) {
			t.Errorf("update: %v", err)
		}
		err = b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			c.Fail(errMine)
			_, err := b.SQL().BeginTx(ctx, nil)
			reported("begin", err)
			return nil
		})
		wantError(t, err, errMine)
		if err := b.SQL().QueryRowContext(ctx, "SELECT id FROM item WHERE id = 7").Scan(new(int64)); !errors.Is(err, sql.ErrNoRows) || errors.Is(err, errReported) {
			t.Errorf("no rows: %v", err)
		}
	})
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	type shutKey struct{}
	onEach(t, sqldriver.Options{Admit: func(ctx context.Context) error {
		if ctx.Value(shutKey{}) != nil {
			return errMine
		}
		return nil
	}}, func(t *testing.T, b bed) {
		ctx := t.Context()
		statement, err := b.SQL().PrepareContext(ctx, "SELECT id FROM item")
		if err != nil {
			t.Fatal(err)
		}
		defer statement.Close() //nolint:errcheck // it holds nothing
		ctx = context.WithValue(ctx, shutKey{}, true)
		wantError(t, b.add(ctx, 1), errMine)
		wantError(t, b.SQL().QueryRowContext(ctx, "SELECT id FROM item").Scan(new(int64)), errMine)
		wantError(t, statement.QueryRowContext(ctx).Scan(new(int64)), errMine)
		_, err = b.SQL().PrepareContext(ctx, "SELECT id FROM item")
		wantError(t, err, errMine)
		_, err = b.SQL().BeginTx(ctx, nil)
		wantError(t, err, errMine)
		if err := b.SQL().PingContext(ctx); err != nil {
			t.Error("ping:", err)
		}
		if err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 1) }); err != nil {
			t.Error("update:", err)
		}
	})
}
