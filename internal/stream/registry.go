package stream

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/problem"
)

// recheckWindow is how long a request may take from its authentication to its stream: a Recheck in between has missed
// it, so streams that begin so soon after one are checked again.
const recheckWindow = 10 * time.Second

// registry knows the open streams.
type registry struct {
	mu       sync.Mutex
	open     map[*connection]struct{}
	counts   map[string]int // of open streams by whom they belong to
	checked  time.Time      // the last Recheck
	ended    bool
	idle     chan struct{} // closed when streams have ended and none is left
	deadline *time.Timer   // of the streams that end
}

// enter counts a stream, or says why there may be none more.
func (s *Server) enter(c *connection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return problem.New(problem.Unavailable, "the server is shutting down; connect again")
	case len(s.open) >= s.limits.Streams:
		return problem.Newf(problem.RateLimited, "expected at most %d open streams in all", s.limits.Streams)
	case s.counts[c.owner] >= s.limits.StreamsEach:
		return s.tooMany()
	}
	s.open[c] = struct{}{}
	s.counts[c.owner]++
	if time.Since(s.checked) < recheckWindow {
		c.tell(recheck)
	}
	return nil
}

func (s *Server) tooMany() error {
	return problem.Newf(problem.RateLimited, "expected at most %d open streams of one caller", s.limits.StreamsEach)
}

// move counts a stream for another owner, who signed in over it.
func (s *Server) move(c *connection, owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner == c.owner {
		return nil
	}
	if s.counts[owner] >= s.limits.StreamsEach {
		return s.tooMany()
	}
	s.uncount(c.owner)
	c.owner = owner
	s.counts[owner]++
	return nil
}

func (s *Server) uncount(owner string) {
	if s.counts[owner]--; s.counts[owner] == 0 {
		delete(s.counts, owner)
	}
}

func (s *Server) leave(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.uncount(c.owner)
	if s.ended && len(s.open) == 0 {
		s.finish()
	}
}

func (s *Server) finish() {
	s.deadline.Stop()
	close(s.idle)
}

func (s *Server) connections() []*connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*connection, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	return all
}

func (s *Server) noteRecheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked = time.Now()
}

// Streams is the number of open streams.
func (s *Server) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// EndStreams ends all streams after what is queued for them, and refuses new ones: clients connect elsewhere and
// resume. It does not wait; what a client has not taken within Limits.Drain is cut off.
func (s *Server) EndStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.deadline = time.AfterFunc(s.limits.Drain, s.abort)
	for c := range s.open {
		c.tell(end)
	}
	if len(s.open) == 0 {
		s.finish()
	}
}

// Close ends all streams and waits until they have ended. When ctx is done first, they are cut off.
func (s *Server) Close(ctx context.Context) error {
	s.EndStreams()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
	}
	s.abort()
	<-s.idle
	return ctx.Err()
}

func (s *Server) abort() {
	for _, c := range s.connections() {
		c.cut()
	}
}

// ownerOf is whom a stream counts for: its identity, or the address of an anonymous one. A network of IPv6 counts as
// one address, since anybody has as many as they like.
func ownerOf(ctx context.Context, id auth.Identity) string {
	if id.ID != "" {
		return "id " + id.ID
	}
	const network = 64
	address := caller.RequestOf(ctx).Address
	if address.Is6() && !address.Is4In6() {
		return "net " + netip.PrefixFrom(address.WithZone(""), network).Masked().String()
	}
	return "net " + address.Unmap().String()
}
