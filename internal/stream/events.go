package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/problem"
)

// eventStream is a connection with all that it needs, in one piece: what a delivery costs beside the write is mostly to
// wait for memory, which comes faster from one place.
type eventStream struct {
	connection connection
	out        eventOutput
	feed       feed
	feeds      [1]*feed
}

// serveEvents answers with server-sent events until the client is gone, or with a problem.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, res *resource) {
	if err := s.events(w, r, res); err != nil {
		s.fail(w, r, err)
	}
}

// events returns an error while the answer has not begun. It leaves all but the waiting to others: what is on the stack
// of a stream that waits decides how large that is, for each of them.
func (s *Server) events(w http.ResponseWriter, r *http.Request, res *resource) error {
	e, err := s.newEventStream(w, r, res)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		e.out.header()
		w.WriteHeader(http.StatusOK)
		return nil
	}
	c := &e.connection
	ctx := c.open(s, r, e.out.interrupt)
	defer c.cancel()
	if err := s.enter(c); err != nil {
		return err
	}
	defer c.close()
	begun, err := e.begin(ctx)
	if !begun {
		return err
	}
	if err == nil {
		err = c.run(ctx)
	}
	e.out.end(ctx, err)
	return nil
}

func (s *Server) newEventStream(w http.ResponseWriter, r *http.Request, res *resource) (*eventStream, error) {
	wants, p, err := s.parse(r, res)
	if err != nil {
		return nil, err
	}
	e := &eventStream{out: eventOutput{server: s, w: w, control: http.NewResponseController(w), lift: r.ProtoMajor != 1}}
	e.connection.out, e.feeds[0] = &e.out, &e.feed
	e.feed.prepare(&e.connection, "", wants, p)
	return e, nil
}

// begin begins the answer and the feed. It tells whether the answer has begun; then the client is told of an error.
func (e *eventStream) begin(ctx context.Context) (begun bool, err error) {
	c, f := &e.connection, &e.feed
	if err := c.attend(ctx); err != nil {
		return false, err
	}
	f.see(c.caller())
	st, err := f.plan(ctx)
	if err != nil {
		return false, err
	}
	if err := e.out.open(); err != nil {
		return false, err
	}
	c.feeds = e.feeds[:]
	return true, f.begin(ctx, st)
}

// fail answers with the problem in err.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := s.problem(r.Context(), err)
	s.note(r, e)
	if auth.From(r.Context()).ID == "" {
		e = e.ForAnonymous()
	}
	request := caller.RequestOf(r.Context())
	e.Write(w, request.ID, request.Trace)
}

// note tells of a refusal, for the audit trail.
func (s *Server) note(r *http.Request, e *problem.Error) {
	if e.Code == problem.Permission && s.refused != nil {
		s.refused(r.Context(), r.Pattern, e)
	}
}

// problem is what the client may know of err; the log gets the rest.
func (s *Server) problem(ctx context.Context, err error) *problem.Error {
	var e *problem.Error
	if !errors.As(err, &e) {
		e = problem.Wrap(problem.Internal, "something went wrong; the log has the request's id", err)
	}
	if e.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		s.logger.ErrorContext(ctx, "stream failed", "error", err, "request", caller.RequestOf(ctx).ID)
	}
	return e
}

// ofRequest names the context's request in a problem.
func ofRequest(ctx context.Context, e *problem.Error) *problem.Error {
	request := caller.RequestOf(ctx)
	return e.For(request.ID, request.Trace)
}

// eventOutput writes server-sent events.
type eventOutput struct {
	server  *Server
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  *[]byte   // nil when there is nothing to write
	written time.Time // when the last write began
	until   time.Time // the deadline
	lift    bool      // the deadline after each write: HTTP/2 ends a stream at it, written to or not

	mu      sync.Mutex // deadlines are set by the loop, and by who cuts the connection
	blocked bool       // by interrupt
	ended   bool       // the connection is the server's again
	blind   bool       // the writer knows no deadlines
}

// header sets what proxies and browsers must know. X-Accel-Buffering is nginx's.
func (o *eventOutput) header() {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// open begins the answer. It fails where a middleware's writer hides that the connection can be flushed.
func (o *eventOutput) open() error {
	// The server's time-outs are for requests and answers that end.
	if err := o.control.SetReadDeadline(time.Time{}); err != nil {
		o.unseeing(err)
	}
	o.header()
	o.extend(time.Now())
	if err := o.control.Flush(); errors.Is(err, http.ErrNotSupported) {
		for _, name := range [...]string{"Content-Type", "X-Accel-Buffering"} {
			o.w.Header().Del(name)
		}
		return fmt.Errorf("a middleware's http.ResponseWriter has neither Flush nor Unwrap: %w", err)
	}
	o.written = time.Now()
	return nil
}

// unseeing notes that deadlines cannot be set. Only http.ErrNotSupported says so: another error is the connection's own.
func (o *eventOutput) unseeing(err error) {
	if !errors.Is(err, http.ErrNotSupported) {
		return
	}
	o.blind = true
	o.server.blind.Do(func() {
		o.server.logger.Warn("a middleware's http.ResponseWriter has no Unwrap: clients that stop reading keep their streams", "error", err)
	})
}

// extend gives the client the time for a chunk. A deadline that is nearly as far is left: to set one has its cost.
func (o *eventOutput) extend(now time.Time) {
	if o.until.Sub(now) < o.server.limits.WriteTimeout*3/4 {
		o.deadline(now.Add(o.server.limits.WriteTimeout))
	}
}

// deadline bounds the next writes; the zero time lifts it.
func (o *eventOutput) deadline(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until = at
	if o.blocked || o.blind {
		return
	}
	if err := o.control.SetWriteDeadline(at); err != nil {
		o.unseeing(err)
	}
}

// interrupt makes a write that blocks fail, and all later ones.
func (o *eventOutput) interrupt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	o.blocked = true
	_ = o.control.SetWriteDeadline(time.Unix(1, 0)) // where it is not possible there is nothing else to do
}

var errWrite = errors.New("stream: the client does not take what is sent")

// drain writes what was collected, a chunk under each deadline. The time is the caller's, since to ask for it costs as
// much as most else that is done here.
func (o *eventOutput) drain(now time.Time) error {
	if o.buffer == nil {
		return nil
	}
	defer o.release()
	o.written = now
	for rest := *o.buffer; len(rest) > 0; {
		n := min(len(rest), chunk)
		o.extend(now)
		if _, err := o.w.Write(rest[:n]); err != nil {
			return fmt.Errorf("%w: %w", errWrite, err)
		}
		if rest = rest[n:]; len(rest) > 0 {
			now = time.Now()
		}
	}
	if err := o.control.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	if o.lift {
		o.deadline(time.Time{})
	}
	return nil
}

func (o *eventOutput) release() {
	if cap(*o.buffer) <= 2*keptBuffer {
		*o.buffer = (*o.buffer)[:0]
		o.server.buffers.Put(o.buffer)
	}
	o.buffer = nil
}

func (o *eventOutput) collected() int {
	if o.buffer == nil {
		return 0
	}
	return len(*o.buffer)
}

func (o *eventOutput) last() time.Time { return o.written }

// event collects one; an empty name is the one that onmessage gets.
func (o *eventOutput) event(name, cursor string, data []byte) {
	if o.buffer == nil {
		o.buffer = o.server.buffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // New makes nothing else
	}
	b := *o.buffer
	if name != "" {
		b = append(append(append(b, "event: "...), name...), '\n')
	}
	if cursor != "" {
		b = append(append(append(b, "id: "...), cursor...), '\n')
	}
	b = append(append(append(b, "data: "...), data...), '\n', '\n')
	*o.buffer = b
}

func (o *eventOutput) ready(_ *feed, cursor string) { o.event("ready", cursor, []byte("{}")) }

func (o *eventOutput) change(_ *feed, data []byte, cursor string) { o.event("", cursor, data) }

func (o *eventOutput) snapshotEnd(_ *feed, cursor string) {
	o.event("snapshot-end", cursor, []byte("{}"))
}

func (o *eventOutput) reset(_ *feed, reason, cursor string) {
	o.event("reset", cursor, []byte(`{"reason":"`+reason+`"}`))
}

func (o *eventOutput) heartbeat(_ *feed, cursor string) { o.event("cursor", cursor, []byte("{}")) }

// alive has nothing to add: the feed's heartbeat was written.
func (o *eventOutput) alive() {}

func (o *eventOutput) problem(_ *feed, p *problem.Error) { o.event("problem", "", problemJSON(p)) }

// problemJSON writes a problem without line breaks.
func problemJSON(p *problem.Error) []byte {
	data, err := json.Marshal(p)
	if err != nil { // a struct of strings cannot fail
		return []byte(`{"status":500,"code":"internal"}`)
	}
	return data
}

// end tells the client why the stream ends, where it is not the client that ended it.
func (o *eventOutput) end(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, errEnded) && !errors.Is(err, errWrite) {
		o.problem(nil, ofRequest(ctx, o.server.problem(ctx, err)))
	}
	if err := o.drain(time.Now()); err != nil {
		o.server.logger.DebugContext(ctx, "a stream broke off", "error", err, "request", caller.RequestOf(ctx).ID)
	}
	o.extend(time.Now()) // for net/http's last bytes
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}
