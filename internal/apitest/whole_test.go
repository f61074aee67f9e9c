package apitest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// TestWritesInOneStatement looks at the statements of requests by their spans.
func TestWritesInOneStatement(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		whole := target.Engine == dbtest.Postgres || target.Engine == dbtest.MariaDB
		a, recorder, _ := traced(t, target, func(c *capebase.Cape) {
			todos := capebase.Publish[Todo](c)
			todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
		})
		// statements runs a request, and tells which statements it made.
		trace := []byte(clientTrace)
		statements := func(request func(c client) answer, status int) string {
			trace[0]++ // a trace for each
			id := string(trace)
			request(a.as("alice").with("traceparent", "00-"+id+"-"+clientSpan+"-01")).want(status)
			var names []string
			for _, span := range recorder.Ended() {
				if span.SpanContext().TraceID().String() == id && attributeOf(span, "db.query.text") != "" {
					names = append(names, span.Name())
				}
			}
			return strings.Join(names, " ")
		}
		post := func(body string) func(c client) answer {
			return func(c client) answer { return c.post("/todo", body) }
		}
		patch := func(path, body string) func(c client) answer {
			return func(c client) answer { return c.patch(path, body) }
		}
		for _, c := range []struct {
			name    string
			request func(c client) answer
			status  int
			whole   string // the statements where one can be enough
		}{
			{"create", post(`{"task":"a"}`), http.StatusCreated, "INSERT"},
			{"update", patch("/todo/1", `{"task":"b","note":null}`), http.StatusOK, "UPDATE"},
			{"no change", patch("/todo/1", `{"task":"b"}`), http.StatusOK, "UPDATE SELECT"},
			{"a row that is not there", patch("/todo/7", `{"task":"b"}`), http.StatusNotFound, "UPDATE SELECT"},
			{"a condition", func(c client) answer { return c.with("If-Match", `"x"`).patch("/todo/1", `{"task":"c"}`) },
				http.StatusPreconditionFailed, "SELECT"},
		} {
			got := statements(c.request, c.status)
			if whole && got != c.whole {
				t.Errorf("%s: the statements are %q, want %q", c.name, got, c.whole)
			}
			if !whole && strings.HasPrefix(got, "UPDATE") {
				t.Errorf("%s: the statements are %q", c.name, got)
			}
		}
	})
}
