package apitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// parcel has what makes every metric say something: a unique column, and a consumer that fails.
type parcel struct {
	ID   int64  `json:"id"`
	Code string `json:"code" gorm:"size:100;uniqueIndex"`
}

// measured is an app whose metrics are gathered.
type measured struct {
	*app
	registry *prometheus.Registry
	log      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func measure(t *testing.T, target dbtest.Target, config capebase.Config) *measured {
	t.Helper()
	m := &measured{registry: prometheus.NewPedanticRegistry(), log: &lockedBuffer{}}
	config.Logger = slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m.app = startWith(t, target, config, func(c *capebase.Cape) {
		m.registry.MustRegister(c.Collector())
		parcels := capebase.Publish[parcel](c)
		parcels.Allow(policy.All, policy.Anyone())
		parcels.Consume("labels", func(_ context.Context, change capebase.Change[parcel]) error {
			if change.Row.Code == "bad" {
				return errors.New("no paper")
			}
			return nil
		}, capebase.Tries(1))
	})
	return m
}

// gather returns the metrics by name.
func (m *measured) gather() map[string]*dto.MetricFamily {
	m.t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		m.t.Fatal(err)
	}
	found := map[string]*dto.MetricFamily{}
	for _, f := range families {
		found[f.GetName()] = f
	}
	return found
}

// value adds up the series of a metric whose labels have the given values.
func (m *measured) value(name string, labels ...string) float64 {
	m.t.Helper()
	sum := 0.0
	for _, series := range m.gather()[name].GetMetric() {
		has := map[string]string{}
		for _, l := range series.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && has[labels[i]] == labels[i+1]
		}
		if matches {
			sum += series.GetCounter().GetValue() + series.GetGauge().GetValue() + float64(series.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// want fails unless a metric has a value.
func (m *measured) want(want float64, name string, labels ...string) {
	m.t.Helper()
	if got := m.value(name, labels...); got != want {
		m.t.Errorf("%s%v is %v, want %v", name, labels, got, want)
	}
}

// eventually waits for a metric to have a value: what is asked of the database is kept for some seconds.
func (m *measured) eventually(want float64, name string, labels ...string) {
	m.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for m.value(name, labels...) != want {
		if time.Now().After(deadline) {
			m.want(want, name, labels...)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// documented are the rows of the table in docs/metrics.md: type and labels by name.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(capebase_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		var labels []string
		for _, label := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		slices.Sort(labels)
		rows[row[1]] = row[2] + " " + strings.Join(labels, ",")
	}
	if len(rows) == 0 {
		t.Fatal("docs/metrics.md has no table of metrics")
	}
	return rows
}

// TestMetrics: what happens is counted, and the list of docs/metrics.md is what there is.
func TestMetrics(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		m := measure(t, target, capebase.Config{SlowQuery: time.Nanosecond})
		alice := m.as("alice")
		alice.post("/parcel", `{"code":"good"}`).want(http.StatusCreated)
		alice.post("/parcel", `{"code":"bad"}`).want(http.StatusCreated)
		alice.post("/parcel", `{"code":"good"}`).want(http.StatusConflict)
		alice.get("/parcel?limit=1").want(http.StatusOK)
		m.as("nobody").get("/parcel").want(http.StatusUnauthorized)

		m.want(2, "capebase_http_requests_total", "route", "/parcel", "method", "POST", "status", "201")
		m.want(1, "capebase_http_requests_total", "route", "/parcel", "method", "POST", "status", "409")
		m.want(1, "capebase_http_requests_total", "route", "/parcel", "method", "GET", "status", "200")
		m.want(1, "capebase_http_requests_total", "route", "/parcel", "method", "GET", "status", "401")
		m.want(3, "capebase_http_request_duration_seconds", "route", "/parcel", "method", "POST")
		m.want(4, "capebase_authentications_total", "result", "ok")
		m.want(1, "capebase_authentications_total", "result", "refused")
		m.want(3, "capebase_sql_statement_duration_seconds", "operation", "insert", "table", "parcels")
		m.want(1, "capebase_sql_statement_errors_total", "operation", "insert", "table", "parcels", "class", "constraint")
		m.want(3, "capebase_sql_slow_statements_total", "operation", "insert", "table", "parcels")
		if m.value("capebase_sql_statement_duration_seconds", "operation", "select", "table", "parcels") < 1 {
			t.Error("the list is not among the statements")
		}
		m.eventually(1, "capebase_consumer_changes_total", "consumer", "labels", "result", "ok")
		m.eventually(1, "capebase_consumer_changes_total", "consumer", "labels", "result", "error")
		m.eventually(1, "capebase_consumer_dead_letters", "consumer", "labels")
		m.eventually(2, "capebase_journal_entries")
		m.eventually(0, "capebase_consumer_lag_entries", "consumer", "labels")
		m.want(2, "capebase_hub_events_total")
		m.want(1, "capebase_journal_recording")
		m.want(0, "capebase_tailer_failing")
		m.want(0, "capebase_http_requests_in_flight")
		m.follow()

		want := documented(t)
		if target.Engine == dbtest.SQLite {
			delete(want, "capebase_journal_size_bytes")
		} else {
			delete(want, "capebase_sqlite_writer_wait_seconds")
		}
		got := map[string]string{}
		for name, family := range m.gather() {
			got[name] = describe(family)
		}
		if !maps.Equal(got, want) {
			t.Errorf("the metrics are not what docs/metrics.md lists:\n%v\nwant\n%v", lines(got), lines(want))
		}
	})
}

// follow opens a stream, which is counted, and not as a request in flight.
func (m *measured) follow() {
	m.t.Helper()
	ctx, stop := context.WithCancel(m.t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server.URL+"/parcel/subscribe?code=eq.new", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	response, err := m.server.Client().Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	m.want(1, "capebase_streams_open")
	m.eventually(1, "capebase_hub_subscriptions")
	m.eventually(1, "capebase_hub_groups")
	m.want(0, "capebase_hub_scanned_views")
	m.want(0, "capebase_http_requests_in_flight")
	m.as("alice").post("/parcel", `{"code":"new"}`).want(http.StatusCreated)
	m.eventually(1, "capebase_hub_messages_delivered_total")
	m.want(1, "capebase_hub_events_matched_total")
	stop()
	m.eventually(0, "capebase_streams_open")
	m.eventually(1, "capebase_http_requests_total", "route", "/parcel/subscribe")
	m.want(0, "capebase_http_request_duration_seconds", "route", "/parcel/subscribe")
	m.want(0, "capebase_http_requests_in_flight")
}

// describe is a family's type and labels, as documented has them.
func describe(family *dto.MetricFamily) string {
	var labels []string
	for _, l := range family.GetMetric()[0].GetLabel() {
		labels = append(labels, l.GetName())
	}
	slices.Sort(labels)
	return strings.ToLower(family.GetType().String()) + " " + strings.Join(labels, ",")
}

func lines(rows map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintln(&text, name, rows[name])
	}
	return text.String()
}

// TestDashboardAndAlertsNameMetrics: every name in docs/grafana.json and docs/alerts.yaml is one of the documented, in
// its right form.
func TestDashboardAndAlertsNameMetrics(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for name, row := range documented(t) {
		if !strings.HasPrefix(row, "histogram") {
			known[name] = true
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			known[name+suffix] = true
		}
	}
	used := map[string]bool{}
	for _, file := range []string{"grafana.json", "alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`capebase_[a-z_]+`).FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("docs/%s names no metric", file)
		}
		for _, name := range names {
			used[name] = true
			if !known[name] {
				t.Errorf("docs/%s names %s, which does not exist", file, name)
			}
		}
	}
	for name, row := range documented(t) {
		if strings.HasPrefix(row, "histogram") {
			name += "_bucket"
		}
		if !used[name] {
			t.Errorf("neither the dashboard nor an alert uses %s", name)
		}
	}
}

// TestLabelsAreBounded: whatever clients send, there are no more series than before.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := measure(t, dbtest.New(t, dbtest.SQLite), capebase.Config{SlowQuery: -1}) // which one is slow is chance
	send := func(n int) {
		for i := range n {
			for _, one := range []struct{ method, target string }{
				{http.MethodGet, fmt.Sprintf("/nothing/%d", i)},
				{fmt.Sprintf("METHOD%d", i), "/parcel"},
				{http.MethodPut, "/parcel"},
				{http.MethodGet, fmt.Sprintf("/parcel/%d", i)},
				{http.MethodGet, fmt.Sprintf("/parcel?code=eq.%d&limit=%d", i, i+1)},
				{http.MethodGet, fmt.Sprintf("/parcel?order=code&or=(id.eq.%d,code.eq.%d)", i, i)},
				{http.MethodGet, fmt.Sprintf("/parcel?nothing%d=eq.1", i)},
				{http.MethodGet, fmt.Sprintf("/%d/../parcel", i)},
			} {
				r := httptest.NewRequest(one.method, "/", nil)
				r.URL.Path, r.URL.RawQuery, _ = strings.Cut(one.target, "?")
				r.Header.Set("X-Request-Id", fmt.Sprintf("id-%d", i))
				r.Header.Set("Authorization", fmt.Sprintf("Bearer token-%d", i))
				if i%2 == 0 {
					r.Header.Del("Authorization")
				}
				m.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
	}
	series := func() map[string]bool {
		found := map[string]bool{}
		for name, family := range m.gather() {
			for _, one := range family.GetMetric() {
				// Consumers save their positions from time to time, and a scrape asks for them, whatever clients send.
				if labels := fmt.Sprint(one.GetLabel()); !strings.Contains(labels, "\"cape_") {
					found[name+labels] = true
				}
			}
		}
		return found
	}
	send(2)
	before := series()
	send(100)
	for one := range series() {
		if !before[one] {
			t.Errorf("there is a new series: %s", one)
		}
	}
}

// TestSlowStatements: they are logged with the request's id, and without what the client sent.
func TestSlowStatements(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		m := measure(t, target, capebase.Config{SlowQuery: time.Nanosecond})
		told := func() bool {
			for line := range strings.Lines(m.log.text()) {
				if strings.Contains(line, "slow statement") && strings.Contains(line, "request=") && !strings.Contains(line, `request=""`) &&
					strings.Contains(strings.ToLower(line), "insert into") && strings.Contains(line, "parcels") {
					return true
				}
			}
			return false
		}
		m.as("alice").post("/parcel", `{"code":"confidential"}`).want(http.StatusCreated)
		for deadline := time.Now().Add(time.Minute); !told(); { // Start may have used up the lines of its second
			if time.Now().After(deadline) {
				t.Fatalf("no line tells of the INSERT:\n%s", m.log.text())
			}
			m.as("alice").post("/parcel", `{"code":"confidential"}`).want(http.StatusConflict)
		}
		log := m.log.text()
		if strings.Contains(log, "confidential") {
			t.Errorf("the log has what a client sent:\n%s", log)
		}
	})
}

// TestRequestLines: an http.Handler in a program's own router logs its requests, once, and can be told not to.
func TestRequestLines(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		m := measure(t, dbtest.New(t, dbtest.SQLite), capebase.Config{NoRequestLog: silent})
		mux := http.NewServeMux()
		mux.Handle("/", m.Middleware(m))
		r := httptest.NewRequest(http.MethodGet, "/parcel?code=eq.confidential", nil)
		r.Header.Set("Authorization", "Bearer alice")
		mux.ServeHTTP(httptest.NewRecorder(), r)
		count := strings.Count(m.log.text(), "msg=request method=GET path=/parcel ")
		if want := map[bool]int{false: 1, true: 0}[silent]; count != want {
			t.Errorf("NoRequestLog %v: %d lines, want %d:\n%s", silent, count, want, m.log.text())
		}
		if !silent && !strings.Contains(m.log.text(), "identity=alice") || strings.Contains(m.log.text(), "confidential") {
			t.Errorf("the line is not right:\n%s", m.log.text())
		}
	}
}
