package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/problem"
)

// TestGiven: an identity that the authenticators found can be asked for again, also through Middleware; one that the
// program gave cannot.
func TestGiven(t *testing.T) {
	t.Parallel()
	a, err := New(Settings{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	a.Authenticators = []auth.Authenticator{auth.Func(func(*http.Request) (auth.Identity, error) {
		asked++
		return auth.Identity{ID: "alice", Claims: map[string]any{"org": []any{"a"}}}, nil
	})}
	var id auth.Identity
	var given bool
	inner := a.identified(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, given = a.Given(r.Context())
		id = auth.From(r.Context())
	}))
	as := func(name string, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(auth.With(r.Context(), auth.Identity{ID: name})))
		})
	}
	for name, test := range map[string]struct {
		handler http.Handler
		id      string
		given   bool
		asked   int
	}{
		"the route alone":       {inner, "alice", false, 1},
		"through Middleware":    {a.Identify(inner), "alice", false, 1},
		"given":                 {as("bob", inner), "bob", true, 0},
		"given before":          {as("bob", a.Identify(inner)), "bob", true, 0},
		"replaced after it":     {a.Identify(as("bob", inner)), "bob", true, 1},
		"given to be anonymous": {as("", inner), "", true, 0},
	} {
		asked = 0
		test.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		if id.ID != test.id || given != test.given || asked != test.asked {
			t.Errorf("%s: %q, given %v, asked %d times", name, id.ID, given, asked)
		}
	}
}

// TestRefusedMethods: what is told of a refusal is not the client's to choose, or it would be told of ever new ones.
func TestRefusedMethods(t *testing.T) {
	t.Parallel()
	a, err := New(Settings{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	a.Refused = func(_ context.Context, route string, _ *problem.Error) { routes = append(routes, route) }
	for _, method := range []string{http.MethodPost, "X1", "x2"} {
		r := httptest.NewRequest(method, "/", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if want := []string{http.MethodPost, observe.Other, observe.Other}; !slices.Equal(routes, want) {
		t.Errorf("told of %q, want %q", routes, want)
	}
}
