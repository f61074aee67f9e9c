package hub

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawn lets rapid choose.
type drawn struct{ t *rapid.T }

func (d drawn) IntN(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "n") }

// machine is a hub beside the oracle. Its rings and queues are tiny, so that the paths of slow readers are common.
type machine struct {
	hub       *Hub
	journal   []Event
	published int // events of the journal that the hub has
	readers   []*reader
}

// reader has what a subscription gave it.
type reader struct {
	*Subscription
	shapes  []Shape
	after   int64
	mark    Mark
	lagging bool
	got     []Message
}

func newMachine(r source) *machine {
	start := int64(r.IntN(3))
	o := Options{Head: Mark{Position: start}, Ring: 1 + r.IntN(8), Queue: 1 + r.IntN(5), QueueBytes: 100 + r.IntN(800)}
	if r.IntN(4) == 0 {
		o.RingBytes = 2000
	}
	m := &machine{hub: New(o)}
	for position := range start {
		m.journal = append(m.journal, event(r, position+1))
	}
	m.published = len(m.journal)
	return m
}

func (m *machine) last() int64 {
	if len(m.journal) == 0 {
		return 0
	}
	return m.journal[len(m.journal)-1].Position
}

// commit adds to the journal what the hub is not yet told.
func (m *machine) commit(r source) {
	m.journal = append(m.journal, event(r, m.last()+1+int64(r.IntN(2))))
}

// publish tells the hub, sometimes again.
func (m *machine) publish(n, again int) {
	n = min(n, len(m.journal)-m.published)
	m.hub.Publish(m.journal[max(0, m.published-again) : m.published+n])
	m.published += n
}

// advance moves the head to where there is no event, which is below the next one's position.
func (m *machine) advance() {
	head := m.hub.Head()
	if m.published < len(m.journal) && m.journal[m.published].Position > head.Position+1 {
		m.hub.Advance(Mark{head.Position + 1, 5})
	}
}

// skip passes over some of what the hub has not been told, unless there is a reader.
func (m *machine) skip(t *rapid.T, n int) {
	n = min(n, len(m.journal)-m.published)
	if n == 0 {
		return
	}
	if skipped := m.hub.Skip(m.journal[m.published+n-1].Mark); skipped != (len(m.readers) == 0) {
		t.Fatalf("skipped: %v, with %d readers", skipped, len(m.readers))
	} else if skipped {
		m.published += n
	}
}

func (m *machine) subscribe(r source) {
	after := Mark{Position: int64(r.IntN(int(m.last()) + 1))} // it may also be above the head
	list := shapes(r)
	m.readers = append(m.readers, &reader{Subscription: m.hub.Subscribe(after, list...), shapes: list, after: after.Position,
		mark: after})
}

// check compares what d has with the oracle.
func (m *machine) check(t *rapid.T, d *reader) {
	if !slices.IsSortedFunc(d.got, func(a, b Message) int { return int(a.Position - b.Position) }) {
		t.Fatalf("out of order: %v", d.got)
	}
	if diff := difference(d.got, expected(m.journal, d.shapes, d.after, d.mark.Position)); diff != "" {
		t.Fatalf("above %d and up to %d, %s", d.after, d.mark.Position, diff)
	}
}

func (m *machine) take(t *rapid.T, d *reader) {
	if d.lagging {
		return // it reads the journal
	}
	before := d.mark
	var messages []Message
	messages, d.mark, d.lagging = d.Take(nil)
	if d.mark.Position < before.Position {
		t.Fatalf("the mark went from %d back to %d", before.Position, d.mark.Position)
	}
	if !d.lagging && d.mark.Position < m.hub.Head().Position {
		t.Fatalf("took up to %d, but the head is %d", d.mark.Position, m.hub.Head().Position)
	}
	d.got = append(d.got, messages...)
	m.check(t, d)
}

// page reads some of the journal as a lagging reader does.
func (m *machine) page(t *rapid.T, d *reader, size int) {
	if !d.lagging {
		return
	}
	for i := range m.journal {
		e := &m.journal[i]
		if e.Position > d.mark.Position && size > 0 {
			d.got = append(d.got, d.Match(nil, e)...)
			d.mark = e.Mark
			size--
		}
	}
	m.check(t, d)
}

func (m *machine) rejoin(d *reader) {
	if d.lagging && d.Rejoin(d.mark) {
		d.lagging = false // as far as the reader knows
	}
}

// Whatever happens in whatever order, each reader has at each moment what the oracle says, up to its mark.
func TestReadersSeeWhatTheOracleSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawn{t}
		m := newMachine(r)
		withReader := func(act func(*reader)) func(*rapid.T) {
			return func(*rapid.T) {
				if len(m.readers) > 0 {
					act(m.readers[r.IntN(len(m.readers))])
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"commit":    func(*rapid.T) { m.commit(r) },
			"commit 2":  func(*rapid.T) { m.commit(r); m.commit(r) },
			"publish":   func(*rapid.T) { m.publish(1+r.IntN(4), r.IntN(2)) },
			"advance":   func(*rapid.T) { m.advance() },
			"skip":      func(t *rapid.T) { m.skip(t, 1+r.IntN(4)) },
			"subscribe": func(*rapid.T) { m.subscribe(r) },
			"take":      withReader(func(d *reader) { m.take(t, d) }),
			"page":      withReader(func(d *reader) { m.page(t, d, 1+r.IntN(3)) }),
			"rejoin":    withReader(func(d *reader) { m.rejoin(d) }),
			"close": withReader(func(d *reader) {
				d.Close()
				m.readers = slices.DeleteFunc(m.readers, func(other *reader) bool { return other == d })
			}),
			"close all": func(*rapid.T) {
				for _, d := range m.readers {
					d.Close()
				}
				m.readers = nil
			},
		})
		m.finish(t)
	})
}

// finish lets everybody reach the end.
func (m *machine) finish(t *rapid.T) {
	m.publish(len(m.journal), 0)
	for _, d := range m.readers {
		m.take(t, d)
		for d.lagging {
			m.page(t, d, 2)
			m.rejoin(d)
			m.take(t, d)
		}
		if d.mark.Position < m.last() {
			t.Fatalf("the reader ends at %d, the journal at %d", d.mark.Position, m.last())
		}
	}
	for _, d := range m.readers {
		d.Close()
		d.Close()
		if messages, _, lagging := d.Take(nil); len(messages) > 0 || lagging {
			t.Fatal("a closed subscription still gives something")
		}
	}
	checkEmpty(t, m.hub)
}
