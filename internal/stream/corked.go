package stream

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

// corkedConn collects what is written while it is corked, so that many small messages leave together, and bounds each
// write by a deadline. Frames come from the connection's loop and from the reader that answers pings.
type corkedConn struct {
	net.Conn
	timeout time.Duration
	pool    *sync.Pool

	mu     sync.Mutex
	until  time.Time // the deadline
	corked bool
	buffer *[]byte // nil when nothing is collected
}

// Write implements net.Conn.
func (c *corkedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.corked {
		return c.write(p, time.Now())
	}
	if c.buffer == nil {
		c.buffer = c.pool.Get().(*[]byte) //nolint:errcheck,forcetypeassert // New makes nothing else
	}
	*c.buffer = append(*c.buffer, p...)
	return len(p), nil
}

func (c *corkedConn) write(p []byte, now time.Time) (written int, err error) {
	for len(p) > 0 {
		n := min(len(p), chunk)
		if err := c.extend(now); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[:n])
		written += n
		if err != nil {
			return written, err
		}
		if p = p[n:]; len(p) > 0 {
			now = time.Now()
		}
	}
	return written, nil
}

// extend gives the client the time for a chunk. A deadline that is nearly as far is left: to set one has its cost.
func (c *corkedConn) extend(now time.Time) error {
	if c.until.Sub(now) >= c.timeout*3/4 {
		return nil
	}
	c.until = now.Add(c.timeout)
	return c.SetWriteDeadline(c.until)
}

// cork collects from now on.
func (c *corkedConn) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
}

// uncork writes what was collected.
func (c *corkedConn) uncork(now time.Time) (written int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	if c.buffer == nil {
		return 0, nil
	}
	written, err = c.write(*c.buffer, now)
	if cap(*c.buffer) <= 2*keptBuffer {
		*c.buffer = (*c.buffer)[:0]
		c.pool.Put(c.buffer)
	}
	c.buffer = nil
	return written, err
}

func (c *corkedConn) collected() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buffer == nil {
		return 0
	}
	return len(*c.buffer)
}

// hijackWriter gives the WebSocket library a corked connection.
type hijackWriter struct {
	http.ResponseWriter
	socket *socket
}

// Unwrap is for http.ResponseController.
func (w *hijackWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s := w.socket.server
	corked := &corkedConn{Conn: conn, timeout: s.limits.WriteTimeout, pool: &s.buffers}
	buffers.Writer.Reset(corked)
	w.socket.take(corked)
	return corked, buffers, nil
}
