package hub

// Queues is what waits in the subscriptions for their readers.
type Queues struct {
	Messages int
	Bytes    int64
	Longest  int // messages in one of them
}

// Queues looks into every subscription. It keeps those who subscribe or close waiting meanwhile, but not the publisher.
func (h *Hub) Queues() Queues {
	h.door.Lock() // which suffices to read the index
	defer h.door.Unlock()
	var q Queues
	for _, v := range h.views {
		for _, g := range v.groups {
			for _, m := range g.members {
				if m.shape != 0 {
					continue // it is counted by its first shape
				}
				messages, bytes := m.subscription.waiting()
				q.Messages += messages
				q.Bytes += int64(bytes)
				q.Longest = max(q.Longest, messages)
			}
		}
	}
	return q
}

func (s *Subscription) waiting() (messages, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue), s.bytes
}
