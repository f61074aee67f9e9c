package hub

import "sort"

// ring keeps the newest events, as many as fit in its length and its bytes, but always one.
type ring struct {
	events []*Event
	first  int // index of the oldest
	count  int
	bytes  int
	limit  int
	floor  int64 // all events above are here
}

func (r *ring) at(i int) *Event { return r.events[(r.first+i)%len(r.events)] }

func (r *ring) add(e *Event) {
	size := e.size()
	for r.count == len(r.events) || r.count > 0 && r.bytes+size > r.limit {
		oldest := r.events[r.first]
		r.events[r.first] = nil
		r.first = (r.first + 1) % len(r.events)
		r.count--
		r.bytes -= oldest.size()
		r.floor = oldest.Position
	}
	r.events[(r.first+r.count)%len(r.events)] = e
	r.count++
	r.bytes += size
}

// skip forgets all events: those up to a position will not come.
func (r *ring) skip(to int64) {
	clear(r.events)
	r.first, r.count, r.bytes, r.floor = 0, 0, 0, to
}

// above returns a copy of the events above position; ok is false when some of them are no longer here.
func (r *ring) above(position int64) (events []*Event, ok bool) {
	if position < r.floor {
		return nil, false
	}
	start := sort.Search(r.count, func(i int) bool { return r.at(i).Position > position })
	if start == r.count {
		return nil, true
	}
	events = make([]*Event, 0, r.count-start)
	for i := start; i < r.count; i++ {
		events = append(events, r.at(i))
	}
	return events, true
}
