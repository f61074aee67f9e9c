package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Sources are asked when somebody scrapes.
type Sources struct {
	Pools func() []sqldriver.PoolStats
	// Live is false before Start.
	Live func() (Live, bool)
	// Journal asks the database; it is false before Start.
	Journal func(ctx context.Context) (journal.Stats, bool, error)
}

// Live is what this process does with changes.
type Live struct {
	Hub    hub.Stats
	Queues hub.Queues
	Health journal.Health

	Streams, CatchingUp, Snapshots int
	Undelivered                    bool // the journal was replaced, and is not there yet
}

// What asks the database is asked once in journalEvery, however many scrape, and for journalTime at most.
const (
	journalEvery = 5 * time.Second
	journalTime  = 2 * time.Second
)

// scraped reads figures when they are asked for.
type scraped struct {
	engine  string
	logger  *slog.Logger
	sources Sources
	d       descriptions

	mu      sync.Mutex // of whoever asks the database
	asked   time.Time
	journal journal.Stats
	valid   bool
	errors  int
}

type descriptions struct {
	info                                                         *prometheus.Desc
	inUse, idle, most, waits, waited                             *prometheus.Desc
	entries, bytes, age, recording, failures                     *prometheus.Desc
	behind, late, failing                                        *prometheus.Desc
	subscriptions, lagging, views, scanned, groups               *prometheus.Desc
	events, matched, delivered, overflows                        *prometheus.Desc
	queued, queuedBytes, longest                                 *prometheus.Desc
	streams, catchingUp, snapshots                               *prometheus.Desc
	consumerBehind, consumerLate, consumerTries, consumerLetters *prometheus.Desc
}

func newScraped(o Options) *scraped {
	one := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	s := &scraped{engine: o.Engine, logger: o.Logger, sources: o.Sources}
	s.d = descriptions{
		info: one("info", "1, labelled with the database's engine.", "engine"),

		inUse:  one("sql_connections_in_use", "Connections that run something or are in a transaction, by pool.", "pool"),
		idle:   one("sql_connections_idle", "Connections that are open and wait for work, by pool.", "pool"),
		most:   one("sql_connections_max", "The most connections that there may be, by pool.", "pool"),
		waits:  one("sql_connection_waits_total", "Times that no connection was idle, so that one was waited for or made, by pool.", "pool"),
		waited: one("sql_connection_wait_seconds_total", "Time of those waits, by pool.", "pool"),

		entries:   one("journal_entries", "Changes in the journal."),
		bytes:     one("journal_size_bytes", "Size of the journal with its indexes, as the database knows it; not on SQLite."),
		age:       one("journal_oldest_entry_age_seconds", "Age of the oldest change in the journal; it reaches Retention and stays there."),
		recording: one("journal_recording", "1, or 0 where triggers are missing that this program may not or cannot install: changes are lost."),
		failures:  one("journal_scrape_errors_total", "Times that the journal's figures could not be read; they are left out then."),

		behind:  one("tailer_lag_entries", "Changes in the journal that this process has not delivered yet."),
		late:    one("tailer_lag_seconds", "Age of the oldest of them."),
		failing: one("tailer_failing", "1 while this process cannot read the journal, else 0."),

		subscriptions: one("hub_subscriptions", "Subscriptions of live changes in this process."),
		lagging:       one("hub_lagging_subscriptions", "Of them, those that are served from the journal because their queue was full."),
		views:         one("hub_views", "Distinct conditions of the subscriptions."),
		scanned:       one("hub_scanned_views", "Of them, those without an equality by which to find them: each change of their table tries them."),
		groups:        one("hub_groups", "Distinct conditions and forms of output: each change is encoded once for a group."),
		events:        one("hub_events_total", "Changes that this process has read from the journal."),
		matched:       one("hub_events_matched_total", "Of them, those that a subscriber could see."),
		delivered:     one("hub_messages_delivered_total", "Messages put into subscribers' queues."),
		overflows:     one("hub_overflows_total", "Times that a subscriber's queue was full, so that it fell back to the journal."),
		queued:        one("hub_queued_messages", "Messages that wait for their subscribers to take them."),
		queuedBytes:   one("hub_queued_bytes", "Their size; bytes that subscribers share are counted for each."),
		longest:       one("hub_longest_queue_messages", "The most messages that wait for one subscriber."),

		streams:    one("streams_open", "Open streams: connections of SSE and WebSocket."),
		catchingUp: one("streams_catching_up", "Streams that read a page of the journal just now."),
		snapshots:  one("streams_snapshots", "Snapshots that are being read and sent; each holds a connection to the database."),

		consumerBehind:  one("consumer_lag_entries", "Changes in the journal that a durable consumer has not passed yet, of all tables.", "consumer"),
		consumerLate:    one("consumer_lag_seconds", "Age of the oldest of them.", "consumer"),
		consumerTries:   one("consumer_tries", "Times that a durable consumer failed with the change it is at.", "consumer"),
		consumerLetters: one("consumer_dead_letters", "Changes that a durable consumer has set aside.", "consumer"),
	}
	return s
}

// Describe implements prometheus.Collector.
func (s *scraped) Describe(out chan<- *prometheus.Desc) {
	d := &s.d
	for _, desc := range []*prometheus.Desc{
		d.info, d.inUse, d.idle, d.most, d.waits, d.waited, d.entries, d.bytes, d.age, d.recording, d.failures,
		d.behind, d.late, d.failing, d.subscriptions, d.lagging, d.views, d.scanned, d.groups, d.events, d.matched,
		d.delivered, d.overflows, d.queued, d.queuedBytes, d.longest, d.streams, d.catchingUp, d.snapshots,
		d.consumerBehind, d.consumerLate, d.consumerTries, d.consumerLetters,
	} {
		out <- desc
	}
}

// figures sends metrics of one kind.
type figures chan<- prometheus.Metric

func (f figures) gauge(d *prometheus.Desc, v float64, labels ...string) {
	f <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (f figures) counter(d *prometheus.Desc, v float64, labels ...string) {
	f <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (f figures) flag(d *prometheus.Desc, is bool) {
	if is {
		f.gauge(d, 1)
	} else {
		f.gauge(d, 0)
	}
}

// Collect implements prometheus.Collector.
func (s *scraped) Collect(out chan<- prometheus.Metric) {
	f := figures(out)
	f.gauge(s.d.info, 1, s.engine)
	for _, p := range s.sources.Pools() {
		f.gauge(s.d.inUse, float64(p.InUse), p.Name)
		f.gauge(s.d.idle, float64(p.Idle), p.Name)
		f.gauge(s.d.most, float64(p.Max), p.Name)
		f.counter(s.d.waits, float64(p.Waits), p.Name)
		f.counter(s.d.waited, seconds(p.WaitTime), p.Name)
	}
	if live, ok := s.sources.Live(); ok {
		s.live(f, &live)
		s.stored(f)
	}
}

func (s *scraped) live(f figures, l *Live) {
	d := &s.d
	f.flag(d.recording, l.Health.Unrecorded == nil)
	f.flag(d.failing, l.Undelivered || l.Health.Failing != nil)
	f.gauge(d.subscriptions, float64(l.Hub.Subscriptions))
	f.gauge(d.lagging, float64(l.Hub.Lagging))
	f.gauge(d.views, float64(l.Hub.Views))
	f.gauge(d.scanned, float64(l.Hub.Scanned))
	f.gauge(d.groups, float64(l.Hub.Groups))
	f.counter(d.events, float64(l.Hub.Events))
	f.counter(d.matched, float64(l.Hub.Matched))
	f.counter(d.delivered, float64(l.Hub.Delivered))
	f.counter(d.overflows, float64(l.Hub.Overflows))
	f.gauge(d.queued, float64(l.Queues.Messages))
	f.gauge(d.queuedBytes, float64(l.Queues.Bytes))
	f.gauge(d.longest, float64(l.Queues.Longest))
	f.gauge(d.streams, float64(l.Streams))
	f.gauge(d.catchingUp, float64(l.CatchingUp))
	f.gauge(d.snapshots, float64(l.Snapshots))
}

// stored sends what the database knows. The figures may be some seconds old; those that cannot be had are left out.
func (s *scraped) stored(f figures) {
	d := &s.d
	stats, valid, failures := s.ask()
	f.counter(d.failures, float64(failures))
	if !valid {
		return
	}
	f.gauge(d.entries, float64(stats.Entries))
	if stats.Bytes >= 0 {
		f.gauge(d.bytes, float64(stats.Bytes))
	}
	age := 0.0
	if !stats.Oldest.IsZero() {
		age = max(0, seconds(time.Since(stats.Oldest)))
	}
	f.gauge(d.age, age)
	f.gauge(d.behind, float64(stats.Tailer.Entries))
	f.gauge(d.late, seconds(stats.Tailer.Time))
	for _, c := range stats.Consumers {
		f.gauge(d.consumerBehind, float64(c.Lag.Entries), c.Name)
		f.gauge(d.consumerLate, seconds(c.Lag.Time), c.Name)
		f.gauge(d.consumerTries, float64(c.Tries), c.Name)
		f.gauge(d.consumerLetters, float64(c.DeadLetters), c.Name)
	}
}

// ask asks the database, unless that was done just now, with or without success.
func (s *scraped) ask() (stats journal.Stats, valid bool, failures int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) < journalEvery {
		return s.journal, s.valid, s.errors
	}
	ctx, cancel := context.WithTimeout(context.Background(), journalTime)
	defer cancel()
	var err error
	s.journal, s.valid, err = s.sources.Journal(ctx)
	s.asked = time.Now()
	if err != nil {
		s.valid = false
		s.errors++
		s.logger.Warn("the journal's figures cannot be read for metrics", "error", err)
	}
	return s.journal, s.valid, s.errors
}
