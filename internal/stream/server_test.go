package stream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/problem"
)

// wrap puts a middleware around the streams.
func (b *bed) wrap(wrap func(http.ResponseWriter) http.ResponseWriter) {
	b.t.Helper()
	inner := b.http.Config.Handler
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(wrap(w), r) }))
	b.t.Cleanup(func() {
		b.close() // first: the outer server waits for its streams
		outer.Close()
	})
	b.url = outer.URL
}

// unwrapping hides Flush and the deadlines, but says what it hides.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// flushing is a middleware of old: it knows Flush, and hides the rest.
type flushing struct {
	http.ResponseWriter
	http.Flusher
}

// hiding is a middleware that breaks streams.
type hiding struct{ http.ResponseWriter }

func TestMiddlewareThatWrapsTheWriter(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"unwraps": func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{unwrapping{w}} },
		"flushes": func(w http.ResponseWriter) http.ResponseWriter { return flushing{w, w.(http.Flusher)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.wrap(wrap)
			s := b.subscribe("/todo/subscribe", "alice")
			s.expect("ready")
			b.store.put(todos, values(1, "alice", "milk", ""))
			s.change("todo", "INSERT", milk, true)
			s.close()
			eventually(t, "the stream ends with its client", func() bool { return b.Streams() == 0 })
			if name == "unwraps" {
				b.dial("/todo/subscribe", "alice").expect("ready", "")
			}
		})
	}
}

func TestMiddlewareThatHidesTheConnection(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.wrap(func(w http.ResponseWriter) http.ResponseWriter { return hiding{w} })
	b.refused("/todo/subscribe", "alice", http.StatusInternalServerError, problem.Internal)
	_, response := b.tryDial("/todo/subscribe", "alice")
	readProblem(t, response, http.StatusInternalServerError, problem.Internal)
	eventually(t, "nothing is left", func() bool { return b.Streams() == 0 })
}

// A server's time-outs are for requests and answers that end.
func TestServersWithTimeouts(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			const timeout = 200 * time.Millisecond
			b := newBed(t, func(o *Options, server *httptestServer) {
				server.Config.ReadTimeout, server.Config.WriteTimeout = timeout, timeout
				o.Limits.Heartbeat, o.Limits.WriteTimeout = 2*timeout, timeout*3/2
				if server.EnableHTTP2 = protocol == "HTTP/2.0"; server.EnableHTTP2 {
					o.Limits.Drain = 2 * time.Second
				}
			})
			s := b.subscribe("/todo/subscribe", "alice")
			if s.response.Proto != protocol {
				t.Fatalf("it speaks %s", s.response.Proto)
			}
			s.expect("ready")
			for range 2 { // with nothing written for longer than each of the time-outs
				if e := s.next(); e.name != "cursor" {
					t.Errorf("%+v", e)
				}
			}
			b.store.put(todos, values(1, "alice", "milk", ""))
			s.change("todo", "INSERT", milk, true)
		})
	}
}

func TestEndStreamsLetsShutdownReturn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.http.Config.RegisterOnShutdown(b.EndStreams)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.store.put(todos, values(1, "alice", "milk", ""))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.http.Config.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	s.change("todo", "INSERT", milk, true) // what was queued
	s.closed()
	b.EndStreams() // again
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestStreamsAreRefusedAfterEndStreams(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.EndStreams()
	b.refused("/todo/subscribe", "", http.StatusServiceUnavailable, problem.Unavailable)
}

// pipes connects clients by pipes without buffers: what is not read blocks the server at once.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func piped(_ *Options, server *httptestServer) {
	_ = server.Listener.Close()
	server.Listener = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// client dials pipes.
func (p *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case p.conns <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}}
}

// A snapshot's client has less time: it holds a read of the database open.
func TestClientThatTricklesThroughASnapshotIsCutOff(t *testing.T) {
	t.Parallel()
	b := newBed(t, piped, limits(func(l *Limits) { l.WriteTimeout = 500 * time.Millisecond }))
	text := strings.Repeat("x", 10_000)
	for i := range 200 {
		b.store.put(todos, values(i+1, "alice", text, ""))
	}
	s := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	begin := time.Now()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for b.Streams() > 0 { // each deadline of a chunk is kept
		<-ticker.C
		if _, err := io.CopyN(io.Discard, s.lines, 4<<10); err != nil {
			break
		}
		if time.Since(begin) > patience {
			t.Fatal("it goes on")
		}
	}
	eventually(t, "it is cut off", func() bool { return b.Streams() == 0 })
}

func TestClientThatStopsReadingIsCutOff(t *testing.T) {
	t.Parallel()
	b := newBed(t, piped, limits(func(l *Limits) { l.WriteTimeout = 500 * time.Millisecond }))
	b.subscribe("/todo/subscribe", "alice")
	text := strings.Repeat("x", 10_000)
	eventually(t, "it is cut off", func() bool {
		b.store.put(todos, values(1, "alice", text, ""))
		b.store.remove(todos, 1)
		return b.Streams() == 0
	})
}

// Close does not wait for a client that does not read.
func TestCloseCutsOffWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	fill := func(b *bed, text string) {
		for i := range 50 {
			b.store.put(todos, values(i+1, "alice", text, ""))
		}
	}
	for _, path := range []string{"/todo/subscribe", "/todo/subscribe?snapshot=true"} {
		b := newBed(t, piped, limits(func(l *Limits) { l.Drain = 20 * time.Millisecond }))
		fill(b, strings.Repeat("x", 100_000))
		b.subscribe(path, "alice")
		fill(b, strings.Repeat("y", 100_000))
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b = newBed(t, piped, limits(func(l *Limits) { l.Drain = patience }))
		fill(b, strings.Repeat("x", 100_000))
		b.dial(path, "alice")
		fill(b, strings.Repeat("y", 100_000))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: it ended in time: %v", path, err)
		}
		cancel()
	}
}

// Streams that come and go leave nothing behind.
func TestTenThousandStreams(t *testing.T) {
	b := newBed(t, limits(func(l *Limits) { l.StreamsEach = 1000 }))
	handler := b.http.Config.Handler
	cycle := func(n int) {
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for i := range n / 8 {
					ctx, cancel := context.WithCancel(t.Context())
					r := httptest.NewRequest(http.MethodGet, "/todo/subscribe?snapshot=true&id=neq."+string(rune('0'+worker)), nil).WithContext(ctx)
					r.Header.Set("Authorization", "Bearer alice")
					w := &endingWriter{header: http.Header{}, end: cancel, at: i%3 + 1}
					handler.ServeHTTP(w, r)
					cancel()
				}
			})
		}
		group.Wait()
	}
	cycle(1000) // what is made once
	goroutines, heap := runtime.NumGoroutine(), heapInUse()
	cycle(10_000)
	if n := b.Streams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if grown := heapInUse() - heap; grown > 1<<20 {
		t.Errorf("%d KiB are left behind", grown>>10)
	}
}

func heapInUse() int64 {
	var stats runtime.MemStats
	for range 3 { // pools give up what they hold in two
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse)
}

// endingWriter is a client that leaves after some flushes.
type endingWriter struct {
	header http.Header
	end    func()
	at     int
}

func (w *endingWriter) Header() http.Header              { return w.header }
func (w *endingWriter) WriteHeader(int)                  {}
func (w *endingWriter) Write(b []byte) (int, error)      { return len(b), nil }
func (w *endingWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *endingWriter) SetWriteDeadline(time.Time) error { return nil }

func (w *endingWriter) Flush() {
	if w.at--; w.at == 0 {
		w.end()
	}
}

func TestWarningAboutWritersWithoutDeadlines(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	b := newBed(t, func(o *Options, _ *httptestServer) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		w := &endingWriter{header: http.Header{}, end: cancel, at: 1}
		b.http.Config.Handler.ServeHTTP(flushing{w, w}, httptest.NewRequest(http.MethodGet, "/todo/subscribe", nil).WithContext(ctx))
		cancel()
	}
	if n := strings.Count(log.String(), "has no Unwrap"); n != 1 {
		t.Errorf("warned %d times, want once:\n%s", n, log.String())
	}
}
