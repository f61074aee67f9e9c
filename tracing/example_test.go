package tracing_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"strings"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
	"github.com/capebase/capebase/tracing"
)

func Example() {
	type Todo struct {
		ID   int64  `json:"id"`
		Task string `json:"task"`
	}
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter() // a program has one that sends them, such as otlptracehttp
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	cape, err := capebase.Open(sqlite.Temp(), capebase.Config{
		Tracer: tracing.New(provider), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Anyone())
	if err := cape.Start(ctx); err != nil {
		log.Fatal(err)
	}
	request := httptest.NewRequest("GET", "/todo/1", strings.NewReader(""))
	request.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	cape.ServeHTTP(httptest.NewRecorder(), request)
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name, span.SpanContext.TraceID())
	}
	if err := cape.Close(); err != nil {
		log.Fatal(err)
	}
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// identity 4bf92f3577b34da6a3ce929d0e0e4736
	// rule 4bf92f3577b34da6a3ce929d0e0e4736
	// SELECT 4bf92f3577b34da6a3ce929d0e0e4736
	// GET /todo/{id} 4bf92f3577b34da6a3ce929d0e0e4736
}
