package hub

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// hammer is a journal that many goroutines read while one publishes it.
type hammer struct {
	hub       *Hub
	journal   []Event
	committed atomic.Int64 // events of the journal that may be read; the tailer is behind
	lone      bool         // there is one reader
	skipped   int          // times that nobody was there
	failed    atomic.Bool
	begin     sync.WaitGroup // readers that have not subscribed yet
}

// read returns a page of the journal above position. It is what is committed, also if that is not yet published.
func (m *hammer) read(position int64, size int) []Event {
	events := m.journal[:m.committed.Load()]
	first, _ := slices.BinarySearchFunc(events, position+1, func(e Event, p int64) int { return int(e.Position - p) })
	return events[first:min(len(events), first+size)]
}

// session is one subscription of a reader, from after until its end; it returns how far it came.
func (m *hammer) session(r *rand.Rand, after Mark, list []Shape, subscribed func()) (Mark, error) {
	s := m.hub.Subscribe(after, list...)
	defer s.Close()
	subscribed()
	var got, buffer []Message
	mark := after
	last := m.journal[len(m.journal)-1].Position
	for takes := 1 + r.IntN(100); takes > 0 && mark.Position < last && !m.failed.Load(); takes-- {
		<-s.Ready()
		if r.IntN(4) == 0 { // a slow reader
			m.await(mark.Position + int64(r.IntN(60)))
		}
		var lagging bool
		buffer, mark, lagging = s.Take(buffer)
		got = append(got, buffer...)
		for lagging && !s.Rejoin(mark) {
			for _, e := range m.read(mark.Position, 1+r.IntN(20)) {
				got = append(got, s.Match(nil, &e)...)
				mark = e.Mark
			}
		}
	}
	if !slices.IsSortedFunc(got, func(a, b Message) int { return int(a.Position - b.Position) }) {
		return mark, fmt.Errorf("out of order")
	}
	if diff := difference(got, expected(m.journal, list, after.Position, mark.Position)); diff != "" {
		return mark, fmt.Errorf("above %d and up to %d, %s", after.Position, mark.Position, diff)
	}
	return mark, nil
}

// await waits until the hub is at position, or at the end.
func (m *hammer) await(position int64) {
	s := m.hub.Subscribe(m.hub.Head(), Shape{0, tree(always{}, 0), everything})
	defer s.Close()
	position = min(position, m.journal[len(m.journal)-1].Position)
	for m.hub.Head().Position < position {
		<-s.Ready()
		s.Take(nil)
	}
}

// always chooses the first: of it, tree makes an equality of the first column.
type always struct{}

func (always) IntN(int) int { return 0 }

// Readers come, go, lag and resume while events are published without pause. Each must have all that the oracle says,
// once and in order, also across its resumes.
func TestReadersAndPublisherAtOnce(t *testing.T) {
	const events = 6000
	for seed, readers := range map[uint64]int{0: 24, 1: 24, 2: 24, 3: 1} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := seeded(seed)
			m := &hammer{hub: New(Options{Ring: 64, Queue: 16, QueueBytes: 2000}), lone: readers == 1}
			for position := range int64(events) {
				m.journal = append(m.journal, event(r, position+1))
			}
			// The end wakes everybody, whatever they wait for.
			m.journal[events-1] = Event{Mark: Mark{Position: events}, Gap: true, Table: AllTables}
			var group sync.WaitGroup
			m.begin.Add(readers)
			for number := range readers {
				group.Go(func() { m.reader(t, seeded(seed*1000+uint64(number)+1)) })
			}
			m.publish(r)
			group.Wait()
			checkEmpty(t, m.hub)
			t.Logf("%+v", m.hub.Stats())
			if s := m.hub.Stats(); s.Overflows == 0 || s.Delivered == 0 || m.lone && m.skipped == 0 {
				t.Errorf("the test reached too little: %+v, skipped %d times", s, m.skipped)
			}
		})
	}
}

func (m *hammer) publish(r *rand.Rand) {
	m.begin.Wait()
	for first := 0; first < len(m.journal); {
		n := min(1+r.IntN(30), len(m.journal)-first)
		m.committed.Store(int64(min(len(m.journal), first+n+r.IntN(100))))
		if r.IntN(3) > 0 && m.hub.Skip(m.journal[first+n-1].Mark) {
			m.skipped++
		} else {
			m.hub.Publish(m.journal[first : first+n])
		}
		first += n
		runtime.Gosched() // else it would be done before a reader has run
	}
	m.committed.Store(int64(len(m.journal)))
}

// reader goes from session to session until it has seen the end.
func (m *hammer) reader(t *testing.T, r *rand.Rand) {
	last := m.journal[len(m.journal)-1].Position
	subscribed := sync.OnceFunc(m.begin.Done)
	for mark := (Mark{}); mark.Position < last; {
		if r.IntN(5) == 0 {
			mark = m.hub.Head()
			if mark.Position == last {
				return
			}
		}
		if mark.Position > 0 && (m.lone || r.IntN(4) == 0) { // stay away for a while
			for until := min(m.hub.Head().Position+int64(r.IntN(100)), last); m.hub.Head().Position < until; {
				runtime.Gosched()
			}
		}
		var err error
		if mark, err = m.session(r, mark, shapes(r), subscribed); err != nil {
			m.failed.Store(true)
			t.Error(err)
			return
		}
		if m.failed.Load() {
			return
		}
	}
}
