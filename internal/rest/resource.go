package rest

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/internal/body"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/query"
	"github.com/capebase/capebase/internal/store"
)

// Route is one of the generated routes.
type Route uint16

// The routes, in the order of capebase.Route.
const (
	List Route = 1 << iota
	Get
	Create
	Update
	Delete
	Subscribe
)

// Resource is a published model as it is served.
type Resource struct {
	Path           string // with its slash, without the base path
	Routes         Route
	Store          *store.Store
	Create, Update *model.Shape // what POST and PATCH take
	Read           *huma.Schema // a reference to the schema of a row
	Subscribe      http.Handler // live changes
	History        *History     // nil: versions of rows are not served

	api   *API
	model *model.Model
}

// Mount adds a resource's routes and documents them.
func (a *API) Mount(r *Resource) {
	r.api, r.model = a, r.Store.Model
	for _, route := range r.routes() {
		if r.Routes&route.bit == 0 {
			continue
		}
		operation := route.document()
		operation.Method, operation.Path = route.method, r.Path+route.suffix
		operation.Parameters = append(operation.Parameters, header("X-Request-Id", "A name for the request, in the answer, in problems and in logs; one is made where it is absent."))
		a.router.HandleFunc(route.method+" "+a.BasePath+operation.Path, route.serve)
		a.Huma.OpenAPI().AddOperation(operation)
	}
}

type route struct {
	bit            Route
	method, suffix string
	serve          http.HandlerFunc
	document       func() *huma.Operation
}

func (r *Resource) routes() []route {
	routes := []route{
		{List, http.MethodGet, "", r.list, r.documentList},
		{Create, http.MethodPost, "", r.create, r.documentCreate},
		{Subscribe, http.MethodGet, "/subscribe", r.subscribe, r.documentSubscribe},
		{Get, http.MethodGet, "/{id}", r.get, r.documentGet},
		{Update, http.MethodPatch, "/{id}", r.update, r.documentUpdate},
		{Delete, http.MethodDelete, "/{id}", r.delete, r.documentDelete},
	}
	if r.History != nil {
		routes = append(routes,
			route{^Route(0), http.MethodGet, "/{id}/history", r.history, r.documentHistory},
			route{Update, http.MethodPost, "/{id}/revert", r.revert, r.documentRevert})
	}
	return routes
}

func (r *Resource) subscribe(w http.ResponseWriter, req *http.Request) { r.Subscribe.ServeHTTP(w, req) }

func (r *Resource) list(w http.ResponseWriter, req *http.Request) {
	q, err := query.Parse(req.URL.RawQuery, r.model, r.limits())
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	buffer := getBuffer()
	defer buffer.release()
	out := append(buffer.bytes, '[')
	count := prefersCount(req.Header)
	found, err := r.Store.List(req.Context(), q, count, func(row store.Row) {
		if len(out) > 1 {
			out = append(out, ',', '\n')
		}
		out = r.model.AppendRow(out, row)
	})
	out = append(out, ']', '\n')
	buffer.bytes = out
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	h := w.Header()
	h.Set("Content-Range", contentRange(q.Offset, found))
	if count {
		h.Set("Preference-Applied", "count=exact")
	}
	if found.More && found.Rows > 0 {
		h.Set("Link", "<"+r.api.BasePath+r.Path+"?"+q.WithOffset(q.Offset+int64(found.Rows))+`>; rel="next"`)
	}
	r.answer(w, req, http.StatusOK, out)
}

func (r *Resource) limits() query.Limits {
	return query.Limits{Page: r.api.Page, MaxPage: r.api.MaxPage}
}

// prefersCount reads the Prefer header (RFC 7240).
func prefersCount(h http.Header) bool {
	for _, line := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(preference), "count=exact") {
				return true
			}
		}
	}
	return false
}

func contentRange(offset int64, found store.List) string {
	total := "*"
	if found.Total >= 0 {
		total = strconv.FormatInt(found.Total, 10)
	}
	if found.Rows == 0 {
		return "*/" + total
	}
	return fmt.Sprintf("%d-%d/%s", offset, offset+int64(found.Rows)-1, total)
}

func (r *Resource) get(w http.ResponseWriter, req *http.Request) {
	key, err := r.key(req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	if text, given, err := asOfParameter(req); err != nil {
		r.api.fail(w, req, err)
		return
	} else if given {
		r.getAsOf(w, req, key, text)
		return
	}
	row, err := r.Store.Get(req.Context(), key)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	r.answerRow(w, req, http.StatusOK, row)
}

func (r *Resource) create(w http.ResponseWriter, req *http.Request) {
	inputs, bulk, err := r.inputs(w, req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	results, err := r.Store.Create(req.Context(), inputs)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	if !bulk {
		w.Header().Set("Location", r.api.BasePath+r.Path+"/"+r.model.FormatKey(results[0].Row))
		r.written(w, req, http.StatusCreated, results[0])
		return
	}
	buffer := getBuffer()
	defer buffer.release()
	out := append(buffer.bytes, '[')
	for i, result := range results {
		if !result.Readable {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if i > 0 {
			out = append(out, ',', '\n')
		}
		out = r.model.AppendRow(out, result.Row)
	}
	buffer.bytes = append(out, ']', '\n')
	writeJSON(w, http.StatusCreated, buffer.bytes)
}

func (r *Resource) update(w http.ResponseWriter, req *http.Request) {
	key, err := r.key(req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	doc, err := r.body(w, req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	in, err := r.input(r.Update, doc, "body", false)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	r.change(w, req, key, in)
}

// change updates a row and answers with it.
func (r *Resource) change(w http.ResponseWriter, req *http.Request, key []predicate.Value, in store.Input) {
	result, err := r.Store.Update(req.Context(), key, in, r.ifMatch(req))
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	r.written(w, req, http.StatusOK, result)
}

// written answers with the new row, or with nothing when the caller may write it but not read it.
func (r *Resource) written(w http.ResponseWriter, req *http.Request, status int, result store.Result) {
	if !result.Readable {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.answerRow(w, req, status, result.Row)
}

func (r *Resource) delete(w http.ResponseWriter, req *http.Request) {
	key, err := r.key(req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	if err := r.Store.Delete(req.Context(), key, r.ifMatch(req)); err != nil {
		r.api.fail(w, req, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// key reads the last segment as it was escaped, since a composite key's comma may be part of a value.
func (r *Resource) key(req *http.Request) ([]predicate.Value, error) {
	path := req.URL.EscapedPath()
	key, err := r.model.ParseKey(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return nil, problem.At(problem.InvalidID, "path.id", err.Error())
	}
	return key, nil
}

func (r *Resource) body(w http.ResponseWriter, req *http.Request) (any, error) {
	if err := body.CheckHeader(req.Header); err != nil {
		return nil, err
	}
	return body.Decode(http.MaxBytesReader(w, req.Body, min(r.api.Body, math.MaxInt64-1)+1), r.api.Body)
}

// inputs reads one object or an array of them.
func (r *Resource) inputs(w http.ResponseWriter, req *http.Request) (inputs []store.Input, bulk bool, err error) {
	doc, err := r.body(w, req)
	if err != nil {
		return nil, false, err
	}
	list, bulk := doc.([]any)
	if !bulk {
		in, err := r.input(r.Create, doc, "body", true)
		return []store.Input{in}, false, err
	}
	if len(list) == 0 || len(list) > r.api.MaxPage {
		return nil, true, problem.At(problem.Invalid, "body", fmt.Sprintf("expected 1 to %d objects", r.api.MaxPage))
	}
	var errs []problem.FieldError
	for i, element := range list {
		in, err := r.input(r.Create, element, fmt.Sprintf("body[%d]", i), true)
		if e, ok := err.(*problem.Error); ok { //nolint:errorlint // input returns it bare
			errs = append(errs, e.Errors...)
		}
		inputs = append(inputs, in)
	}
	if errs != nil {
		return nil, true, problem.Fields(problem.Invalid, errs[:min(len(errs), maxErrors)])
	}
	return inputs, true, nil
}

// maxErrors bounds how many mistakes of a body an answer lists.
const maxErrors = 100

// input checks an object against the shape's schema and converts its members to columns.
func (r *Resource) input(shape *model.Shape, doc any, location string, create bool) (store.Input, error) {
	in := store.NewInput(r.model, location)
	path := huma.NewPathBuffer(make([]byte, 0, 64), 0)
	path.Push(location)
	var result huma.ValidateResult
	mode := huma.ModeWriteToServer
	huma.Validate(r.api.Huma.OpenAPI().Components.Schemas, shape.Schema, path, mode, doc, &result)
	if len(result.Errors) > 0 {
		return in, validation(result.Errors)
	}
	members, ok := doc.(map[string]any)
	if !ok {
		return in, problem.At(problem.Invalid, location, "expected an object")
	}
	var errs []problem.FieldError
	for _, name := range shape.Unknown(members) {
		errs = append(errs, problem.FieldError{Location: location + "." + name, Message: "unexpected property"})
	}
	set := func(f *model.Field, v any) {
		value, err := f.FromJSON(v)
		if err != nil {
			errs = append(errs, problem.FieldError{Location: location + "." + f.Name, Message: err.Error()})
			return
		}
		in.Set(f.Column, value)
	}
	for _, f := range shape.Fields {
		if v, given := members[f.Name]; given {
			set(f, v)
		} else if v, has := shape.Defaults[f.Name]; has && create {
			set(f, v)
		}
	}
	if errs != nil {
		return in, problem.Fields(problem.Invalid, errs)
	}
	return in, nil
}

func validation(found []error) error {
	errs := make([]problem.FieldError, 0, len(found))
	for _, err := range found {
		field := problem.FieldError{Location: "body", Message: err.Error()}
		if detailer, ok := err.(huma.ErrorDetailer); ok {
			detail := detailer.ErrorDetail()
			field = problem.FieldError{Location: detail.Location, Message: detail.Message}
		}
		errs = append(errs, field)
		if len(errs) == maxErrors {
			break
		}
	}
	return problem.Fields(problem.Invalid, errs)
}
