package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/tracing"
)

// The trace that a client of these tests is part of.
const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan   = "00f067aa0ba902b7"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
)

// traced starts a backend whose spans are kept, and its log.
func traced(t *testing.T, target dbtest.Target, declare func(c *capebase.Cape)) (*app, *tracetest.SpanRecorder, *logText) {
	t.Helper()
	spans, log := tracetest.NewSpanRecorder(), &logText{}
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	a := startWith(t, target, capebase.Config{
		Tracer: tracing.New(provider), Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}, declare)
	return a, spans, log
}

// logText is a log that is read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// tree writes the spans of a trace, those below others indented.
func tree(spans []trace.ReadOnlySpan, id string, parent string, indent string) string {
	var text strings.Builder
	for _, s := range spans {
		if s.SpanContext().TraceID().String() == id && s.Parent().SpanID().String() == parent {
			fmt.Fprintf(&text, "%s%s\n%s", indent, s.Name(), tree(spans, id, s.SpanContext().SpanID().String(), indent+"  "))
		}
	}
	return text.String()
}

func attributeOf(s trace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if a.Key == attribute.Key(key) {
			return a.Value.String()
		}
	}
	return ""
}

func named(spans []trace.ReadOnlySpan, name string) trace.ReadOnlySpan {
	i := slices.IndexFunc(spans, func(s trace.ReadOnlySpan) bool { return s.Name() == name })
	if i < 0 {
		return nil
	}
	return spans[i]
}

func TestTrace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		handled, consumed := make(chan context.Context, 10), make(chan context.Context, 10)
		a, recorder, log := traced(t, target, func(c *capebase.Cape) {
			todos := capebase.Publish[Todo](c)
			todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
			todos.OnChange(func(ctx context.Context, _ capebase.Change[Todo]) { handled <- ctx })
			todos.Consume("mail", func(ctx context.Context, _ capebase.Change[Todo]) error {
				consumed <- ctx
				return nil
			})
		})
		alice := a.as("alice").with("traceparent", clientParent)
		alice.post("/todo", `{"task":"a secret plan"}`).want(http.StatusCreated)
		for _, ctx := range []context.Context{await(t, handled), await(t, consumed)} {
			if id := api.SpanContextFromContext(ctx).TraceID().String(); id != clientTrace {
				t.Errorf("a handler runs in the trace %s", id)
			}
		}
		a.as("alice").post("/todo", `{"task":"another trace"}`).want(http.StatusCreated)
		await(t, handled)
		await(t, consumed) // the spans of the first have ended

		spans := recorder.Ended()
		text := tree(spans, clientTrace, clientSpan, "")
		t.Log("\n" + text)
		request, rest, _ := strings.Cut(text, "\n")
		if request != "POST /todo" || strings.Count(text, "POST") != 1 {
			t.Errorf("the request's span is %q", request)
		}
		for _, want := range []string{"\n  identity\n", "\n  rule\n", "\n  INSERT\n", "\n  journal\n", "\n  delivery\n", "\n  OnChange Todo\n", "\n  Consume mail\n"} {
			if !strings.Contains("\n"+rest, want) {
				t.Errorf("there is no span %q", strings.TrimSpace(want))
			}
		}
		if span := named(spans, "POST /todo"); attributeOf(span, "http.response.status_code") != "201" || attributeOf(span, "enduser.id") != "alice" ||
			attributeOf(span, "http.route") != "/todo" || span.SpanKind() != api.SpanKindServer {
			t.Errorf("got %v", span.Attributes())
		}
		if span := named(spans, "rule"); attributeOf(span, "capebase.action") == "" || attributeOf(span, "capebase.rows") != "some" {
			t.Errorf("got %v", span.Attributes())
		}
		for _, span := range spans {
			if strings.Contains(fmt.Sprint(span.Attributes(), span.Events(), span.Status()), "secret plan") {
				t.Errorf("%s has a row's value: %v", span.Name(), span.Attributes())
			}
			if span.EndTime().Before(span.StartTime()) {
				t.Errorf("%s ends before it begins", span.Name())
			}
		}
		if !strings.Contains(log.String(), `"trace":"`+clientTrace+`"`) {
			t.Errorf("the log does not name the trace: %s", log)
		}
	})
}

func TestTraceOfProblems(t *testing.T) {
	a, recorder, _ := traced(t, dbtest.New(t, dbtest.SQLite), func(c *capebase.Cape) {
		todos := capebase.Publish[Todo](c)
		todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
		c.Handle("GET /broken", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	})
	for path, status := range map[string]int{"/todo/99": 404, "/nothing": 404, "/todo?x=1": 400, "/broken": 500, "/todo/subscribe?nothing=eq.1": 400} {
		answer := a.as("alice").with("traceparent", clientParent).get(path).want(status)
		var problem struct {
			Trace string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(answer.Body), &problem); err != nil || problem.Trace != clientTrace {
			t.Errorf("%s: %s, %v", path, answer.Body, err)
		}
	}
	a.as("nobody").with("traceparent", clientParent).get("/todo").want(http.StatusUnauthorized)
	var failed []string
	for _, span := range recorder.Ended() {
		if span.Status().Code == codes.Error {
			failed = append(failed, span.Name())
		}
	}
	if slices.Sort(failed); !slices.Equal(failed, []string{"GET /broken", "identity"}) {
		t.Errorf("these spans failed: %v", failed)
	}
	// A header that is none, or of a trace that is not kept.
	for _, parent := range []string{"", "x", "00-0-0-01", strings.Repeat("0", 10_000)} {
		a.as("alice").with("traceparent", parent).get("/todo").want(http.StatusOK)
	}
	before := len(recorder.Ended())
	a.as("alice").with("traceparent", strings.TrimSuffix(clientParent, "1")+"0").get("/todo").want(http.StatusOK)
	if after := len(recorder.Ended()); after != before {
		t.Errorf("%d spans of a trace that its client does not keep", after-before)
	}
}
