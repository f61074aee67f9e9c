package capebase

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/sqldriver"
)

// observers are told of each request. The tracer's context is the first, so that the others work within the span.
func (c *Cape) observers() []observe.Observer {
	if c.config.Tracer == nil {
		return []observe.Observer{c.metrics}
	}
	return []observe.Observer{c.config.Tracer, c.metrics}
}

// observeStatement is told of each statement.
func (c *Cape) observeStatement(ctx context.Context, s sqldriver.Statement) {
	c.metrics.Statement(ctx, s)
	if c.config.Tracer != nil {
		c.traceStatement(ctx, s)
	}
}

// traceStatement makes a statement's span. It has no values: they are the statement's arguments.
func (c *Cape) traceStatement(ctx context.Context, s sqldriver.Statement) {
	now := time.Now()
	c.config.Tracer.Past(ctx, operation(s.Query), now.Add(-s.Duration), now, s.Err,
		slog.String("db.system.name", c.backend.Dialect.Name()),
		slog.String("db.query.text", s.Query),
		slog.Int64("db.response.returned_rows", s.Rows))
}

// operation is a statement's first word.
func operation(query string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	const longest = 20
	if len(word) > longest {
		return "statement"
	}
	return strings.ToUpper(word)
}

// trace makes the spans of entries that belong to a trace: one of each transaction for its way through the journal, and one
// for its delivery to the subscribers of this process.
func (h *history) trace(entries []journal.Entry, read time.Time) {
	if h.tracer == nil {
		return
	}
	delivered := time.Now()
	for len(entries) > 0 {
		first, n := &entries[0], 1
		for n < len(entries) && entries[n].Tx == first.Tx && entries[n].Actor.Trace == first.Actor.Trace {
			n++
		}
		entries = entries[n:]
		if first.Actor.Trace == "" {
			continue
		}
		ctx := h.tracer.Resume(context.Background(), first.Actor.Trace)
		attributes := []slog.Attr{
			slog.Int64("capebase.position", first.Position), slog.Int("capebase.entries", n), slog.String("capebase.table", first.Name),
		}
		wrote := first.Time
		if wrote.After(read) { // by the clock of another machine
			wrote = read
		}
		h.tracer.Past(ctx, "journal", wrote, read, nil, attributes...)
		h.tracer.Past(ctx, "delivery", read, delivered, nil, attributes...)
	}
}

// within begins the span of a handler, below the one that made the change.
func (c *Cape) within(ctx context.Context, name string, seen *change) (context.Context, func(error)) {
	if c.config.Tracer == nil {
		return ctx, func(error) {}
	}
	ctx, end := c.config.Tracer.Start(c.config.Tracer.Resume(ctx, seen.trace), name,
		slog.String("capebase.change", seen.id), slog.String("capebase.event", string(seen.event)))
	return ctx, func(err error) { end(err) }
}
