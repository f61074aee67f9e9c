package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// TestPostgresServerIsKilled kills the server under writers and two nodes, several times. What was acknowledged is in
// the journal once, and both nodes deliver all of it, in order.
func TestPostgresServerIsKilled(t *testing.T) {
	server := dbtest.NewServer(t, dbtest.Postgres, dbtest.ServerConfig{Settings: map[string]string{"synchronous_commit": "on"}})
	target := server.New(t)
	b := open(t, target, Options{}, parse[Item](t)).start()
	other := open(t, target, Options{}, parse[Item](t)).start()
	epoch := b.Epoch()
	b.insertRows(0, counters-1)
	one, two := b.tail(Mark{}), other.tail(Mark{})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	acknowledged := make(chan string, 100_000)
	for range 3 {
		group.Go(func() {
			for ctx.Err() == nil {
				var done string
				err := b.db.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					id := rand.IntN(counters)
					n, err := number(ctx, c, fmt.Sprintf("UPDATE items SET count = count + 1 WHERE id = %d RETURNING count", id))
					done = fmt.Sprintf("%d=%d", id, n)
					return err
				})
				if err == nil {
					acknowledged <- done
				} else if !errors.Is(err, sqldriver.ErrDown) && !errors.Is(err, sqldriver.ErrBusy) && ctx.Err() == nil {
					t.Error("write:", err)
					return
				} else {
					pause(ctx, firstBackoff)
				}
			}
		})
	}
	l := newLedger(t, 0)
	written := make(map[string]int)
	follow := func(n int) {
		for range n {
			e, o := next(t, one), next(t, two)
			if got, want := fmt.Sprintf("%+v", o), fmt.Sprintf("%+v", e); got != want {
				t.Fatalf("the nodes deliver\n%s\n%s", got, want)
			}
			l.add(&e)
			if e.Op == Update {
				written[fmt.Sprintf("%v=%v", e.After[0], e.After[2])]++
			}
		}
	}
	for range 2 {
		follow(30 + rand.IntN(100))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	follow(30)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	follow(100)
	cancel()
	group.Wait()
	if err := b.source.advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	follow(int(head.Position - l.position))
	l.compare(b)
	close(acknowledged)
	for done := range acknowledged {
		if written[done] != 1 {
			t.Errorf("the commit of %s was acknowledged, and the journal has it %d times", done, written[done])
		}
	}
	if err := b.Install(t.Context()); err != nil || b.Epoch() != epoch {
		t.Errorf("the epoch is %s and was %s, error %v", b.Epoch(), epoch, err)
	}
}
