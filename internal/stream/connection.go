package stream

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/problem"
)

// connection is one client's stream, with all its feeds. Who has its turn owns it: its loop, or a worker while the loop
// waits. Others only tell and cut it.
type connection struct {
	turns   // first, with what each delivery needs
	alarm   alarm
	feeds   []*feed
	out     output
	server  *Server
	request *http.Request   // whose credentials are checked; its context lives as long as the connection
	owner   string          // whom it counts for, by the registry's lock
	ctx     context.Context // done when the connection is cut
	ready   chan struct{}   // receives when there is something for the loop

	identity atomic.Pointer[auth.Identity]
	commands chan command // of a WebSocket client; nil for SSE

	cancel    context.CancelFunc
	interrupt func() // makes writes fail, also one that blocks

	now     time.Time // when the loop last woke
	ending  bool      // after what is queued
	checkAt time.Time // when the authenticators are asked again
	limit   time.Time // for the client to say who it is; zero: none
}

// What others ask of a connection.
const (
	recheck uint32 = 1 << iota
	rebase
	silent // a ping was not answered
	end    // the server ends its streams
	rang   // its own alarm
)

// command is a WebSocket client's message, or the end of them.
type command interface {
	run(ctx context.Context, c *connection) error
}

// output writes what feeds have to say. Its methods collect; drain writes, and is told the time.
type output interface {
	// A cursor is "" where the client is to keep the one that it has.
	ready(f *feed, cursor string)
	change(f *feed, data []byte, cursor string)
	snapshotEnd(f *feed, cursor string)
	reset(f *feed, reason, cursor string)
	heartbeat(f *feed, cursor string)
	problem(f *feed, p *problem.Error) // f is nil when the connection ends with it

	collected() int // bytes
	drain(now time.Time) error
	last() time.Time // when something was written
	alive()          // a sign of life where there is no feed to give one
}

// errEnded ends a connection of a server that is shutting down.
var errEnded = errors.New("the server is shutting down")

// keptBuffer is the largest buffer that a pool keeps, and chunk what is written under one deadline.
const (
	keptBuffer = 64 << 10
	chunk      = 16 << 10
)

// open prepares a connection for the request's caller. The context is done when the connection is cut.
func (c *connection) open(s *Server, r *http.Request, interrupt func()) context.Context {
	c.turn.Lock() // the loop's
	c.server, c.request, c.interrupt = s, r, interrupt
	c.ctx, c.cancel = context.WithCancel(r.Context())
	c.ready = make(chan struct{}, 1)
	c.scheduleCheck()
	id := auth.From(c.ctx)
	c.identity.Store(&id)
	c.owner = ownerOf(c.ctx, id)
	return c.ctx
}

// scheduleCheck sets when the authenticators are asked again, not at the same time for all who connected together.
func (c *connection) scheduleCheck() {
	every := c.server.limits.Recheck
	c.checkAt = time.Now().Add(every - rand.N(every/8+1)) //nolint:gosec // nobody gains by guessing it
}

// caller is the context's caller as it is now.
func (c *connection) caller() context.Context {
	return auth.With(c.request.Context(), *c.identity.Load())
}

// feed finds a subscription by its id.
func (c *connection) feed(id string) *feed {
	for _, f := range c.feeds {
		if f.id == id {
			return f
		}
	}
	return nil
}

// drop ends a subscription. Loops over the feeds go on with those that they began with.
func (c *connection) drop(f *feed) {
	f.close()
	c.feeds = slices.DeleteFunc(slices.Clone(c.feeds), func(other *feed) bool { return other == f })
}

// survive keeps a problem of one subscription from ending the others.
func (c *connection) survive(ctx context.Context, f *feed, err error) error {
	var p *problem.Error
	if f.id == "" || c.failed != nil || !errors.As(err, &p) {
		return err
	}
	c.drop(f)
	c.out.problem(f, ofRequest(ctx, c.server.problem(ctx, p)))
	return nil
}

// close gives back what the connection holds.
func (c *connection) close() {
	for _, f := range c.feeds {
		f.close()
	}
	c.server.leave(c)
}

// tell asks the loop for something; workers leave the connection to it.
func (c *connection) tell(what uint32) {
	c.asked.Or(what)
	c.wake()
}

// wake wakes the loop. The hub has a method of its own.
func (c *connection) wake() {
	select {
	case c.ready <- struct{}{}:
	default: // it was woken before and has not looked yet
	}
}

// cut ends the connection at once.
func (c *connection) cut() {
	c.cancel()
	c.interrupt()
}

// run serves the feeds until the client is gone, the server ends, or an error is the client's to know: a *problem.Error
// or a *closing.
func (c *connection) run(ctx context.Context) error {
	c.alarm.ring = time.AfterFunc(math.MaxInt64, func() { c.tell(rang) })
	defer c.alarm.ring.Stop()
	defer context.AfterFunc(ctx, c.wake)()
	for {
		if c.panicked != nil {
			panic(c.panicked)
		}
		if c.failed != nil {
			return c.failed
		}
		if err := c.attend(ctx); err != nil {
			return err
		}
		again, err := c.round(ctx)
		if err == nil {
			err = c.out.drain(time.Now())
		}
		switch {
		case err != nil:
			return err
		case c.ending:
			return errEnded // all that was queued is written; a client that lags can resume
		case again:
			c.wake()
		default:
			c.alarm.set(c.due())
		}
		c.prove()
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits until there is something to do, and does what the client of a WebSocket asks for. The end of the context
// wakes too: where there is one thing to wait for, it costs half as much.
func (c *connection) wait(ctx context.Context) error {
	if c.commands != nil {
		return c.waitOrObey(ctx)
	}
	c.turn.Unlock()
	<-c.ready
	c.turn.Lock()
	return ctx.Err()
}

func (c *connection) waitOrObey(ctx context.Context) error {
	c.turn.Unlock()
	select {
	case <-c.ready:
		c.turn.Lock()
		return ctx.Err()
	case command := <-c.commands:
		c.turn.Lock()
		return command.run(ctx, c)
	}
}

// alarm is a timer that is seldom set: one that rings too early wakes the loop for nothing, and is then set again. It
// tells the loop, which a timer's channel would cost more at each turn.
type alarm struct {
	ring *time.Timer
	at   time.Time // zero when it rang
}

func (a *alarm) set(at time.Time) {
	if a.at.IsZero() || at.Before(a.at) {
		a.at = at
		a.ring.Reset(time.Until(at))
	}
}

// round lets each feed go one step, and says that the connection lives when it was quiet. It tells whether there is more
// to do at once.
func (c *connection) round(ctx context.Context) (again bool, err error) {
	for _, f := range c.feeds {
		more, err := f.step(ctx)
		if err := c.survive(ctx, f, err); err != nil {
			return false, err
		}
		again = again || more
	}
	if c.now.Sub(c.out.last()) >= c.server.limits.Heartbeat && c.out.collected() == 0 {
		for _, f := range c.feeds {
			f.heartbeat()
		}
		c.out.alive()
	}
	return again, nil
}

// due is when the loop has something to do without being woken.
func (c *connection) due() time.Time {
	due := c.out.last().Add(c.server.limits.Heartbeat)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	earlier(c.checkAt)
	earlier(c.limit)
	earlier(c.identity.Load().Expires)
	for _, f := range c.feeds {
		earlier(f.retryAt)
	}
	return due
}

// attend does what others asked for, and checks the identity when its time has come.
func (c *connection) attend(ctx context.Context) error {
	c.now = time.Now()
	var asked uint32
	if c.asked.Load() != 0 {
		asked = c.asked.Swap(0)
	}
	c.ending = c.ending || asked&end != 0
	if asked&rang != 0 {
		c.alarm.at = time.Time{}
	}
	if asked&rebase != 0 {
		for _, f := range c.feeds {
			if err := c.survive(ctx, f, f.restart(ctx, unknownCursor)); err != nil {
				return err
			}
		}
	}
	if asked&silent != 0 {
		return &closing{statusSlow, "a ping was not answered"}
	}
	if !c.limit.IsZero() && !c.now.Before(c.limit) {
		return &closing{statusSlow, "no auth message came"}
	}
	if asked&recheck != 0 || c.expired() || !c.now.Before(c.checkAt) {
		return c.check(ctx)
	}
	return nil
}

func (c *connection) expired() bool {
	expires := c.identity.Load().Expires
	return !expires.IsZero() && !time.Now().Before(expires)
}

// checkTime bounds how long an authenticator may hold a stream up.
const checkTime = 10 * time.Second

// check asks the authenticators again. Nothing is sent meanwhile: the answer may be that nothing may be.
func (c *connection) check(ctx context.Context) error {
	c.scheduleCheck()
	id, err := c.ask(ctx, c.request)
	switch {
	case err == nil:
		return c.become(ctx, id)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, problem.New(problem.Unauthenticated, "")):
		return err
	case c.expired():
		return errExpired()
	}
	// A session store that is down ends nothing.
	c.server.logger.WarnContext(ctx, "the identity of a stream cannot be checked", "error", err, "request", caller.RequestOf(ctx).ID)
	return nil
}

// ask asks the authenticators whose request it is.
func (c *connection) ask(ctx context.Context, r *http.Request) (auth.Identity, error) {
	s := c.server
	if err := s.checks.acquire(ctx); err != nil {
		return auth.Identity{}, err
	}
	defer s.checks.release()
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return s.authenticate(r.WithContext(limited))
}

func errExpired() error {
	return problem.New(problem.Unauthenticated, "the credentials have expired")
}

// become makes id the caller. Feeds that show the same go on, the others are reset.
func (c *connection) become(ctx context.Context, id auth.Identity) error {
	signedOut := c.identity.Load().ID != "" && id.ID == ""
	c.identity.Store(&id)
	switch {
	case signedOut:
		return problem.New(problem.Unauthenticated, "the credentials are no longer valid")
	case c.expired():
		return errExpired()
	}
	caller := c.caller()
	for _, f := range c.feeds {
		if f.see(caller) {
			if err := c.survive(ctx, f, f.restart(ctx, identityChanged)); err != nil {
				return err
			}
		}
	}
	return nil
}
