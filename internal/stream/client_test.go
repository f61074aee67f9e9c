package stream

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/problem"
)

// patience bounds how long a test waits for what must come.
const patience = time.Minute

// event is a server-sent event.
type event struct{ name, id, data string }

// change is the data of one that is a change.
type change struct {
	Table     string          `json:"table"`
	Event     string          `json:"event"`
	Payload   json.RawMessage `json:"payload"`
	Timestamp time.Time       `json:"timestamp"`
}

// source is a client of an event stream.
type source struct {
	t        testing.TB
	response *http.Response
	lines    *bufio.Reader
	cancel   context.CancelFunc
	last     string // the id to resume from
}

func (b *bed) request(ctx context.Context, method, path, token string, headers ...string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.user.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return response
}

// subscribe opens an event stream.
func (b *bed) subscribe(path, token string, headers ...string) *source {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	response := b.request(ctx, http.MethodGet, path, token, headers...)
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(response.Body)
		b.t.Fatalf("GET %s: %s: %s %v", path, response.Status, body, err)
	}
	return &source{t: b.t, response: response, lines: bufio.NewReader(response.Body), cancel: cancel}
}

// refused expects a plain problem.
func (b *bed) refused(path, token string, status int, code string) problem.Error {
	b.t.Helper()
	response := b.request(b.t.Context(), http.MethodGet, path, token)
	return readProblem(b.t, response, status, code)
}

func readProblem(t testing.TB, response *http.Response, status int, code string) problem.Error {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	var p problem.Error
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		t.Fatalf("%s: %v", response.Status, err)
	}
	if response.StatusCode != status || p.Status != status || p.Code != code {
		t.Fatalf("%s with %+v; want %d %s", response.Status, p, status, code)
	}
	if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	return p
}

// next reads an event; an error is the end of the stream. Comments are no events.
func (s *source) read() (event, error) {
	var e event
	any := false
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && any:
			if e.id != "" {
				s.last = e.id
			}
			return e, nil
		case field == "event":
			e.name = value
		case field == "id":
			e.id = value
		case field == "data":
			e.data += value
		case line != "" && line != ":":
			s.t.Errorf("a line that is none of server-sent events: %q", line)
		}
		any = any || field == "data"
	}
}

func (s *source) next() event {
	s.t.Helper()
	e, err := s.read()
	if err != nil {
		s.t.Fatalf("expected an event: %v", err)
	}
	return e
}

// expect reads an event of a name; heartbeats are passed over.
func (s *source) expect(name string) event {
	s.t.Helper()
	for {
		e := s.next()
		if e.name == name {
			return e
		}
		if e.name != "cursor" {
			s.t.Fatalf("expected %q, got %+v", name, e)
		}
	}
}

// change reads a change and expects what it says, and whether it has an id.
func (s *source) change(table, kind, payload string, cursor bool) event {
	s.t.Helper()
	e := s.expect("")
	c := decode[change](s.t, e.data)
	if c.Table != table || c.Event != kind || string(c.Payload) != payload || cursor != (e.id != "") {
		s.t.Fatalf("expected %s %s %s with cursor %t, got %+v", table, kind, payload, cursor, e)
	}
	if c.Timestamp.IsZero() {
		s.t.Errorf("no timestamp in %s", e.data)
	}
	return e
}

// closed expects that the server ends the stream.
func (s *source) closed() {
	s.t.Helper()
	for {
		e, err := s.read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.t.Fatalf("expected an orderly end: %v", err)
		}
		if e.name != "cursor" {
			s.t.Fatalf("expected the end, got %+v", e)
		}
	}
}

func (s *source) close() {
	s.cancel()
	_ = s.response.Body.Close()
}

func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// eventually waits for something that no message tells of.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-ticker.C
	}
}
