package apitest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/policy"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

type badType struct {
	ID int64
	C  chan int
}

type keyless struct{ Name string }

// TestMistakesFailStart holds that one error names every mistake with type, field, fix, file and line, and that the
// database is left alone.
func TestMistakesFailStart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		c, err := capebase.Open(engines.Of(target.URL), capebase.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		var stranger string
		todos := capebase.Publish[Todo](c)
		todos.Allow(policy.Read, policy.Owner(&stranger))
		todos.Allow(policy.Read, policy.Condition{})
		todos.Allow(policy.Read, policy.Role("*"))
		todos.Allow(policy.Action(0), policy.Anyone())
		capebase.Publish[Todo](c, capebase.Path("/other"))
		capebase.Publish[Document](c, capebase.Path("/docs"))
		capebase.Publish[Note](c, capebase.Path("/same"))
		capebase.Publish[Ticket](c, capebase.Path("/same"))
		capebase.Publish[badType](c)
		capebase.Publish[keyless](c)
		capebase.Publish[Member](c, capebase.CreateAs[CreateTodo](), capebase.Only(0))
		c.UseAuth(nil)
		c.Handle("NOT A PATTERN {", http.NotFoundHandler())
		err = c.Start(context.Background())
		if err == nil {
			t.Fatal("Start succeeds")
		}
		for _, want := range []string{
			`Todo.*declare_test\.go:\d+.*Allow \(declare_test\.go:\d+\): .*field`,
			`zero Condition`, `Role\("\*"\)`, `0 is no action`,
			`Todo.*published already`, `"/docs" is one of CapeBase's own`, `"/same" is taken`,
			`badType\.C`, `keyless.*primary key|primary key.*keyless`, `CreateAs\[.*CreateTodo\].*task`, `Only\(0\)`, `UseAuth\(nil\)`, `Handle\("NOT A PATTERN \{"\)`,
		} {
			if !regexp.MustCompile(want).MatchString(strings.ReplaceAll(err.Error(), "\n", "\\n")) {
				t.Errorf("no mention of %s in:\n%v", want, err)
			}
		}
		if plan, err := emptyPlan(t, target); err != nil || len(plan) == 0 {
			t.Errorf("the failed Start left tables: plan %v, %v", plan, err)
		}
	})
}

func emptyPlan(t *testing.T, target dbtest.Target) ([]string, error) {
	c, err := capebase.Open(engines.Of(target.URL), capebase.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a test's end
	publishTodo(c)
	return c.Plan(context.Background())
}

func TestBeforeStartAndAfter(t *testing.T) {
	c, err := capebase.Open(engines.Of(dbtest.New(t, dbtest.SQLite).URL), capebase.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publishTodo(c)
	w := newRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/todo", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "not_started") || w.Header().Get("Retry-After") == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	ran, ended := make(chan struct{}), make(chan struct{})
	c.OnStart(func(ctx context.Context) error { return ctx.Err() })
	c.Run(func(ctx context.Context) {
		close(ran)
		<-ctx.Done()
		close(ended)
	})
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(context.Background()); err != nil {
		t.Fatal("a second Start:", err)
	}
	<-ran
	func() {
		defer func() {
			if recover() == nil {
				t.Error("to declare after Start is no panic")
			}
		}()
		c.UseAuth(auth.Tokens{})
	}()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-ended
}

func TestMiddlewareAndProviders(t *testing.T) {
	a := start(t, dbtest.New(t, dbtest.SQLite), func(c *capebase.Cape) {
		publishTodo(c)
		c.UseAuth(auth.Func(func(r *http.Request) (auth.Identity, error) {
			switch r.Header.Get("X-Session") {
			case "":
				return auth.Identity{}, nil
			case "down":
				return auth.Identity{}, context.DeadlineExceeded
			case "stale":
				return auth.Identity{}, auth.ErrUnauthenticated
			}
			return auth.Identity{ID: r.Header.Get("X-Session")}, nil
		}))
	})
	own := a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Who", auth.From(r.Context()).ID)
	}))
	for session, want := range map[string]int{"dora": http.StatusOK, "down": http.StatusServiceUnavailable, "stale": http.StatusUnauthorized, "": http.StatusOK} {
		request := httptest.NewRequest(http.MethodGet, "/own", nil)
		request.Header.Set("X-Session", session)
		w := newRecorder()
		own.ServeHTTP(w, request)
		if w.Code != want || want == http.StatusOK && w.Header().Get("X-Who") != session {
			t.Errorf("session %q: %d %q", session, w.Code, w.Header().Get("X-Who"))
		}
		if got := a.as("").with("X-Session", session).get("/todo").Status; got != want {
			t.Errorf("session %q: generated route answers %d", session, got)
		}
	}
}

// TestStartAgain holds that a failed Start leaves nothing that a second one would trip over.
func TestStartAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		c, err := capebase.Open(engines.Of(target.URL), capebase.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		todos := capebase.Publish[Todo](c)
		todos.Allow(policy.All, policy.Anyone())
		changes := make(chan capebase.Change[Todo], 1)
		todos.OnChange(func(_ context.Context, change capebase.Change[Todo]) { changes <- change })
		fail := true
		c.OnStart(func(context.Context) error {
			if fail {
				return errors.New("not yet")
			}
			return nil
		})
		if err := c.Start(context.Background()); err == nil || !strings.Contains(err.Error(), "not yet") {
			t.Fatal(err)
		}
		fail = false
		if err := c.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodPost, "/todo", strings.NewReader(`{"task":"x"}`))
		request.Header.Set("Content-Type", "application/json")
		w := newRecorder()
		c.ServeHTTP(w, request.WithContext(auth.With(request.Context(), auth.Identity{ID: "alice"})))
		if w.Code != http.StatusCreated {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if change := await(t, changes); change.Row.Task != "x" {
			t.Fatalf("%+v", change)
		}
	})
}

func TestCloseDuringStart(t *testing.T) {
	c, err := capebase.Open(engines.Of(dbtest.New(t, dbtest.SQLite).URL), capebase.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publishTodo(c)
	begun, proceed := make(chan struct{}), make(chan struct{})
	c.OnStart(func(context.Context) error {
		close(begun)
		<-proceed
		return nil
	})
	failed := make(chan error, 1)
	go func() { failed <- c.Start(context.Background()) }()
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	for w := newRecorder(); !strings.Contains(w.Body.String(), "shutting down"); w = newRecorder() {
		c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/todo", nil))
		if strings.Contains(w.Body.String(), "shutting down") {
			break
		}
	}
	close(proceed)
	if err := await(t, failed); err == nil {
		t.Error("Start succeeds during Close")
	}
	if err := await(t, closed); err != nil {
		t.Error(err)
	}
}
