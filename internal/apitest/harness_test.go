// Package apitest is the shared suite: what a client of the generated API sees, on every engine.
package apitest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
)

// app is a started backend behind a real HTTP server.
type app struct {
	*capebase.Cape
	t      testing.TB
	server *httptest.Server
	record func(exchange)
}

// callers are the identities of the suite, by their tokens.
func callers() auth.Tokens {
	return auth.Tokens{
		"alice":  {ID: "alice"},
		"bob":    {ID: "bob"},
		"admin":  {ID: "root", Roles: []string{"admin"}},
		"reader": {ID: "alice", ReadOnly: true},
		"org1":   {ID: "olga", Claims: map[string]any{"org_id": "org1"}},
		"orgs":   {ID: "otto", Claims: map[string]any{"org_id": []any{"org1", "org2"}}},
		"noorgs": {ID: "nora", Claims: map[string]any{"org_id": []any{}}},
		"editor": {ID: "edith", Roles: []string{"editor", "reviewer"}},
	}
}

// start opens a backend, lets declare publish what the test needs, and serves it.
func start(t testing.TB, target dbtest.Target, declare func(c *capebase.Cape)) *app {
	t.Helper()
	return startWith(t, target, capebase.Config{}, declare)
}

func startWith(t testing.TB, target dbtest.Target, config capebase.Config, declare func(c *capebase.Cape)) *app {
	t.Helper()
	a := &app{t: t}
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	var err error
	if a.Cape, err = capebase.Open(engines.Of(target.URL), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	a.UseAuth(callers())
	declare(a.Cape)
	if err := a.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	a.record = recorder(t, a.Cape)
	return a
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	Status int
	Header http.Header
	Body   string
}

// as returns a client with a caller's token; "" is anonymous.
func (a *app) as(token string) client { return client{app: a, token: token} }

type client struct {
	app     *app
	token   string
	headers map[string]string
}

// with adds a header.
func (c client) with(name, value string) client {
	headers := map[string]string{name: value}
	for k, v := range c.headers {
		headers[k] = v
	}
	c.headers = headers
	return c
}

func (c client) get(path string) answer         { return c.do(http.MethodGet, path, "") }
func (c client) post(path, body string) answer  { return c.do(http.MethodPost, path, body) }
func (c client) patch(path, body string) answer { return c.do(http.MethodPatch, path, body) }
func (c client) delete(path string) answer      { return c.do(http.MethodDelete, path, "") }

func (c client) do(method, path, body string) answer {
	t := c.app.t
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, c.app.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.headers {
		if value == "" {
			request.Header.Del(name)
			continue
		}
		request.Header.Set(name, value)
	}
	response, err := c.app.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it has been read
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	c.app.record(exchange{method, path, response.StatusCode, response.Header.Get("Content-Type"), string(content)})
	return answer{t: t, what: method + " " + path + " as " + c.token, Status: response.StatusCode, Header: response.Header, Body: string(content)}
}

// want fails unless the status is as expected.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s: status %d, want %d\n%s", a.what, a.Status, status, a.Body)
	}
	return a
}

// problem fails unless the answer is a problem with the status and code, and with an error at each location.
func (a answer) problem(status int, code string, locations ...string) capebase.Error {
	a.t.Helper()
	a.want(status)
	var e capebase.Error
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("%s: content type %q", a.what, got)
	}
	a.decode(&e)
	if e.Code != code || e.Status != status || e.Title == "" || e.Detail == "" || e.RequestID == "" {
		a.t.Fatalf("%s: want code %s\n%s", a.what, code, a.Body)
	}
	for _, location := range locations {
		found := false
		for _, field := range e.Errors {
			found = found || field.Location == location && field.Message != ""
		}
		if !found {
			a.t.Fatalf("%s: want an error at %s\n%s", a.what, location, a.Body)
		}
	}
	return e
}

func (a answer) decode(into any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.what, err, a.Body)
	}
}

// row decodes an object; numbers stay as they are written.
func (a answer) row() map[string]any {
	a.t.Helper()
	var row map[string]any
	decoder := json.NewDecoder(strings.NewReader(a.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&row); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.what, err, a.Body)
	}
	return row
}

// values decodes a list and returns one field of each row, as JSON.
func (a answer) values(field string) []string {
	a.t.Helper()
	var rows []map[string]json.RawMessage
	a.decode(&rows)
	values := make([]string, len(rows))
	for i, row := range rows {
		values[i] = strings.Trim(string(row[field]), `"`)
	}
	return values
}

// testWriter shows a backend's warnings and errors beside the test that caused them.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Logf("log: %s", line)
	return len(line), nil
}
