package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// The close codes of the protocol beside those of RFC 6455.
const (
	statusExpired websocket.StatusCode = 4401
	statusLimit   websocket.StatusCode = 4403 // also of a foreign origin, which is refused before the upgrade
	statusSlow    websocket.StatusCode = 4408
)

// closing ends a socket with a code of its own.
type closing struct {
	code   websocket.StatusCode
	reason string
}

func (c *closing) Error() string { return c.reason }

// maxProblems is how many mistakes a socket may make.
const maxProblems = 100

// socket is a WebSocket: the output of its connection, and the reader of the client's messages.
type socket struct {
	server     *Server
	connection *connection
	conn       *websocket.Conn
	written    time.Time
	scratch    []byte
	problems   int
	single     bool // the URL says what is subscribed to

	// awaited is the subscription of the URL while the auth message is awaited; heard is set by the first message.
	awaited *opening
	heard   bool

	pinging atomic.Bool
	pings   sync.WaitGroup

	mu     sync.Mutex
	corked *corkedConn // nil until the connection is taken over
	gone   bool        // by interrupt
}

// take is given the connection.
func (k *socket) take(c *corkedConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.corked = c
	if k.gone {
		_ = c.Close()
	}
}

// interrupt makes reads and writes fail.
func (k *socket) interrupt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone = true
	if k.corked != nil {
		_ = k.corked.Close()
	}
}

// serve runs the connection's loop beside a reader, and closes the socket.
func (k *socket) serve(ctx context.Context, first *opening) {
	c := k.connection
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		defer c.cancel() // the client is gone, or has broken the protocol: the library has told it
		k.read(ctx)
	}()
	err := first.begin(ctx, c)
	if err == nil {
		err = c.run(ctx)
	}
	k.end(ctx, err)
	c.cancel()
	<-reading
	k.pings.Wait()
}

// read hands the client's messages to the loop. The library answers pings meanwhile.
func (k *socket) read(ctx context.Context) {
	for {
		kind, data, err := k.conn.Read(context.Background()) // closing the connection ends it
		if err != nil {
			return
		}
		select {
		case k.connection.commands <- k.parse(kind, data):
		case <-ctx.Done():
			return
		}
	}
}

// end closes the socket, with a code that tells why.
func (k *socket) end(ctx context.Context, err error) {
	var code websocket.StatusCode
	var reason string
	var c *closing
	switch {
	case ctx.Err() != nil || errors.Is(err, errWrite):
		_ = k.conn.CloseNow() // nobody listens
		return
	case errors.Is(err, errEnded):
		code, reason = websocket.StatusGoingAway, "the server is shutting down; connect again"
	case errors.As(err, &c):
		code, reason = c.code, c.reason
	default:
		p := ofRequest(ctx, k.server.problem(ctx, err))
		k.problem(nil, p)
		code, reason = closeCode(p), p.Code
	}
	if k.drain(time.Now()) != nil {
		_ = k.conn.CloseNow()
		return
	}
	// It waits for the client's answer, though not for one that never comes.
	giveUp := time.AfterFunc(k.server.limits.Drain, k.interrupt)
	defer giveUp.Stop()
	_ = k.conn.Close(code, reason)
}

func closeCode(p *problem.Error) websocket.StatusCode {
	switch p.Code {
	case problem.Unauthenticated:
		return statusExpired
	case problem.RateLimited:
		return statusLimit
	case problem.Unavailable:
		return websocket.StatusTryAgainLater
	}
	return websocket.StatusInternalError
}

func (k *socket) collected() int { return k.corked.collected() }

func (k *socket) drain(now time.Time) error {
	written, err := k.corked.uncork(now)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	if written > 0 {
		k.written = now
	}
	return nil
}

func (k *socket) last() time.Time { return k.written }

// alive sends a ping, unless one is on its way: a client that does not answer is gone.
func (k *socket) alive() {
	k.written = time.Now()
	if !k.pinging.CompareAndSwap(false, true) {
		return
	}
	k.pings.Go(func() {
		defer k.pinging.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), k.server.limits.WriteTimeout)
		defer cancel()
		if err := k.conn.Ping(ctx); errors.Is(err, context.DeadlineExceeded) {
			k.connection.tell(silent)
		}
	})
}

// message begins a message of a type; its object is still open.
func (k *socket) message(kind string, f *feed, cursor string) []byte {
	b := append(append(append(k.scratch[:0], `{"type":"`...), kind...), '"')
	if f != nil && f.id != "" {
		b = predicate.AppendString(append(b, `,"id":`...), f.id)
	}
	if cursor != "" {
		b = append(append(append(b, `,"cursor":"`...), cursor...), '"')
	}
	return b
}

// send collects a message.
func (k *socket) send(b []byte) {
	k.corked.cork()
	// An error closes the connection, which the reader and the next write notice.
	_ = k.conn.Write(context.Background(), websocket.MessageText, b)
	k.scratch = b
	if cap(b) > chunk {
		k.scratch = nil
	}
}

func (k *socket) ready(f *feed, cursor string) { k.send(append(k.message("ready", f, cursor), '}')) }

// change takes data's members over, which are shared with others.
func (k *socket) change(f *feed, data []byte, cursor string) {
	k.send(append(append(k.message("change", f, cursor), ','), data[1:]...))
}

func (k *socket) snapshotEnd(f *feed, cursor string) {
	k.send(append(k.message("snapshot_end", f, cursor), '}'))
}

func (k *socket) reset(f *feed, reason, cursor string) {
	k.send(append(k.message("reset", f, cursor), `,"reason":"`+reason+`"}`...))
}

// heartbeat tells a cursor that has moved; alive does the rest.
func (k *socket) heartbeat(f *feed, cursor string) {
	if cursor == "" || f.beat == f.mark.Position {
		return
	}
	f.beat = f.mark.Position
	k.send(append(k.message("cursor", f, cursor), '}'))
}

func (k *socket) problem(f *feed, p *problem.Error) {
	b := append(k.message("problem", f, ""), `,"problem":`...)
	k.send(append(append(b, problemJSON(p)...), '}'))
}

// mistake answers a message that cannot be followed. The socket stays, but not for ever.
func (k *socket) mistake(ctx context.Context, id string, err error) error {
	k.problem(&feed{id: id}, ofRequest(ctx, k.server.problem(ctx, err)))
	if k.problems++; k.problems >= maxProblems {
		return &closing{websocket.StatusPolicyViolation, "too many mistakes"}
	}
	return nil
}
