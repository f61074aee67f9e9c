package child

import (
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// slow is a handler of a process that uses a share more processor time than it needs: 0.2 is a fifth more. It reckons over the whole
// process, so that what net/http, the garbage collector and the kernel do for a request counts too.
type slow struct {
	http.Handler
	share    float64
	requests atomic.Int64

	mu     sync.Mutex
	begun  bool
	start  time.Duration // the process's time at the first payment
	wasted time.Duration
}

// ServeHTTP implements http.Handler.
func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Handler.ServeHTTP(w, r)
	const together = 16 // requests: to look at the clocks for each would itself cost a tenth of a short one
	if s.requests.Add(1)%together != 0 {
		return
	}
	if err := s.pay(); err != nil {
		slog.Error("slow down", "error", err)
	}
}

// pay wastes what is owed for what the process has done.
func (s *slow) pay() error {
	runtime.LockOSThread() // whose time is read
	defer runtime.UnlockOSThread()
	begin, err := threadTime()
	if err != nil {
		return err
	}
	used, err := processTime()
	if err != nil {
		return err
	}
	owed := s.borrow(used)
	now := begin
	for err == nil && now < begin+owed {
		now, err = threadTime()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wasted += now - begin - owed
	return err
}

// borrow returns how much is to be wasted, and counts it as done.
func (s *slow) borrow(used time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun, s.start = true, used
	}
	needed := used - s.start - s.wasted
	owed := max(0, time.Duration(s.share*float64(needed))-s.wasted)
	s.wasted += owed
	return owed
}
