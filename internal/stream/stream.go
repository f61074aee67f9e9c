// Package stream serves live changes over HTTP: server-sent events, and WebSocket where the request asks for the upgrade.
//
// A connection is one goroutine (two with WebSocket), its loop, that owns one or more feeds. A feed is a hub subscription with a
// cursor: it begins with the newest change, with a cursor of the client's or with a snapshot of the rows, takes what the
// hub has for it, and goes to the journal when it was too slow for the hub's queue:
//
//	request → identity → filter → feed: (ready) → (snapshot) → hub ⇄ journal → output: SSE or WebSocket
//
// What the hub has is mostly written by a few workers, in the places of loops that wait: see turns and workers. All else
// is the loop's, and what takes long becomes its.
//
// The hub's bytes are shared by all who see a change; only the cursor beside them is a connection's own. A connection
// keeps its queue, one buffer while it writes, and nothing that grows: who does not read is stopped by the deadline of a
// write, and can resume.
package stream

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/query"
)

// Journal is what streams need of the change table.
type Journal interface {
	// Token writes a cursor for the set of shapes that a connection or subscription has.
	Token(at journal.Mark, set uint64) string
	// Resume reads a cursor that a client sent; the error is the database's.
	Resume(ctx context.Context, token string, set uint64) (journal.Mark, journal.State, error)
	// Read returns the entries after a position as the events that the hub would be given, each one, at most limit, in
	// order. It fails with journal.ErrPruned when the position is below the floor.
	Read(ctx context.Context, after int64, limit int) ([]hub.Event, error)
	// Snapshot runs fn in one consistent read of tables and tells how a stream goes on from it. It may run fn again.
	Snapshot(ctx context.Context, tables []int, fn func(ctx context.Context, rows Rows) error) (journal.Snapshot, error)
}

// Rows visits the rows of a resource's table for which where holds; a row is the callback's until it returns.
type Rows func(ctx context.Context, table int, where *predicate.Expr, visit func(row []predicate.Value) error) error

// Resource is a published model whose changes can be subscribed to.
type Resource struct {
	Name  string // in paths, tables= and events, without slashes
	Table int    // of hub events
	Model *model.Model
	// Visible is the read rule of the context's identity, folded, for rows that were not deleted softly.
	Visible func(ctx context.Context) *predicate.Expr
	Query   query.Limits
}

// Options configures New.
type Options struct {
	Hub       *hub.Hub
	Journal   Journal
	Resources []Resource
	// Authenticate asks the authenticators for the identity of a stream's own request, once more. The request's context
	// still carries the identity that it began with; one that no authenticator gave (tests do that) is to be returned
	// as it is. A problem with code unauthenticated ends the stream; any other error leaves it as it is.
	Authenticate func(*http.Request) (auth.Identity, error)
	// Refused, where it is set, hears of what answers 403, or 401 in its place, with the pattern of its route.
	Refused func(ctx context.Context, route string, e *problem.Error)
	Logger  *slog.Logger // default slog.Default()
	Origins []string     // other origins whose pages may open a WebSocket
	Limits  Limits
}

// Limits bounds streams; zero fields take the defaults.
type Limits struct {
	Streams       int           // open in all; default 50,000
	StreamsEach   int           // per identity, or per address of anonymous callers; default 100
	Subscriptions int           // on one WebSocket; default 100
	Message       int64         // bytes that a WebSocket client sends at once; default 64 KiB
	WriteTimeout  time.Duration // within which a client must take 16 KiB, or 256 KiB of a snapshot; default 30 s
	Heartbeat     time.Duration // after which a quiet stream says that it lives, and how far it is; default 15 s
	Recheck       time.Duration // after which the authenticators are asked again; default 1 min
	AuthTime      time.Duration // for a WebSocket's auth message; default 10 s
	Drain         time.Duration // for what is being written when a stream ends; default 5 s
	Page          int           // journal entries that a slow reader fetches at once; default 500
	CatchUps      int           // of those fetches at one time, in all; default 4
	Snapshots     int           // snapshots being read at one time, in all; default 2: each holds a connection
	SnapshotTime  time.Duration // for one of them, until the client has it; default 5 min
	Checks        int           // requests whose identity is being checked again at one time; default 16
}

func (l Limits) withDefaults() Limits {
	for _, limit := range []struct {
		value    *int
		fallback int
	}{
		{&l.Streams, 50_000}, {&l.StreamsEach, 100}, {&l.Subscriptions, 100}, {&l.Page, 500}, {&l.CatchUps, 4},
		{&l.Snapshots, 2}, {&l.Checks, 16},
	} {
		if *limit.value <= 0 {
			*limit.value = limit.fallback
		}
	}
	for _, limit := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&l.WriteTimeout, 30 * time.Second}, {&l.Heartbeat, 15 * time.Second}, {&l.Recheck, time.Minute},
		{&l.AuthTime, 10 * time.Second}, {&l.Drain, 5 * time.Second}, {&l.SnapshotTime, 5 * time.Minute},
	} {
		if *limit.value <= 0 {
			*limit.value = limit.fallback
		}
	}
	if l.Message <= 0 {
		l.Message = 64 << 10
	}
	return l
}

// Server is the streams of one backend. They live in the goroutines of their requests; workers live while there is
// something to write.
type Server struct {
	journal      Journal
	authenticate func(*http.Request) (auth.Identity, error)
	refused      func(ctx context.Context, route string, e *problem.Error)
	logger       *slog.Logger
	origins      []string
	limits       Limits
	resources    map[string]*resource
	hub          atomic.Pointer[hub.Hub]

	pages                       pages
	workers                     *workers
	newest                      atomic.Pointer[cursor]
	catchUps, snapshots, checks semaphore
	buffers, messages           sync.Pool // of *[]byte and *[]hub.Message
	blind                       sync.Once // for the warning about writers without deadlines

	registry
}

// New prepares the streams of o.Resources. Their rules are asked for when a client subscribes.
func New(o Options) *Server {
	s := &Server{
		journal:      o.Journal,
		authenticate: o.Authenticate,
		refused:      o.Refused,
		logger:       o.Logger,
		origins:      o.Origins,
		limits:       o.Limits.withDefaults(),
		resources:    make(map[string]*resource, len(o.Resources)),
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	s.hub.Store(o.Hub)
	s.workers = newWorkers()
	s.catchUps = make(semaphore, s.limits.CatchUps)
	s.snapshots = make(semaphore, s.limits.Snapshots)
	s.checks = make(semaphore, s.limits.Checks)
	s.buffers.New = func() any { return new([]byte) }
	s.messages.New = func() any { return new([]hub.Message) }
	s.open = map[*connection]struct{}{}
	s.counts = map[string]int{}
	s.idle = make(chan struct{})
	for _, r := range o.Resources {
		s.resources[r.Name] = newResource(r)
	}
	return s
}

// Resource serves one resource's changes, which the URL's parameters may filter. The request's context has the caller's
// identity. It panics when New was not given the resource.
func (s *Server) Resource(name string) http.Handler {
	r := s.resources[name]
	if r == nil {
		panic(fmt.Sprintf("stream: there is no resource %q", name))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if wantsWebSocket(req) {
			s.serveWebSocket(w, req, r)
			return
		}
		s.serveEvents(w, req, r)
	})
}

// Multi serves the changes of several resources: of those in tables=, or of those that a WebSocket client subscribes to.
func (s *Server) Multi() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if wantsWebSocket(req) {
			s.serveWebSocket(w, req, nil)
			return
		}
		s.serveEvents(w, req, nil)
	})
}

// Rebase moves all streams to another hub, after the journal was replaced by another one: each is reset.
func (s *Server) Rebase(h *hub.Hub) {
	s.hub.Store(h)
	for _, c := range s.connections() {
		c.tell(rebase)
	}
}

// Recheck runs the authenticators again for the streams whose identity matches, or for all when match is nil: a stream
// goes on, is reset or ends. Nothing more is sent on it until that is decided. It does not wait.
func (s *Server) Recheck(match func(auth.Identity) bool) {
	s.noteRecheck()
	for _, c := range s.connections() {
		if match == nil || match(*c.identity.Load()) {
			c.tell(recheck)
		}
	}
}

// semaphore bounds what is done at one time.
type semaphore chan struct{}

func (s semaphore) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s semaphore) release() { <-s }
