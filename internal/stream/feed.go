package stream

import (
	"context"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/problem"
)

// The reasons of a reset, after which a client has to read again.
const (
	identityChanged = "identity"
	expiredCursor   = "expired_cursor"
	unknownCursor   = "unknown_cursor"
	gap             = "gap"
)

// feed is what one cursor stands for: all of an SSE connection, or one subscription of a WebSocket.
//
// Its mark is how far the client has been told: each event up to it that its shapes see was handed to the output. A
// cursor goes out only when it is true: not before the rows of a snapshot, and not before a reset.
type feed struct {
	connection   *connection
	subscription *hub.Subscription
	mark         hub.Mark
	set          uint64

	// snapshot is the one whose end has not been told: its rows were sent, and changes up to Settled come without a
	// cursor, since some of them are in the rows already.
	snapshot *journal.Snapshot

	void    bool      // a gap calls for a new snapshot
	lagging bool      // the hub has left it behind: what comes next is in the journal
	wanted  bool      // a snapshot is
	retryAt time.Time // when to look at the journal or the hub again; zero: when woken
	pause   time.Duration
	beat    int64 // the position of the last heartbeat, where it is not told twice

	id     string // of the WebSocket subscription; "" where there is only one feed
	wants  []want
	since  string // the cursor to begin with
	shapes []hub.Shape
	view   view
}

// Pauses of a feed that has to look again.
const (
	settlePause   = 20 * time.Millisecond
	emptyPause    = 50 * time.Millisecond
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// prepare says what f shows, as far as its caller may see it.
func (f *feed) prepare(c *connection, id string, wants []want, p parameters) {
	f.connection, f.id, f.wants, f.wanted, f.since = c, id, wants, p.snapshot, p.since
}

// newFeed makes a feed that shows what the context's caller may see.
func (c *connection) newFeed(ctx context.Context, id string, wants []want, p parameters) *feed {
	f := &feed{}
	f.prepare(c, id, wants, p)
	f.see(ctx)
	return f
}

// see folds the rules for the context's caller, and tells whether that shows other rows than before.
func (f *feed) see(ctx context.Context) (changed bool) {
	shapes := make([]hub.Shape, len(f.wants))
	for i, w := range f.wants {
		shapes[i] = w.shape(ctx)
	}
	seen := viewOf(f.wants, shapes)
	if seen == f.view {
		return false
	}
	f.shapes, f.view, f.set = shapes, seen, seen.set()
	return true
}

// start is how a feed begins.
type start struct {
	at    hub.Mark
	reset string // why the client's cursor does not serve; "" when there is no reset
	rows  bool   // with a snapshot
}

// plan finds out how the feed begins. The error is a problem of the database.
func (f *feed) plan(ctx context.Context) (start, error) {
	s := f.connection.server
	if f.since == "" {
		return start{at: s.hub.Load().Head(), rows: f.wanted}, nil
	}
	at, state, err := s.journal.Resume(ctx, f.since, f.set)
	switch {
	case err != nil:
		return start{}, problem.Wrap(problem.Unavailable, "the cursor cannot be checked now; try again", err)
	case state == journal.OK:
		return start{at: hub.Mark(at)}, nil
	case state == journal.Expired:
		return start{at: s.hub.Load().Head(), reset: expiredCursor, rows: f.wanted}, nil
	}
	return start{at: s.hub.Load().Head(), reset: unknownCursor, rows: f.wanted}, nil
}

// begin tells the client that it is listening, and where it stands.
func (f *feed) begin(ctx context.Context, st start) error {
	out := f.connection.out
	if st.rows || st.reset != "" {
		out.ready(f, "")
		return f.restartAt(ctx, st.reset, st.at)
	}
	f.subscribe(st.at)
	out.ready(f, f.cursor(st.at))
	return nil
}

// restart begins anew, for a reason that the client is told.
func (f *feed) restart(ctx context.Context, reason string) error {
	return f.restartAt(ctx, reason, f.connection.server.hub.Load().Head())
}

func (f *feed) restartAt(ctx context.Context, reason string, at hub.Mark) error {
	f.close()
	f.snapshot, f.void, f.retryAt, f.pause = nil, false, time.Time{}, 0
	cursor := ""
	if !f.wanted {
		f.subscribe(at)
		cursor = f.cursor(at)
	}
	if reason != "" {
		// Without a cursor where rows follow: a client that breaks off among them must not resume behind them.
		f.connection.out.reset(f, reason, cursor)
	}
	if !f.wanted {
		return nil
	}
	if err := f.connection.out.drain(time.Now()); err != nil { // the rows may have to wait for others
		return err
	}
	return f.takeSnapshot(ctx)
}

func (f *feed) subscribe(at hub.Mark) {
	f.mark, f.lagging = at, false
	f.subscription = f.connection.server.hub.Load().SubscribeFor(f.connection, at, f.shapes...)
}

func (f *feed) close() {
	if f.subscription != nil {
		f.subscription.Close()
		f.subscription = nil
	}
}

func (f *feed) cursor(at hub.Mark) string {
	return f.connection.server.cursor(at, f.set)
}

// cursor is one that was written: those who see the same get it with the same change.
type cursor struct {
	hub  *hub.Hub // another one, another journal
	at   hub.Mark
	set  uint64
	text string
}

// cursor returns the newest cursor again, or writes a new one.
func (s *Server) cursor(at hub.Mark, set uint64) string {
	h := s.hub.Load()
	if c := s.newest.Load(); c != nil && c.hub == h && c.at == at && c.set == set {
		return c.text
	}
	c := &cursor{h, at, set, s.journal.Token(journal.Mark(at), set)}
	s.newest.Store(c)
	return c.text
}

// step takes what the hub has, or a page of the journal where the feed lags. again tells that there is more to take.
func (f *feed) step(ctx context.Context) (again bool, err error) {
	if f.subscription == nil || !f.retryAt.IsZero() && time.Now().Before(f.retryAt) {
		return false, nil // it was dropped in this round, or is waiting
	}
	f.retryAt = time.Time{}
	if !f.void && !f.lagging {
		if err := f.take(ctx); err != nil {
			return false, err
		}
	}
	switch {
	case f.void:
		return true, f.restart(ctx, gap)
	case f.lagging:
		return f.catchUp(ctx)
	case f.snapshot != nil:
		f.retryAt = time.Now().Add(settlePause) // the head moves without waking those who have no messages
	}
	return false, nil
}

// simple tells whether all that there is to do is to take what the hub has.
func (f *feed) simple() bool {
	return f.subscription != nil && !f.void && !f.lagging && f.snapshot == nil && f.retryAt.IsZero()
}

// take delivers what the hub has; then the feed may lag or be void. The connection ends with an error.
func (f *feed) take(ctx context.Context) error {
	pool := &f.connection.server.messages
	buffer := pool.Get().(*[]hub.Message) //nolint:errcheck,forcetypeassert // New makes nothing else
	err := f.takeInto(ctx, buffer)
	clear(*buffer)
	pool.Put(buffer)
	if err != nil {
		f.connection.failed = err
	}
	return err
}

func (f *feed) takeInto(ctx context.Context, buffer *[]hub.Message) (err error) {
	subscription := f.subscription
	messages, mark, lagging := subscription.Take(*buffer)
	*buffer = messages
	// What is published after a Recheck is not for who fails it: it is looked for after Take, not before.
	if f.connection.asked.Load() != 0 {
		if err := f.connection.attend(ctx); err != nil || f.subscription != subscription {
			return err
		}
	}
	f.lagging = lagging
	f.void, err = f.deliver(messages, mark, true)
	return err
}

// deliver hands messages to the output; all up to mark is then told. It is void from a gap on that calls for a new
// snapshot. With drain set, the client must take them a chunk at a time.
func (f *feed) deliver(messages []hub.Message, mark hub.Mark, drain bool) (void bool, err error) {
	out := f.connection.out
	told := f.mark.Position
	for i := range messages {
		m := &messages[i]
		switch {
		case m.Kind == hub.Reset && f.wanted:
			return true, nil
		case m.Kind == hub.Reset:
			if m.Position > told { // one for all shapes
				out.reset(f, gap, f.cursor(m.Mark))
			}
		case f.snapshot == nil:
			out.change(f, m.Data, f.cursor(m.Mark))
		case !f.snapshot.Sees(m.Position, m.Source):
			out.change(f, m.Data, "")
		}
		told = m.Position
		if drain && out.collected() >= chunk {
			if err := out.drain(time.Now()); err != nil {
				return false, err
			}
		}
	}
	f.mark = mark
	if f.snapshot != nil && mark.Position >= f.snapshot.Settled {
		f.snapshot = nil
		out.snapshotEnd(f, f.cursor(mark))
	}
	return false, nil
}

// heartbeat tells the client how far it is.
func (f *feed) heartbeat() {
	if f.snapshot == nil {
		f.connection.out.heartbeat(f, f.cursor(f.mark))
	} else {
		f.connection.out.heartbeat(f, "")
	}
}
