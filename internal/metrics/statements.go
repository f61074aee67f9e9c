package metrics

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// statements counts what is sent to the database.
type statements struct {
	classes  func(error) engine.Failure
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	slow     *prometheus.CounterVec
	wait     prometheus.Histogram // nil where no database has one writer

	mu     sync.RWMutex
	tables map[string]string // the labels of the tables, by name in lower case
	known  map[string]*statement
}

// statement is what is known of a text.
type statement struct {
	operation, table string
	duration         prometheus.Observer
}

// maxKnown bounds the texts that are remembered. When there are more, it begins anew: filters and bulk writes make many,
// and those in use come again.
const (
	maxKnown     = 2048
	maxKnownText = 16 << 10
)

func newStatements(database string, classes func(error) engine.Failure) *statements {
	s := &statements{
		classes: classes,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "sql", Name: "statement_duration_seconds",
			Buckets: append([]float64{.00005, .0001, .00025}, durations()...),
			Help:    "Time of a statement until its last row was read, by operation and table.",
		}, []string{"operation", "table"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: "sql", Name: "statement_errors_total",
			Help: "Statements that failed, by operation, table and class: busy, down, constraint, cancelled or other.",
		}, []string{"operation", "table", "class"}),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: "sql", Name: "slow_statements_total",
			Help: "Statements that took longer than Config.SlowQuery, by operation and table.",
		}, []string{"operation", "table"}),
		known: map[string]*statement{},
	}
	if database == "sqlite" {
		s.wait = prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "sqlite", Name: "writer_wait_seconds",
			Buckets: append([]float64{.00001, .0001}, durations()...),
			Help:    "Time that a write waited for SQLite's one writer.",
		})
	}
	s.name(nil)
	return s
}

func (s *statements) collectors() []prometheus.Collector {
	all := []prometheus.Collector{s.duration, s.errors, s.slow}
	if s.wait != nil {
		all = append(all, s.wait)
	}
	return all
}

// Tables says which tables are counted by name, besides CapeBase's own; schema.table where they have one.
func (m *Metrics) Tables(names []string) { m.statements.name(names) }

// own are CapeBase's tables, as they are called where the database has no schemas.
var own = [...]string{ //nolint:gochecknoglobals // a table
	"cape_journal", "cape_tick", "cape_consumer", "cape_dead_letter", "cape_event", "cape_meta",
}

func (s *statements) name(tables []string) {
	labels := map[string]string{}
	for _, table := range own {
		labels[table] = table
		labels["cape."+strings.TrimPrefix(table, "cape_")] = table
	}
	for _, table := range tables {
		labels[strings.ToLower(table)] = table
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables, s.known = labels, map[string]*statement{}
}

// Statement counts a statement, and logs one that took long.
func (m *Metrics) Statement(ctx context.Context, s sqldriver.Statement) {
	slow := m.slow.is(ctx, &s)
	if !m.enabled.Load() {
		return
	}
	known := m.statements.of(s.Query)
	known.duration.Observe(seconds(s.Duration))
	if slow {
		m.statements.slow.WithLabelValues(known.operation, known.table).Inc()
	}
	if s.Err != nil {
		m.statements.errors.WithLabelValues(known.operation, known.table, m.statements.class(s.Err)).Inc()
	}
}

// Waited counts a wait for SQLite's writer.
func (m *Metrics) Waited(d time.Duration) {
	if m.statements.wait != nil && m.enabled.Load() {
		m.statements.wait.Observe(seconds(d))
	}
}

// of finds what is known of a text, or reads it.
func (s *statements) of(query string) *statement {
	s.mu.RLock()
	known := s.known[query]
	s.mu.RUnlock()
	if known != nil {
		return known
	}
	operation, name := read(query, func(name string) bool { return s.label(name) != "" })
	table := s.label(name)
	if table == "" {
		table = other
	}
	known = &statement{operation, table, s.duration.WithLabelValues(operation, table)}
	if len(query) > maxKnownText {
		return known
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[strings.Clone(query)] = known
	return known
}

// label is the name that a table is counted by; "" for one that is not.
func (s *statements) label(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if label := s.tables[name]; label != "" {
		return label
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return s.tables[name[i+1:]] // main.todos
	}
	return ""
}

// class is why a statement failed.
func (s *statements) class(err error) string {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	case errors.Is(err, sqldriver.ErrBusy):
		return "busy"
	case errors.Is(err, sqldriver.ErrDown), errors.Is(err, sqldriver.ErrClosed):
		return "down"
	}
	switch s.classes(err).Class {
	case engine.UniqueViolation, engine.NotNull, engine.Check, engine.ForeignKey, engine.TooLong:
		return "constraint"
	case engine.Busy:
		return "busy"
	case engine.Down:
		return "down"
	case engine.Cut:
		return "cancelled"
	case engine.Other, engine.ReadOnly, engine.Stale:
	}
	return other
}
