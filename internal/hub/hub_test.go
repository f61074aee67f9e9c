package hub

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/capebase/capebase/internal/predicate"
)

func eq(column int, v predicate.Value) *predicate.Expr {
	return &predicate.Expr{Op: predicate.Eq, Column: column, Kind: v.Kind(), Values: []predicate.Value{v}}
}

func owns(id int) *predicate.Expr { return eq(owner, predicate.IntValue(int64(id))) }

func everyone() *predicate.Expr { return &predicate.Expr{Op: predicate.True} }

func rowOf(id int, state string) []predicate.Value {
	return []predicate.Value{predicate.IntValue(int64(id)), predicate.TextValue(state), predicate.BoolValue(true), {}}
}

func inserted(position int64, id int, state string) Event {
	return Event{Mark: Mark{Position: position}, After: rowOf(id, state)}
}

// during is an encoding that calls a function while the publisher is in the middle of an event.
type during struct {
	columns
	id string
	do func()
}

func (d during) ID() string { return d.id }

func (d during) Encode(kind Kind, row []predicate.Value, e *Event) []byte {
	d.do()
	return d.columns.Encode(kind, row, e)
}

// A reader that takes while an event has reached it through one of two shapes gets it later, through both.
func TestTakeInTheMiddleOfAnEvent(t *testing.T) {
	for _, position := range []int64{1, 2} {
		t.Run(fmt.Sprint(position), func(t *testing.T) {
			h := New(Options{})
			var s *Subscription
			calls := 0
			look := func() {
				calls++
				messages, mark, lagging := s.Take(nil)
				if len(messages) > 0 || mark.Position != position-1 || lagging {
					t.Errorf("in the middle: %d messages up to %d, lagging %v", len(messages), mark.Position, lagging)
				}
			}
			s = h.Subscribe(Mark{}, Shape{0, everyone(), during{everything, "a", look}},
				Shape{0, everyone(), during{everything, "b", look}}, Shape{0, owns(1), during{everything, "a", look}})
			defer s.Close()
			h.Advance(Mark{Position: position - 1})
			h.Publish([]Event{inserted(position, 1, "new")})
			messages, mark, lagging := s.Take(nil)
			if calls != 3 || len(messages) != 3 || mark.Position != position || lagging {
				t.Errorf("afterwards: %d calls, %d messages up to %d, lagging %v", calls, len(messages), mark.Position, lagging)
			}
		})
	}
}

// An event that fits into the queue for one shape and not for the other comes as a whole later.
func TestOverflowInTheMiddleOfAnEvent(t *testing.T) {
	h := New(Options{Queue: 3, Ring: 2})
	s := h.Subscribe(Mark{}, Shape{0, everyone(), everything}, Shape{0, owns(1), everything})
	defer s.Close()
	h.Publish([]Event{inserted(10, 1, "a"), inserted(20, 1, "b"), inserted(30, 1, "c")})
	messages, mark, lagging := s.Take(nil)
	if len(messages) != 2 || mark.Position != 10 || !lagging {
		t.Fatalf("%d messages up to %d, lagging %v", len(messages), mark.Position, lagging)
	}
	if !s.Rejoin(mark) {
		t.Fatal("the ring has all above 10")
	}
	messages, mark, lagging = s.Take(nil)
	if len(messages) != 2 || mark.Position != 20 || !lagging {
		t.Fatalf("%d messages up to %d, lagging %v", len(messages), mark.Position, lagging)
	}
	if !s.Rejoin(mark) {
		t.Fatal("the ring has all above 20")
	}
	messages, mark, lagging = s.Take(nil)
	if len(messages) != 2 || mark.Position != 30 || lagging {
		t.Fatalf("%d messages up to %d, lagging %v", len(messages), mark.Position, lagging)
	}
	h.Publish([]Event{inserted(40, 2, "d"), inserted(50, 2, "e"), inserted(60, 2, "f")})
	if messages, _, _ = s.Take(nil); len(messages) != 3 {
		t.Fatalf("live again: %d messages", len(messages))
	}
}

// Members of a group get the same bytes, not copies; a message of any size passes.
func TestSharedBytes(t *testing.T) {
	h := New(Options{QueueBytes: 1})
	other := &predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{{Op: predicate.Ne, Column: owner,
		Values: []predicate.Value{predicate.IntValue(1)}}}}
	a := h.Subscribe(Mark{}, Shape{0, owns(1), everything})
	b := h.Subscribe(Mark{}, Shape{0, other, everything})
	defer a.Close()
	defer b.Close()
	h.Publish([]Event{inserted(1, 1, "new")})
	fromA, _, _ := a.Take(nil)
	fromB, _, _ := b.Take(nil)
	if len(fromA) != 1 || len(fromB) != 1 || &fromA[0].Data[0] != &fromB[0].Data[0] {
		t.Errorf("%v and %v", fromA, fromB)
	}
	if s := h.Stats(); s.Views != 1 || s.Groups != 1 || s.Subscriptions != 2 || s.Delivered != 2 || s.Matched != 1 {
		t.Errorf("%+v", s)
	}
}

// Those who see an event alike by different predicates share its bytes too; other encodings, kinds and events have their own.
func TestSharedBytesOfViews(t *testing.T) {
	h := New(Options{})
	isNew := &predicate.Expr{Op: predicate.Eq, Column: status, Values: []predicate.Value{predicate.TextValue("new")}}
	shapes := []Shape{{0, owns(1), everything}, {0, isNew, everything}, {0, isNew, columns{owner}}}
	subscriptions := make([]*Subscription, len(shapes))
	for i, shape := range shapes {
		subscriptions[i] = h.Subscribe(Mark{}, shape)
		defer subscriptions[i].Close()
	}
	change := inserted(2, 1, "new")
	change.Before = inserted(2, 1, "old").After // to those who see what is new alone, an insert
	h.Publish([]Event{inserted(1, 1, "new"), change})
	data := make([][]Message, len(shapes))
	for i, s := range subscriptions {
		if data[i], _, _ = s.Take(nil); len(data[i]) != 2 {
			t.Fatalf("%d: got %v", i, data[i])
		}
	}
	if &data[0][0].Data[0] != &data[1][0].Data[0] {
		t.Error("one event was encoded twice")
	}
	for i, want := range []string{`2 UPDATE 1 "new" true null`, `2 INSERT 1 "new" true null`, `2 INSERT 1`} {
		if got := string(data[i][1].Data); got != want {
			t.Errorf("%d: want %s, got %s", i, want, got)
		}
	}
}

// Several subscriptions of one connection wake it by one channel.
func TestSubscribeFor(t *testing.T) {
	h := New(Options{})
	ready := make(signal, 1)
	a := h.SubscribeFor(ready, Mark{}, Shape{0, owns(1), everything})
	b := h.SubscribeFor(ready, Mark{}, Shape{0, owns(2), everything})
	defer a.Close()
	defer b.Close()
	<-ready
	h.Publish([]Event{inserted(1, 2, "new")})
	<-ready
	if messages, _, _ := b.Take(nil); len(messages) != 1 {
		t.Errorf("%d messages", len(messages))
	}
	h.Publish([]Event{inserted(2, 3, "new")})
	select {
	case <-ready:
		t.Error("woken for nothing")
	default:
	}
}

func TestIdentity(t *testing.T) {
	base := Shape{0, predicate.All(owns(1), eq(open, predicate.BoolValue(true))), everything}
	same := Shape{0, predicate.All(eq(open, predicate.BoolValue(true)), owns(1)), columns{owner, status, open, extra}}
	if base.Identity() != same.Identity() {
		t.Error("the same shape has two identities")
	}
	for _, other := range []Shape{
		{1, base.Visible, base.Encoding},
		{0, owns(1), base.Encoding},
		{0, base.Visible, columns{owner}},
	} {
		if base.Identity() == other.Identity() {
			t.Errorf("%+v has the identity of another", other)
		}
	}
}

// A row without the columns that a shape asks for is not shown, and does no harm.
func TestShortRows(t *testing.T) {
	h := New(Options{})
	s := h.Subscribe(Mark{}, Shape{0, eq(open, predicate.BoolValue(true)), everything},
		Shape{0, &predicate.Expr{Op: predicate.IsNull, Column: extra}, everything})
	defer s.Close()
	h.Publish([]Event{{Mark: Mark{Position: 1}, After: rowOf(1, "new")[:2]}})
	if messages, _, _ := s.Take(nil); len(messages) > 0 {
		t.Errorf("%v", messages)
	}
}

// An event visits the views it may be in and hardly another, whatever the filters beside the owner are.
func TestVisits(t *testing.T) {
	h := New(Options{})
	defer checkEmpty(t, h)
	const subscribers = 3000
	for id := range subscribers {
		visible := predicate.All(eq(open, predicate.BoolValue(true)), owns(id), eq(status, predicate.TextValue("new")))
		defer h.Subscribe(Mark{}, Shape{0, visible, everything}).Close()
	}
	for position := range int64(100) {
		h.Publish([]Event{inserted(position+1, int(position)*7, "new")})
		visits := 0
		for _, v := range h.views {
			if v.visited == h.event {
				visits++
			}
		}
		if visits > 4 {
			t.Fatalf("%d of %d views were visited", visits, subscribers)
		}
	}
	if s := h.Stats(); s.Delivered != 100 || s.Scanned != 0 {
		t.Errorf("%+v", s)
	}
}

// A view that has many keys is found by each, and removed from each; one that has too many is scanned.
func TestManyKeys(t *testing.T) {
	for _, n := range []int{1, keysAtOnce, keysAtOnce + 1, maxKeys, maxKeys + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := New(Options{Queue: n + 1})
			visible := &predicate.Expr{Op: predicate.In, Column: owner}
			var events []Event
			for id := range n {
				visible.Values = append(visible.Values, predicate.IntValue(int64(id)))
				events = append(events, inserted(int64(id)+1, id, "new"))
			}
			s := h.Subscribe(Mark{}, Shape{0, visible, everything})
			h.Publish(events)
			if messages, _, lagging := s.Take(nil); len(messages) != n || lagging {
				t.Errorf("%d of %d messages, lagging %v", len(messages), n, lagging)
			}
			if scanned := h.Stats().Scanned == 1; scanned != (n > maxKeys) {
				t.Errorf("%d keys: scanned %v", n, scanned)
			}
			s.Close()
			checkEmpty(t, h)
		})
	}
}

// What is closed leaves the index, though others stay in the same table, columns and groups.
func TestCloseAmongOthers(t *testing.T) {
	h := New(Options{})
	kept := h.Subscribe(Mark{}, Shape{0, owns(1), everything}, Shape{0, everyone(), everything})
	for id := range 50 {
		fresh := h.Subscribe(h.Head(),
			Shape{0, owns(id), everything}, Shape{0, owns(id), columns{owner}}, Shape{0, owns(id), everything},
			Shape{0, everyone(), everything}, Shape{0, everyone(), columns{status}},
			Shape{0, eq(open, predicate.BoolValue(true)), everything},
			Shape{0, &predicate.Expr{Op: predicate.IsNull, Column: extra}, everything},
			Shape{1, everyone(), everything})
		h.Publish([]Event{inserted(int64(id)+1, id, "new")})
		if messages, _, _ := fresh.Take(nil); len(messages) != 7 {
			t.Fatalf("%d messages", len(messages))
		}
		fresh.Close()
	}
	messages, _, _ := kept.Take(nil)
	if len(messages) != 51 {
		t.Errorf("%d messages", len(messages))
	}
	index := h.tables[0]
	if len(h.tables) != 1 || len(h.views) != 2 || len(index.scan) != 1 || len(index.columns) != 1 || index.views != 2 ||
		len(index.columns[0].views) != 1 || len(index.columns[0].views[predicate.IntValue(1)]) != 1 {
		t.Errorf("%d tables, %d views, index %+v", len(h.tables), len(h.views), index)
	}
	for _, v := range h.views {
		if len(v.groups) != 1 || len(v.groups[0].members) != 1 {
			t.Errorf("view %+v", v)
		}
	}
	kept.Close()
	checkEmpty(t, h)
}

// The ring's memory is bounded, and what fell out of it is asked of the journal.
func TestRingBytes(t *testing.T) {
	h := New(Options{RingBytes: 10_000})
	s := h.Subscribe(Mark{}, Shape{1, everyone(), everything})
	defer s.Close()
	for position := range int64(100) {
		h.Publish([]Event{inserted(position+1, 1, string(make([]byte, 1000)))})
	}
	if h.ring.bytes > 10_000 || h.ring.count < 5 || h.ring.floor != int64(100-h.ring.count) {
		t.Errorf("%d events of %d bytes above %d", h.ring.count, h.ring.bytes, h.ring.floor)
	}
	h.Publish([]Event{inserted(101, 1, string(make([]byte, 20_000)))})
	if h.ring.count != 1 || h.ring.floor != 100 {
		t.Errorf("%d events above %d", h.ring.count, h.ring.floor)
	}
	old := h.Subscribe(Mark{Position: 99}, Shape{0, everyone(), everything})
	defer old.Close()
	if messages, mark, lagging := old.Take(nil); len(messages) > 0 || mark.Position != 99 || !lagging || old.Rejoin(mark) {
		t.Errorf("%d messages up to %d, lagging %v", len(messages), mark.Position, lagging)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// An idle subscriber is small, with its group and its place in the index, also after it had a full queue; and when it
// is closed nothing is left.
func TestMemory(t *testing.T) {
	const n = 20_000
	h := New(Options{})
	before := heap()
	subscriptions := make([]*Subscription, n)
	for id := range subscriptions {
		subscriptions[id] = h.Subscribe(Mark{}, Shape{0, owns(id), everything})
	}
	all := h.Subscribe(Mark{}, Shape{0, everyone(), everything})
	each := (heap() - before) / n
	t.Logf("%d bytes each", each)
	if each > 1024 {
		t.Errorf("an idle subscriber keeps %d bytes", each)
	}
	var events []Event
	for position := range int64(5000) {
		events = append(events, inserted(position+1, int(position)%50, "new"))
	}
	h.Publish(events)
	if messages, _, lagging := all.Take(nil); len(messages) != 256 || !lagging {
		t.Errorf("%d messages, lagging %v", len(messages), lagging)
	}
	for _, s := range subscriptions {
		s.Take(nil)
		if cap(s.queue) > keptQueue {
			t.Fatalf("an empty queue has room for %d messages", cap(s.queue))
		}
		s.Close()
	}
	all.Close()
	checkEmpty(t, h)
	events = nil
	subscriptions = nil
	h.ring = ring{events: make([]*Event, 1)}
	left := heap() - before
	t.Logf("%d bytes left", left)
	if left > 256<<10 {
		t.Errorf("%d bytes are left", left)
	}
	runtime.KeepAlive(h)
	runtime.KeepAlive(events)
	runtime.KeepAlive(subscriptions)
}
