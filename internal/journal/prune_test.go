package journal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// age makes the entries up to a position older, as if they had been written then. It knows SQLite's table.
func (b *bed) age(upTo int64, by time.Duration) {
	b.t.Helper()
	b.exec(fmt.Sprintf("UPDATE cape_journal SET at = at - %d WHERE seq <= %d", by.Milliseconds(), upTo))
}

// insertRows inserts items by one statement.
func (b *bed) insertRows(from, to int) {
	b.t.Helper()
	var rows []string
	for id := from; id <= to; id++ {
		rows = append(rows, fmt.Sprintf("(%d, 'n%d', 0, '')", id, id))
	}
	b.exec("INSERT INTO items (id, name, count, token) VALUES " + strings.Join(rows, ", "))
}

// consumeUpTo registers a consumer that is at a position.
func (b *bed) consumeUpTo(name string, position int64) {
	b.t.Helper()
	if err := b.Consumer(name, ConsumerOptions{FromStart: true}).Register(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	d := b.db.Dialect()
	b.exec(fmt.Sprintf("UPDATE %s SET %s = %d WHERE %s = '%s'", b.source.name(consumerTable), d.Quote("position"), position, d.Quote("name"), name))
}

// TestPrune asks what is pruned when; how an engine prunes is its own.
func TestPrune(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		options   Options
		consumers []int64
		want      int64 // the floor after
	}{
		"by default after 30 days":        {Options{}, nil, 40},
		"never":                           {Options{Retention: -1}, nil, 0},
		"after a day":                     {Options{Retention: day}, nil, 60},
		"after two hundred days":          {Options{Retention: 200 * day}, nil, 0},
		"by number":                       {Options{Retention: -1, MaxEntries: 30}, nil, 70},
		"by both":                         {Options{Retention: day, MaxEntries: 70}, nil, 60},
		"as far as consumers are":         {Options{Retention: day}, []int64{50, 45, 100}, 45},
		"consumers that are far enough":   {Options{Retention: day}, []int64{99, 77}, 60},
		"a consumer held too long":        {Options{Retention: day, Hold: 50 * day}, []int64{10}, 40},
		"a consumer held by default":      {Options{Retention: day}, []int64{10, 90}, 40}, // 4 days
		"by number, as far as consumers":  {Options{Retention: -1, MaxEntries: 30}, []int64{65}, 65},
		"by number, a consumer held long": {Options{Retention: -1, MaxEntries: 70, Hold: 50 * day}, []int64{10}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, dbtest.New(t, dbtest.SQLite), c.options, parse[Item](t)).start()
			b.insertRows(1, 100)
			b.age(40, 98*day)
			b.age(60, 2*day)
			for i, position := range c.consumers {
				b.consumeUpTo(fmt.Sprint("c", i), position)
			}
			removed, err := b.Prune(t.Context())
			if err != nil || int64(removed) != c.want {
				t.Errorf("removed %d, error %v; want %d", removed, err, c.want)
			}
			floor, err := b.Floor(t.Context())
			if err != nil || floor.Position != c.want {
				t.Errorf("the floor is %d, error %v; want %d", floor.Position, err, c.want)
			}
			if entries := b.all(); int64(len(entries)) != 100-c.want || entries[0].Position != c.want+1 {
				t.Errorf("%d entries are left, want %d", len(entries), 100-c.want)
			}
			if again, err := b.Prune(t.Context()); again != 0 || err != nil {
				t.Errorf("pruned %d the second time, error %v", again, err)
			}
		})
	}
}

func TestPruneTakesManyInBatches(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{Retention: time.Hour, MaxEntries: 7}, parse[Item](t)).start()
		const n, rows = 3 * pruneBatch, pruneBatch / 5
		for from := 1; from <= n; from += rows {
			b.insertRows(from, from+rows-1)
			b.all() // so that PostgreSQL and MySQL, which prune what they ordered at once, have parts
		}
		tokens := []string{b.Token(Mark{}, 1), ""}
		head, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tokens[1] = b.Token(head, 1)
		if removed, err := b.Prune(t.Context()); err != nil || removed < n-7-rows || removed > n-7 {
			t.Errorf("removed %d, error %v", removed, err)
		}
		if _, err := b.Read(t.Context(), 0, 10); !errors.Is(err, ErrPruned) {
			t.Errorf("got %v, want ErrPruned", err)
		}
		for i, want := range []State{Expired, OK} {
			if _, state, err := b.Resume(t.Context(), tokens[i], 1); state != want || err != nil {
				t.Errorf("token %d: state %d, error %v; want %d", i, state, err, want)
			}
		}
		b.insert(n+1, n+1)
		entries := b.all()
		if last := entries[len(entries)-1]; last.Position != head.Position+1 || last.Key != fmt.Sprintf("[%d]", n+1) {
			t.Errorf("the entry after is %s at %d", last.Key, last.Position)
		}
		// An empty journal goes on where it was, and its newest cursor is still good.
		b.pruneAll(head.Position + 1)
		if _, state, err := b.Resume(t.Context(), b.Token(entries[len(entries)-1].Mark, 1), 1); state != OK || err != nil {
			t.Errorf("state %d, error %v", state, err)
		}
		b.insert(n+2, n+2)
		if entries := b.all(); len(entries) != 1 || entries[0].Position != head.Position+2 {
			t.Errorf("got %+v", entries)
		}
	})
}
