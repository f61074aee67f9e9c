package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// heapEach is by how much the heap in use may grow for a reader that stalls, where they are 100. Fewer of them share
// what the backend keeps once for all: the hub's ring and the pages that it read, at most 16 MiB each.
const (
	heapEach   = 512 << 10
	heapShared = 32 << 20
	manyEnough = 100
)

// heapAllowed is the bound for each of so many readers.
func heapAllowed(readers int) int64 {
	if readers >= manyEnough {
		return heapEach
	}
	return heapEach + int64(heapShared/readers)
}

// TestStalledReadersCatchUp lets CAPE_SOAK_READERS clients stop reading for CAPE_SOAK_STALL while CAPE_SOAK_EVENTS pass.
// Afterwards each has all of them, in order, and meanwhile the backend has not kept them in memory.
func TestStalledReadersCatchUp(t *testing.T) {
	readers := setting(t, "CAPE_SOAK_READERS", 25, strconv.Atoi)
	events := setting(t, "CAPE_SOAK_EVENTS", 10_000, strconv.Atoi)
	stall := setting(t, "CAPE_SOAK_STALL", 3*time.Second, time.ParseDuration)
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target)
		// What was not read is not to wait in the system alone, and segments of the loopback device must fit.
		const buffer = 128 << 10
		client := streamClient(buffer)
		ctx, cancel := context.WithCancel(context.Background())
		var reading sync.WaitGroup
		all := make([]*stalling, readers)
		for n := range all {
			all[n] = &stalling{
				name: fmt.Sprint("reader ", n), backend: b, client: client, events: events,
				listens: make(chan struct{}), resume: make(chan struct{}),
			}
			reading.Go(func() { all[n].run(ctx) })
		}
		t.Cleanup(func() {
			cancel()
			reading.Wait()
			client.CloseIdleConnections()
		})
		for _, s := range all {
			receive(t, s.listens, s.name+" listens")
		}
		before := b.usage()
		began := time.Now()
		insertNumbered(t, target, events)
		written := time.Since(began)
		wait(ctx, stall-written)
		during := b.usage()
		for _, s := range all {
			close(s.resume)
		}
		caughtUp := make(chan struct{})
		go func() {
			reading.Wait()
			close(caughtUp)
		}()
		receive(t, caughtUp, "every reader has caught up")
		after := b.usage()
		cut := int64(0)
		for _, s := range all {
			cut += s.reconnects.Load()
			if s.fault != nil {
				t.Errorf("%s: %v", s.name, s.fault)
			}
		}
		grown := func(u usage) int64 { return (int64(u.Heap) - int64(before.Heap)) / int64(readers) }
		t.Logf("%s: %d readers stalled for %v while %d events passed (in %v); all caught up after %v, %d reconnects; heap %d KiB before, "+
			"%d KiB while they stalled (%d bytes each), %d KiB afterwards (%d bytes each)", target.Engine, readers, stall, events,
			written.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), cut, before.Heap>>10, during.Heap>>10, grown(during),
			after.Heap>>10, grown(after))
		if allowed := heapAllowed(int(readers)); grown(during) > allowed || grown(after) > allowed {
			t.Errorf("want at most %d bytes for each reader", allowed)
		}
	})
}

// receive waits for a channel to be closed.
func receive(t testing.TB, from <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(10 * time.Minute):
		t.Fatalf("%s: not within 10 min", what)
	}
}

// insertNumbered inserts rows whose levels count up from 1, many at once.
func insertNumbered(t testing.TB, target dbtest.Target, count int) {
	t.Helper()
	const batch = 250
	tag := strings.Repeat("stall ", 80) // the system takes some megabytes for a client that does not read
	pool := openPool(t, target)
	for n := 0; n < count; n += batch {
		rows := make([]string, 0, batch)
		for i := n + 1; i <= min(n+batch, count); i++ {
			rows = append(rows, fmt.Sprintf("('u1', %d, 1, '%s', 'n')", i, tag))
		}
		if _, err := pool.ExecContext(t.Context(), "INSERT INTO tasks (owner_id, level, v, tx, note) VALUES "+strings.Join(rows, ", ")); err != nil {
			t.Fatal(err)
		}
	}
}

// stalling is a reader that stops reading when it listens, and goes on when it is told to.
type stalling struct {
	name            string
	backend         *backend
	client          *http.Client
	events          int
	listens, resume chan struct{}

	reconnects atomic.Int64
	next       int // the level of the last row
	cursor     string
	fault      error
}

// run reads until all events have come.
func (s *stalling) run(ctx context.Context) {
	for first := true; s.next < s.events && s.fault == nil && ctx.Err() == nil; first = false {
		if !first {
			s.reconnects.Add(1)
		}
		err := s.read(ctx, first)
		if status := new(statusError); errors.As(err, &status) {
			s.fault = err
		}
	}
}

func (s *stalling) read(ctx context.Context, first bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := openEvents(ctx, s.client, "http://"+s.backend.address+"/task/subscribe", "admin", s.cursor)
	if err != nil {
		return err
	}
	defer stream.body.Close() //nolint:errcheck // all is read
	for s.next < s.events {
		e, err := stream.next()
		if err != nil {
			return err
		}
		if e.id != "" {
			s.cursor = e.id
		}
		switch e.name {
		case "ready":
			if first {
				close(s.listens)
				select {
				case <-s.resume:
				case <-ctx.Done():
				}
			}
		case "":
			if s.fault = s.take(e); s.fault != nil {
				return s.fault
			}
		case "cursor":
		default:
			s.fault = fmt.Errorf("event %q: %s", e.name, e.data)
			return s.fault
		}
	}
	return nil
}

func (s *stalling) take(e event) error {
	var change struct {
		Event   string `json:"event"`
		Payload Task   `json:"payload"`
	}
	if err := json.Unmarshal([]byte(e.data), &change); err != nil {
		return err
	}
	s.next++
	if change.Event != "INSERT" || change.Payload.Level != int64(s.next) {
		return fmt.Errorf("event %d is %s", s.next, e.data)
	}
	return nil
}
