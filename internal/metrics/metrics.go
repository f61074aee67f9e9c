// Package metrics counts what a backend does, for Prometheus.
//
// What happens often (requests, statements) is counted as it happens, in children that were looked up once; what can be
// asked for (pools, hub, journal) is read when somebody scrapes. No label has a value that a client can make up.
package metrics

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/capebase/capebase/internal/engine"
)

// namespace begins all names.
const namespace = "capebase"

// Options configures New.
type Options struct {
	Engine string // the database's, such as "sqlite"
	Logger *slog.Logger
	// SlowQuery is the time from which on a statement is logged; negative: never.
	SlowQuery time.Duration
	Classes   func(error) engine.Failure // the dialect's
	Sources   Sources
}

// Metrics is what is counted of one backend. It counts nothing before somebody asked for its figures: see Enable. Its
// methods may be called by several goroutines.
type Metrics struct {
	logger  *slog.Logger
	enabled atomic.Bool
	slow    slow

	requests   *requests
	statements *statements
	consumers  *prometheus.CounterVec
	scraped    *scraped
	collectors []prometheus.Collector
}

// New prepares metrics.
func New(o Options) *Metrics {
	m := &Metrics{
		logger: o.Logger, slow: slow{threshold: o.SlowQuery, logger: o.Logger},
		requests: newRequests(), statements: newStatements(o.Engine, o.Classes),
	}
	m.consumers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: "consumer", Name: "changes_total",
		Help: "Changes handed to a durable consumer of this process, by result: ok, or error, after which it is tried again.",
	}, []string{"consumer", "result"})
	m.scraped = newScraped(o)
	m.collectors = append(m.collectors, m.requests.collectors()...)
	m.collectors = append(m.collectors, m.statements.collectors()...)
	m.collectors = append(m.collectors, m.consumers, m.scraped)
	return m
}

// Enable begins to count.
func (m *Metrics) Enable() { m.enabled.Store(true) }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, c := range m.collectors {
		c.Describe(descriptions)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(found chan<- prometheus.Metric) {
	for _, c := range m.collectors {
		c.Collect(found)
	}
}

// maxScrapes bounds those that are answered at one time.
const maxScrapes = 4

// Handler serves the metrics, and those of Go and of the process, from a registry of their own.
func (m *Metrics) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(m.logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}

// Handled counts a change that a consumer was handed.
func (m *Metrics) Handled(consumer string, err error) {
	if !m.enabled.Load() {
		return
	}
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.consumers.WithLabelValues(consumer, result).Inc()
}

// durations are the buckets of what takes from a fraction of a millisecond to seconds.
func durations() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func seconds(d time.Duration) float64 { return d.Seconds() }
