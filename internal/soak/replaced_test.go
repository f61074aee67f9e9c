package soak

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
)

// TestReplacedJournal takes the journal away under a running backend, makes another one, and restores a backup: without
// a new start of the program each stream is reset, handlers and consumers are told, and what follows arrives once.
func TestReplacedJournal(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		r := newReplaced(t, target)
		r.arrives(1)

		r.anew()
		r.begunAnew()
		r.arrives(2)

		backup := r.backup()
		r.arrives(3)
		r.arrives(4)
		cursor := r.events.cursor
		r.restore(backup)
		r.begunAnew()
		r.arrives(5)
		r.refused(cursor)

		for level := range 2 {
			r.anew()
			r.begunAnew()
			r.arrives(6 + level)
		}
		if got := tailers(t); got != 1 {
			t.Errorf("%d tailers run, want one", got)
		}
	})
}

// replaced is a backend in this process, whose journal a test replaces.
type replaced struct {
	t       *testing.T
	target  dbtest.Target
	cape    *capebase.Cape
	server  *httptest.Server
	client  *http.Client
	events  *listener // server-sent events
	all     []*listener
	handled chan capebase.Change[Task]
	durable chan capebase.Change[Task]
	ids     map[string]int // of changes, with the level that they were about

	restored bool // on MariaDB
}

func newReplaced(t *testing.T, target dbtest.Target) *replaced {
	r := &replaced{
		t: t, target: target, client: streamClient(0), ids: map[string]int{},
		handled: make(chan capebase.Change[Task], 100), durable: make(chan capebase.Change[Task], 100),
	}
	r.cape = r.open()
	task := publish(r.cape)
	task.OnChange(func(_ context.Context, c capebase.Change[Task]) { r.handled <- c })
	task.Consume("audit", func(_ context.Context, c capebase.Change[Task]) error {
		r.durable <- c
		return nil
	})
	labelled(t, func(ctx context.Context) {
		if err := r.cape.Start(ctx); err != nil {
			t.Fatal(err)
		}
	})
	r.server = httptest.NewServer(r.cape)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		if err := r.cape.Close(); err != nil {
			t.Error(err)
		}
		r.server.Close()
		r.client.CloseIdleConnections()
	})
	r.events = r.listen(ctx, "", false)
	r.listen(ctx, "?snapshot=true", false)
	r.listen(ctx, "", true)
	return r
}

func (r *replaced) open() *capebase.Cape {
	cape, err := capebase.Open(engines.Of(r.target.URL), capebase.Config{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1})),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	cape.UseAuth(credentials())
	return cape
}

// listener is a stream of all tasks: what it is told, and the last cursor.
type listener struct {
	name   string
	told   chan heard
	cursor string
}

// heard is an event of either kind of stream.
type heard struct {
	kind   string // "" is a change
	cursor string
	data   string
}

func (r *replaced) listen(ctx context.Context, query string, socket bool) *listener {
	r.t.Helper()
	l := &listener{name: fmt.Sprintf("stream %q, WebSocket: %v", query, socket), told: make(chan heard, 100)}
	next := func() (heard, error) { return heard{}, nil }
	if socket {
		ws, err := openSocket(ctx, strings.TrimPrefix(r.server.URL, "http://"), "/task/subscribe"+query, "admin")
		if err != nil {
			r.t.Fatal(err)
		}
		next = func() (heard, error) {
			m, err := ws.next()
			if m.Type == "change" {
				return heard{"", m.Cursor, string(m.Payload)}, err
			}
			return heard{strings.ReplaceAll(m.Type, "_", "-"), m.Cursor, m.Reason}, err
		}
	} else {
		stream, err := openEvents(ctx, r.client, r.server.URL+"/task/subscribe"+query, "admin", "")
		if err != nil {
			r.t.Fatal(err)
		}
		next = func() (heard, error) {
			e, err := stream.next()
			return heard{e.name, e.id, e.data}, err
		}
	}
	go func() {
		defer close(l.told)
		for {
			h, err := next()
			if err != nil {
				return
			}
			if h.kind != "cursor" {
				l.told <- h
			}
		}
	}()
	r.all = append(r.all, l)
	for h := r.hear(l); h.kind != "ready" || query != ""; h = r.hear(l) {
		if h.kind == "snapshot-end" {
			break
		}
	}
	return l
}

// hear takes what a listener is told next.
func (r *replaced) hear(l *listener) heard {
	r.t.Helper()
	h := take(r.t, l.told, l.name)
	if h.cursor != "" {
		l.cursor = h.cursor
	}
	return h
}

func take[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v, open := <-from:
		if !open {
			t.Fatalf("%s ended", what)
		}
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: nothing came within 30 s", what)
		panic("unreachable")
	}
}

// arrives writes a task and has everybody hear of it, and of nothing else.
func (r *replaced) arrives(level int) {
	t := r.t
	t.Helper()
	r.do(http.MethodPost, "/task", "u1", fmt.Sprintf(`{"level":%d,"v":1,"tx":"t"}`, level), http.StatusCreated)
	for _, l := range r.all {
		h := r.hear(l)
		if h.kind != "" || !strings.Contains(h.data, fmt.Sprintf(`"level":%d`, level)) || h.cursor == "" {
			t.Fatalf("%s: %+v, want a change of level %d", l.name, h, level)
		}
	}
	for _, from := range []<-chan capebase.Change[Task]{r.handled, r.durable} {
		c := take(t, from, "a handler")
		if from == r.durable {
			// At least once: what came after the position of a backup comes again. On MariaDB the journal itself notes that
			// its restored tables are others.
			for c.Event == capebase.Reset && r.restored || c.Event == capebase.Inserted && c.Row.Level < int64(level) && r.ids[c.ID] == int(c.Row.Level) {
				c = take(t, from, "a consumer")
			}
		}
		if c.Event != capebase.Inserted || c.Row.Level != int64(level) {
			t.Fatalf("%+v, want level %d", c, level)
		}
		if other, known := r.ids[c.ID]; known && other != level {
			t.Errorf("the id %s was that of level %d, and is that of level %d", c.ID, other, level)
		}
		r.ids[c.ID] = level
	}
}

// begunAnew has everybody hear that the journal is another one.
func (r *replaced) begunAnew() {
	t := r.t
	t.Helper()
	for _, l := range r.all {
		h := r.hear(l)
		if h.kind != "reset" || !strings.Contains(h.data, "unknown_cursor") {
			t.Fatalf("%s: %+v, want a reset", l.name, h)
		}
		if h.cursor != "" {
			continue
		}
		for h = r.hear(l); h.kind == "" && h.cursor == ""; h = r.hear(l) { // rows
		}
		if h.kind != "snapshot-end" || h.cursor == "" {
			t.Fatalf("%s: %+v, want the end of a snapshot", l.name, h)
		}
	}
	for _, from := range []<-chan capebase.Change[Task]{r.handled, r.durable} {
		if c := take(t, from, "a handler"); c.Event != capebase.Reset {
			t.Fatalf("%+v, want a Reset", c)
		}
	}
	r.ready(http.StatusOK)
}

func (r *replaced) do(method, path, token, body string, status int) string {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	authorize(request.Header, token)
	answer, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it has been read
	var text bytes.Buffer
	_, _ = text.ReadFrom(answer.Body) // the status says enough
	if status != 0 && answer.StatusCode != status {
		r.t.Fatalf("%s %s: %s\n%s", method, path, answer.Status, &text)
	}
	return answer.Status + " " + text.String()
}

// ready waits for the answer of /readyz.
func (r *replaced) ready(status int) {
	r.t.Helper()
	for range 300 {
		if answer := r.do(http.MethodGet, "/readyz", "", "", 0); strings.HasPrefix(answer, fmt.Sprint(status)) {
			return
		}
		wait(r.t.Context(), 100*time.Millisecond)
	}
	r.t.Fatalf("/readyz did not become %d", status)
}

// anew has another program take the journal away, and make one again.
func (r *replaced) anew() {
	r.t.Helper()
	other := r.open()
	defer func() {
		if err := other.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	publish(other)
	if err := other.Uninstall(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.ready(http.StatusServiceUnavailable) // nobody makes it again by itself
	if err := other.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// refused resumes from a cursor that is of no use any more.
func (r *replaced) refused(cursor string) {
	t := r.t
	t.Helper()
	stream, err := openEvents(t.Context(), r.client, r.server.URL+"/task/subscribe", "admin", cursor)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.body.Close() //nolint:errcheck // the test has seen enough
	var names []string
	for range 2 {
		e, err := stream.next()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.name+" "+e.data)
	}
	if want := []string{"ready {}", `reset {"reason":"unknown_cursor"}`}; !slices.Equal(names, want) {
		t.Errorf("an old cursor: %q, want %q", names, want)
	}
}

// backup saves the database by the engine's own tools, and returns the file.
func (r *replaced) backup() string {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "backup")
	switch r.target.Engine {
	case dbtest.SQLite:
		r.tool("", "sqlite3", "-batch", sqlitePath(r.target), ".timeout 20000", ".backup "+file)
	case dbtest.Postgres:
		r.tool("", "pg_dump", "--clean", "--if-exists", "--file="+file, r.target.URL)
	default:
		r.tool("", "mariadb-dump", append(mariadbArguments(r.target), "--single-transaction", "--add-drop-trigger", "--result-file="+file)...)
	}
	return file
}

// restore brings a backup back under the running program.
func (r *replaced) restore(file string) {
	r.t.Helper()
	if r.target.Engine == dbtest.SQLite {
		r.tool("", "sqlite3", "-batch", sqlitePath(r.target), ".timeout 20000", ".restore "+file)
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.target.Engine == dbtest.Postgres {
		r.tool(string(text), "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null", r.target.URL)
		return
	}
	r.restored = true
	r.tool(string(text), "mariadb", mariadbArguments(r.target)...)
}

func (r *replaced) tool(input, name string, args ...string) {
	r.t.Helper()
	command := exec.CommandContext(r.t.Context(), name, args...)
	command.Stdin = strings.NewReader(input)
	if r.target.Engine == dbtest.MariaDB || r.target.Engine == dbtest.MySQL {
		command.Env = append(os.Environ(), "MYSQL_PWD="+mariadbPassword(r.target))
	}
	if output, err := command.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", name, err, output)
	}
}

// labelled runs fn so that the goroutines that it starts, and those that they start, bear the test's name.
func labelled(t *testing.T, fn func(ctx context.Context)) {
	pprof.Do(t.Context(), pprof.Labels("test", t.Name()), fn)
}

// tailers counts the goroutines with the test's name that read a journal.
func tailers(t *testing.T) (count int) {
	t.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	_, stacks, _ := strings.Cut(profile.String(), "\n") // after the total
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(stack, t.Name()) && strings.Contains(stack, "journal.(*Journal).Run+") {
			equal := 0
			if _, err := fmt.Sscan(stack, &equal); err != nil {
				t.Fatalf("%v\n%s", err, stack)
			}
			count += equal
		}
	}
	return count
}
