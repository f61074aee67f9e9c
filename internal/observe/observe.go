// Package observe is what the log line, metrics and traces are told of a request: one structure, filled once.
package observe

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Request is an HTTP request and its answer. It belongs to the request's goroutine.
type Request struct {
	ID     string // X-Request-Id's
	Trace  string // the trace's ID, which an observer may set in Begin
	Method string // one of net/http's, or Other
	Path   string // as the client sent it, without the query: that may hold what is nobody else's business
	Began  time.Time

	// Route is the pattern that matched, without a method: "/todo/{id}". It is known at the end, like all that follows.
	Route    string        // or Unmatched or Unrouted
	Identity string        // the caller's ID; "" when anonymous or never asked for
	Status   int           // of the answer; 0 when it was Aborted before there was one
	Duration time.Duration // until the handler returned, which is when a stream ended
	Stream   bool          // the answer was a stream of events, or another protocol on the connection
	Aborted  bool          // the handler dropped the connection
	Quiet    bool          // a probe: worth no line of a log

	// Attributes are what observers add to the log line, such as the trace's ID.
	Attributes []slog.Attr
}

// The routes of requests that no route served, and the method of those whose own is not of HTTP. Labels are taken from
// these: a client cannot make new ones.
const (
	Unmatched = "unmatched" // nothing is at the path, or not with that method
	Unrouted  = "unrouted"  // answered before a route was looked for: preflights, foreign origins, requests before Start
	Other     = "other"
)

// Method returns a method that can be counted by.
func Method(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return Other
}

// Authentication is what the authenticators said of a request's credentials.
type Authentication uint8

// The results.
const (
	Accepted    Authentication = iota
	Anonymous                  // there were none
	Refused                    // they are not valid: 401
	Unavailable                // they could not be checked: 503
)

// Observer hears of requests. Its methods are called on the goroutines of the requests, and must not block.
type Observer interface {
	// Begin returns the context in which the request is served: ctx, or one made of it. Of o only ID, Method, Path and
	// Began are set.
	Begin(ctx context.Context, r *http.Request, o *Request) context.Context
	// Streaming says that the answer is a stream, which may last for days. It is called once, before the first bytes.
	Streaming(ctx context.Context, o *Request)
	// End says that the request was answered. The log line is written after all observers were told.
	End(ctx context.Context, o *Request)
	// Authenticated tells the result of asking the authenticators: once for a request, and again for streams that last.
	Authenticated(ctx context.Context, result Authentication)
}
