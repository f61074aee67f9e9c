package hub

import "sync"

// keptQueue is the room that an empty queue keeps, in messages.
const keptQueue = 4

// Subscription is one reader's. Close may be called from any goroutine; the other methods by one at a time.
type Subscription struct {
	// What each event needs comes first, in one cache line: there are many, and none is in the processor's cache.
	mu    sync.Mutex
	queue []Message
	bytes int
	state state
	// mark is what the queue begins with or has reached. Live: all up to it was put into the queue, if it belongs
	// there, and none that is above it without the publisher. Lagging: that was all.
	mark Mark

	hub     *Hub
	reader  Reader
	ready   signal       // the reader of Subscribe; nil for others
	members []membership // by shape
}

// membership is a shape's place in its group.
type membership struct {
	group *group
	slot  int // by Hub.mu
}

type state uint8

const (
	lagging state = iota // gets nothing
	live                 // the publisher puts events above mark into the queue
	closed
)

type pushed uint8

const (
	ignored pushed = iota
	queued
	overflowed
)

// push is the publisher's: it puts m into the queue, or makes the subscription lag at last, the mark before m's event.
func (s *Subscription) push(m Message, last Mark) pushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != live || m.Position <= s.mark.Position {
		return ignored
	}
	if s.hasRoom(&m) {
		s.append(m)
		return queued
	}
	// The event may have reached the queue through another shape. It must come out again, since it will come as a whole
	// from the journal; and it can, since Take left it there: it is above done.
	n := len(s.queue)
	for n > 0 && s.queue[n-1].Position == m.Position {
		n--
	}
	s.cut(n)
	s.state = lagging
	if last.Position > s.mark.Position { // it joined above the head otherwise
		s.mark = last
	}
	return overflowed
}

func (s *Subscription) hasRoom(m *Message) bool {
	return len(s.queue) == 0 || len(s.queue) < s.hub.queue && s.bytes+m.size() <= s.hub.queueBytes
}

func (s *Subscription) append(m Message) {
	if s.queue == nil {
		s.queue = make([]Message, 0, keptQueue)
	}
	s.queue = append(s.queue, m)
	s.bytes += m.size()
}

// cut removes all but the first n messages.
func (s *Subscription) cut(n int) {
	for i := n; i < len(s.queue); i++ {
		s.bytes -= s.queue[i].size()
	}
	clear(s.queue[n:])
	s.queue = s.queue[:n]
}

func (s *Subscription) wake() { s.reader.Wake() }

// Reader is told when there may be something to Take.
type Reader interface {
	// Wake is called after an event, by the publisher, which holds no lock and waits for it: it must not block. It is
	// also called by SubscribeFor and Rejoin.
	Wake()
}

// signal is a Reader that waits on a channel with room for one.
type signal chan struct{}

// Wake implements Reader.
func (s signal) Wake() {
	select {
	case s <- struct{}{}:
	default: // it was woken before and has not looked yet
	}
}

// Ready returns the channel that receives when there may be something to Take. It is never closed.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Take empties the queue into buffer, which it grows as needed, in the order of positions. All messages up to mark have
// now been taken and none above, so mark is a cursor to resume from; it moves on with the head when there was nothing
// for this subscription. When lagging is true there will be no more: the reader takes what is above mark from the
// journal by Match, or asks to Rejoin, at once if it likes; it does not Take meanwhile. After Close there is nothing.
//
// A message's own mark is a cursor too once the messages of that position were handed on for all shapes that see it.
func (s *Subscription) Take(buffer []Message) (messages []Message, mark Mark, isLagging bool) {
	// First, so that all up to done is in the queue. What the publisher adds meanwhile stays there: an event that
	// comes through several shapes might be there by half. Its wake-up is still to come.
	done := *s.hub.done.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.queue)
	if s.state == live {
		if done.Position > s.mark.Position {
			s.mark = done
		}
		for n > 0 && s.queue[n-1].Position > s.mark.Position {
			n--
		}
	}
	messages = append(buffer[:0], s.queue[:n]...)
	s.drop(n)
	return messages, s.mark, s.state == lagging
}

// drop removes the first n messages of the queue, and the queue when it is empty and large.
func (s *Subscription) drop(n int) {
	for i := range n {
		s.bytes -= s.queue[i].size()
	}
	rest := copy(s.queue, s.queue[n:])
	clear(s.queue[rest:])
	s.queue = s.queue[:rest]
	if rest == 0 && cap(s.queue) > keptQueue {
		s.queue = nil
	}
}

// Match appends what e is to the subscription's shapes to buffer[:0]: the same messages that Take would give. It is for
// events that were read from the journal.
func (s *Subscription) Match(buffer []Message, e *Event) []Message {
	messages := buffer[:0]
	for i := range s.members {
		g := s.members[i].group
		if e.Table != g.view.table.number && !(e.Gap && e.Table == AllTables) {
			continue
		}
		if m, ok := g.message(g.view.kind(e), e); ok {
			m.Shape = int32(i)
			messages = append(messages, m)
		}
	}
	return messages
}
