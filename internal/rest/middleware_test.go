package rest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/capebase/capebase/auth"
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
