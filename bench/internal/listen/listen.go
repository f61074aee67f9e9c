// Package listen holds many subscribers to a server's live changes, and counts what each of them gets. They are lean,
// since they share the processors with the server.
package listen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/users"
)

// patience bounds the wait for an answer, and for changes.
const patience = 20 * time.Second

// Group is the subscribers of one server.
type Group struct {
	subscribers []*subscriber
	public      bool
	writers     int

	count   atomic.Int64 // of all changes that came
	awaited atomic.Int64 // the count that Wait waits for
	reached chan struct{}
	failed  chan error
	closing atomic.Bool
	loops   sync.WaitGroup
}

// Audience says what subscribers have to get.
type Audience struct {
	// Public: everybody gets all changes, and not only those of rows of their own.
	Public bool
	// Writers is how many take turns with the numbers of changes. Those of one come in order, and all do where it is 0.
	Writers int
}

// Open subscribes n times, the users in turn.
func Open(ctx context.Context, address string, api todo.API, all []users.User, n int, who Audience) (g *Group, err error) {
	g = &Group{
		subscribers: make([]*subscriber, n), public: who.Public, writers: max(1, who.Writers),
		reached: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	const dialers = 16
	var next atomic.Int64
	var dialing sync.WaitGroup
	for range dialers {
		dialing.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				s, err := g.dial(ctx, address, api, i%len(all), all[i%len(all)])
				if err != nil {
					g.fail(fmt.Errorf("subscribe: %w", err))
					return
				}
				g.subscribers[i] = s
				g.loops.Go(s.listen)
			}
		})
	}
	dialing.Wait()
	select {
	case err := <-g.failed:
		return nil, errors.Join(err, g.Close())
	default:
		return g, nil
	}
}

// fail notes the first error.
func (g *Group) fail(err error) {
	if g.closing.Load() {
		return
	}
	select {
	case g.failed <- err:
	default:
	}
}

// took counts a change.
func (g *Group) took() {
	if g.count.Add(1) == g.awaited.Load() {
		select {
		case g.reached <- struct{}{}:
		default:
		}
	}
}

// Wait waits until the subscribers have got so many changes in all, since Open. It is for one goroutine.
func (g *Group) Wait(ctx context.Context, changes int) error {
	g.awaited.Store(int64(changes))
	var timeout <-chan time.Time
	for g.count.Load() < int64(changes) {
		if timeout == nil {
			timeout = time.After(patience)
		}
		select {
		case <-g.reached: // or left over from the last time
		case err := <-g.failed:
			return err
		case <-timeout:
			return fmt.Errorf("want %d changes delivered, got %d after %s", changes, g.count.Load(), patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Check wants each subscriber to have got as many changes as were made for its user; it returns all that came and all
// that were expected.
func (g *Group) Check(expected func(user int) int) (delivered, wanted int, err error) {
	for _, s := range g.subscribers {
		want := expected(s.user)
		if s.count != want && err == nil {
			err = fmt.Errorf("a subscriber for %s: want %d changes, got %d", s.name, want, s.count)
		}
		delivered += s.count
		wanted += want
	}
	return delivered, wanted, err
}

// Receipts returns what came since it was last called, in no order.
func (g *Group) Receipts() []Receipt {
	var all []Receipt
	for _, s := range g.subscribers {
		all = append(all, s.receipts...)
		s.receipts = s.receipts[:0]
	}
	return all
}

// EventSize is the mean length of the changes' events in bytes.
func (g *Group) EventSize() float64 {
	count, size := 0, 0
	for _, s := range g.subscribers {
		count += s.count
		size += s.bytes
	}
	return float64(size) / float64(max(count, 1))
}

// Close ends all connections.
func (g *Group) Close() error {
	g.closing.Store(true)
	var errs []error
	for _, s := range g.subscribers {
		if s != nil {
			errs = append(errs, s.conn.Close())
		}
	}
	g.loops.Wait()
	return errors.Join(errs...)
}
