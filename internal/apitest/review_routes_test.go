package apitest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
)

func toJSON(t testing.TB, v any) string {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// serve asks without a network, with a value in the request's context.
func serve(t testing.TB, h http.Handler, method, path, body string, key, value any) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key, value)))
	return w
}

// TestCatchAll: a route of the user's for all that is left hides no other, whenever it was declared.
func TestCatchAll(t *testing.T) {
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) })
	}
	a := start(t, dbtest.New(t, dbtest.SQLite), func(c *capebase.Cape) {
		c.Handle("GET /before", text("before"))
		c.Handle("/", text("all"))
		c.Handle("GET /after", text("after"))
		publishTodo(c)
	})
	for path, want := range map[string]string{
		"/before": "before", "/after": "after", "/else": "all", "/todo": "[]\n", "/healthz": `{"status":"ok"}` + "\n",
	} {
		if got := serve(t, a, http.MethodGet, path, "", callKey{}, nil).Body.String(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

type callKey struct{}

// TestTypedProblems: the problems of typed routes have the status and headers of the generated ones.
func TestTypedProblems(t *testing.T) {
	a := start(t, dbtest.New(t, dbtest.SQLite), func(c *capebase.Cape) {
		for path, err := range map[string]error{
			"/permission": capebase.ErrPermission, "/unauthorized": huma.Error401Unauthorized("who?"),
			"/unavailable": capebase.ErrNotStarted, "/realm": huma.ErrorWithHeaders(huma.Error401Unauthorized("who?"), http.Header{"WWW-Authenticate": {"Basic"}}),
		} {
			huma.Get(c.API(), path, func(context.Context, *struct{}) (*struct{}, error) { return nil, err })
		}
	})
	for path, challenge := range map[string]string{"/permission": "Bearer", "/unauthorized": "Bearer", "/realm": "Basic"} {
		answer := a.as("").get(path)
		answer.problem(http.StatusUnauthorized, "unauthenticated")
		if got := answer.Header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != challenge {
			t.Errorf("%s: WWW-Authenticate %q, want %q", path, got, challenge)
		}
	}
	a.as("alice").get("/permission").problem(http.StatusForbidden, "permission")
	answer := a.as("alice").get("/unavailable")
	answer.problem(http.StatusServiceUnavailable, "not_started")
	if answer.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
