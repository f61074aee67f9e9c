package stream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/problem"
)

// Clients that stop reading, many more than there are workers, hold up no other for as long as their writes may take.
func TestStalledClientsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	const stalled = 60
	b := newBed(t, piped, limits(func(l *Limits) { l.WriteTimeout = 2 * patience }))
	listening := func(n int) func() bool {
		return func() bool { return b.hub.Load().Stats().Subscriptions == n }
	}
	stall := func(from int) {
		for range stalled / 2 {
			b.subscribe("/todo/subscribe", "alice").expect("ready") // and never more
		}
		eventually(t, "they listen", listening(from+stalled/2))
	}
	stall(0)
	reader := b.subscribe("/todo/subscribe", "alice")
	reader.expect("ready")
	socket := b.dial("/todo/subscribe", "alice")
	socket.expect("ready", "")
	stall(stalled/2 + 2)
	for i := range 20 {
		b.store.put(todos, values(1, "alice", fmt.Sprint(i), ""))
		if e := reader.expect(""); !strings.Contains(e.data, fmt.Sprintf(`"task":"%d"`, i)) {
			t.Fatalf("change %d is %s", i, e.data)
		}
		socket.expect("change", "")
	}
}

// waiting is a connection whose loop waits, and is the test.
func (b *bed) waiting(w http.ResponseWriter) *connection {
	b.t.Helper()
	c, f := b.step("alice")
	c.out = &eventOutput{server: b.Server, w: w, control: http.NewResponseController(w)}
	<-c.ready // the subscription has woken a worker, which has met the loop
	if _, err := f.step(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	c.alarm.at = time.Now().Add(patience)
	c.turn.Unlock()
	return c
}

// holding is a client that takes nothing until it is told to.
type holding struct {
	endingWriter
	release chan struct{}
}

func (w *holding) Write(p []byte) (int, error) {
	<-w.release
	return len(p), nil
}

// A client that has held a worker up is served by its own loop, until it has kept up for a while.
func TestSlowClientsProveThemselves(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	w := &holding{endingWriter{header: http.Header{}}, make(chan struct{})}
	c := b.waiting(w)
	b.store.put(todos, values(1, "alice", "milk", ""))
	eventually(t, "the worker is replaced", func() bool { return c.slow.Load() == probation })
	close(w.release)
	c.turn.Lock()
	if c.out.collected() != 0 || c.failed != nil {
		t.Errorf("%d bytes are left, %v", c.out.collected(), c.failed)
	}
	b.store.put(todos, values(1, "alice", "bread", ""))
	<-c.ready
	c.now = time.Now().Add(-stallTime)
	c.prove()
	if n := c.slow.Load(); n != probation {
		t.Errorf("%d turns are left after one that was held up", n)
	}
	c.now = time.Now().Add(time.Hour) // none of what follows is held up
	for range probation {
		c.prove()
	}
	if n := c.slow.Load(); n != 0 {
		t.Errorf("%d turns are left", n)
	}
}

// While the workers are busy, connections wait in order, and what the queue keeps does not grow.
func TestWorkersQueue(t *testing.T) {
	t.Parallel()
	p := newWorkers()
	var served atomic.Int64
	server := &Server{workers: p}
	connections := make([]*connection, 100)
	for i := range connections {
		connections[i] = &connection{server: server, ready: make(chan struct{}, 1)}
		connections[i].asked.Store(end) // so that each turn is left to the loop, which is here:
	}
	const rounds = 2000
	var group sync.WaitGroup
	for _, c := range connections {
		group.Go(func() {
			for range rounds {
				c.Wake()
				<-c.ready
				served.Add(1)
			}
		})
	}
	group.Wait()
	if got := served.Load(); got != int64(rounds*len(connections)) {
		t.Errorf("%d turns", got)
	}
	p.mu.Lock()
	if n := cap(p.waiting); n > 4*len(connections) {
		t.Errorf("the queue has grown to %d", n)
	}
	p.mu.Unlock()
	eventually(t, "no worker is left", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.working) == 0
	})
}

// Events reach those who listen while others come and go, and nothing is left of them.
func TestStreamsEndWhileChangesCome(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	handler := b.http.Config.Handler
	done := make(chan struct{})
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 200 {
				r := httptest.NewRequest(http.MethodGet, "/todo/subscribe", nil)
				ctx, cancel := context.WithCancel(t.Context())
				r = r.WithContext(ctx)
				r.Header.Set("Authorization", "Bearer alice")
				handler.ServeHTTP(&endingWriter{header: http.Header{}, end: cancel, at: 2 + (i+worker)%5}, r)
				cancel()
			}
		})
	}
	go func() {
		group.Wait()
		close(done)
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			b.store.put(todos, values(1, "alice", fmt.Sprint(i), ""))
			runtime.Gosched()
		}
	}
}

// bursting panics at a write after some.
type bursting struct {
	endingWriter
	after int
	with  any
}

func (w *bursting) Write(p []byte) (int, error) {
	if w.after--; w.after < 0 {
		panic(w.with)
	}
	return len(p), nil
}

// A panic of a middleware's writer goes on in the goroutine that serves the request.
func TestPanicsOfWriters(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, with := range []any{http.ErrAbortHandler, "burst"} {
		w := &bursting{endingWriter{header: http.Header{}}, 0, with}
		c := b.waiting(w)
		b.store.put(todos, values(1, "alice", fmt.Sprint(with), ""))
		<-c.ready
		c.turn.Lock()
		func() {
			defer func() {
				p := recover()
				text, isText := p.(string)
				switch {
				case with == any(http.ErrAbortHandler) && p == with:
				case with != any(http.ErrAbortHandler) && isText && strings.HasPrefix(text, "burst") && strings.Contains(text, "bursting"):
				default:
					t.Errorf("%v", p)
				}
			}()
			t.Errorf("it ends with %v", c.run(t.Context()))
		}()
	}
}

// A subscription that has to end takes the whole socket with it when it is the caller who may no longer listen.
func TestRecheckOfOneSubscriptionIsOfAll(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, f := b.step("alice")
	f.id = "a"
	b.store.put(todos, values(1, "alice", "milk", ""))
	b.revoke("alice")
	b.Recheck(alices)
	_, err := f.step(t.Context())
	if err := c.survive(t.Context(), f, err); !errors.Is(err, problem.New(problem.Unauthenticated, "")) {
		t.Errorf("the others go on: %v", err)
	}
}
