package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/problem"
)

func TestSnapshotThenChanges(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.store.put(todos, values(1, "alice", "milk", ""))
	b.store.put(todos, values(2, "bob", "wine", ""))
	b.store.put(memos, values(1, "alice", "x"))
	s := b.subscribe("/subscribe?tables=todo,memo&snapshot=true", "alice")
	if e := s.expect("ready"); e.id != "" {
		t.Errorf("ready has an id before the rows: %+v", e)
	}
	s.change("todo", "INSERT", milk, false)
	s.change("memo", "INSERT", `{"id":1,"user_id":"alice","text":"x"}`, false)
	end := s.expect("snapshot-end")
	if end.id == "" {
		t.Error("snapshot-end has no id")
	}
	b.store.put(todos, values(1, "alice", "bread", ""))
	s.change("todo", "UPDATE", bread, true)

	again := b.subscribe("/subscribe?tables=todo,memo&snapshot=true", "alice", "Last-Event-ID", end.id)
	if e := again.expect("ready"); e.id != end.id {
		t.Errorf("the cursor beats the snapshot: %+v", e)
	}
	again.change("todo", "UPDATE", bread, true)
}

// What is committed while the rows are read, and what has no position yet, comes once: in the rows or after them.
func TestSnapshotWhileChangesHaveNoPositions(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.store.put(todos, values(1, "alice", "milk", ""))
	b.store.hold(true, false)
	b.store.put(todos, values(1, "alice", "bread", "")) // the rows have it
	b.store.inside = func() { b.store.put(todos, values(3, "alice", "tea", "")) }
	s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	s.expect("ready")
	s.change("todo", "INSERT", bread, false)
	s.change("todo", "INSERT", `{"id":3,"user_id":"alice","task":"tea"}`, false) // before the end: its cursor would not hold
	end := s.expect("snapshot-end")
	b.store.inside = nil
	b.store.release()
	b.store.remove(todos, 3)
	s.change("todo", "DELETE", `{"id":3,"user_id":"alice","task":"tea"}`, true)
	again := b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", end.id)
	again.expect("ready")
	again.change("todo", "DELETE", `{"id":3,"user_id":"alice","task":"tea"}`, true)
}

// The end of a snapshot waits for the hub to come as far as the rows are, also when nothing is to be told.
func TestSnapshotEndsWithoutChanges(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.store.hold(true, true)
	b.store.put(todos, values(2, "bob", "wine", ""))
	s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	s.expect("ready")
	b.store.release()
	s.expect("snapshot-end")
}

func TestSnapshotsThatFail(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.store.fail(errors.New("the database is down"))
	s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	s.expect("ready")
	e := s.expect("problem")
	if p := decode[problem.Error](t, e.data); p.Code != problem.Unavailable || p.Status != http.StatusServiceUnavailable ||
		p.RequestID != "request-1" || strings.Contains(e.data, "down") {
		t.Errorf("%s", e.data)
	}
	s.closed()
	c := b.dial("/subscribe", "alice")
	c.send(`{"subscribe":{"id":"a","table":"todo","snapshot":true}}`)
	c.expect("ready", "a")
	c.problem("a", problem.Unavailable, "")
	b.store.fail(nil)
	c.send(`{"subscribe":{"id":"a","table":"todo","snapshot":true}}`) // the socket stays, and the id is free
	c.expect("ready", "a")
	c.expect("snapshot_end", "a")
}

// rerunning runs a snapshot's read twice, as after a serialization failure.
type rerunning struct{ *store }

func (r rerunning) Snapshot(ctx context.Context, tables []int, fn func(context.Context, Rows) error) (journal.Snapshot, error) {
	if _, err := r.store.Snapshot(ctx, tables, fn); err != nil {
		return journal.Snapshot{}, err
	}
	return r.store.Snapshot(ctx, tables, fn)
}

func TestSnapshotIsNotSentTwice(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(o *Options, _ *httptestServer) { o.Journal = rerunning{o.Journal.(*store)} })
	empty := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	empty.expect("ready")
	empty.expect("snapshot-end")
	b.store.put(todos, values(1, "alice", "milk", ""))
	s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	s.expect("ready")
	for e := s.next(); e.name != "problem"; e = s.next() {
		if e.name != "" {
			t.Fatalf("%+v", e)
		}
	}
	s.closed()
}

func TestSnapshotsWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Snapshots = 2; l.Heartbeat = time.Millisecond }))
	var reading, most atomic.Int32
	release := make(chan struct{})
	b.store.inside = func() {
		n := reading.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		reading.Add(-1)
	}
	var sources []*source
	for range 6 {
		sources = append(sources, b.subscribe("/todo/subscribe?snapshot=true", "root"))
	}
	eventually(t, "two are reading", func() bool { return reading.Load() == 2 })
	var heard atomic.Int32
	var group sync.WaitGroup
	for _, s := range sources {
		s.expect("ready")
		group.Go(func() {
			beats := 0
			for {
				e, err := s.read()
				if err != nil || e.name != "cursor" {
					if e.name != "snapshot-end" {
						t.Errorf("%+v %v", e, err)
					}
					return
				}
				if beats++; beats == 1 {
					heard.Add(1)
				}
			}
		})
	}
	eventually(t, "those who wait hear that their streams live", func() bool { return heard.Load() == 4 })
	close(release)
	group.Wait()
	if most.Load() != 2 {
		t.Errorf("%d snapshots were read at once", most.Load())
	}
}

func TestLargeSnapshot(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const rows = 5000
	text := strings.Repeat("x", 300) // more than a buffer in all
	for i := range rows {
		b.store.put(todos, values(i+1, "alice", text, ""))
	}
	s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	s.expect("ready")
	for i := range rows {
		s.change("todo", "INSERT", fmt.Sprintf(`{"id":%d,"user_id":"alice","task":"%s"}`, i+1, text), false)
	}
	s.expect("snapshot-end")
}

// The client's rows are those of the table whenever it is quiet, whatever is committed while rows are read, at whatever
// places the journal puts it, and wherever the client breaks off and resumes.
func TestSnapshotAndChangesEqualTheTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := &quiet{TB: t, rt: rt}
		defer q.clean()
		b := newBed(q)
		b.store.random = rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "order"), 0))
		w := writer{store: b.store, random: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "rows"), 0))}
		inside := rapid.IntRange(0, 4).Draw(rt, "writes inside")
		b.store.inside = func() { w.write(inside) }
		w.write(rapid.IntRange(0, 10).Draw(rt, "writes before"))
		hold := func() {
			b.store.hold(rapid.Bool().Draw(rt, "no positions"), rapid.Bool().Draw(rt, "no publication"))
		}
		hold()
		w.write(rapid.IntRange(0, 4).Draw(rt, "writes without a position"))

		where := visible(auth.With(t.Context(), auth.Identity{ID: "alice"}))
		c := replica{t: q, rows: map[int64]string{}}
		s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			if rapid.Bool().Draw(rt, "breaks off") {
				s.close()
				if s.last == "" {
					c = replica{t: q, rows: map[int64]string{}}
				}
				last := s.last
				s = b.subscribe("/todo/subscribe?snapshot=true", "alice", "Last-Event-ID", last)
				s.last = last
			}
			w.write(rapid.IntRange(0, 6).Draw(rt, "writes"))
			b.store.release()
			for want := b.store.rows(todos, where, b.model[todos]); !c.complete || !maps.Equal(c.rows, want); {
				c.apply(s.next())
				want = b.store.rows(todos, where, b.model[todos]) // a snapshot that begins now writes
			}
			hold()
		}
		b.store.release()
		s.close()
	})
}

// writer makes random changes.
type writer struct {
	store *store

	mu     sync.Mutex
	random *rand.Rand
}

func (w *writer) write(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		id := w.random.IntN(6) + 1
		if w.random.IntN(4) == 0 {
			w.store.remove(todos, int64(id))
			continue
		}
		owner := []string{"alice", "bob", "public"}[w.random.IntN(3)]
		w.store.put(todos, values(id, owner, fmt.Sprint(w.random.IntN(3)), fmt.Sprint(w.random.IntN(2))))
	}
}

// replica is a client's copy of the rows. It expects that every change fits to what it has.
type replica struct {
	t        testing.TB
	rows     map[int64]string
	complete bool
	position int64
}

func (c *replica) apply(e event) {
	c.t.Helper()
	switch e.name {
	case "snapshot-end":
		c.complete = true
	case "":
		change := decode[change](c.t, e.data)
		id := decode[struct {
			ID   int64  `json:"id"`
			User string `json:"user_id"`
			Task string `json:"task"`
		}](c.t, string(change.Payload)).ID
		old, there := c.rows[id]
		switch change.Event {
		case "INSERT":
			if there {
				c.t.Fatalf("inserted twice: %+v", e)
			}
			c.rows[id] = string(change.Payload)
		case "UPDATE":
			if !there || old == string(change.Payload) {
				c.t.Fatalf("an update of %q: %+v", old, e)
			}
			c.rows[id] = string(change.Payload)
		case "DELETE":
			if old != string(change.Payload) {
				c.t.Fatalf("deleted what is %q: %+v", old, e)
			}
			delete(c.rows, id)
		}
	case "reset", "problem":
		c.t.Fatalf("%+v", e)
	}
	if e.id != "" {
		var position int64
		if _, err := fmt.Sscanf(e.id, "v1.e1.%d.", &position); err != nil || position < c.position {
			c.t.Fatalf("after %d: %+v", c.position, e)
		}
		c.position = position
	}
}

// quiet is one run of a property: its failures are rapid's, which looks for a smaller case, and it ends before the test.
type quiet struct {
	testing.TB
	rt       *rapid.T
	cleanups []func()
}

func (q *quiet) Fatalf(format string, args ...any) { q.rt.Fatalf(format, args...) }
func (q *quiet) Errorf(format string, args ...any) { q.rt.Errorf(format, args...) }
func (q *quiet) Fatal(args ...any)                 { q.rt.Fatal(args...) }
func (q *quiet) Cleanup(fn func())                 { q.cleanups = append(q.cleanups, fn) }

func (q *quiet) clean() {
	for _, fn := range slices.Backward(q.cleanups) {
		fn()
	}
}
