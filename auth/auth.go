// Package auth says who is calling.
//
// An [Authenticator] reads the credentials of a request; capebase asks each in turn and puts the [Identity] into the
// request's context, where [From] finds it. Rules of package policy and managed fields (cape:"auth.id") speak of it.
package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/capebase/capebase/internal/caller"
)

// Identity is the caller; the zero value is anonymous.
type Identity struct {
	ID       string         // unique, stable; "" is anonymous
	Roles    []string       // the first is what cape:"auth.role" stores
	Claims   map[string]any // JSON values; integers never pass through float64
	Session  string         // which credential; shown in the audit trail
	ReadOnly bool           // every write is refused
	Expires  time.Time      // open streams end then; zero: never
}

// ErrUnauthenticated makes an Authenticator's error a 401; any other error is a 503.
var ErrUnauthenticated = errors.New("auth: unauthenticated")

// Authenticator reads credentials: the zero Identity and nil mean "none of mine", and the next one is asked.
type Authenticator interface {
	Authenticate(*http.Request) (Identity, error)
}

// Func adapts a function.
type Func func(*http.Request) (Identity, error)

// Authenticate calls f.
func (f Func) Authenticate(r *http.Request) (Identity, error) { return f(r) }

// Request is what is known of the HTTP request that a context belongs to.
type Request = caller.Request

// RequestOf returns the request that a context belongs to: its ID, as in X-Request-Id and the logs, and the client's
// address, found through the trusted proxies. It is zero outside of requests.
func RequestOf(ctx context.Context) Request { return caller.RequestOf(ctx) }

// From returns the context's identity, or the anonymous one.
func From(ctx context.Context) Identity {
	if id, ok := ctx.Value(caller.IdentityKey{}).(*Identity); ok {
		return *id
	}
	return Identity{}
}

// With returns a context whose caller is id. A request whose context has an identity keeps it: the authenticators are
// not asked, which is how tests call as anyone.
func With(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, caller.IdentityKey{}, &id)
}

// Known tells whether the context has an identity, be it the anonymous one.
func Known(ctx context.Context) bool {
	return ctx.Value(caller.IdentityKey{}) != nil
}

// Privileged returns a context that bypasses rules; reason goes to the audit trail.
func Privileged(ctx context.Context, reason string) context.Context {
	return caller.WithPrivilege(ctx, reason)
}
