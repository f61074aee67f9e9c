// Package rest serves the generated routes: HTTP in, store out.
package rest

import (
	"net/http"
	"strings"

	"github.com/capebase/capebase/internal/problem"
)

// Router is a ServeMux whose own answers are problems: 404, 405 with Allow, and OPTIONS. It is complete before it serves.
type Router struct {
	serving *http.ServeMux // with a fallback for everything
	routes  *http.ServeMux // without, to find out why nothing matched
	api     *API
	frozen  bool // the document is written: another route would not be in it
}

func newRouter(api *API) *Router {
	rt := &Router{serving: http.NewServeMux(), routes: http.NewServeMux(), api: api}
	rt.serving.HandleFunc("/", rt.unmatched)
	return rt
}

// Handle adds a route whose context has the caller's identity.
func (rt *Router) Handle(pattern string, h http.Handler) {
	rt.handle(pattern, rt.api.identified(h))
}

// HandleFunc makes the Router a humago.Mux: huma's routes know the caller too.
func (rt *Router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	rt.Handle(pattern, http.HandlerFunc(h))
}

// handleOpen adds a route that asks nobody who is calling.
func (rt *Router) handleOpen(pattern string, h http.HandlerFunc) { rt.handle(pattern, h) }

func (rt *Router) handle(pattern string, h http.Handler) {
	if rt.frozen {
		panic("capebase: the route " + pattern + " after Start")
	}
	h = named(pathOf(pattern), h)
	rt.routes.Handle(pattern, h)
	switch {
	case pattern == "/":
		rt.serving = rt.routes // the user's catch-all takes the fallback's place
	case rt.serving != rt.routes:
		rt.serving.Handle(pattern, h)
	}
}

// pathOf is a pattern without its method.
func pathOf(pattern string) string {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		return strings.TrimLeft(pattern[i:], " \t")
	}
	return pattern
}

// named tells the request's observation which route serves it.
func named(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o := observationOf(w); o != nil {
			o.Route = route
		}
		h.ServeHTTP(w, r)
	})
}

// ServeHTTP serves a request whose middleware has run.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) { rt.serving.ServeHTTP(w, r) }

// unmatched tells a wrong path from a wrong method, by what a mux without this fallback answers.
func (rt *Router) unmatched(w http.ResponseWriter, r *http.Request) {
	probe := probeWriter{header: http.Header{}}
	h, _ := rt.routes.Handler(r)
	h.ServeHTTP(&probe, r)
	allow := probe.header.Get("Allow")
	switch {
	case probe.status != http.StatusMethodNotAllowed:
		rt.api.fail(w, r, problem.New(problem.NotFound, "there is nothing at this path"))
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allow+", OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", allow+", OPTIONS")
		rt.api.fail(w, r, problem.Newf(problem.MethodNotAllowed, "this path has %s", allow))
	}
}

// probeWriter keeps what the standard mux says of a request that it does not serve.
type probeWriter struct {
	header http.Header
	status int
}

func (p *probeWriter) Header() http.Header         { return p.header }
func (p *probeWriter) Write(b []byte) (int, error) { return len(b), nil }
func (p *probeWriter) WriteHeader(status int)      { p.status = status }
