package sqldriver_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// journal is what was called, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// take returns the lines and forgets them.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := j.take(); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		var calls journal
		o := sqldriver.Options{
			Begin:  func(context.Context, *sqldriver.Conn) error { calls.add("begin"); return nil },
			Commit: func(context.Context, *sqldriver.Conn) error { calls.add("commit"); return nil },
			After:  func(context.Context) { calls.add("after") },
		}
		b := newBed(t, target, o)
		ctx := t.Context()
		all := []string{"begin", "commit", "after"}
		calls.take()
		update := func(err error) func(context.Context, *sqldriver.Conn) error {
			return func(ctx context.Context, c *sqldriver.Conn) error { return errors.Join(b.insert(ctx, c, 1), err) }
		}
		if err := b.Update(ctx, update(nil)); err != nil {
			t.Fatal(err)
		}
		calls.want(t, "update", all...)
		_ = b.Update(ctx, update(errMine))
		calls.want(t, "update that fails", "begin")
		if err := b.add(ctx, 2); err != nil {
			t.Fatal(err)
		}
		calls.want(t, "single statement", all...)
		b.count(ctx)
		calls.want(t, "reading")
		if err := b.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error { _, err := ids(ctx, c); return err }); err != nil {
			t.Fatal(err)
		}
		calls.want(t, "view")
		tx := mustBegin(t, ctx, b.SQL())
		if _, err := tx.ExecContext(ctx, "DELETE FROM item WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		calls.want(t, "tx", all...)
		err := b.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error {
			return b.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error { return b.add(ctx, 5) })
		})
		if err != nil {
			t.Fatal(err)
		}
		calls.want(t, "nested", all...)
		b.exec(ctx, "CREATE TABLE other(id BIGINT)") // a definition is not wrapped: some cannot be
		calls.want(t, "definition", "after")
		if b.Dialect().Returning() {
			var id int64
			err := b.SQL().QueryRowContext(ctx, "INSERT INTO item(id) VALUES (7) RETURNING id").Scan(&id)
			if err != nil || id != 7 {
				t.Errorf("returned %d, %v", id, err)
			}
			calls.want(t, "returning", all...)
		}
	})
}

func TestSlotsCanRefuse(t *testing.T) {
	t.Parallel()
	begin, commit := errors.New("refused at begin"), errors.New("refused at commit")
	onEach(t, sqldriver.Options{Begin: func(ctx context.Context, c *sqldriver.Conn) error {
		if ctx.Value(refuse{}) == "begin" {
			return begin
		}
		if !c.InTransaction() {
			return errors.New("not in a transaction")
		}
		return nil
	}, Commit: func(ctx context.Context, c *sqldriver.Conn) error {
		switch ctx.Value(refuse{}) {
		case "commit":
			return commit
		case "panic":
			panic("in the slot")
		}
		_, err := c.Exec(ctx, "UPDATE item SET name = NULL", nil)
		return err
	}}, func(t *testing.T, b bed) {
		at := func(where string) context.Context { return context.WithValue(t.Context(), refuse{}, where) }
		insert := func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 1) }
		wantError(t, b.Update(at("begin"), insert), begin)
		wantError(t, b.Update(at("commit"), insert), commit)
		wantError(t, b.add(at("commit"), 1), commit)
		_, err := b.SQL().BeginTx(at("begin"), nil)
		wantError(t, err, begin)
		tx := mustBegin(t, at("commit"), b.SQL())
		wantError(t, tx.Commit(), commit)
		func() {
			defer func() { _ = recover() }()
			_ = b.Update(at("panic"), insert)
			t.Error("a panic was swallowed")
		}()
		b.want(0)
		if err := b.add(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		var named int
		if err := b.SQL().QueryRowContext(t.Context(), "SELECT count(name) FROM item").Scan(&named); err != nil || named != 0 {
			t.Errorf("the commit slot's statement is not in the transaction: %d, %v", named, err)
		}
	})
}

type refuse struct{}

func TestGuard(t *testing.T) {
	t.Parallel()
	denied := errors.New("denied")
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		var calls journal
		o := sqldriver.Options{Guard: func(ctx context.Context, query string, args []driver.NamedValue, inTx bool) (sqldriver.Guarded, error) {
			g := sqldriver.Guarded{Query: query, Args: args}
			switch who := ctx.Value(refuse{}); {
			case who == nil:
			case who == "nobody":
				return g, denied
			case strings.HasPrefix(query, "SELECT count(id)"):
				g.Query += " WHERE id < 10"
			case strings.HasPrefix(query, "INSERT"):
				g.Check = func(ctx context.Context, c *sqldriver.Conn) (func(context.Context, sqldriver.Outcome) error, error) {
					if !c.InTransaction() {
						calls.add("check without transaction")
					}
					if !inTx {
						calls.add("own transaction")
					}
					before, err := ids(ctx, c)
					return func(ctx context.Context, _ sqldriver.Outcome) error {
						after, err := ids(ctx, c)
						if len(after)-len(before) > 1 {
							return denied
						}
						return err
					}, err
				}
			}
			return g, nil
		}}
		b := newBed(t, target, o)
		ctx := t.Context()
		limited, nobody := context.WithValue(ctx, refuse{}, "limited"), context.WithValue(ctx, refuse{}, "nobody")
		if err := errors.Join(b.add(ctx, 1), b.add(ctx, 20)); err != nil {
			t.Fatal(err)
		}
		if all, some := b.count(ctx), b.count(limited); all != 2 || some != 1 {
			t.Errorf("%d and %d rows, want 2 and 1", all, some)
		}
		wantError(t, b.add(nobody, 2), denied)
		// A statement that was prepared by someone else is limited where it runs.
		statement, err := b.SQL().PrepareContext(ctx, "SELECT count(id) FROM item")
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := statement.QueryRowContext(limited).Scan(&n); err != nil || n != 1 {
			t.Errorf("the prepared statement counted %d, %v", n, err)
		}
		wantError(t, statement.QueryRowContext(nobody).Scan(&n), denied)
		if err := statement.Close(); err != nil {
			t.Error(err)
		}

		calls.take()
		if err := b.add(limited, 3); err != nil {
			t.Fatal(err)
		}
		calls.want(t, "a single statement", "own transaction")
		two := "INSERT INTO item(id) VALUES (4), (5)"
		_, err = b.SQL().ExecContext(limited, two)
		wantError(t, err, denied)
		b.want(3)
		// In a transaction the refusal spoils the whole.
		err = b.Update(limited, func(ctx context.Context, c *sqldriver.Conn) error {
			if err := b.insert(ctx, c, 6); err != nil {
				return err
			}
			_, err := b.SQL().ExecContext(ctx, two)
			wantError(t, err, denied)
			wantError(t, b.insert(ctx, c, 7), denied)
			return nil
		})
		wantError(t, err, denied)
		b.want(3)
		if b.Dialect().Returning() {
			rows, err := b.SQL().QueryContext(limited, two+" RETURNING id")
			wantError(t, err, denied)
			if err == nil {
				t.Error("rows of a refused statement were shown:", rows.Close())
			}
		}
		b.want(3)
	})
}

func TestObserve(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		var seen []sqldriver.Statement
		watching := false
		b := newBed(t, target, sqldriver.Options{Observe: func(_ context.Context, s sqldriver.Statement) {
			if watching {
				seen = append(seen, s)
			}
		}})
		watching = true
		b.exec(t.Context(), "INSERT INTO item(id) VALUES (1), (2), (3)")
		err := b.Read(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			rows, err := c.Query(ctx, "SELECT id FROM item", nil)
			if err != nil {
				return err
			}
			row := make([]driver.Value, 1)
			return errors.Join(rows.Next(row), rows.Next(row), rows.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
		_, failed := b.SQL().ExecContext(t.Context(), "INSERT INTO item(id) VALUES (1)")
		if failed == nil {
			t.Fatal("a duplicate was inserted")
		}
		if len(seen) != 3 || seen[0].Rows != 3 || seen[0].Err != nil || seen[0].Duration <= 0 ||
			seen[1].Rows != 2 || seen[1].Err != nil || !strings.HasPrefix(seen[1].Query, "SELECT") ||
			seen[2].Err == nil {
			t.Errorf("observed %+v", seen)
		}
	})
}
