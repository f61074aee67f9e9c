package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/problem"
)

// ServeHTTP gives every request an id, answers CORS, refuses cross-origin writes, turns panics into problems, and tells
// the observers and the log.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.observed(w, r, (*API).serve) }

func (a *API) serve(o *observation, w http.ResponseWriter, r *http.Request) {
	id := o.ID
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v) // how a handler asks net/http to drop the connection
		default:
			a.Logger.ErrorContext(r.Context(), "panic", "error", v, "request", id, "path", r.URL.Path, "stack", string(debug.Stack()))
			problem.New(problem.Internal, "something went wrong; the log has the request's id").Write(w, o.ID, o.Trace)
		}
	}()
	if a.cors(w, r) {
		return
	}
	if err := a.csrf.Check(r); err != nil {
		e := problem.New(problem.Permission, "a browser sent this write from another origin; Config.Origins lists those that may")
		a.refused(r.Context(), observe.Method(r.Method), e) // any word is a method: a client could have as many entries as it knows words
		e.Write(w, o.ID, o.Trace)
		return
	}
	if !problemFreeURL(r) {
		a.fail(w, r, problem.New(problem.Malformed, "the path is not valid UTF-8 or has a NUL"))
		return
	}
	o.Route = observe.Unmatched
	a.router.ServeHTTP(w, r)
}

// Refuse answers a request that the backend cannot serve now.
func (a *API) Refuse(w http.ResponseWriter, r *http.Request, e *problem.Error) {
	a.observed(w, r, func(a *API, o *observation, w http.ResponseWriter, r *http.Request) {
		if !a.cors(w, r) {
			e.Write(w, o.ID, o.Trace)
		}
	})
}

// withRequest puts into the context what logs and the audit trail say of the request. One that is there already is kept:
// Middleware may have run before.
func (a *API) withRequest(r *http.Request) *http.Request {
	if caller.RequestOf(r.Context()).ID != "" {
		return r
	}
	id := r.Header.Get("X-Request-Id")
	if !validRequestID(id) {
		id = rand.Text()
	}
	return r.WithContext(&call{Context: r.Context(), request: caller.Request{
		ID:        id,
		Address:   clientAddress(r, a.TrustedProxies),
		UserAgent: r.UserAgent(),
	}})
}

// validRequestID bounds what a client may put into logs.
func validRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.'
	})
}

func problemFreeURL(r *http.Request) bool {
	return strings.ToValidUTF8(r.URL.Path, "") == r.URL.Path && !strings.Contains(r.URL.Path, "\x00")
}

// cors answers preflights of known origins, and marks answers for them. It tells whether the request is done with.
func (a *API) cors(w http.ResponseWriter, r *http.Request) bool {
	if len(a.Origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(a.Origins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", "Content-Range, ETag, History-Since, Link, Location, Preference-Applied, Retry-After, X-Request-Id")
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-Id")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Identify puts the caller's identity into the context of the user's own handlers.
func (a *API) Identify(next http.Handler) http.Handler {
	identified := a.identified(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identified.ServeHTTP(w, a.withRequest(r))
	})
}

// identified asks the authenticators in order, unless the context has an identity already.
func (a *API) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := a.identify(w, r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *API) identify(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if auth.Known(r.Context()) {
		noteIdentity(w, auth.From(r.Context()).ID)
		return r, nil
	}
	id, err := a.Authenticate(r)
	if err != nil {
		return r, err
	}
	noteIdentity(w, id.ID)
	if c, ours := r.Context().(*call); ours {
		c.identify(id)
		return r, nil
	}
	return r.WithContext(withFound(r.Context(), id)), nil
}

// Given returns the identity of a request that has another one than the authenticators found, or was not theirs to ask
// about.
func (a *API) Given(ctx context.Context) (auth.Identity, bool) {
	id := auth.From(ctx)
	if found, asked := ctx.Value(foundKey{}).(*auth.Identity); asked && reflect.DeepEqual(*found, id) {
		return auth.Identity{}, false
	}
	return id, auth.Known(ctx)
}

// Authenticate returns the identity that the first authenticator finds which knows the credentials. A bearer token that
// nobody knows is a mistake and not anonymous.
func (a *API) Authenticate(r *http.Request) (auth.Identity, error) {
	if a.Tracer == nil {
		return a.authenticate(r)
	}
	ctx, end := a.Tracer.Start(r.Context(), "identity")
	id, err := a.authenticate(r.WithContext(ctx))
	end(err, slog.String("enduser.id", id.ID))
	return id, err
}

func (a *API) authenticate(r *http.Request) (auth.Identity, error) {
	id, result, err := a.ask(r)
	for _, observer := range a.Observers {
		observer.Authenticated(r.Context(), result)
	}
	return id, err
}

func (a *API) ask(r *http.Request) (auth.Identity, observe.Authentication, error) {
	for _, authenticator := range a.Authenticators {
		id, err := authenticator.Authenticate(r)
		switch {
		case errors.Is(err, auth.ErrUnauthenticated):
			return auth.Identity{}, observe.Refused, problem.Wrap(problem.Unauthenticated, "the credentials are not valid", err)
		case err != nil:
			return auth.Identity{}, observe.Unavailable, problem.Wrap(problem.Unavailable, "the credentials cannot be checked now; try again", err)
		case !anonymous(id):
			return id, observe.Accepted, nil
		}
	}
	if _, given := auth.Bearer(r); given && len(a.Authenticators) > 0 {
		return auth.Identity{}, observe.Refused, problem.New(problem.Unauthenticated, "the bearer token is not valid")
	}
	return auth.Identity{}, observe.Anonymous, nil
}

func anonymous(id auth.Identity) bool {
	return id.ID == "" && len(id.Roles) == 0 && len(id.Claims) == 0 && id.Session == "" && !id.ReadOnly && id.Expires.IsZero()
}
