package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/postgres"
)

// parcel is a model of the second program, which has what examples/todo lacks: a consumer that fails, on PostgreSQL.
type parcel struct {
	ID   int64  `json:"id"`
	Code string `json:"code" gorm:"uniqueIndex"`
}

// startParcels serves the second program, and returns the addresses of its API and of its metrics.
func startParcels(t *testing.T) (api, metrics string) {
	t.Helper()
	cape, err := capebase.Open(postgres.URL(dbtest.New(t, dbtest.Postgres).URL), capebase.Config{
		Logger: slog.New(slog.DiscardHandler), SlowQuery: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cape.Close(); err != nil {
			t.Error(err)
		}
	})
	parcels := capebase.Publish[parcel](cape)
	parcels.Allow(policy.All, policy.Anyone())
	parcels.Consume("labels", func(_ context.Context, c capebase.Change[parcel]) error {
		if c.Row.ID%2 == 0 {
			return errors.New("no paper")
		}
		return nil
	}, capebase.Tries(1))
	handler := cape.Metrics()
	if err := cape.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, h := range []struct {
		handler http.Handler
		url     *string
	}{{cape, &api}, {handler, &metrics}} {
		server := httptest.NewServer(h.handler)
		t.Cleanup(server.Close)
		*h.url = server.URL
	}
	return api, metrics
}

// traffic keeps both programs busy until the test ends: what is shown are rates.
func traffic(t *testing.T, todos, parcels string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			for _, one := range []struct {
				method, url string
				body        any
			}{
				{http.MethodPost, todos + "/todo", map[string]any{"task": "write it down"}},
				{http.MethodGet, todos + "/todo?limit=5", nil},
				{http.MethodGet, todos + "/nothing", nil},
				{http.MethodPost, parcels + "/parcel", map[string]any{"code": strconv.Itoa(n)}},
				{http.MethodPost, parcels + "/parcel", map[string]any{"code": "0"}}, // a conflict
			} {
				_, err := request(ctx, one.method, one.url, one.body, nil)
				if refused := new(statusError); err != nil && ctx.Err() == nil && !errors.As(err, &refused) {
					t.Errorf("%s %s: %v", one.method, one.url, err)
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// follow opens a stream until the test ends.
func follow(t *testing.T, address string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, response.Body) // it ends with the context
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = response.Body.Close()
	})
}

// prometheus is a server that scrapes both programs.
type prometheus struct {
	process *process
	url     string
}

func startPrometheus(t *testing.T, metrics ...string) *prometheus {
	t.Helper()
	directory := t.TempDir()
	targets := make([]string, len(metrics))
	for i, m := range metrics {
		targets[i] = strconv.Quote(strings.TrimPrefix(m, "http://"))
	}
	configuration := fmt.Sprintf(`
global: {scrape_interval: 250ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - {job_name: capebase, static_configs: [{targets: [%s]}]}
`, absolute(t, "alerts.yaml"), strings.Join(targets, ", "))
	path := filepath.Join(directory, "prometheus.yml")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	address := dbtest.FreeAddress(t)
	command := exec.Command(find(t, "prometheus"), "--config.file="+path, "--storage.tsdb.path="+filepath.Join(directory, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	log := logFile(t, "prometheus.log")
	command.Stdout, command.Stderr = log, log
	p := &prometheus{launch(t, command), "http://" + address}
	err := p.process.eventually(t.Context(), func(ctx context.Context) error {
		_, err := request(ctx, http.MethodGet, p.url+"/-/ready", nil, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// absolute is the path of a file of docs/.
func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// dashboard returns the queries of docs/grafana.json by their panels' titles.
func dashboard(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(absolute(t, "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	queries := map[string][]string{}
	for _, panel := range document.Panels {
		for _, target := range panel.Targets {
			queries[panel.Title] = append(queries[panel.Title], target.Expr)
		}
	}
	if len(queries) < 10 {
		t.Fatalf("docs/grafana.json has %d panels with queries", len(queries))
	}
	return queries
}

// hasData asks a query, and tells why there is nothing to be drawn.
func (p *prometheus) hasData(ctx context.Context, query string) error {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	address := p.url + "/api/v1/query?query=" + url.QueryEscape(strings.ReplaceAll(query, "$__rate_interval", "10s"))
	if _, err := request(ctx, http.MethodGet, address, nil, &answer); err != nil {
		return err
	}
	for _, series := range answer.Data.Result {
		text, ok := series.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); ok && err == nil && !math.IsNaN(v) {
			return nil
		}
	}
	return fmt.Errorf("no data in %d series", len(answer.Data.Result))
}

// TestPrometheus: a real one scrapes examples/todo and another program. Each query of the dashboard finds something to
// draw, and the rules are evaluated without an error.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	metrics := dbtest.FreeAddress(t)
	todo := &program{
		t: t, path: build(t), target: dbtest.New(t, dbtest.SQLite), address: dbtest.FreeAddress(t), log: logFile(t, "todo.log"),
		more: []string{"METRICS_ADDR=" + metrics},
	}
	todo.start()
	parcels, parcelMetrics := startParcels(t)
	prometheus := startPrometheus(t, metrics, parcelMetrics)
	todos := "http://" + todo.address
	follow(t, todos+"/todo/subscribe?user_id=eq."+alice)
	traffic(t, todos, parcels)
	for panel, queries := range dashboard(t) {
		for _, query := range queries {
			err := prometheus.process.eventually(t.Context(), func(ctx context.Context) error { return prometheus.hasData(ctx, query) })
			if err != nil {
				t.Errorf("panel %q: %s: %v", panel, query, err)
			}
		}
	}
	if err := prometheus.process.eventually(t.Context(), prometheus.rulesAreWell); err != nil {
		t.Error(err)
	}
	for _, address := range []string{"http://" + metrics + "/metrics", parcelMetrics} {
		promtool(t, t.TempDir(), scrape(t, address), "check", "metrics")
	}
}

// rulesAreWell tells what is wrong with the evaluation of docs/alerts.yaml.
func (p *prometheus) rulesAreWell(ctx context.Context) error {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if _, err := request(ctx, http.MethodGet, p.url+"/api/v1/rules", nil, &answer); err != nil {
		return err
	}
	count := 0
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			count++
			if rule.Health != "ok" {
				return fmt.Errorf("the rule %s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if count == 0 {
		return errors.New("there are no rules")
	}
	return nil
}

func scrape(t *testing.T, address string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil || !bytes.Contains(text, []byte("capebase_info")) {
		t.Fatalf("%s: %v\n%s", address, err, text)
	}
	return text
}

// promtool runs Prometheus's own checks, which must have nothing to say.
func promtool(t *testing.T, directory string, input []byte, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), find(t, "promtool"), arguments...)
	command.Dir, command.Stdin = directory, bytes.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// TestAlerts: the rules of docs/alerts.yaml are valid, and say what testdata/alerts_test.yaml wants of made-up series.
func TestAlerts(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for name, from := range map[string]string{
		"alerts.yaml": absolute(t, "alerts.yaml"), "alerts_test.yaml": filepath.Join("testdata", "alerts_test.yaml"),
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, directory, nil, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")
	promtool(t, directory, nil, "test", "rules", "alerts_test.yaml")
}
