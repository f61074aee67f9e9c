// Package tracing gives CapeBase the spans of OpenTelemetry. A program that does not import it links none of that.
//
//	cape, err := capebase.Open(database, capebase.Config{Tracer: tracing.New(provider)})
//
// A request is a span, below the one that its traceparent header names (https://www.w3.org/TR/trace-context/) or that a
// handler around CapeBase has begun. Within it are the identity, each rule, and each statement with its text but without
// its arguments. What a request changes is carried by the journal: on each node that reads the change, "journal" is the time
// from the statement until the change was read, and "delivery" the time until all subscribers have it in their queues;
// OnChange and Consume run within spans of the same trace. Work that belongs to no trace makes no spans.
package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/capebase/capebase/internal/observe"
)

// scope names the library in spans.
const scope = "github.com/capebase/capebase"

// Tracer makes spans; it is for capebase.Config. Its methods are CapeBase's.
type Tracer struct {
	tracer  trace.Tracer
	context propagation.TraceContext
}

var _ observe.Tracer = (*Tracer)(nil)

// New takes the provider that keeps the spans, such as one of go.opentelemetry.io/otel/sdk/trace. What it samples, and
// where it sends that, is its own to decide. The program shuts it down after Close.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{tracer: provider.Tracer(scope)}
}

// Begin begins the span of a request.
func (t *Tracer) Begin(ctx context.Context, r *http.Request, o *observe.Request) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() { // else a handler around this one has read the headers
		ctx = t.context.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	ctx, span := t.tracer.Start(ctx, o.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(o.Began),
		trace.WithAttributes(
			attribute.String("http.request.method", o.Method),
			attribute.String("url.path", bounded(o.Path)),
			attribute.String("capebase.request_id", o.ID),
		))
	if span.SpanContext().IsValid() {
		o.Trace = span.SpanContext().TraceID().String()
	}
	return ctx
}

// Streaming marks the moment from which on a stream is served.
func (t *Tracer) Streaming(ctx context.Context, _ *observe.Request) {
	trace.SpanFromContext(ctx).AddEvent("streaming")
}

// End ends the span of a request.
func (t *Tracer) End(ctx context.Context, o *observe.Request) {
	span := trace.SpanFromContext(ctx)
	defer span.End(trace.WithTimestamp(o.Began.Add(o.Duration)))
	if !span.IsRecording() {
		return
	}
	span.SetName(o.Method + " " + o.Route)
	span.SetAttributes(attribute.String("http.route", o.Route))
	if o.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", o.Status))
	}
	if o.Identity != "" {
		span.SetAttributes(attribute.String("enduser.id", valid(o.Identity)))
	}
	switch {
	case o.Aborted:
		span.SetStatus(codes.Error, "aborted")
	case o.Status >= http.StatusInternalServerError:
		span.SetStatus(codes.Error, "")
	}
}

// Authenticated says nothing: the span of the identity does.
func (t *Tracer) Authenticated(context.Context, observe.Authentication) {}

// Start begins a span below the context's.
func (t *Tracer) Start(ctx context.Context, name string, attributes ...slog.Attr) (context.Context, func(error, ...slog.Attr)) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, func(error, ...slog.Attr) {}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(convert(attributes)...))
	return ctx, func(err error, attributes ...slog.Attr) {
		finish(span, err, attributes)
		span.End()
	}
}

// Past makes a span below the context's of what has ended.
func (t *Tracer) Past(ctx context.Context, name string, from, to time.Time, err error, attributes ...slog.Attr) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(from))
	finish(span, err, attributes)
	span.End(trace.WithTimestamp(to))
}

// finish says how it went. The error's text stays out: it may hold values of rows.
func finish(span trace.Span, err error, attributes []slog.Attr) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(convert(attributes)...)
	if err != nil {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(attribute.String("error.type", errorType(err)))
	}
}

// Carry writes the context's span as a traceparent, if that is kept.
func (t *Tracer) Carry(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	t.context.Inject(ctx, carrier)
	return carrier[traceParent]
}

// Resume returns a context below what Carry wrote.
func (t *Tracer) Resume(ctx context.Context, carried string) context.Context {
	if carried == "" {
		return ctx
	}
	return t.context.Extract(ctx, propagation.MapCarrier{traceParent: carried})
}

const traceParent = "traceparent"
