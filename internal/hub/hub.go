// Package hub hands each committed change to the subscribers that may see it, and to no other, at a cost that depends
// on how many those are and not on how many there are.
//
// The journal's tailer publishes decoded events in commit order. A subscription has one or more shapes, each a table
// with a predicate that needs nothing but the row. Equal predicates are one view, which is found by a constant that
// each of its rows holds (owner = 7), and evaluated once per event on the row before and after: entering the view is
// an insert, leaving it a delete. Below the view is a group per encoding. An event is encoded once for all groups of one
// encoding to which it is the same, and their members share the bytes.
//
// Nobody waits for a slow reader. A subscription whose queue is full lags: it gets no more events, keeps what it has,
// and its reader fetches what follows from the journal, evaluates it with [Subscription.Match], and rejoins when it is
// near enough for the ring of the newest events. So a reader is a loop:
//
//	for range subscription.Ready() {
//		messages, mark, lagging := subscription.Take(buffer)
//		write(messages)
//		for lagging && !subscription.Rejoin(mark) {
//			for _, e := range journal.Read(mark) { // a page
//				write(subscription.Match(buffer, e))
//				mark = e.Mark
//			}
//		}
//	}
//
// Whatever the interleaving, the messages that a reader gets by Take and by Match after Subscribe(m) are those that
// Match would give for every event above m in order: none is missing, none is there twice.
package hub

import (
	"sync"
	"sync/atomic"

	"github.com/capebase/capebase/internal/predicate"
)

// Options configures a Hub; zero fields take the defaults.
type Options struct {
	Head       Mark // where the tailer begins: events above it will be published
	Ring       int  // events kept for those who join or rejoin; default 1,024
	RingBytes  int  // and their memory, about; default 16 MiB
	Queue      int  // messages that wait in one subscription; default 256
	QueueBytes int  // and their memory; default 256 KiB. A single message may be larger.
}

func (o Options) withDefaults() Options {
	for _, option := range []struct {
		value    *int
		fallback int
	}{{&o.Ring, 1024}, {&o.RingBytes, 16 << 20}, {&o.Queue, 256}, {&o.QueueBytes, 256 << 10}} {
		if *option.value <= 0 {
			*option.value = option.fallback
		}
	}
	return o
}

// Hub connects the one publisher with the subscriptions. It starts no goroutine and needs no closing.
//
// The index is changed by a subscriber that holds both locks, so either suffices to read it. The publisher takes mu
// alone, for one event at a time. Subscribers take the door first: at most one of them is ever ahead of the publisher,
// however many come at once, and it keeps mu for a bounded piece of work. A subscription's own lock comes last and is
// never held while anything else is waited for.
type Hub struct {
	queue, queueBytes int

	door sync.Mutex
	mu   sync.Mutex

	// The index, by both locks.
	tables map[int]*table
	views  map[Identity]*view

	// By mu.
	ring          ring
	event         uint64 // counts events, so that a view is visited once for each
	subscriptions int
	groups        int
	lagging       int
	counts        Stats

	// encoded is the last event of each kind that was encoded.
	encoded [Reset + 1]encoded

	// touched has the subscriptions that the current event must wake. It is the publisher's.
	touched []*Subscription

	// done is the newest event that is in all the queues it belongs to. The publisher moves it, holding mu.
	done atomic.Pointer[Mark]
}

// New returns a hub that is at o.Head.
func New(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		queue:      o.Queue,
		queueBytes: o.QueueBytes,
		tables:     map[int]*table{},
		views:      map[Identity]*view{},
		ring:       ring{events: make([]*Event, o.Ring), limit: o.RingBytes, floor: o.Head.Position},
	}
	head := o.Head
	h.done.Store(&head)
	return h
}

// Head returns the newest mark: each event up to it is in the queues it belongs to.
func (h *Hub) Head() Mark { return *h.done.Load() }

// Publish hands out events, which are in the order of their positions. Events that are not above the head were
// published before and are ignored. One goroutine calls Publish, Advance and Skip. The hub copies events, but not their rows.
func (h *Hub) Publish(events []Event) {
	for i := range events {
		e := events[i]
		h.publish(&e)
	}
}

func (h *Hub) publish(e *Event) {
	h.mu.Lock()
	last := *h.done.Load()
	if e.Position <= last.Position {
		h.mu.Unlock()
		return
	}
	h.ring.add(e)
	h.counts.Events++
	if h.deliver(e, last) {
		h.counts.Matched++
	}
	mark := e.Mark
	h.done.Store(&mark)
	h.mu.Unlock()

	// Only now: a reader takes nothing above done, so one that was woken before would find nothing and sleep again.
	for i, s := range h.touched {
		s.wake()
		h.touched[i] = nil
	}
	h.touched = h.touched[:0]
}

// Advance moves the head to m, up to which there are no more events: those of other tables, perhaps. It wakes nobody;
// readers see it when they next take.
func (h *Hub) Advance(m Mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.Position > h.done.Load().Position {
		h.done.Store(&m)
	}
}

// Skip moves the head to m, over events that the hub has not seen, unless somebody subscribes, who may have to see them: then
// it returns false. Who subscribes later to what is before m lags, and reads it in the journal.
func (h *Hub) Skip(m Mark) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscriptions > 0 {
		return false
	}
	if m.Position > h.done.Load().Position {
		h.ring.skip(m.Position)
		h.done.Store(&m)
	}
	return true
}

// deliver puts e into the queues of all who see it; last is the mark before it. It tells whether anybody sees it.
func (h *Hub) deliver(e *Event, last Mark) bool {
	h.event++
	seen := false
	if e.Gap {
		for _, v := range h.views {
			if e.Table == AllTables || e.Table == v.table.number {
				seen = h.visit(v, e, last) || seen
			}
		}
		return seen
	}
	t := h.tables[e.Table]
	if t == nil {
		return false
	}
	for _, v := range t.scan {
		seen = h.visit(v, e, last) || seen
	}
	for _, c := range t.columns {
		after, inAfter := c.index(e.After)
		if inAfter {
			for _, v := range c.views[after] {
				seen = h.visit(v, e, last) || seen
			}
		}
		if before, ok := c.index(e.Before); ok && !(inAfter && before == after) {
			for _, v := range c.views[before] {
				seen = h.visit(v, e, last) || seen
			}
		}
	}
	return seen
}

// visit delivers e to the members of v, unless that was done before.
func (h *Hub) visit(v *view, e *Event, last Mark) bool {
	if v.visited == h.event || len(v.groups) == 0 {
		return false
	}
	v.visited = h.event
	kind := v.kind(e)
	if kind == None {
		return false
	}
	seen := false
	for _, g := range v.groups {
		if len(g.members) == 0 {
			continue // it is being made or removed
		}
		m, ok := h.message(g, kind, e)
		if !ok {
			continue
		}
		seen = true
		for _, member := range g.members {
			m.Shape = member.shape
			switch member.subscription.push(m, last) {
			case queued:
				h.counts.Delivered++
				h.touched = append(h.touched, member.subscription)
			case overflowed:
				h.counts.Overflows++
				h.lagging++
				h.touched = append(h.touched, member.subscription)
			}
		}
	}
	return seen
}

// encoded is what an event is in an encoding.
type encoded struct {
	event    uint64 // Hub.event
	encoding string // its ID
	message  Message
	ok       bool
}

// message returns the current event for a group. Views that differ mostly show it in the same encoding.
func (h *Hub) message(g *group, kind Kind, e *Event) (Message, bool) {
	last := &h.encoded[kind]
	if last.event != h.event || last.encoding != g.id {
		m, ok := g.message(kind, e)
		*last = encoded{h.event, g.id, m, ok}
	}
	return last.message, last.ok
}

// Subscribed tells whether anybody subscribes.
func (h *Hub) Subscribed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.subscriptions > 0
}

// Stats is what a hub holds and has done.
type Stats struct {
	Subscriptions int // open
	Lagging       int // of them, those served from the journal
	Views         int // distinct predicates
	Scanned       int // of them, those without a key, which each event of their table visits
	Groups        int // distinct predicates and encodings

	Events    uint64 // published
	Matched   uint64 // of them, those that a subscriber could see
	Delivered uint64 // messages put into queues at once
	Overflows uint64 // times that a subscription's queue was full
}

// Stats returns the current figures.
func (h *Hub) Stats() Stats {
	h.door.Lock()
	defer h.door.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.counts
	s.Subscriptions, s.Lagging, s.Views, s.Groups = h.subscriptions, h.lagging, len(h.views), h.groups
	for _, t := range h.tables {
		s.Scanned += len(t.scan)
	}
	return s
}

// load is what a key costs: the number of views that are found by it already. The door is held.
func (t *table) load(k predicate.Key) int {
	if c := t.column(k.Column); c != nil {
		return len(c.views[k.Value])
	}
	return 0
}
