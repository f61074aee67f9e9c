package observe

import (
	"context"
	"log/slog"
	"time"
)

// Tracer makes the spans of traces; package tracing has one. Spans are made below others only, but for those of requests:
// work that nobody traces makes none.
type Tracer interface {
	// Observer makes the span of each request.
	Observer
	// Start begins a span and returns the context of what is done within it; end is called once.
	Start(ctx context.Context, name string, attributes ...slog.Attr) (within context.Context, end func(err error, attributes ...slog.Attr))
	// Past makes a span of what has ended already.
	Past(ctx context.Context, name string, from, to time.Time, err error, attributes ...slog.Attr)
	// Carry writes the context's span as text, for the journal; "" where there is none, or it is not kept.
	Carry(ctx context.Context) string
	// Resume returns a context below the span that Carry wrote; ctx itself where the text is none.
	Resume(ctx context.Context, carried string) context.Context
}

// Start begins a span with a tracer that may be nil.
func Start(ctx context.Context, t Tracer, name string, attributes ...slog.Attr) (context.Context, func(err error, attributes ...slog.Attr)) {
	if t == nil {
		return ctx, func(error, ...slog.Attr) {}
	}
	return t.Start(ctx, name, attributes...)
}
