// Package caller holds what a context says of the call in progress, next to the identity: the privilege, and the
// request it came with. Package auth is its public face.
package caller

import (
	"context"
	"net/netip"
)

type privilegeKey struct{}

// WithPrivilege returns a context whose calls bypass rules; reason is recorded with each change.
func WithPrivilege(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, privilegeKey{}, reason)
}

// Privilege returns the reason given to WithPrivilege; ok is false for an ordinary context.
func Privilege(ctx context.Context) (reason string, ok bool) {
	reason, ok = ctx.Value(privilegeKey{}).(string)
	return reason, ok
}

// Request is what is recorded of the HTTP request that a call serves.
type Request struct {
	ID        string
	Trace     string     // the ID of the trace that it is part of, if any
	Address   netip.Addr // of the client, found through trusted proxies
	UserAgent string
}

// RequestKey is where a context has its *Request, which nobody changes.
type RequestKey struct{}

// WithRequest returns a context that carries r.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, RequestKey{}, &r)
}

// RequestOf returns the context's request, or the zero one.
func RequestOf(ctx context.Context) Request {
	if r, ok := ctx.Value(RequestKey{}).(*Request); ok {
		return *r
	}
	return Request{}
}

// IdentityKey is where a context has the *auth.Identity of its caller, which nobody changes.
type IdentityKey struct{}

type internalKey struct{}

// WithInternal marks statements that CapeBase itself runs under rules that it has applied already: no guard limits them.
func WithInternal(ctx context.Context) context.Context {
	return context.WithValue(ctx, internalKey{}, true)
}

// Internal tells whether WithInternal marked the context.
func Internal(ctx context.Context) bool { return ctx.Value(internalKey{}) != nil }
