package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/sqldriver"
)

func TestRead(t *testing.T) {
	t.Parallel()
	s := newStatements("sqlite", nil)
	s.name([]string{"todos", "Notes", "app.files"})
	for query, want := range map[string]string{
		"SELECT * FROM todos WHERE id = ?":                                     "select todos",
		`SELECT "id" FROM "todos"`:                                             "select todos",
		"select `id` from `notes` as n":                                        "select Notes",
		`SELECT count(*) FROM main."todos"`:                                    "select todos",
		`SELECT 1 FROM "app"."files"`:                                          "select app.files",
		"SELECT 1 FROM files":                                                  "select other",
		"INSERT INTO todos(task) VALUES ('from notes')":                        "insert todos",
		"INSERT INTO cape.journal DEFAULT VALUES":                              "insert cape_journal",
		"INSERT OR REPLACE INTO todos VALUES (1)":                              "insert todos",
		"REPLACE INTO todos VALUES (1)":                                        "insert todos",
		"REPLACE INTO\ttodos SELECT * FROM notes":                              "insert todos",
		"UPDATE todos SET task = 'x' WHERE id IN (SELECT id FROM notes)":       "update todos",
		"UPDATE ONLY todos SET task = 'x'":                                     "update todos",
		"UPDATE OR IGNORE todos SET a = 1":                                     "update todos",
		"DELETE FROM todos":                                                    "delete todos",
		"DELETE FROM ONLY todos":                                               "delete todos",
		"WITH todos AS (SELECT * FROM main.todos WHERE 1) SELECT * FROM todos": "select todos",
		"WITH n AS (SELECT * FROM notes) UPDATE todos SET a = 1 FROM n":        "update todos",
		"WITH n AS (DELETE FROM notes RETURNING id) SELECT * FROM n":           "select Notes",
		"SELECT * FROM (SELECT * FROM notes) AS x JOIN todos ON 1":             "select todos",
		"SELECT * FROM unknown JOIN notes ON 1":                                "select Notes",
		"-- FROM notes\nSELECT /* FROM notes */ 1 FROM todos":                  "select todos",
		"SELECT 'FROM notes', \"a\"\"b\" FROM todos":                           "select todos",
		"SELECT 1":                        "select other",
		"VALUES (1)":                      "other other",
		"PRAGMA data_version":             "other other",
		"SAVEPOINT s1":                    "other other",
		"CREATE TABLE todos (id INTEGER)": "other todos",
		"CREATE TABLE IF NOT EXISTS cape_meta (k TEXT)": "other cape_meta",
		"SELECT * FROM cape_journal WHERE seq > ?":      "select cape_journal",
		"SELECT * FROM cape_evil":                       "select other",
		"SELECT extract(year from at) FROM todos":       "select todos",
		"SELECT * FROM todos FOR UPDATE":                "select todos",
		"":                                              "other other",
		"'":                                             "other other",
		"\"todos":                                       "other other",
		"INSERT INTO notes(id) SELECT id FROM todos ON CONFLICT DO UPDATE SET id = 1": "insert Notes",
		"SELECT * FROM todos.": "select todos",
	} {
		known := s.of(query)
		if got := known.operation + " " + known.table; got != want {
			t.Errorf("%s\nis %q, want %q", query, got, want)
		}
		if s.of(query) != known {
			t.Errorf("%s is read twice", query)
		}
	}
}

// TestReadTakesAnything: no text makes it fail, and what it says is always one of the known.
func TestReadTakesAnything(t *testing.T) {
	t.Parallel()
	s := newStatements("postgres", nil)
	s.name([]string{"todos"})
	words := []string{"SELECT", "with", "FROM", "INTO", "UPDATE", "todos", "cape", "journal", "(", ")", ".", "'", "\"", "`", "--", "/*", "*/", "\n", " ", "é", "\x00", "1"}
	operations := map[string]bool{"select": true, "insert": true, "update": true, "delete": true, "other": true}
	tables := map[string]bool{"todos": true, "other": true}
	for _, table := range own {
		tables[table] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		query := strings.Join(rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(words), rapid.String())).Draw(t, "query"), "")
		if known := s.of(query); !operations[known.operation] || !tables[known.table] {
			t.Fatalf("%q is %+v", query, known)
		}
	})
	if len(s.known) > maxKnown {
		t.Errorf("%d texts are kept", len(s.known))
	}
}

func TestTextsAreForgotten(t *testing.T) {
	t.Parallel()
	s := newStatements("sqlite", nil)
	for i := range 3 * maxKnown {
		s.of(fmt.Sprintf("SELECT %d", i))
	}
	if len(s.known) > maxKnown || len(s.known) == 0 {
		t.Errorf("%d texts are kept, want at most %d", len(s.known), maxKnown)
	}
	kept := len(s.known)
	if s.of("SELECT 1 -- " + strings.Repeat("x", maxKnownText)); len(s.known) != kept {
		t.Error("a long text is kept")
	}
}

func TestClass(t *testing.T) {
	t.Parallel()
	violation := errors.New("duplicate")
	s := newStatements("sqlite", func(err error) engine.Failure {
		if errors.Is(err, violation) {
			return engine.Failure{Class: engine.UniqueViolation}
		}
		return engine.Failure{}
	})
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w: x", sqldriver.ErrBusy), "busy"},
		{fmt.Errorf("%w: x", sqldriver.ErrDown), "down"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), "cancelled"},
		{fmt.Errorf("x: %w", violation), "constraint"},
		{errors.New("no such column"), "other"},
	} {
		if got := s.class(test.err); got != test.want {
			t.Errorf("%v is %s, want %s", test.err, got, test.want)
		}
	}
}

// sources are of a backend that has not started, unless they say otherwise.
func sources() Sources {
	return Sources{
		Pools:   func() []sqldriver.PoolStats { return []sqldriver.PoolStats{{Name: "reader", InUse: 1, Max: 8}} },
		Live:    func() (Live, bool) { return Live{}, false },
		Journal: func(context.Context) (journal.Stats, bool, error) { return journal.Stats{}, false, nil },
	}
}

func newMetrics(s Sources, log *bytes.Buffer) *Metrics {
	return New(Options{
		Engine: "sqlite", Logger: slog.New(slog.NewTextHandler(log, nil)), SlowQuery: time.Second,
		Classes: func(error) engine.Failure { return engine.Failure{} }, Sources: s,
	})
}

func scrape(m *Metrics) string {
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return answer.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %q in\n%s", line, text)
		}
	}
}

// TestNothingIsCountedUnasked: before Enable, and what began before it ends well.
func TestNothingIsCountedUnasked(t *testing.T) {
	t.Parallel()
	m := newMetrics(sources(), &bytes.Buffer{})
	serve := func(o *observe.Request) {
		ctx := m.Begin(t.Context(), nil, o)
		if o.Stream {
			m.Streaming(ctx, o)
		}
		m.Authenticated(ctx, observe.Accepted)
		m.Statement(ctx, sqldriver.Statement{Query: "SELECT 1", Err: sqldriver.ErrBusy})
		m.Waited(time.Second)
		m.Handled("mails", nil)
		m.End(ctx, o)
	}
	serve(&observe.Request{Route: "/todo", Method: "GET", Status: 200})
	began := &observe.Request{Route: "/todo", Method: "GET", Status: 299}
	m.Begin(t.Context(), nil, began)
	text := scrape(m)
	for _, name := range []string{"http_requests_total", "sql_statement_duration_seconds_count", "consumer_changes_total"} {
		if strings.Contains(text, "\ncapebase_"+name) {
			t.Errorf("%s was counted", name)
		}
	}
	wantLines(t, text, `capebase_authentications_total{result="ok"} 0`, "capebase_http_requests_in_flight 1",
		"capebase_sqlite_writer_wait_seconds_count 0", `capebase_sql_connections_in_use{pool="reader"} 1`, `capebase_info{engine="sqlite"} 1`)
	if strings.Contains(text, "capebase_journal") || !strings.Contains(text, "go_goroutines") {
		t.Errorf("before Start:\n%s", text)
	}
	m.Enable()
	m.End(t.Context(), began)
	for _, o := range []observe.Request{
		{Route: "/todo", Method: "GET", Status: 200}, {Route: "/todo", Method: "GET", Status: 200, Stream: true},
		{Route: "/todo", Method: "other", Status: 0, Aborted: true}, {Route: "unmatched", Method: "GET", Status: 999},
	} {
		serve(&o)
	}
	wantLines(t, scrape(m), `capebase_http_requests_total{method="GET",route="/todo",status="200"} 2`,
		`capebase_http_requests_total{method="GET",route="/todo",status="299"} 1`,
		`capebase_http_requests_total{method="other",route="/todo",status="other"} 1`,
		`capebase_http_requests_total{method="GET",route="unmatched",status="other"} 1`,
		`capebase_http_request_duration_seconds_count{method="GET",route="/todo"} 2`,
		"capebase_http_requests_in_flight 0", `capebase_authentications_total{result="ok"} 4`,
		`capebase_sql_statement_errors_total{class="busy",operation="select",table="other"} 4`,
		"capebase_sqlite_writer_wait_seconds_count 4", `capebase_consumer_changes_total{consumer="mails",result="ok"} 4`)
}

// TestScrapesDoNotHurt: the database is asked once in a while, also where it fails, and its silence takes nothing else away.
func TestScrapesDoNotHurt(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := sources()
	asked := 0
	s.Live = func() (Live, bool) { return Live{Hub: hub.Stats{Groups: 3}, Undelivered: true}, true }
	s.Journal = func(ctx context.Context) (journal.Stats, bool, error) {
		asked++
		if _, limited := ctx.Deadline(); !limited {
			t.Error("the question to the database has no time-out")
		}
		return journal.Stats{}, false, errors.New("the database is down")
	}
	m := newMetrics(s, &log)
	for range 3 {
		text := scrape(m)
		wantLines(t, text, "capebase_hub_groups 3", "capebase_tailer_failing 1", "capebase_journal_scrape_errors_total 1")
		if strings.Contains(text, "capebase_journal_entries ") {
			t.Error("figures that are not known were told")
		}
	}
	if asked != 1 || strings.Count(log.String(), "the database is down") != 1 {
		t.Errorf("asked %d times, and logged:\n%s", asked, &log)
	}
}

func TestJournalFigures(t *testing.T) {
	t.Parallel()
	s := sources()
	s.Live = func() (Live, bool) {
		return Live{Health: journal.Health{Unrecorded: errors.New("no triggers")}, Streams: 4}, true
	}
	s.Journal = func(context.Context) (journal.Stats, bool, error) {
		return journal.Stats{
			Entries: 7, Bytes: 8192, Oldest: time.Now().Add(time.Hour), // another clock
			Tailer:    journal.Lag{Entries: 2, Time: 3 * time.Second},
			Consumers: []journal.ConsumerStats{{Name: "mails", Lag: journal.Lag{Entries: 5, Time: time.Minute}, Tries: 4, DeadLetters: 6}},
		}, true, nil
	}
	wantLines(t, scrape(newMetrics(s, &bytes.Buffer{})), "capebase_journal_entries 7", "capebase_journal_size_bytes 8192",
		"capebase_journal_oldest_entry_age_seconds 0", "capebase_tailer_lag_entries 2", "capebase_tailer_lag_seconds 3",
		"capebase_journal_recording 0", "capebase_tailer_failing 0", "capebase_streams_open 4",
		`capebase_consumer_lag_entries{consumer="mails"} 5`, `capebase_consumer_lag_seconds{consumer="mails"} 60`,
		`capebase_consumer_tries{consumer="mails"} 4`, `capebase_consumer_dead_letters{consumer="mails"} 6`)
}

func TestSlowLinesAreLimited(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := &slow{threshold: time.Second, logger: slog.New(slog.NewTextHandler(&log, nil))}
	quick := sqldriver.Statement{Query: "SELECT 1", Duration: time.Second - 1}
	long := sqldriver.Statement{Query: "SELECT " + strings.Repeat("é", slowText), Duration: time.Second, Err: errors.New("of 'alice'")}
	if l.is(t.Context(), &quick) || log.Len() > 0 {
		t.Error("a quick statement is slow")
	}
	now := time.Now()
	for i := range slowLines + 5 {
		if _, ok := l.admit(now); ok != (i < slowLines) {
			t.Errorf("line %d: %v", i, ok)
		}
	}
	l.since = now.Add(-slowEvery)
	if !l.is(t.Context(), &long) || !strings.Contains(log.String(), "withheld=5") || !strings.Contains(log.String(), "é…") || log.Len() > slowText+300 ||
		strings.Contains(log.String(), "alice") {
		t.Errorf("logged %q", &log)
	}
	l.threshold = -1
	if l.is(t.Context(), &long) {
		t.Error("a statement is slow where none is to be")
	}
}

// TestCountingAllocatesNothing: once a route and a statement are known.
func TestCountingAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	m := newMetrics(sources(), &bytes.Buffer{})
	m.Enable()
	o := &observe.Request{Route: "/todo", Method: "GET", Status: 200, Duration: time.Millisecond}
	statement := sqldriver.Statement{Query: "SELECT * FROM todos WHERE user_id = ?", Duration: time.Millisecond}
	ctx := t.Context()
	count := testing.AllocsPerRun(100, func() {
		m.Begin(ctx, nil, o)
		m.Authenticated(ctx, observe.Accepted)
		m.Statement(ctx, statement)
		m.Waited(time.Millisecond)
		m.End(ctx, o)
	})
	if count > 0 {
		t.Errorf("%v allocations a request", count)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := newMetrics(sources(), &bytes.Buffer{})
	m.Enable()
	o := &observe.Request{Route: "/todo", Method: "GET", Status: 200, Duration: time.Millisecond}
	statement := sqldriver.Statement{Query: "SELECT \"id\",\"user_id\",\"task\",\"is_complete\",\"inserted_at\" FROM \"todos\" WHERE \"user_id\" = ? ORDER BY id LIMIT 20", Duration: time.Millisecond}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		m.Begin(ctx, nil, o)
		m.Authenticated(ctx, observe.Accepted)
		m.Statement(ctx, statement)
		m.End(ctx, o)
	}
}
