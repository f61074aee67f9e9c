package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
)

// oldNote is the model of a build that is still running while the next one, which has newNote, is deployed.
type oldNote struct {
	ID   int64
	Text string
}

func (oldNote) TableName() string { return "notes" }

type newNote struct {
	ID    int64
	Text  string
	Title *string
}

func (newNote) TableName() string { return "notes" }

func TestTwoBuildsRunSideBySide(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		older := open(t, target, Options{}, parse[oldNote](t)).start()
		olds := older.tail(Mark{})
		older.exec("INSERT INTO notes (id, text) VALUES (1, 'a')")
		next(t, olds)

		newer := open(t, target, Options{}, parse[newNote](t)).start()
		news := newer.tail(Mark{})
		next(t, news) // the first note, of which there is no title yet
		newer.exec("INSERT INTO notes (id, text, title) VALUES (2, 'b', 'B')")
		older.exec("UPDATE notes SET text = 'c' WHERE id = 2")
		for _, b := range []*bed{older, newer} {
			// A look at the catalogue, as after any change of it.
			b.exec(fmt.Sprintf("CREATE TABLE other%d (id INTEGER)", len(b.models[0].Fields)))
			b.exec(fmt.Sprintf("UPDATE notes SET text = 'd%d' WHERE id = 2", len(b.models[0].Fields)))
			if statements, err := b.Statements(t.Context()); err != nil || len(statements) > 0 {
				t.Errorf("a build would run %q, error %v", statements, err)
			}
			if err := b.Install(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		texts := []string{"b", "c", "d2", "d3"}
		for i, text := range texts {
			o, n := next(t, olds), next(t, news)
			if o.Op == Gap || n.Op == Gap {
				t.Fatalf("a build repaired the other's triggers: %+v, %+v", o, n)
			}
			if want := []predicate.Value{predicate.IntValue(2), predicate.TextValue(text)}; !slices.Equal(o.After, want) {
				t.Errorf("entry %d: the old build sees %v, want %v", i, o.After, want)
			}
			if want := []predicate.Value{predicate.IntValue(2), predicate.TextValue(text), predicate.TextValue("B")}; !slices.Equal(n.After, want) {
				t.Errorf("entry %d: the new build sees %v, want %v", i, n.After, want)
			}
			if o.Mark != n.Mark {
				t.Errorf("the builds see %v and %v", o.Mark, n.Mark)
			}
		}
	})
}

func TestAJournalMadeAnewEndsTheTailer(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 3)
		b.all()
		token := b.Token(Mark{}, 1)
		got := make(chan Entry, 10)
		consumer := b.Consumer("c", ConsumerOptions{})
		if err := consumer.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended, began := make(chan error, 1), make(chan struct{}, 10)
		go func() { ended <- b.Run(t.Context(), Mark{}, func([]Entry) { began <- struct{}{} }) }()
		within(t, began, "the first page") // the tailer knows the catalogue

		other := open(t, target, Options{}, parse[Item](t))
		if err := Uninstall(t.Context(), other.db); err != nil {
			t.Fatal(err)
		}
		if statements, err := other.Statements(t.Context()); err != nil || len(statements) == 0 {
			t.Errorf("after Uninstall nothing is missing, error %v", err)
		}
		if err := other.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := within(t, ended, "the tailer's end"); !errors.Is(err, ErrReplaced) {
			t.Errorf("got %v, want ErrReplaced", err)
		}
		if _, state, err := other.Resume(t.Context(), token, 1); state != Unknown || err != nil {
			t.Errorf("an old cursor: state %d, error %v", state, err)
		}
		other.insert(4, 8)
		other.all()
		// A consumer whose position is of another journal: here its table is gone too, and it registers anew.
		r := other.consume(t, other.Consumer("c", ConsumerOptions{FromStart: true}), func(_ context.Context, e *Entry) error {
			got <- *e
			return nil
		})
		if e := within(t, got, "an entry"); e.Key != "[4]" || e.Position != 1 {
			t.Errorf("got %+v", e)
		}
		for range 4 {
			within(t, got, "an entry")
		}
		r.drain()
		d := other.db.Dialect()
		other.exec("UPDATE " + other.source.name(consumerTable) + " SET " + d.Quote("position") + " = 2, " + d.Quote("nonce") + " = 77")
		other.consume(t, other.Consumer("c", ConsumerOptions{}), func(_ context.Context, e *Entry) error {
			got <- *e
			return nil
		})
		if e := within(t, got, "the gap"); e.Op != Gap || e.Table != AllTables {
			t.Errorf("got %+v", e)
		}
		if e := within(t, got, "an entry"); e.Position != 1 {
			t.Errorf("got %+v", e)
		}
	})
}

func TestUninstallLeavesNothing(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Folder](t), parse[File](t)).start()
		before, err := b.Statements(t.Context())
		if err != nil || len(before) > 0 {
			t.Fatalf("after Install %q are missing, error %v", before, err)
		}
		if err := Uninstall(t.Context(), b.db); err != nil {
			t.Fatal(err)
		}
		b.exec("INSERT INTO folders (id, name, size) VALUES (1, 'a', 1)")
		b.exec("DELETE FROM folders")
		if err := b.Check(t.Context()); !errors.As(err, new(*MissingError)) {
			t.Errorf("got %v, want a MissingError", err)
		}
		if err := Uninstall(t.Context(), b.db); err != nil {
			t.Error("the second time:", err)
		}
		if err := b.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Check(t.Context()); err != nil {
			t.Error(err)
		}
		b.exec("INSERT INTO folders (id, name, size) VALUES (1, 'a', 1)")
		if got := summary(b.all()); got != "INSERT [1]" {
			t.Errorf("got %s", got)
		}
	})
}
