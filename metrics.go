package capebase

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/metrics"
	"github.com/capebase/capebase/internal/rest"
)

// Metrics is the Prometheus handler: what CapeBase does, Go's runtime and the process, from a registry of their own.
// Mount it where only Prometheus reaches it, best on another address: it needs no identity, and shows names of tables and
// routes. Requests and statements are counted from the first call of Metrics or Collector on, so call one of them before
// Start. docs/metrics.md lists the metrics.
func (c *Cape) Metrics() http.Handler {
	c.metrics.Enable()
	handler := c.metrics.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest.Quiet(w)
		handler.ServeHTTP(w, r)
	})
}

// Collector gives CapeBase's metrics to a registry of the program's own, which has those of Go and of the process already.
// Two backends in one registry need labels to tell them apart: prometheus.WrapRegistererWith.
func (c *Cape) Collector() prometheus.Collector {
	c.metrics.Enable()
	return c.metrics
}

func (c *Cape) newMetrics() *metrics.Metrics {
	dialect := c.backend.Dialect
	return metrics.New(metrics.Options{
		Engine: dialect.Name(), Logger: c.config.Logger, SlowQuery: c.config.SlowQuery,
		Classes: dialect.Classify,
		Sources: metrics.Sources{Pools: c.db.Stats, Live: c.liveStats, Journal: c.journalStats},
	})
}

// liveStats is what this process does with changes.
func (c *Cape) liveStats() (metrics.Live, bool) {
	if !c.started.Load() {
		return metrics.Live{}, false
	}
	h, streams := c.live.Load(), c.streams.Stats()
	return metrics.Live{
		Hub: h.hub.Stats(), Queues: h.hub.Queues(), Health: h.journal.Health(), Undelivered: c.failure.Load() != nil,
		Streams: streams.Open, CatchingUp: streams.CatchingUp, Snapshots: streams.Snapshots,
	}, true
}

// journalStats asks the database.
func (c *Cape) journalStats(ctx context.Context) (journal.Stats, bool, error) {
	if !c.started.Load() {
		return journal.Stats{}, false, nil
	}
	names := make([]string, len(c.consumers))
	for i, d := range c.consumers {
		names[i] = d.name
	}
	h := c.live.Load()
	stats, err := h.journal.Stats(ctx, h.hub.Head().Position, names)
	return stats, err == nil, err
}

// nameTables tells which tables statements are counted by.
func (c *Cape) nameTables(all []*published) {
	names := make([]string, len(all))
	for i, p := range all {
		table := p.model.Table
		names[i] = table.Name
		if table.Schema != "" {
			names[i] = table.Schema + "." + table.Name
		}
	}
	c.metrics.Tables(names)
}
