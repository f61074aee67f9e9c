package rest

import (
	"context"
	"sync/atomic"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
)

// call is the context of a request that is served here. It answers for all that CapeBase puts into a context: one value
// more would be one more copy of the http.Request.
type call struct {
	context.Context // the request's
	request         caller.Request
	identity        auth.Identity
	identified      atomic.Bool // the authenticators have been asked
}

// foundKey is where a context has the identity that the authenticators found, of the route or of Middleware around it.
type foundKey struct{}

// withFound is identify for a context that is not the call itself.
func withFound(ctx context.Context, id auth.Identity) context.Context {
	return auth.With(context.WithValue(ctx, foundKey{}, &id), id)
}

// identify notes whom the authenticators found, once. They and the observers may have goroutines that look already.
func (c *call) identify(id auth.Identity) {
	c.identity = id
	c.identified.Store(true)
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	switch key.(type) {
	case caller.RequestKey:
		return &c.request
	case caller.IdentityKey, foundKey:
		if c.identified.Load() {
			return &c.identity
		}
	}
	return c.Context.Value(key)
}
