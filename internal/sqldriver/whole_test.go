package sqldriver_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// wholes is a bed whose writes are whole transactions. A trigger notes the actor of each change.
type wholes struct {
	bed
	table engine.Table
	after atomic.Int32
	shown atomic.Pointer[string] // the last statement that was observed
}

func newWholes(t *testing.T, database string) *wholes {
	t.Helper()
	w := &wholes{table: engine.Table{Name: "item", Key: []int{0}, Columns: []engine.Column{
		{Name: "id", Kind: predicate.Int}, {Name: "name", Kind: predicate.Text, Nullable: true},
	}}}
	name := map[string]string{dbtest.Postgres: "capebase.actor", dbtest.MariaDB: "@cape_actor"}[database]
	w.bed = bedOn(t, database, sqldriver.Options{
		Variables: func(context.Context) ([]engine.Variable, error) {
			return []engine.Variable{{Name: name, Value: "it's alice"}}, nil
		},
		After:   func(context.Context) { w.after.Add(1) },
		Observe: func(_ context.Context, s sqldriver.Statement) { w.shown.Store(&s.Query) },
	})
	statements := []string{
		"CREATE TABLE note(actor text)",
		"CREATE TRIGGER noted AFTER INSERT ON item FOR EACH ROW INSERT INTO note VALUES (@cape_actor)",
		"CREATE TRIGGER changed AFTER UPDATE ON item FOR EACH ROW INSERT INTO note VALUES (@cape_actor)",
	}
	if database == dbtest.Postgres {
		statements = []string{
			"CREATE TABLE note(actor text)",
			"CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS " +
				"$$ BEGIN INSERT INTO note VALUES (current_setting('capebase.actor', true)); RETURN NULL; END $$",
			"CREATE TRIGGER noted AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION noted()",
		}
	}
	for _, text := range statements {
		w.exec(t.Context(), text)
	}
	w.after.Store(0)
	return w
}

func (w *wholes) is(name string) *predicate.Expr {
	return &predicate.Expr{Op: predicate.Eq, Column: 1, Kind: predicate.Text, Values: []predicate.Value{predicate.TextValue(name)}}
}

// insert is the write of a row that has to have a name then.
func (w *wholes) insert(id int64, name, want string) *engine.Whole {
	return &engine.Whole{
		Table: &w.table, Key: []predicate.Value{predicate.IntValue(id)}, Rule: w.is(want),
		Write: func(b *engine.Builder) {
			b.Write("INSERT INTO item(id, name) VALUES (")
			b.Arg(predicate.IntValue(id))
			b.Write(", ")
			b.Arg(predicate.TextValue(name))
			b.Write(")")
		},
	}
}

// rename is the change of a row's name to another one.
func (w *wholes) rename(id int64, name string) *engine.Whole {
	return &engine.Whole{
		Table: &w.table, Key: []predicate.Value{predicate.IntValue(id)}, Rule: &predicate.Expr{Op: predicate.True},
		Changed: []engine.Assignment{{Column: 1, Value: predicate.TextValue(name)}},
		Write: func(b *engine.Builder) {
			b.Write("UPDATE item SET name = ")
			b.Arg(predicate.TextValue(name))
			b.Write(" WHERE id = ")
			b.Arg(predicate.IntValue(id))
		},
	}
}

// run returns the names that the write returned.
func (w *wholes) run(ctx context.Context, write *engine.Whole) (names []string, done bool, undone, err error) {
	row := make([]driver.Value, 2)
	done, undone, err = w.UpdateWhole(ctx, write, func(rows driver.Rows) error {
		if err := rows.Next(row); err != nil {
			return err
		}
		name, ok := engine.TextOf(row[1])
		if !ok {
			return errors.New("the name is no text")
		}
		names = append(names, name)
		return nil
	})
	return names, done, undone, err
}

func (w *wholes) must(t *testing.T, write *engine.Whole, want string) {
	t.Helper()
	names, done, undone, err := w.run(t.Context(), write)
	if !done || undone != nil || err != nil || len(names) != 1 || names[0] != want {
		t.Fatalf("got %q, done %v, %v, %v", names, done, undone, err)
	}
}

// notes are the actors of all changes.
func (w *wholes) notes(t *testing.T) string {
	t.Helper()
	rows, err := w.SQL().QueryContext(t.Context(), "SELECT actor FROM note")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for rows.Next() {
		var actor *string
		if err := rows.Scan(&actor); err != nil {
			t.Fatal(err)
		}
		if actor == nil {
			actor = new(string)
		}
		all = append(all, *actor)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func onWholes(t *testing.T, test func(t *testing.T, w *wholes)) {
	t.Parallel()
	for _, database := range []string{dbtest.Postgres, dbtest.MariaDB} {
		t.Run(database, func(t *testing.T) { test(t, newWholes(t, database)) })
	}
}

func TestAWriteThatIsAWholeTransaction(t *testing.T) {
	onWholes(t, func(t *testing.T, w *wholes) {
		w.must(t, w.insert(1, "a", "a"), "a")
		if shown := *w.shown.Load(); !strings.HasPrefix(shown, "INSERT INTO item(id, name) VALUES (") || !strings.HasSuffix(shown, ")") {
			t.Errorf("the statement is shown as %s", shown)
		}
		w.must(t, w.rename(1, "b"), "b")
		if got := w.notes(t); got != "it's alice, it's alice" {
			t.Errorf("the changes are of %q", got)
		}
		if n := w.after.Load(); n != 2 {
			t.Errorf("After was called %d times", n)
		}
		// What follows on the connection is not the actor's.
		w.exec(t.Context(), "INSERT INTO item(id, name) VALUES (2, 'c')")
		if got := w.notes(t); got != "it's alice, it's alice, " {
			t.Errorf("the changes are of %q", got)
		}
	})
}

func TestAWholeWriteThatIsNone(t *testing.T) {
	onWholes(t, func(t *testing.T, w *wholes) {
		w.must(t, w.insert(1, "a", "a"), "a")
		for name, c := range map[string]struct {
			write *engine.Whole
			class engine.Class
		}{
			"a row against the rule": {w.insert(2, "b", "c"), engine.Other},
			"a row that exists":      {w.insert(1, "b", "b"), engine.UniqueViolation},
			"a name that exists":     {w.insert(2, "a", "a"), engine.UniqueViolation},
			"no change":              {w.rename(1, "a"), engine.Other},
			"no row":                 {w.rename(7, "b"), engine.Other},
		} {
			_, done, undone, err := w.run(t.Context(), c.write)
			if done || err != nil {
				t.Errorf("%s: done %v, %v", name, done, err)
			}
			if got := w.Dialect().Classify(undone).Class; got != c.class {
				t.Errorf("%s: class %d, want %d: %v", name, got, c.class, undone)
			}
			w.must(t, w.rename(1, name), name) // the connection is free
			w.must(t, w.rename(1, "a"), "a")
		}
		w.want(1)
		if n := w.after.Load(); n != 11 {
			t.Errorf("After was called %d times", n)
		}
	})
}

func TestAWholeWriteWithinATransaction(t *testing.T) {
	onWholes(t, func(t *testing.T, w *wholes) {
		err := w.Update(t.Context(), func(ctx context.Context, _ *sqldriver.Conn) error {
			_, done, undone, err := w.run(ctx, w.insert(1, "a", "a"))
			if done || undone != nil {
				t.Errorf("done %v, %v", done, undone)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.want(0)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, done, undone, err := w.run(ended, w.insert(1, "a", "a"))
		if done || undone != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("done %v, %v, %v", done, undone, err)
		}
		w.want(0)
	})
}

// TestAWholeWriteOnADeadConnection is not sent, since nobody could say what became of it.
func TestAWholeWriteOnADeadConnection(t *testing.T) {
	onWholes(t, func(t *testing.T, w *wholes) {
		killer := newSibling(t, w.bed)
		for id := range int64(5) {
			w.must(t, w.insert(2*id, nameOf(2*id), nameOf(2*id)), nameOf(2*id))
			killer.killAll(t)
			_, done, undone, err := w.run(t.Context(), w.insert(2*id+1, nameOf(2*id+1), nameOf(2*id+1)))
			if err == nil && !done {
				err = w.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error { return w.bed.insert(ctx, c, 2*id+1) })
			}
			if err != nil {
				t.Errorf("done %v, %v, %v", done, undone, err)
			}
		}
		w.want(10)
	})
}

func TestAWholeWriteThatFailsAtItsCommit(t *testing.T) {
	t.Parallel()
	w := newWholes(t, dbtest.Postgres)
	w.exec(t.Context(), "CREATE TABLE first(id bigint PRIMARY KEY)")
	w.exec(t.Context(), "ALTER TABLE item ADD FOREIGN KEY (id) REFERENCES first DEFERRABLE INITIALLY DEFERRED")
	_, done, undone, err := w.run(t.Context(), w.insert(1, "a", "a"))
	if done || err != nil || w.Dialect().Classify(undone).Class != engine.ForeignKey {
		t.Errorf("done %v, %v, %v", done, undone, err)
	}
	w.want(0)
	w.exec(t.Context(), "INSERT INTO first VALUES (1)")
	w.must(t, w.insert(1, "a", "a"), "a")
}

func TestNoWholeWritesOnSQLite(t *testing.T) {
	b := onSQLite(t, sqldriver.Options{Variables: func(context.Context) ([]engine.Variable, error) {
		return nil, errors.New("nobody should ask")
	}})
	done, undone, err := b.UpdateWhole(t.Context(), &engine.Whole{}, func(driver.Rows) error { return io.EOF })
	if done || undone != nil || err != nil {
		t.Errorf("done %v, %v, %v", done, undone, err)
	}
}
