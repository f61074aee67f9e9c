package journal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestALongHandlerKeepsItsConsumer has another process wait for the consumer while a handler takes longer than a lease.
func TestALongHandlerKeepsItsConsumer(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		other := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 2)
		entered, handled := make(chan string, 10), make(chan string, 10)
		first := b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true}), func(ctx context.Context, e *Entry) error {
			entered <- e.Key
			if e.Key == "[1]" {
				pause(ctx, leaseTime+2*time.Second)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			handled <- e.Key
			return nil
		})
		within(t, entered, "a call")
		intruder := make(chan string, 10)
		other.consume(t, other.Consumer("c", ConsumerOptions{FromStart: true}), func(_ context.Context, e *Entry) error {
			intruder <- e.Key
			return nil
		})
		within(t, entered, "the second call")
		first.drain()
		if len(handled) != 2 || len(intruder) > 0 {
			t.Errorf("%d were handled, and %d by the other process", len(handled), len(intruder))
		}
		b.insert(3, 3)
		if key := within(t, intruder, "an entry"); key != "[3]" {
			t.Errorf("got %s", key)
		}
	})
}

// TestAFenceKeepsAnOldOwnerOut takes the consumer away from a process whose handler is running, as another one does that
// found the lease run out.
func TestAFenceKeepsAnOldOwnerOut(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 1)
		entered, left := make(chan string, 10), make(chan error, 10)
		r := b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true}), func(ctx context.Context, e *Entry) error {
			entered <- e.Key
			<-ctx.Done()
			left <- context.Cause(ctx)
			return nil // it says that it is done, and is not heard any more
		})
		within(t, entered, "a call")
		d := b.db.Dialect()
		fence, leased := d.Quote("fence"), d.Quote("leased")
		b.exec(fmt.Sprintf("UPDATE %s SET %s = %s + 1, %s = %s + 3600000000", b.source.name(consumerTable), fence, fence, leased, leased))
		if err := within(t, left, "the handler's end"); !errors.Is(err, errTaken) {
			t.Errorf("got %v", err)
		}
		r.drain()
		if at := b.position("c"); at != 0 {
			t.Errorf("the old owner saved position %d", at)
		}
		if len(entered) > 0 {
			t.Error("the handler was called again")
		}
	})
}

// TestConsumerOutlivesItsServer restarts the database under a consumer: nothing is lost, and nothing is handled twice,
// since nobody else took the consumer.
func TestConsumerOutlivesItsServer(t *testing.T) {
	for _, engine := range journaled() {
		if engine == dbtest.SQLite {
			continue // it has no server
		}
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := dbtest.NewServer(t, engine, dbtest.ServerConfig{})
			b := open(t, server.New(t), Options{}, parse[Item](t)).start()
			b.insert(1, 1)
			entered, leave, handled := make(chan string, 10), make(chan struct{}), make(chan string, 10)
			b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true}), func(_ context.Context, e *Entry) error {
				entered <- e.Key
				<-leave
				handled <- e.Key
				return nil
			})
			within(t, entered, "a call")
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			close(leave)
			if key := within(t, handled, "its end"); key != "[1]" {
				t.Errorf("got %s", key)
			}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.insertWhenBack(2)
			if key := within(t, handled, "the next entry"); key != "[2]" {
				t.Errorf("got %s", key)
			}
		})
	}
}

// insertWhenBack inserts an item on a server that may still be starting.
func (b *bed) insertWhenBack(id int) {
	b.t.Helper()
	statement := fmt.Sprintf(`INSERT INTO items (id, name, count, token) VALUES (%d, 'n%d', 0, '')`, id, id)
	for {
		_, err := b.db.SQL().ExecContext(b.t.Context(), statement)
		if err == nil {
			return
		}
		b.t.Log("insert:", err)
		pause(b.t.Context(), 100*time.Millisecond)
		if err := b.t.Context().Err(); err != nil {
			b.t.Fatal(err)
		}
	}
}
