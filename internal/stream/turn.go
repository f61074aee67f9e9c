package stream

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// probation is how many turns a connection that has held a worker up takes itself, all of them without delay.
const probation = 8

// turns is what a connection's loop and the workers know of each other. A loop has its turn whenever it does not wait.
// While it waits, a worker may take one and write what the hub has: to wake a goroutine for that costs a quarter of the
// write. All else is left to the loop.
type turns struct {
	turn     sync.Mutex    // has the turn who holds it
	queued   atomic.Bool   // a worker will look
	slow     atomic.Int32  // turns that are the loop's, since the client held a worker up
	asked    atomic.Uint32 // of the loop, by others
	failed   error         // what the connection ends with
	panicked any           // by the turn of a worker
}

// Wake implements hub.Reader.
func (c *connection) Wake() {
	if c.slow.Load() > 0 {
		c.wake()
		return
	}
	if c.queued.CompareAndSwap(false, true) {
		c.server.workers.add(c)
	}
}

// serve takes a turn in a worker's goroutine.
func (c *connection) serve(now time.Time) {
	c.queued.Store(false) // first: what comes from now on may not be seen in this turn
	if !c.turn.TryLock() {
		c.wake() // the loop is awake, or a worker is held up: it looks after that
		return
	}
	done := c.write(now)
	c.turn.Unlock()
	if !done {
		c.wake()
	}
}

// write writes what the hub has. It returns false when there is something for the loop to do.
func (c *connection) write(now time.Time) (done bool) {
	defer func() {
		if p := recover(); p != nil { // of a middleware's http.ResponseWriter: to be seen where its request is served
			c.panicked, done = withStack(p), false
		}
	}()
	if c.asked.Load() != 0 || c.failed != nil || !now.Before(c.alarm.at) {
		return false
	}
	done = true
	for _, f := range c.feeds {
		if !f.simple() {
			done = false
			continue
		}
		if f.take(c.ctx) != nil {
			return false
		}
		done = done && !f.void && !f.lagging
	}
	c.failed = c.out.drain(now)
	return done && c.failed == nil
}

// withStack keeps the stack of a panic that goes on in another goroutine.
func withStack(p any) any {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return p
	}
	return fmt.Sprintf("%v\n\n%s", p, debug.Stack())
}

// prove counts a turn of the loop that was not held up.
func (c *connection) prove() {
	if c.slow.Load() == 0 {
		return
	}
	if time.Since(c.now) < stallTime {
		c.slow.Add(-1)
	} else {
		c.slow.Store(probation)
	}
}
