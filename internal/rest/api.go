package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/problem"
)

// Settings are what the API takes from capebase.Config.
type Settings struct {
	BasePath       string
	Origins        []string
	Logger         *slog.Logger
	TrustedProxies []netip.Prefix
	Body           int64 // bytes
	Page, MaxPage  int
	// Observers hear of each request, in their order.
	Observers []observe.Observer
	// Tracer makes spans within requests; nil: none.
	Tracer observe.Tracer
	// NoRequestLog leaves out the line of each request.
	NoRequestLog bool
}

// API is the HTTP side of a backend. Routes are added before it serves.
type API struct {
	Settings
	Authenticators []auth.Authenticator
	Huma           huma.API
	// Ready tells how the parts are that the backend needs.
	Ready func(context.Context) []Part
	// Refused, where it is set, hears of what answers 403, or 401 in its place, with the pattern of its route.
	Refused func(ctx context.Context, route string, e *problem.Error)

	router           *Router
	csrf             *http.CrossOriginProtection
	problemResponses map[int]*huma.Response // by status; for the document
}

// New makes an API with the routes that need no resource.
func New(s Settings) (*API, error) {
	a := &API{Settings: s, csrf: http.NewCrossOriginProtection(), problemResponses: map[int]*huma.Response{}}
	for _, origin := range s.Origins {
		if err := a.csrf.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("Config.Origins: %q: expected an origin such as https://app.example.com: %w", origin, err)
		}
	}
	a.router = newRouter(a)
	a.Huma = a.newHuma()
	a.router.handleOpen("GET "+s.BasePath+"/healthz", liveness)
	a.router.handleOpen("GET "+s.BasePath+"/readyz", a.readiness)
	return a, nil
}

// newHuma configures huma to add no routes and no members of its own, and to answer with our problems.
func (a *API) newHuma() huma.API {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	// huma documents its own error model, which transform replaces.
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[problem.Error]())
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "CapeBase", Version: "1"},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{},
			},
		},
		Formats:       huma.DefaultFormats,
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{a.transform},
	}
	if a.BasePath != "" {
		config.Servers = []*huma.Server{{URL: a.BasePath}}
	}
	api := huma.NewAPI(config, humago.NewAdapter(a.router, a.BasePath))
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) { next(&typedContext{humaContext: ctx}) })
	return api
}

// humaContext is embedded under a name that is not that of its method Context.
type humaContext = huma.Context

// typedContext is the context of a typed route. Its problems have the status and headers of the generated routes'.
type typedContext struct {
	humaContext
	problem *problem.Error // what transform made of the answer, if it is one
}

// Unwrap lets humago.Unwrap find the request.
func (c *typedContext) Unwrap() huma.Context { return c.humaContext }

// SetStatus is called after transform, and ends the headers.
func (c *typedContext) SetStatus(status int) {
	if c.problem != nil {
		status = c.problem.Status
		_, w := humago.Unwrap(c.humaContext)
		c.problem.SetHeaders(w.Header())
	}
	c.humaContext.SetStatus(status)
}

// Handle adds a plain route; pattern is http.ServeMux's.
func (a *API) Handle(pattern string, h http.Handler) { a.router.Handle(pattern, h) }

// transform gives huma's own errors our shape, and keeps the text of errors that are nobody's problem out of answers.
func (a *API) transform(ctx huma.Context, _ string, v any) (any, error) {
	var e *problem.Error
	switch v := v.(type) {
	case *problem.Error:
		e = v
		if e.Status >= http.StatusInternalServerError && ctx.Context().Err() == nil {
			a.Logger.ErrorContext(ctx.Context(), "request failed", "error", e, "request", caller.RequestOf(ctx.Context()).ID,
				"method", ctx.Method(), "path", ctx.URL().Path)
		}
	case *huma.ErrorModel:
		e = a.fromHuma(ctx.Context(), v)
	default:
		return v, nil
	}
	if op := ctx.Operation(); op != nil {
		a.refused(ctx.Context(), op.Method+" "+a.BasePath+op.Path, e)
	}
	if auth.From(ctx.Context()).ID == "" {
		e = e.ForAnonymous()
	}
	request := caller.RequestOf(ctx.Context())
	e = e.For(request.ID, request.Trace)
	if c, ok := ctx.(*typedContext); ok {
		c.problem = e
	}
	return e, nil
}

func (a *API) fromHuma(ctx context.Context, model *huma.ErrorModel) *problem.Error {
	code := problem.CodeOf(model.Status)
	if code == problem.Internal {
		var cause error
		for _, detail := range model.Errors {
			cause = errors.Join(cause, detail)
		}
		a.Logger.ErrorContext(ctx, "request failed", "error", cause, "request", caller.RequestOf(ctx).ID)
		e := problem.New(problem.Internal, "something went wrong; the log has the request's id")
		e.Status = model.Status
		return e
	}
	e := &problem.Error{Status: model.Status, Title: model.Title, Detail: model.Detail, Code: code}
	for _, detail := range model.Errors {
		e.Errors = append(e.Errors, problem.FieldError{Location: detail.Location, Message: detail.Message})
	}
	return e
}

// fail answers with the problem in err.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	request := caller.RequestOf(r.Context())
	var e *problem.Error
	if !errors.As(err, &e) {
		e = problem.Wrap(problem.Internal, "something went wrong; the log has the request's id", err)
	}
	if e.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		a.Logger.ErrorContext(r.Context(), "request failed", "error", err, "request", request.ID, "method", r.Method, "path", r.URL.Path)
	}
	a.refused(r.Context(), r.Pattern, e)
	if auth.From(r.Context()).ID == "" {
		e = e.ForAnonymous()
	}
	e.Write(w, request.ID, request.Trace)
}

// refused tells of a refusal, for the audit trail.
func (a *API) refused(ctx context.Context, route string, e *problem.Error) {
	if e.Code == problem.Permission && a.Refused != nil {
		a.Refused(ctx, route, e)
	}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
