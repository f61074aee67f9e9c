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

// outcomes notes what checks are told.
type outcomes struct {
	mu  sync.Mutex
	all []sqldriver.Outcome
}

func (o *outcomes) add(outcome sqldriver.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, outcome)
}

func (o *outcomes) want(t *testing.T, what string, want ...sqldriver.Outcome) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.all, want) {
		t.Errorf("%s: the check was told %+v, want %+v", what, o.all, want)
	}
	o.all = nil
}

func TestCheckIsToldTheOutcome(t *testing.T) {
	t.Parallel()
	denied := errors.New("denied")
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		var told outcomes
		o := sqldriver.Options{Guard: func(ctx context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
			g := sqldriver.Guarded{Query: query, Args: args, MaxRows: 3}
			if ctx.Value(refuse{}) != nil {
				g.Check = func(context.Context, *sqldriver.Conn) (func(context.Context, sqldriver.Outcome) error, error) {
					return func(_ context.Context, o sqldriver.Outcome) error {
						told.add(o)
						if ctx.Value(refuse{}) == "deny" {
							return denied
						}
						return nil
					}, nil
				}
			}
			return g, nil
		}}
		b := newBed(t, target, o)
		ctx := context.WithValue(t.Context(), refuse{}, "allow")
		b.exec(ctx, "INSERT INTO item(id) VALUES (1), (2)")
		told.want(t, "an insert", sqldriver.Outcome{Affected: 2})
		b.exec(ctx, "UPDATE item SET name = 'x' WHERE id > 1")
		told.want(t, "an update", sqldriver.Outcome{Affected: 1})
		var n int
		if err := b.SQL().QueryRowContext(ctx, "SELECT count(*) FROM item").Scan(&n); err != nil || n != 2 {
			t.Errorf("counted %d, %v", n, err)
		}
		told.want(t, "a query", sqldriver.Outcome{Affected: -1, Rows: 1})

		aborts := b.Dialect().Name() == "postgres"
		tx := mustBegin(t, ctx, b.SQL())
		if _, err := tx.ExecContext(ctx, "INSERT INTO item(id) VALUES (1)"); err == nil {
			t.Error("a duplicate was inserted")
		}
		if aborts {
			told.want(t, "a failure")
		} else {
			told.want(t, "a failure", sqldriver.Outcome{Affected: -1, Failed: true})
			if _, err := tx.ExecContext(ctx, "INSERT INTO item(id) VALUES (3)"); err != nil {
				t.Error("a failure that the check allows spoils the transaction:", err)
			}
			told.want(t, "after a failure", sqldriver.Outcome{Affected: 1})
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}

		// What a failed statement may have left behind is refused as what one did that went well.
		if !aborts {
			strict := context.WithValue(t.Context(), refuse{}, "deny")
			tx := mustBegin(t, strict, b.SQL())
			_, err := tx.ExecContext(strict, "INSERT INTO item(id) VALUES (1)")
			wantError(t, err, denied)
			wantError(t, tx.Commit(), denied)
			told.want(t, "a denied failure", sqldriver.Outcome{Affected: -1, Failed: true})
		}
		b.want(2)

		// Rows beyond the limit were changed, and the check has not seen how many.
		err := b.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error {
			rows, err := b.SQL().QueryContext(ctx, "SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4")
			if err == nil {
				t.Error("too many rows were shown:", rows.Close())
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "more than 3 rows") {
			t.Errorf("the transaction ended with %v", err)
		}
	})
}

func TestGuardSaysTheKind(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		var calls journal
		kind := func(ctx context.Context) sqldriver.Kind {
			k, _ := ctx.Value(refuse{}).(sqldriver.Kind)
			return k
		}
		b := newBed(t, target, sqldriver.Options{
			Begin: func(context.Context, *sqldriver.Conn) error { calls.add("begin"); return nil },
			Guard: func(ctx context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
				return sqldriver.Guarded{Query: strings.Replace(query, "FROM item", "FROM (SELECT * FROM item) AS i", 1), Args: args, Kind: kind(ctx)}, nil
			},
		})
		with := func(k sqldriver.Kind) context.Context { return context.WithValue(t.Context(), refuse{}, k) }
		calls.take()
		for _, c := range []struct {
			kind sqldriver.Kind
			want []string
		}{{sqldriver.Unsaid, nil}, {sqldriver.Reads, nil}, {sqldriver.Changes, []string{"begin"}}} {
			if n := b.count(with(c.kind)); n != 0 {
				t.Errorf("kind %d: counted %d rows", c.kind, n)
			}
			calls.want(t, "a SELECT", c.want...)
			// In a snapshot, which nothing can write to, a SELECT that changes something goes its own way.
			err := b.View(with(c.kind), func(ctx context.Context, _ *sqldriver.Conn) error {
				_ = b.count(ctx)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			calls.want(t, "a SELECT in a View", c.want...)
			err = b.Update(with(c.kind), func(ctx context.Context, _ *sqldriver.Conn) error {
				_ = b.count(ctx)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			calls.want(t, "a SELECT in a transaction", "begin")
		}
	})
}

func TestWhatReadsCannotWrite(t *testing.T) {
	t.Parallel()
	db := openTemp(t, sqldriver.Options{Guard: func(ctx context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
		g := sqldriver.Guarded{Query: query, Args: args}
		if ctx.Value(refuse{}) != nil {
			g.Kind = sqldriver.Reads
		}
		return g, nil
	}})
	for _, c := range []struct {
		ctx  context.Context
		fine bool
	}{{t.Context(), true}, {context.WithValue(t.Context(), refuse{}, true), false}} {
		if _, err := db.SQL().ExecContext(c.ctx, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (1)"); (err == nil) != c.fine {
			t.Errorf("insert: %v, want success %v", err, c.fine)
		}
	}
}

// A statement of SQLite can fail halfway and keep what it did until then.
func TestCheckSeesWhatAFailedStatementKept(t *testing.T) {
	t.Parallel()
	denied := errors.New("denied")
	var db *sqldriver.DB
	db = openTemp(t, sqldriver.Options{Guard: func(_ context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
		g := sqldriver.Guarded{Query: query, Args: args}
		if strings.HasPrefix(query, "INSERT") {
			g.Check = func(context.Context, *sqldriver.Conn) (func(context.Context, sqldriver.Outcome) error, error) {
				return func(ctx context.Context, _ sqldriver.Outcome) error {
					var foreign int
					err := db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM item WHERE id > 100").Scan(&foreign)
					if foreign > 0 {
						return denied
					}
					return err
				}, nil
			}
		}
		return g, nil
	}})
	ctx := t.Context()
	for _, text := range []string{"CREATE TABLE item(id INTEGER PRIMARY KEY)", "INSERT INTO item VALUES (1)"} {
		if _, err := db.SQL().ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		text string
		want error
	}{{"INSERT OR FAIL INTO item VALUES (2), (1)", nil}, {"INSERT OR FAIL INTO item VALUES (101), (1)", denied}} {
		tx := mustBegin(t, ctx, db.SQL())
		if _, err := tx.ExecContext(ctx, c.text); err == nil {
			t.Errorf("%s: no error", c.text)
		}
		wantError(t, tx.Commit(), c.want)
	}
	var n int
	if err := db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM item").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v, want 2", n, err)
	}
}
