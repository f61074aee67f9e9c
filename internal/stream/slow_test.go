package stream

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
)

// overflow commits n changes of row 1, each different, and of rows that alice does not see.
func (b *bed) overflow(n int, text string) {
	for i := range n {
		b.store.put(todos, values(1, "alice", fmt.Sprintf("%d %s", i, text), ""))
		if i%3 == 0 {
			b.store.put(todos, values(2, "bob", fmt.Sprint(i), ""))
		}
	}
}

// caughtUp expects those changes, in order, each once.
func caughtUp(t testing.TB, n int, next func() (kind string, payload []byte)) {
	t.Helper()
	for i := range n {
		kind, payload := next()
		got := decode[todo](t, string(payload))
		want := "UPDATE"
		if i == 0 {
			want = "INSERT"
		}
		if number, _, _ := strings.Cut(got.Task, " "); kind != want || number != fmt.Sprint(i) {
			t.Fatalf("change %d is %s %.40s", i, kind, got.Task)
		}
	}
}

func (s *source) changes() (string, []byte) {
	s.t.Helper()
	e := s.expect("")
	if e.id == "" {
		s.t.Fatalf("a change without an id: %+v", e)
	}
	c := decode[change](s.t, e.data)
	return c.Event, c.Payload
}

// A reader that stalls is served from the journal, and then from the hub again.
func TestSlowReaderGetsEverything(t *testing.T) {
	t.Parallel()
	b := newBed(t, piped)
	const changes = 6000
	s := b.subscribe("/todo/subscribe", "alice")
	eventually(t, "it listens", func() bool { return b.hub.Load().Stats().Subscriptions == 1 })
	b.overflow(changes, strings.Repeat("x", 200))
	if b.hub.Load().Stats().Lagging != 1 {
		t.Error("the reader does not lag")
	}
	s.expect("ready")
	caughtUp(t, changes, s.changes)
	eventually(t, "it has rejoined", func() bool { return b.hub.Load().Stats().Lagging == 0 })
	b.store.mu.Lock()
	reads := len(b.store.reads)
	b.store.mu.Unlock()
	if most := 2 * changes / b.limits.Page * 3; reads == 0 || reads > most {
		t.Errorf("%d pages were read", reads)
	}
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "UPDATE", milk, true)
}

func TestSlowWebSocketGetsEverything(t *testing.T) {
	t.Parallel()
	b := newBed(t, piped)
	const changes = 3000
	c := b.dial("/subscribe", "alice")
	c.conn.SetReadLimit(1 << 20)
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	c.expect("ready", "a")
	c.send(`{"subscribe":{"id":"b","table":"todo","filter":"id=eq.2"}}`) // it sees nothing
	c.expect("ready", "b")
	b.overflow(changes, strings.Repeat("x", 400))
	if b.hub.Load().Stats().Lagging == 0 {
		t.Error("the reader does not lag")
	}
	caughtUp(t, changes, func() (string, []byte) {
		m := c.expect("change", "a")
		if m.Cursor == "" {
			t.Fatalf("a change without a cursor: %+v", m)
		}
		return m.Event, m.Payload
	})
}

// A resumed stream whose cursor is older than what the hub keeps begins with the journal.
func TestResumeFromTheJournal(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	s.close()
	const changes = 3000
	b.overflow(changes, "")
	s = b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", s.last)
	s.expect("ready")
	caughtUp(t, changes, s.changes)
}

// What lies between cannot be read for a while, and then it can.
func TestCatchUpWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Heartbeat = 1 }))
	s := b.subscribe("/todo/subscribe", "alice")
	start := s.expect("ready").id
	s.close()
	const changes = 2000
	b.overflow(changes, "")
	b.store.unread(errors.New("the database is down"))
	s = b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", start)
	s.expect("ready")
	for range 20 {
		if e := s.next(); e.name != "cursor" || e.id != start {
			t.Fatalf("%+v; it cannot be further than %s", e, start)
		}
	}
	b.store.unread(nil)
	caughtUp(t, changes, s.changes)
}

// What lies between was pruned: while the client resumed, or while it was slow.
func TestCatchUpBehindTheFloor(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	start := s.expect("ready").id
	s.close()
	b.overflow(2000, "")
	b.store.unread(fmt.Errorf("test: %w", journal.ErrPruned))
	s = b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", start)
	s.expect("ready")
	reset := s.expect("reset")
	if reset.data != `{"reason":"expired_cursor"}` || reset.id == "" {
		t.Errorf("%+v", reset)
	}
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "UPDATE", milk, true)
	s = b.subscribe("/todo/subscribe?snapshot=true", "alice", "Last-Event-ID", start)
	s.expect("ready")
	if reset := s.expect("reset"); reset.data != `{"reason":"expired_cursor"}` || reset.id != "" {
		t.Errorf("%+v", reset)
	}
	s.change("todo", "INSERT", milk, false)
	s.expect("snapshot-end")
}

// A gap among what is read from the journal resets as a live one does.
func TestCatchUpOverAGap(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	start := s.expect("ready").id
	s.close()
	b.overflow(1000, "")
	b.store.gap(hub.AllTables)
	b.store.put(todos, values(1, "alice", "milk", ""))
	b.overflow(1000, "")
	plain := b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", start)
	plain.expect("ready")
	caughtUp(t, 1000, plain.changes)
	if e := plain.expect("reset"); e.data != `{"reason":"gap"}` || e.id == "" {
		t.Errorf("%+v", e)
	}
	plain.change("todo", "UPDATE", milk, true)
	rows := b.subscribe("/todo/subscribe?snapshot=true", "alice", "Last-Event-ID", start)
	rows.expect("ready")
	caughtUp(t, 1000, rows.changes)
	if e := rows.expect("reset"); e.id != "" {
		t.Errorf("%+v", e)
	}
	rows.change("todo", "INSERT", `{"id":1,"user_id":"alice","task":"999 "}`, false)
	rows.expect("snapshot-end")
}

// The journal may be ahead of the hub, whose tailer is another reader of it.
func TestResumeAheadOfTheHub(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	start := s.expect("ready").id
	s.close()
	b.overflow(2000, "")
	b.store.hold(false, true)
	b.store.put(todos, values(1, "alice", "milk", ""))
	s = b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", start)
	s.expect("ready")
	caughtUp(t, 2000, s.changes)
	b.store.release()
	s.change("todo", "UPDATE", milk, true)
	b.store.put(todos, values(1, "alice", "bread", ""))
	s.change("todo", "UPDATE", bread, true)
	s.close()
	b.store.hold(false, true)
	b.store.put(todos, values(1, "alice", "milk", ""))
	ahead := fmt.Sprintf("v1.e1.%d.%d.%s", b.store.position(), b.store.position()*7, s.last[strings.LastIndexByte(s.last, '.')+1:])
	s = b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", ahead) // as another node gave it
	if e := s.expect("ready"); e.id != ahead {
		t.Errorf("%+v", e)
	}
	b.store.release()
	b.store.put(todos, values(1, "alice", "bread", ""))
	s.change("todo", "UPDATE", bread, true)
}

// Readers that stall while many changes pass keep little, and get all of them.
func TestMemoryOfStalledReaders(t *testing.T) {
	const readers, changes = 10, 20_000
	b := newBed(t, piped, limits(func(l *Limits) { l.WriteTimeout = time.Minute }))
	before := heapInUse()
	b.overflow(changes, strings.Repeat("x", 100))
	store := heapInUse() - before // the test's own database
	var stalled []*source
	for range readers {
		stalled = append(stalled, b.subscribe("/todo/subscribe?id=eq.1", "alice"))
	}
	eventually(t, "they listen", func() bool { return b.hub.Load().Stats().Subscriptions == readers })
	b.store.remove(todos, 1)
	before = heapInUse()
	b.overflow(changes, strings.Repeat("x", 100))
	if n := b.hub.Load().Stats().Lagging; n != readers {
		t.Errorf("%d of %d lag", n, readers)
	}
	grown := heapInUse() - before - store
	t.Logf("%d KiB a reader", grown/readers>>10)
	if grown > readers*512<<10 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	var group sync.WaitGroup
	for _, s := range stalled {
		group.Go(func() { s.count(changes) })
	}
	group.Wait()
}

// count is caughtUp without the cost of JSON.
func (s *source) count(n int) {
	for i := range n {
		want := fmt.Sprintf(`"task":"%d x`, i)
		for {
			line, err := s.lines.ReadString('\n')
			if err != nil {
				s.t.Errorf("expected change %d: %v", i, err)
				return
			}
			if !strings.Contains(line, `"task":`) || strings.Contains(line, `"DELETE"`) {
				continue
			}
			if !strings.Contains(line, want) {
				s.t.Errorf("expected %s, got %.100s", want, line)
				return
			}
			break
		}
	}
}
