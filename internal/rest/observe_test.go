package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/problem"
)

// watcher keeps what an observer is told.
type watcher struct {
	mu      sync.Mutex
	ended   []observe.Request
	streams int
	begun   int
	results []observe.Authentication
}

type watchedKey struct{}

func (w *watcher) Begin(ctx context.Context, _ *http.Request, _ *observe.Request) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun++
	return context.WithValue(ctx, watchedKey{}, "trace")
}

func (w *watcher) Streaming(context.Context, *observe.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.streams++
}

func (w *watcher) End(ctx context.Context, o *observe.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if trace, ok := ctx.Value(watchedKey{}).(string); ok {
		o.Attributes = append(o.Attributes, slog.String("trace", trace))
	}
	w.ended = append(w.ended, *o)
}

func (w *watcher) Authenticated(_ context.Context, result observe.Authentication) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results = append(w.results, result)
}

func (w *watcher) take() observe.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ended) != 1 {
		return observe.Request{}
	}
	last := w.ended[0]
	w.ended = nil
	return last
}

type testBed struct {
	*API
	watcher *watcher
	log     *bytes.Buffer
}

func newTestBed(t *testing.T, change func(*Settings)) *testBed {
	t.Helper()
	b := &testBed{watcher: &watcher{}, log: &bytes.Buffer{}}
	settings := Settings{
		Logger:    slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observers: []observe.Observer{b.watcher}, Origins: []string{"https://app.example.com"},
	}
	if change != nil {
		change(&settings)
	}
	var err error
	if b.API, err = New(settings); err != nil {
		t.Fatal(err)
	}
	b.Ready = func(context.Context) []Part { return []Part{{Name: "database"}, {Name: "journal", State: "is slow"}} }
	b.Authenticators = []auth.Authenticator{auth.Func(func(r *http.Request) (auth.Identity, error) {
		switch token, _ := auth.Bearer(r); token {
		case "alice":
			return auth.Identity{ID: "alice"}, nil
		case "down":
			return auth.Identity{}, errors.New("the store is down")
		case "bad":
			return auth.Identity{}, auth.ErrUnauthenticated
		}
		return auth.Identity{}, nil
	})}
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /row/{id}": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "row") },
		"POST /row":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
		"/silent":       func(http.ResponseWriter, *http.Request) {},
		"/panic":        func(http.ResponseWriter, *http.Request) { panic("oh") },
		"/abort":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"/early": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		},
		"/events": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "data: 1\n\n")
		},
		"/folder/": http.StripPrefix("/folder", http.NotFoundHandler()).ServeHTTP,
		"/folder/inner/{x...}": func(w http.ResponseWriter, r *http.Request) {
			mux := http.NewServeMux()
			mux.HandleFunc("/folder/inner/deep", func(http.ResponseWriter, *http.Request) {})
			mux.ServeHTTP(w, r)
		},
	} {
		b.Handle(pattern, h)
	}
	return b
}

func (b *testBed) serve(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	defer func() { _ = recover() }() // http.ErrAbortHandler is net/http's
	b.ServeHTTP(answer, r)
	return answer
}

func TestRequestsAreObserved(t *testing.T) {
	t.Parallel()
	b := newTestBed(t, nil)
	for name, test := range map[string]struct {
		method, target, bearer string
		origin                 string
		want                   observe.Request
	}{
		"a row":                {method: "GET", target: "/row/7?task=secret", bearer: "alice", want: observe.Request{Route: "/row/{id}", Status: 200, Identity: "alice"}},
		"HEAD":                 {method: "HEAD", target: "/row/7", want: observe.Request{Route: "/row/{id}", Status: 200}},
		"a status":             {method: "POST", target: "/row", bearer: "alice", want: observe.Request{Route: "/row", Status: 201, Identity: "alice"}},
		"nothing said":         {method: "GET", target: "/silent", want: observe.Request{Route: "/silent", Status: 200}},
		"a panic":              {method: "GET", target: "/panic", bearer: "alice", want: observe.Request{Route: "/panic", Status: 500, Identity: "alice"}},
		"an abort":             {method: "GET", target: "/abort", want: observe.Request{Route: "/abort", Aborted: true}},
		"early hints":          {method: "GET", target: "/early", want: observe.Request{Route: "/early", Status: 418}},
		"a stream":             {method: "GET", target: "/events", want: observe.Request{Route: "/events", Status: 200, Stream: true}},
		"no such path":         {method: "GET", target: "/etc/passwd", want: observe.Request{Route: "unmatched", Status: 404}},
		"no such method":       {method: "PUT", target: "/row", want: observe.Request{Route: "unmatched", Status: 405}},
		"a method of its own":  {method: "BREW", target: "/silent", want: observe.Request{Route: "/silent", Status: 200, Method: "other"}},
		"a redirect":           {method: "GET", target: "/folder", want: observe.Request{Route: "unmatched", Status: 307}},
		"another redirect":     {method: "GET", target: "/a/../row/7", want: observe.Request{Route: "unmatched", Status: 307}},
		"a mux within":         {method: "GET", target: "/folder/inner/deep", want: observe.Request{Route: "/folder/inner/{x...}", Status: 200}},
		"credentials refused":  {method: "GET", target: "/row/7", bearer: "bad", want: observe.Request{Route: "/row/{id}", Status: 401}},
		"credentials unknown":  {method: "GET", target: "/row/7", bearer: "down", want: observe.Request{Route: "/row/{id}", Status: 503}},
		"a preflight":          {method: "OPTIONS", target: "/row/7", origin: "https://app.example.com", want: observe.Request{Route: "unrouted", Status: 204}},
		"a foreign origin":     {method: "POST", target: "/row", origin: "https://evil.example.com", want: observe.Request{Route: "unrouted", Status: 403}},
		"a path that is none":  {method: "GET", target: "/%00", want: observe.Request{Route: "unrouted", Status: 400}},
		"a probe":              {method: "GET", target: "/healthz", want: observe.Request{Route: "/healthz", Status: 200, Quiet: true}},
		"a probe of readiness": {method: "GET", target: "/readyz", want: observe.Request{Route: "/readyz", Status: 200, Quiet: true}},
	} {
		r := httptest.NewRequest(test.method, test.target, nil)
		r.Header.Set("X-Request-Id", "id-1")
		if test.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+test.bearer)
		}
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
			r.Header.Set("Access-Control-Request-Method", "GET")
		}
		b.serve(r)
		got := b.watcher.take()
		want := test.want
		if want.Method == "" {
			want.Method = test.method
		}
		same := got.Route == want.Route && got.Status == want.Status && got.Identity == want.Identity && got.Method == want.Method &&
			got.Stream == want.Stream && got.Quiet == want.Quiet && got.Aborted == want.Aborted
		if !same || got.ID != "id-1" || got.Path != r.URL.Path || got.Duration <= 0 || time.Since(got.Began) > time.Minute {
			t.Errorf("%s: observed %+v\nwant %+v", name, got, want)
		}
	}
	if b.watcher.begun != 21 || b.watcher.streams != 1 {
		t.Errorf("%d requests began and %d streamed, want 21 and 1", b.watcher.begun, b.watcher.streams)
	}
}

func TestAuthenticationIsObserved(t *testing.T) {
	t.Parallel()
	b := newTestBed(t, nil)
	for _, token := range []string{"alice", "", "bad", "down", "unknown"} {
		r := httptest.NewRequest(http.MethodGet, "/row/7", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		b.Identify(b).ServeHTTP(httptest.NewRecorder(), r)
	}
	want := []observe.Authentication{observe.Accepted, observe.Anonymous, observe.Refused, observe.Unavailable, observe.Refused}
	if !slices.Equal(b.watcher.results, want) {
		t.Errorf("results %v, want %v", b.watcher.results, want)
	}
	if n := len(b.watcher.ended); n != 2 {
		t.Errorf("%d requests were observed, want the 2 that Middleware let pass", n)
	}
}

// lines are what was logged as a request.
func (b *testBed) lines(t *testing.T) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for decoder := json.NewDecoder(b.log); ; {
		var line map[string]any
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "request" {
			lines = append(lines, line)
		}
	}
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	b := newTestBed(t, nil)
	get := func(target string) map[string]any {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Authorization", "Bearer alice")
		r.Header.Set("X-Request-Id", "id-1")
		b.serve(r)
		all := b.log.String()
		lines := b.lines(t)
		if len(lines) != 1 {
			t.Fatalf("GET %s: %d lines, want 1", target, len(lines))
		}
		for _, secret := range []string{"Bearer", "task", "Authorization"} {
			if strings.Contains(all, secret) {
				t.Errorf("GET %s: the log has %q: %s", target, secret, all)
			}
		}
		return lines[0]
	}
	line := get("/row/7?task=task")
	for key, want := range map[string]any{
		"level": "INFO", "method": "GET", "path": "/row/7", "route": "/row/{id}", "status": 200.0, "identity": "alice",
		"request": "id-1", "trace": "trace",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if duration, ok := line["duration"].(float64); !ok || duration <= 0 {
		t.Errorf("the duration is %v", line["duration"])
	}
	if line := get("/panic"); line["level"] != "ERROR" || line["status"] != 500.0 {
		t.Errorf("a panic is logged as %v", line)
	}
	if line := get("/healthz"); line["level"] != "DEBUG" {
		t.Errorf("a probe is logged as %v", line)
	}
	if line := get("/events"); line["stream"] != true {
		t.Errorf("a stream is logged as %v", line)
	}
	if line := get("/abort"); line["aborted"] != true || line["status"] != 0.0 {
		t.Errorf("an abort is logged as %v", line)
	}
	if path, ok := get("/" + strings.Repeat("é", 1000))["path"].(string); !ok || len(path) > loggedPath+3 || !strings.HasSuffix(path, "é…") {
		t.Errorf("a long path is logged as %q", path)
	}
	b.NoRequestLog = true
	b.serve(httptest.NewRequest(http.MethodGet, "/row/7", nil))
	if lines := b.lines(t); len(lines) != 0 {
		t.Errorf("with NoRequestLog there is %v", lines)
	}
}

func TestRefusalsAreObserved(t *testing.T) {
	t.Parallel()
	b := newTestBed(t, nil)
	b.Refuse(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/row/7", nil), problem.New(problem.NotStarted, "not yet"))
	if got := b.watcher.take(); got.Status != http.StatusServiceUnavailable || got.Route != observe.Unrouted {
		t.Errorf("observed %+v", got)
	}
	if lines := b.lines(t); len(lines) != 1 || lines[0]["level"] != "ERROR" {
		t.Errorf("logged %v", lines)
	}
}

// bare is a writer without abilities.
type bare struct{ http.ResponseWriter }

// TestWriterHasWhatItsOwnHas: a handler that asks a writer by its type finds the same as without us.
func TestWriterHasWhatItsOwnHas(t *testing.T) {
	t.Parallel()
	b := newTestBed(t, nil)
	var seen http.ResponseWriter
	b.Handle("/writer", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seen = w
		w.Header().Set("Content-Length", "3")
		if from, ok := w.(io.ReaderFrom); ok {
			_, _ = from.ReadFrom(strings.NewReader("abc"))
		}
	}))
	abilities := func(w http.ResponseWriter) [3]bool {
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		_, reads := w.(io.ReaderFrom)
		return [3]bool{flushes, hijacks, reads}
	}
	server := httptest.NewServer(b)
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/writer")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil || string(body) != "abc" {
		t.Errorf("read %q, %v", body, err)
	}
	if got := abilities(seen); got != [3]bool{true, true, true} {
		t.Errorf("the writer of HTTP/1.1 has %v", got)
	}
	r := httptest.NewRequest(http.MethodGet, "/writer", nil)
	b.ServeHTTP(httptest.NewRecorder(), r)
	if got := abilities(seen); got != [3]bool{true, false, false} {
		t.Errorf("the writer of a test has %v", got)
	}
	b.ServeHTTP(bare{httptest.NewRecorder()}, r)
	if got := abilities(seen); got != [3]bool{} {
		t.Errorf("the writer without abilities has %v", got)
	}
	if err := http.NewResponseController(seen).Flush(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("to flush what cannot be: %v", err)
	}
}

func TestHijackedConnectionsAreStreams(t *testing.T) {
	t.Parallel()
	b := newTestBed(t, nil)
	done := make(chan struct{})
	b.Handle("/hijack", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\nhello\n")
		_ = conn.Close()
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		b.ServeHTTP(w, r)
	}))
	defer server.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(bufio.NewReader(conn)); err != nil || !strings.HasSuffix(string(text), "hello\n") {
		t.Errorf("read %q, %v", text, err)
	}
	<-done
	if got := b.watcher.take(); !got.Stream || got.Status != http.StatusSwitchingProtocols {
		t.Errorf("observed %+v", got)
	}
}

// TestObservingAllocatesLittle: an observed request costs the observation, and nothing for each byte or observer.
func TestObservingAllocatesLittle(t *testing.T) { //nolint:paralleltest // it counts allocations
	b := newTestBed(t, func(s *Settings) { s.Observers, s.Logger = nil, slog.New(slog.DiscardHandler) })
	b.handleOpenForTest()
	w := bare{httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodGet, "/open", nil)
	r = b.withRequest(r)
	observed := testing.AllocsPerRun(100, func() { b.ServeHTTP(w, r) })
	plain := testing.AllocsPerRun(100, func() {
		w.Header().Set("X-Request-Id", "x")
		b.router.ServeHTTP(w, r)
	})
	if observed > plain+3 {
		t.Errorf("%v allocations, and %v unobserved", observed, plain)
	}
}

func (b *testBed) handleOpenForTest() {
	b.router.handleOpen("GET /open", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
}
