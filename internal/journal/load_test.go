package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// load has writers count the items up in random transactions until stop is called. Each says who it is, in every second
// transaction; what is written then is its number.
func (b *bed) load(writers int) (stop func()) {
	b.t.Helper()
	for id := 1; id <= counters+3; id++ {
		b.exec(fmt.Sprintf("INSERT INTO items (id, name, count, token) VALUES (%d, 'n%d', 0, '')", id, id))
	}
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(b.t.Context())
	for w := range writers {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				b.write(w, i)
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func (b *bed) write(writer, i int) {
	id, ctx := "", b.t.Context()
	if i%2 == 0 {
		id = fmt.Sprint("writer", writer)
		ctx = auth.With(ctx, auth.Identity{ID: id})
	}
	err := b.db.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		// In the order of keys: PostgreSQL takes a second to notice a deadlock.
		ids := rand.Perm(counters)[:rand.IntN(4)]
		slices.Sort(ids)
		set := "UPDATE items SET count = count + 1, name = concat('" + id + "-', id) WHERE id "
		for _, id := range ids {
			if _, err := c.Exec(ctx, set+"= "+b.db.Dialect().Placeholder(1), arguments(int64(id)+1)); err != nil {
				return err
			}
		}
		if len(ids) < 2 {
			if _, err := c.Exec(ctx, fmt.Sprint(set, "> ", counters), nil); err != nil {
				return err
			}
		}
		if rand.IntN(4) == 0 {
			return errUndo
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUndo) && !errors.Is(err, sqldriver.ErrBusy) {
		b.t.Error("write:", err)
	}
}

// TestActorsOfGroups has writers that share transactions, some of which fail after they wrote: each entry has the actor who
// wrote it, and each writing a transaction of its own.
func TestActorsOfGroups(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		const writers, writings = 8, 60
		b := open(t, target, Options{}, parse[Item](t)).start()
		delivered := b.tail(Mark{})
		var group sync.WaitGroup
		var wrote atomic.Int64
		for w := range writers {
			group.Go(func() {
				for i := range writings {
					name := fmt.Sprintf("w%d-%d", w, i)
					n, fails := rand.IntN(4), rand.IntN(4) == 0
					ctx := auth.With(t.Context(), auth.Identity{ID: name})
					err := b.db.UpdateGroup(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
						for k := range n {
							id := 1 + (w*writings+i)*4 + k // MySQL takes 0 for none
							if _, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO items (id, name, count, token) VALUES (%d, '%s/%d', 0, '')", id, name, k), nil); err != nil {
								return err
							}
						}
						if fails {
							return errUndo
						}
						return nil
					})
					if fails != errors.Is(err, errUndo) {
						t.Error("write:", err)
					}
					if err == nil {
						wrote.Add(int64(n))
					}
				}
			})
		}
		group.Wait()
		writer, seen := map[string]string{}, map[string]string{}
		for range wrote.Load() {
			e := next(t, delivered)
			name, _, _ := strings.Cut(e.After[1].Content(), "/")
			if e.Actor.ID != name {
				t.Fatalf("position %d: the actor is %q, and %q wrote it", e.Position, e.Actor.ID, name)
			}
			if known, ok := writer[e.Tx]; ok && known != name {
				t.Fatalf("position %d: the transaction of %q is that of %q", e.Position, name, known)
			}
			if known, ok := seen[name]; ok && known != e.Tx {
				t.Fatalf("position %d: %q has two transactions", e.Position, name)
			}
			writer[e.Tx], seen[name] = name, e.Tx
		}
	})
}

// wavering is somebody who comes back whenever Run is about to skip what he would miss.
type wavering struct{}

func (wavering) Watches() bool  { return rand.IntN(2) == 0 }
func (wavering) Skip(Mark) bool { return false }

// TestNodesAgreeUnderLoad has two nodes, of which one is watched now and then, deliver what concurrent writers commit: alike, whole, in order, and each entry
// with the actor of its own transaction.
func TestNodesAgreeUnderLoad(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		other := open(t, target, Options{Audience: wavering{}}, parse[Item](t)).start()
		one, two := b.tail(Mark{}), other.tail(Mark{})
		stop := b.load(4)
		l := newLedger(t, 0)
		owners := 0
		check := func() {
			e, o := next(t, one), next(t, two)
			if got, want := fmt.Sprintf("%+v", o), fmt.Sprintf("%+v", e); got != want {
				t.Fatalf("the nodes deliver\n%s\n%s", got, want)
			}
			l.add(&e)
			if e.Op == Update {
				owner, _, _ := strings.Cut(e.After[1].Content(), "-")
				if owner != e.Actor.ID {
					t.Errorf("position %d: the actor is %q, and %q wrote it", e.Position, e.Actor.ID, owner)
				}
				if owner != "" {
					owners++
				}
			}
		}
		for range 2000 {
			check()
		}
		stop()
		head := int64(len(b.all()))
		for l.position < head && !t.Failed() {
			check()
		}
		l.compare(b)
		if owners == 0 {
			t.Error("nobody wrote in somebody's name")
		}
	})
}

// fleeting is somebody who watches now and then, and notes what was passed over.
type fleeting struct {
	to     int64 // the position of what was last delivered or passed over
	missed func(from, to int64)
}

func (*fleeting) Watches() bool { return rand.IntN(3) == 0 }

func (f *fleeting) Skip(to Mark) bool {
	if rand.IntN(3) == 0 {
		return false // come back
	}
	f.missed(f.to, to.Position)
	f.to = to.Position
	return true
}

// TestSkipsWhatNobodyWaitsFor: each entry is delivered or passed over, once, in order.
func TestSkipsWhatNobodyWaitsFor(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		type span struct {
			from, to int64
			skipped  bool
		}
		spans := make(chan span, 100_000)
		audience := &fleeting{missed: func(from, to int64) { spans <- span{from, to, true} }}
		other := open(t, target, Options{Audience: audience}, parse[Item](t)).start()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- other.Run(ctx, Mark{}, func(page []Entry) {
				for i := range page {
					spans <- span{audience.to, page[i].Position, false}
					audience.to = page[i].Position
				}
			})
		}()
		stop := b.load(3)
		at, delivered, skipped := int64(0), 0, 0
		follow := func() {
			s := within(t, spans, "a span")
			switch {
			case s.from != at || s.to <= at:
				t.Fatalf("after %d: %+v", at, s)
			case s.skipped:
				skipped++
			case s.to != at+1:
				t.Fatalf("after %d came %d", at, s.to)
			default:
				delivered++
			}
			at = s.to
		}
		for delivered < 200 || skipped < 50 {
			follow()
		}
		stop()
		for head := int64(len(b.all())); at < head; {
			follow()
		}
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	})
}

// TestSnapshotsHandOverUnderLoad reads the table while writers are at work. The entries after that each fit to the rows
// as they were read, and in the end make the table.
func TestSnapshotsHandOverUnderLoad(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		delivered := b.tail(Mark{})
		stop := b.load(4)
		type reader struct {
			made *ledger
			from Snapshot
		}
		var readers []*reader
		for range 40 {
			r := &reader{made: newLedger(t, 0)}
			var err error
			r.from, err = b.Snapshot(t.Context(), []int{0}, func(ctx context.Context, c *sqldriver.Conn) error {
				rows, err := b.rowsOn(ctx, c, 0)
				for _, row := range rows {
					row[3] = predicate.Value{} // secret
					r.made.rows[fmt.Sprintf("0[%d]", row[0].Int())] = row
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			r.made.position = r.from.Position
			readers = append(readers, r)
			for range 50 {
				next(t, delivered)
			}
		}
		stop()
		for _, e := range b.all() {
			for _, r := range readers {
				switch {
				case e.Position <= r.from.Position:
				case r.from.Sees(e.Position, e.Source):
					r.made.position++
				default:
					r.made.add(&e)
				}
			}
		}
		for _, r := range readers {
			r.made.compare(b)
		}
	})
}
