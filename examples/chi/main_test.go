package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/exampletest"
)

// scs.New begins to clean up a store in memory, which has gone when the program sets its own.
func TestMain(m *testing.M) {
	dbtest.Main(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// program is the running program.
type program struct{ url, database string }

// start runs the program on a database of its own, and waits until it serves.
func start(t *testing.T) program {
	t.Helper()
	target := dbtest.New(t, dbtest.Postgres)
	url := exampletest.Start(t, func(ctx context.Context, logger *slog.Logger) error {
		return run(ctx, settings{address: "127.0.0.1:0", database: target.URL, insecure: true, cost: bcrypt.MinCost, logger: logger})
	})
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return program{url, target.URL}
}

// exec runs SQL as another program would.
func (p program) exec(t *testing.T, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the server forgets it anyway
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// browser keeps cookies.
type browser struct {
	t       *testing.T
	program program
	client  *http.Client
}

func (p program) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, p, &http.Client{Jar: jar}}
}

// send sends a form, JSON or nothing, and wants a status.
func (b *browser) send(want int, method, path, body string) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.program.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it is only read
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != want {
		b.t.Fatalf("%s %s: %d %s: want %d", method, path, response.StatusCode, answer, want)
	}
	return strings.TrimSpace(string(answer))
}

func (b *browser) sign(want int, path, name, password string) {
	b.t.Helper()
	b.send(want, http.MethodPost, path, url.Values{"name": {name}, "password": {password}}.Encode())
}

// follow opens a stream of tasks; next returns the name of an event, the title of a task, or "" at the end.
func (b *browser) follow() (next func() string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.t.Context(), 30*time.Second)
	b.t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.program.url+"/api/task/subscribe?snapshot=true", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { response.Body.Close() }) //nolint:errcheck // it was only read
	lines := bufio.NewScanner(response.Body)
	event := ""
	return func() string {
		b.t.Helper()
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "event":
				event = value
			case name == "data" && event != "":
				came := event
				event = ""
				if came != "cursor" {
					return came
				}
			case name == "data":
				var change struct{ Payload Task }
				if err := json.Unmarshal([]byte(value), &change); err != nil {
					b.t.Fatal(err)
				}
				return change.Payload.Title
			}
		}
		if err := lines.Err(); err != nil {
			b.t.Fatal(err)
		}
		return ""
	}
}

func expect(t *testing.T, next func() string, all ...string) {
	t.Helper()
	for _, one := range all {
		if got := next(); got != one {
			t.Fatalf("%q came: want %q", got, one)
		}
	}
}

const (
	hers = "correct-horse-1"
	his  = "battery-staple-2"
)

func TestTheSessionsOfTheProgramServeTheAPI(t *testing.T) {
	t.Parallel()
	p := start(t)
	alice, bob, nobody := p.browser(t), p.browser(t), p.browser(t)
	alice.sign(http.StatusNoContent, "/signup", "alice", hers)
	bob.sign(http.StatusNoContent, "/signup", "bob", his)
	nobody.sign(http.StatusConflict, "/signup", "alice", "some other password")
	nobody.sign(http.StatusUnprocessableEntity, "/signup", "carol", "short")
	nobody.sign(http.StatusUnauthorized, "/login", "alice", his)
	nobody.sign(http.StatusUnauthorized, "/login", "nobody", "nobody's password")

	alice.send(http.StatusCreated, http.MethodPost, "/api/task", `{"title":"buy milk"}`)
	alice.send(http.StatusNoContent, http.MethodPost, "/quick", "title=call+bob")
	bob.send(http.StatusCreated, http.MethodPost, "/api/task", `{"title":"sleep","done":true}`)
	nobody.send(http.StatusUnauthorized, http.MethodPost, "/api/task", `{"title":"come in"}`)
	nobody.send(http.StatusUnauthorized, http.MethodPost, "/quick", "title=come+in")
	for b, want := range map[*browser]string{alice: "2", bob: "0", nobody: "0"} {
		if got := b.send(http.StatusOK, http.MethodGet, "/open", ""); got != want {
			t.Errorf("%s open tasks: want %s", got, want)
		}
	}
	if tasks := bob.send(http.StatusOK, http.MethodGet, "/api/task", ""); !strings.Contains(tasks, "sleep") || strings.Contains(tasks, "milk") {
		t.Errorf("bob sees %s", tasks)
	}

	// What the program's own tables say counts with the next request.
	p.exec(t, "UPDATE users SET admin = true WHERE name = 'bob'")
	if tasks := bob.send(http.StatusOK, http.MethodGet, "/api/task", ""); !strings.Contains(tasks, "milk") {
		t.Errorf("the admin sees %s", tasks)
	}
	p.exec(t, "DELETE FROM users WHERE name = 'bob'")
	bob.send(http.StatusUnauthorized, http.MethodGet, "/api/task", "")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/quick", strings.NewReader("title=x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://evil.example.com")
	response, err := alice.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("from another origin: %d, %v: want 403", response.StatusCode, err)
	}
}

func TestSigningOutEndsTheStreamsOfTheSession(t *testing.T) {
	t.Parallel()
	p := start(t)
	desk, phone := p.browser(t), p.browser(t)
	desk.sign(http.StatusNoContent, "/signup", "alice", hers)
	phone.sign(http.StatusNoContent, "/login", "alice", hers)
	here, there := desk.follow(), phone.follow()
	expect(t, here, "ready", "snapshot-end")
	expect(t, there, "ready", "snapshot-end")
	desk.send(http.StatusNoContent, http.MethodPost, "/quick", "title=one")
	expect(t, here, "one")
	expect(t, there, "one")

	// The phone is signed out: its stream ends, although its context has the session as it was.
	phone.send(http.StatusNoContent, http.MethodPost, "/logout", "")
	begin := time.Now()
	expect(t, there, "problem", "")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	desk.send(http.StatusCreated, http.MethodPost, "/api/task", `{"title":"two"}`)
	expect(t, here, "two")
}

// A second start finds the tables as they are.
func TestStartsAgain(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.browser(t).sign(http.StatusNoContent, "/signup", "alice", hers)
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, settings{
			address: "127.0.0.1:0", database: p.database, insecure: true, cost: bcrypt.MinCost, logger: slog.New(slog.NewTextHandler(writer, nil)),
		})
		writer.Close() //nolint:errcheck // a pipe's never fails
	}()
	serving := false
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "msg=serving") {
			serving = true
			stop()
		}
	}
	stop()
	if err := <-ended; err != nil || !serving {
		t.Errorf("%v, serving: %t", err, serving)
	}
}

func TestDatabaseIsAway(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"", "mysql://x", "postgres://user:hidden@127.0.0.1:1/x?connect_timeout=2"} {
		err := run(t.Context(), settings{address: "127.0.0.1:0", database: database, logger: slog.New(slog.DiscardHandler)})
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", database, err)
		}
	}
}
