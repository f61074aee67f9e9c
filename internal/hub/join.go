package hub

const (
	// joinAtOnce bounds the events that are replayed while the publisher waits. More are replayed before, outside of
	// the locks.
	joinAtOnce = 16
	// joinRounds bounds how often; after that the publisher waits for once, or a fast one would never be caught.
	joinRounds = 8
)

// Subscribe opens a subscription to the events above after that one of shapes sees. Its messages come in the order of
// positions, a position once for each shape that sees it. Ready receives at once. If the ring does not reach back to
// after, the subscription lags from the start; after may also be above the head.
func (h *Hub) Subscribe(after Mark, shapes ...Shape) *Subscription {
	ready := make(signal, 1)
	s := h.SubscribeFor(ready, after, shapes...)
	s.ready = ready
	return s
}

// SubscribeFor is Subscribe for a reader that is woken by a method, for several subscriptions perhaps. There is no Ready.
func (h *Hub) SubscribeFor(reader Reader, after Mark, shapes ...Shape) *Subscription {
	s := &Subscription{hub: h, reader: reader, mark: after, members: make([]membership, len(shapes))}
	h.attach(s, shapes)
	if !s.Rejoin(after) {
		s.wake() // to find that it lags
	}
	return s
}

// attach puts s into the groups of its shapes. It lags, so that the publisher passes over it.
func (h *Hub) attach(s *Subscription, shapes []Shape) {
	views := make([]Identity, len(shapes))
	for i, shape := range shapes {
		views[i] = shape.view()
	}
	h.door.Lock()
	defer h.door.Unlock()
	for i, shape := range shapes {
		g := h.enter(shape, views[i])
		h.mu.Lock()
		s.members[i] = membership{g, len(g.members)}
		g.members = append(g.members, member{s, int32(i)})
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscriptions++
	h.lagging++
}

// Close ends the subscription and removes all that the hub kept for it. It may be called twice.
func (s *Subscription) Close() {
	h := s.hub
	h.door.Lock()
	defer h.door.Unlock()
	if !s.close() {
		return
	}
	for i := range s.members {
		g := s.members[i].group
		h.mu.Lock()
		last := len(g.members) - 1
		moved := g.members[last]
		slot := s.members[i].slot
		g.members[slot], g.members[last] = moved, member{}
		g.members = g.members[:last]
		moved.subscription.members[moved.shape].slot = slot
		h.mu.Unlock()
		if last == 0 {
			h.leave(g)
		}
	}
}

func (s *Subscription) close() bool {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return false
	}
	if s.state == lagging {
		h.lagging--
	}
	h.subscriptions--
	s.state, s.queue, s.bytes = closed, nil, 0
	return true
}

// Rejoin ends the lagging of a subscription whose reader has seen all up to mark, and returns true: Ready receives, and
// Take gives what follows. It returns false when the ring does not reach back so far; the reader goes on with the
// journal. When more follows than fits in the queue, the subscription still lags, at a later mark.
//
// Nothing is lost or doubled at the seam. Events up to mark were taken or matched. Events above it and up to done are
// replayed here, in order, and each once: mark moves along. The last of the replay and the change to live are one step
// under mu, and the publisher keeps mu for a whole event: so done is the newest event of the ring, no event is half
// delivered, and the next one finds the subscription live in all its groups. Events that the journal had before the
// tailer are below mark when they are published, and push ignores them.
func (s *Subscription) Rejoin(mark Mark) bool {
	if !s.rejoin(mark) {
		return false
	}
	s.wake()
	return true
}

func (s *Subscription) rejoin(mark Mark) bool {
	if !s.restart(mark) {
		return true // there is something else to do first: see Take
	}
	for round := 0; ; round++ {
		events, reached, joined := s.joinOrCollect(round == joinRounds)
		switch {
		case joined:
			return true
		case !reached:
			return round > 0 // what was replayed before is in the queue, and then it lags
		case !s.replay(events):
			return true
		}
	}
}

func (s *Subscription) restart(mark Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != lagging || len(s.queue) > 0 {
		return false
	}
	s.mark = mark
	return true
}

// joinOrCollect makes s live if few events are above its mark, or however many there are when last is true. Else it
// returns those events, to be replayed outside of the locks.
func (s *Subscription) joinOrCollect(last bool) (events []*Event, reached, joined bool) {
	h := s.hub
	h.door.Lock()
	defer h.door.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	events, reached = h.ring.above(s.reached())
	if !reached || len(events) > joinAtOnce && !last {
		return events, reached, false
	}
	if !s.replay(events) {
		return nil, true, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == lagging {
		s.state = live
		h.lagging--
	}
	return nil, true, true
}

func (s *Subscription) reached() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark.Position
}

// replay puts what s sees of events into its queue and moves its mark. It stops before the first that has no room, and
// returns false.
func (s *Subscription) replay(events []*Event) bool {
	var buffer []Message
	for _, e := range events {
		buffer = s.Match(buffer, e)
		if !s.accept(buffer, e.Mark) {
			return false
		}
	}
	return true
}

// accept puts an event's messages into the queue, all or none. An empty queue has room for any event: the reader could
// never pass it otherwise.
func (s *Subscription) accept(messages []Message, mark Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return false
	}
	before := len(s.queue)
	for i := range messages {
		if before > 0 && !s.hasRoom(&messages[i]) {
			s.cut(before)
			return false
		}
		s.append(messages[i])
	}
	s.mark = mark
	return true
}
