package journal

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

// fork returns the statements that take the newest entries out of the journal, so that the next ones get their
// positions: what the restoration of a backup does.
func fork(engine string) []string {
	switch engine {
	case dbtest.SQLite:
		return []string{
			"DELETE FROM cape_journal WHERE seq > 3",
			"UPDATE sqlite_sequence SET seq = 3 WHERE name = 'cape_journal'",
		}
	case dbtest.Postgres:
		return []string{
			"UPDATE cape.tick SET snap = (SELECT snap FROM cape.tick ORDER BY id DESC LIMIT 1) WHERE id = (SELECT max(id) FROM cape.tick WHERE pos_hi = 3)",
			"DELETE FROM cape.tick WHERE pos_hi > 3",
		}
	}
	return []string{"DELETE FROM cape_tick WHERE last_pos > 3", "DELETE FROM cape_journal WHERE id > 3"}
}

// TestContinuity forks the journal between the looks of a tailer.
func TestContinuity(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insertRows(1, 3)
		b.all()
		b.insertRows(4, 6)
		entries := b.all()
		memory := continuity{anchor: entries[2].Mark}
		for _, at := range []Mark{{}, entries[2].Mark, entries[5].Mark} {
			if err := memory.check(t.Context(), b.Journal, at); err != nil || memory.anchor != at || memory.looked.IsZero() {
				t.Fatalf("at %v: %v, then %+v", at, err, memory)
			}
		}
		for _, statement := range fork(target.Engine) {
			b.exec(statement)
		}
		late := open(t, target, Options{}, parse[Item](t)).start()
		if err := memory.check(t.Context(), late.Journal, entries[5].Mark); !errors.Is(err, ErrReplaced) {
			t.Errorf("entries that are gone: %v", err)
		}
		late.insertRows(7, 10)
		newest := late.all()
		if len(newest) != 7 || newest[5].Position != entries[5].Position || newest[5].Mark == entries[5].Mark {
			t.Fatalf("after the fork: %+v", newest)
		}
		if err := memory.check(t.Context(), late.Journal, newest[6].Mark); !errors.Is(err, ErrReplaced) {
			t.Errorf("the tailer has read on already: %v", err)
		}
		memory.anchor = newest[2].Mark
		if err := memory.check(t.Context(), late.Journal, newest[6].Mark); err != nil {
			t.Errorf("what is before the fork is there: %v", err)
		}
	})
}

// TestRejoin joins what took the place of a journal.
func TestRejoin(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insertRows(1, 3)
		b.all()
		before := b.Epoch()
		// As a restored backup has it, the same epoch.
		one, two := open(t, target, Options{}, parse[Item](t)), open(t, target, Options{Fixed: true}, parse[Item](t))
		for _, j := range []*bed{one, two} {
			if err := j.Rejoin(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		}
		if one.Epoch() == before || one.Epoch() != two.Epoch() {
			t.Errorf("the epoch was %s, and is %s for the first and %s for the second", before, one.Epoch(), two.Epoch())
		}
		if head, err := one.Head(t.Context()); err != nil || head.Position != 3 {
			t.Errorf("the head is %v, error %v", head, err)
		}
		if err := Uninstall(t.Context(), b.db); err != nil {
			t.Fatal(err)
		}
		if err := one.Rejoin(t.Context(), one.Epoch()); !errors.Is(err, ErrNotInstalled) {
			t.Errorf("where there is none: %v", err)
		}
	})
}

// TestConsumerOfAReplacedJournal leaves the position to the other journal, and is told.
func TestConsumerOfAReplacedJournal(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insertRows(1, 2)
		entries := b.all()
		got := make(chan Entry, 10)
		handle := func(_ context.Context, e *Entry) error {
			got <- *e
			return nil
		}
		feed := NewFeed(b.Journal, entries[1].Mark)
		ended := make(chan error, 1)
		go func() {
			ended <- b.Consumer("c", ConsumerOptions{FromStart: true}).Run(t.Context(), nil, feed.Next, handle)
		}()
		for range 2 {
			next(t, got)
		}
		d := b.db.Dialect()
		eventually(t, "the position is saved", func() bool {
			saved := int64(0)
			query := "SELECT " + d.Quote("position") + " FROM " + b.source.name(consumerTable)
			if err := b.db.SQL().QueryRowContext(t.Context(), query).Scan(&saved); err != nil {
				t.Fatal(err)
			}
			return saved == 2
		})
		// The backup has an older position, and the same lease.
		b.exec("UPDATE " + b.source.name(consumerTable) + " SET " + d.Quote("position") + " = 0, " + d.Quote("nonce") + " = 0")
		feed.End()
		feed.Deliver(entries) // of no use any more
		if err := within(t, ended, "the consumer's end"); !errors.Is(err, ErrReplaced) {
			t.Errorf("Run: %v", err)
		}
		b.consume(t, b.Consumer("c", ConsumerOptions{Gap: true}), handle)
		var keys []string
		for range 3 {
			e := next(t, got)
			keys = append(keys, e.Op.String()+e.Key)
		}
		if got := strings.Join(keys, " "); got != "GAP INSERT[1] INSERT[2]" {
			t.Errorf("got %s", got)
		}
	})
}
