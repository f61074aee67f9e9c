package rest

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/query"
)

const problemType = "application/problem+json"

func (r *Resource) documentList() *huma.Operation {
	op := r.operation("list", "List "+r.model.Name, "The rows that the caller may read, in key order unless `order` says otherwise.")
	op.Parameters = append(query.Parameters(r.model, r.limits()),
		header("Prefer", "`count=exact` fills the total of Content-Range."), ifNoneMatch())
	op.Responses["200"] = &huma.Response{
		Description: "A page of rows.",
		Headers: map[string]*huma.Param{
			"Content-Range":      responseHeader("First and last row of the page and the total, such as `0-99/1234`; `*` for what is not known."),
			"Link":               responseHeader("The next page, when there is one: `</todo?offset=100>; rel=\"next\"`."),
			"ETag":               responseHeader("Of this page."),
			"Preference-Applied": responseHeader("What of Prefer was honoured."),
		},
		Content: content(&huma.Schema{Type: huma.TypeArray, Items: r.Read}),
	}
	notModified(op)
	r.problems(op, http.StatusBadRequest)
	return op
}

func (r *Resource) documentGet() *huma.Operation {
	op := r.operation("get", "Get a "+r.model.Name, "One row, when the caller may read it.")
	op.Parameters = []*huma.Param{r.idParam(), ifNoneMatch()}
	if r.History != nil {
		op.Parameters = append(op.Parameters, asOfDocument())
	}
	op.Responses["200"] = r.rowResponse("The row.")
	notModified(op)
	r.problems(op, http.StatusBadRequest, http.StatusNotFound)
	return op
}

func (r *Resource) documentCreate() *huma.Operation {
	op := r.operation("create", "Create "+r.model.Name, "Creates one row from an object, or all or none of an array.")
	object := r.api.File(r.model.Name+"Create", r.Create.Schema)
	one := 1
	most := r.api.MaxPage
	op.RequestBody = &huma.RequestBody{Required: true, Content: content(&huma.Schema{OneOf: []*huma.Schema{
		object, {Type: huma.TypeArray, Items: object, MinItems: &one, MaxItems: &most},
	}})}
	op.Responses["201"] = &huma.Response{
		Description: "What was created.",
		Headers: map[string]*huma.Param{
			"Location": responseHeader("Of a single row."),
			"ETag":     responseHeader("Of a single row, for If-Match."),
		},
		Content: content(&huma.Schema{OneOf: []*huma.Schema{r.Read, {Type: huma.TypeArray, Items: r.Read}}}),
	}
	op.Responses["204"] = &huma.Response{Description: "Created, but the caller may not read it."}
	r.problems(op, append(writeProblems(), http.StatusConflict)...)
	return op
}

func (r *Resource) documentUpdate() *huma.Operation {
	op := r.operation("update", "Change a "+r.model.Name, "Changes the given fields of one row.")
	op.Parameters = []*huma.Param{r.idParam(), ifMatch()}
	op.RequestBody = &huma.RequestBody{Required: true, Content: content(r.api.File(r.model.Name+"Update", r.Update.Schema))}
	op.Responses["200"] = r.rowResponse("The row after the change.")
	op.Responses["204"] = &huma.Response{Description: "Changed, and out of what the caller may read."}
	r.problems(op, append(writeProblems(), http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed)...)
	return op
}

func (r *Resource) documentDelete() *huma.Operation {
	op := r.operation("delete", "Delete a "+r.model.Name, "Deletes one row.")
	op.Parameters = []*huma.Param{r.idParam(), ifMatch()}
	op.Responses["204"] = &huma.Response{Description: "Deleted."}
	r.problems(op, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity)
	return op
}

func writeProblems() []int {
	return []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}
}

func (r *Resource) operation(verb, summary, description string) *huma.Operation {
	return &huma.Operation{
		OperationID: verb + "-" + strings.ReplaceAll(strings.Trim(r.Path, "/"), "/", "-"),
		Summary:     summary,
		Description: description,
		Tags:        []string{r.model.Name},
		Responses:   map[string]*huma.Response{},
		Security:    r.api.security(),
	}
}

// DocumentSecurity names the credentials that the authenticators take. It comes before Mount.
func (a *API) DocumentSecurity() {
	if len(a.Authenticators) == 0 {
		return
	}
	a.Huma.OpenAPI().Components.SecuritySchemes["bearer"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer",
		Description: "A token in the Authorization header."}
}

// security says that credentials are optional: what an anonymous caller may do is the rules' to say.
func (a *API) security() []map[string][]string {
	schemes := a.Huma.OpenAPI().Components.SecuritySchemes
	if len(schemes) == 0 {
		return nil
	}
	security := []map[string][]string{{}}
	for name := range schemes {
		security = append(security, map[string][]string{name: {}})
	}
	return security
}

func (r *Resource) problems(op *huma.Operation, statuses ...int) { r.api.problems(op, statuses...) }

// problems documents the statuses of this operation and those of every one.
func (a *API) problems(op *huma.Operation, statuses ...int) {
	for _, status := range append(statuses, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable) {
		op.Responses[strconv.Itoa(status)] = a.problemResponse(status)
	}
}

// problemResponse is the same for all operations: each of its own took a quarter of the document's memory.
func (a *API) problemResponse(status int) *huma.Response {
	if response := a.problemResponses[status]; response != nil {
		return response
	}
	response := &huma.Response{
		Description: http.StatusText(status),
		Content:     map[string]*huma.MediaType{problemType: {Schema: a.problemSchema()}},
	}
	switch status {
	case http.StatusUnauthorized:
		response.Headers = map[string]*huma.Param{"WWW-Authenticate": responseHeader("`Bearer`.")}
	case http.StatusServiceUnavailable:
		response.Headers = map[string]*huma.Param{"Retry-After": responseHeader("Seconds.")}
	}
	a.problemResponses[status] = response
	return response
}

func (a *API) problemSchema() *huma.Schema {
	return a.Huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Error](), true, "Problem")
}

// File puts a schema under a name into the document, a number behind it where the name is taken, and returns a reference.
func (a *API) File(name string, schema *huma.Schema) *huma.Schema {
	schemas := a.Huma.OpenAPI().Components.Schemas.Map()
	for n := 2; schemas[name] != nil && schemas[name] != schema; n++ {
		name = strings.TrimRight(name, "0123456789") + strconv.Itoa(n)
	}
	schemas[name] = schema
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func (r *Resource) rowResponse(description string) *huma.Response {
	return &huma.Response{
		Description: description,
		Headers:     map[string]*huma.Param{"ETag": responseHeader("Of the row, for If-Match.")},
		Content:     content(r.Read),
	}
}

func (r *Resource) idParam() *huma.Param {
	names := make([]string, len(r.model.Table.Key))
	for i, column := range r.model.Table.Key {
		names[i] = r.model.Fields[column].Name
	}
	description := "The row's " + names[0] + "."
	if len(names) > 1 {
		description = "The row's " + strings.Join(names, ",") + ": one segment, separated by commas; a comma or slash in a value is percent-escaped."
	}
	return &huma.Param{Name: "id", In: "path", Required: true, Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}

func content(schema *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: schema}}
}

func header(name, description string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}

func responseHeader(description string) *huma.Param {
	return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}

func ifMatch() *huma.Param {
	return header("If-Match", "Write only when the row still has this ETag, else 412.")
}

func ifNoneMatch() *huma.Param {
	return header("If-None-Match", "Answer 304 when the ETag is still this one.")
}

func notModified(op *huma.Operation) {
	op.Responses["304"] = &huma.Response{Description: "Not modified."}
}
