package stream

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// stallTime is how long a turn may hold a worker up before another one goes on with those that wait.
	stallTime = 4 * time.Millisecond
	// mostWorkers bounds those that are started at once in the places of others.
	mostWorkers = 256
	// lateness is how often the watch rings until there is one more worker than usual.
	lateness = 32
	// turnsAtOnce is how many turns a worker takes by one look at the clock.
	turnsAtOnce = 8
)

// workers are a few goroutines that take turns for the connections that the hub wakes, in its order. They live while
// there are some.
//
// A client that does not read holds up the worker that writes to it, for Limits.WriteTimeout perhaps. Nobody waits for
// that: another worker takes its place soon, and the next turns of that connection are its loop's.
type workers struct {
	mu      sync.Mutex
	waiting []*connection
	served  int       // of those, at the beginning
	working []*worker // without those that are held up
	most    int       // of them
	behind  int       // times that the watch rang since there were none
	watch   *time.Timer
}

// usualWorkers is how many there are: half of the processors are left to requests, and to who receives on the same
// machine. Two that write at the same time also cost more than one that writes twice.
func usualWorkers() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// worker is one goroutine.
type worker struct {
	connection *connection // whose turn it takes
	turns      int
	watched    int // turns, when watch last rang
	replaced   bool
}

func newWorkers() *workers {
	p := &workers{}
	p.watch = time.AfterFunc(time.Hour, p.replace)
	p.watch.Stop()
	return p
}

// add has a worker take a turn for c soon.
func (p *workers) add(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == cap(p.waiting) && 2*p.served > len(p.waiting) {
		p.waiting, p.served = slices.Delete(p.waiting, 0, p.served), 0
	}
	p.waiting = append(p.waiting, c)
	if len(p.working) == 0 {
		p.most, p.behind = usualWorkers(), 0
		p.watch.Reset(stallTime)
	}
	if len(p.working) < p.most {
		p.start()
	}
}

func (p *workers) start() {
	w := &worker{}
	p.working = append(p.working, w)
	go p.work(w)
}

func (p *workers) work(w *worker) {
	var now time.Time
	for c := p.next(w); c != nil; c = p.next(w) {
		if w.turns%turnsAtOnce == 1 {
			now = time.Now()
		}
		c.serve(now)
	}
}

// next returns who is served next, or nil when the worker is not needed any more.
func (p *workers) next(w *worker) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.replaced {
		return nil
	}
	if p.served == len(p.waiting) || len(p.working) > p.most {
		p.remove(w)
		return nil
	}
	w.connection = p.waiting[p.served]
	w.turns++
	p.waiting[p.served] = nil
	if p.served++; p.served == len(p.waiting) {
		p.waiting, p.served = p.waiting[:0], 0
	}
	return w.connection
}

func (p *workers) remove(w *worker) {
	p.working = slices.DeleteFunc(p.working, func(other *worker) bool { return other == w })
	if len(p.working) == 0 {
		p.watch.Stop()
	}
}

// replace replaces the workers that have ended no turn since it last looked, by twice as many: clients that stop reading
// may be many, and follow each other.
func (p *workers) replace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind++
	usual := min(usualWorkers()+p.behind/lateness, runtime.GOMAXPROCS(0))
	stalled := false
	for _, w := range slices.Clone(p.working) {
		if w.turns == w.watched && w.connection != nil {
			w.connection.slow.Store(probation)
			w.replaced, stalled = true, true
			p.remove(w)
		}
		w.watched = w.turns
	}
	if stalled {
		p.most = min(2*p.most, max(usual, mostWorkers))
	} else {
		p.most = usual
	}
	for n := len(p.waiting) - p.served; n > 0 && len(p.working) < p.most; n-- {
		p.start()
	}
	if len(p.working) > 0 {
		p.watch.Reset(stallTime)
	}
}
