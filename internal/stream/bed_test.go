package stream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bed is a server over a store.
type bed struct {
	*Server
	t     testing.TB
	store *store
	http  *httptest.Server
	url   string
	user  *http.Client
	model [2]*model.Model

	mu     sync.Mutex
	people map[string]auth.Identity // by bearer token
	down   error                    // of the authenticators
	asked  int
}

// owned is the read rule of both tables: rows are their owner's, and an admin's.
var owned = &predicate.Expr{Op: predicate.Or, Args: []*predicate.Expr{
	{Op: predicate.HasRole, Names: []string{"admin"}},
	{Op: predicate.Owner, Column: 1, Kind: predicate.Text},
	{Op: predicate.Eq, Column: 1, Kind: predicate.Text, Values: []predicate.Value{predicate.TextValue("public")}},
}}

func visible(ctx context.Context) *predicate.Expr {
	id := auth.From(ctx)
	return predicate.Fold(owned, predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims})
}

type httptestServer = httptest.Server

type option func(*Options, *httptestServer)

func limits(change func(*Limits)) option {
	return func(o *Options, _ *httptestServer) { change(&o.Limits) }
}

// newBed serves a store. Alice and Bob are known by their names as tokens, root is an admin.
func newBed(t testing.TB, options ...option) *bed {
	t.Helper()
	b := &bed{t: t, store: newStore(), people: map[string]auth.Identity{
		"alice": {ID: "alice"}, "bob": {ID: "bob"}, "root": {ID: "root", Roles: []string{"admin"}},
	}}
	b.model = [2]*model.Model{parseModel[todo](t), parseModel[memo](t)}
	o := Options{
		Hub: b.store.hub, Journal: b.store, Authenticate: b.authenticate,
		Logger: slog.New(slog.DiscardHandler),
		Resources: []Resource{
			{Name: "todo", Table: todos, Model: b.model[todos], Visible: visible},
			{Name: "memo", Table: memos, Model: b.model[memos], Visible: visible},
		},
	}
	b.http = httptest.NewUnstartedServer(nil)
	for _, change := range options {
		change(&o, b.http)
	}
	b.Server = New(o)
	mux := http.NewServeMux()
	mux.Handle("GET /todo/subscribe", b.Resource("todo"))
	mux.Handle("GET /memo/subscribe", b.Resource("memo"))
	mux.Handle("GET /subscribe", b.Multi())
	b.http.Config.Handler = b.identified(mux)
	if b.http.EnableHTTP2 {
		b.http.StartTLS()
	} else {
		b.http.Start()
	}
	b.url, b.user = b.http.URL, b.http.Client()
	if p, ok := b.http.Listener.(*pipes); ok {
		b.user = p.client()
		t.Cleanup(b.user.CloseIdleConnections)
	}
	t.Cleanup(b.close)
	return b
}

func (b *bed) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		b.t.Errorf("Close: %v", err)
	}
	b.http.Close()
	if n := b.Streams(); n != 0 {
		b.t.Errorf("%d streams are open after Close", n)
	}
	if stats := b.Server.hub.Load().Stats(); stats.Subscriptions != 0 || stats.Groups != 0 {
		b.t.Errorf("the hub still has %+v", stats)
	}
}

var errNobody = problem.New(problem.Unauthenticated, "nobody")

func (b *bed) authenticate(r *http.Request) (auth.Identity, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.down != nil {
		return auth.Identity{}, b.down
	}
	token, ok := auth.Bearer(r)
	if !ok {
		return auth.Identity{}, nil
	}
	id, ok := b.people[token]
	if !ok {
		return auth.Identity{}, errNobody
	}
	return id, nil
}

// person changes who a token stands for.
func (b *bed) person(token string, id auth.Identity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.people[token] = id
}

func (b *bed) revoke(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.people, token)
}

func (b *bed) authenticators(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = err
}

func (b *bed) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := caller.WithRequest(r.Context(), caller.Request{ID: "request-1", Address: netip.MustParseAddr("192.0.2.1")})
		id, err := b.authenticate(r.WithContext(ctx))
		if err != nil {
			var p *problem.Error
			if !errors.As(err, &p) {
				p = problem.New(problem.Unavailable, "")
			}
			p.Write(w, "request-1", "")
			return
		}
		next.ServeHTTP(w, r.WithContext(auth.With(ctx, id)))
	})
}
