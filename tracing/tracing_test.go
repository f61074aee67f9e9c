package tracing_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/tracing"
)

// What any client can send makes no span that an exporter cannot write, or that is large.
func TestPathsOfClients(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/todo/1":                       "/todo/1",
		"/todo/\xff\xfe1":               "/todo/\uFFFD1",
		"/" + strings.Repeat("é", 1000): "/" + strings.Repeat("é", 127) + "\uFFFD…",
	} {
		spans := tracetest.NewSpanRecorder()
		tracer := tracing.New(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
		request := observe.Request{Method: "GET", Path: path, Began: time.Now(), Route: observe.Unmatched, Identity: "\xff"}
		ctx := tracer.Begin(t.Context(), httptest.NewRequest("GET", "/", nil), &request)
		tracer.End(ctx, &request)
		for _, a := range spans.Ended()[0].Attributes() {
			got := a.Value.String()
			if !utf8.ValidString(got) || a.Key == "url.path" && got != want {
				t.Errorf("%s of the path %.20q is %q, want %q", a.Key, path, got, want)
			}
		}
	}
}
