package rest

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// AuditParameter is a query parameter of the audit trail's route.
type AuditParameter struct {
	Name, Description string
	Values            []string // nil: any
}

const auditDescription = "Who did what: changes of rows, whoever made them, and recorded events such as sign-ins and refusals. It reaches " +
	"back as far as the journal is kept. A page ends after it has looked at many entries: it may be short, even empty, and `next` " +
	"tells whether there are more. `text/csv` and `application/x-ndjson` export all that matches."

// MountAudit serves the audit trail; page is the type of its JSON.
func (a *API) MountAudit(h http.Handler, page reflect.Type, parameters []AuditParameter) {
	op := &huma.Operation{
		OperationID: "audit", Method: http.MethodGet, Path: "/audit", Summary: "Read the audit trail", Description: auditDescription,
		Tags: []string{"Audit"}, Responses: map[string]*huma.Response{}, Security: a.security(),
	}
	for _, p := range parameters {
		schema := &huma.Schema{Type: huma.TypeString}
		switch p.Name {
		case "since", "until":
			schema.Format = "date-time"
		case "limit":
			one := 1.0
			schema = &huma.Schema{Type: huma.TypeInteger, Minimum: &one}
		}
		for _, value := range p.Values {
			schema.Enum = append(schema.Enum, value)
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.Name, In: "query", Description: p.Description, Schema: schema})
	}
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses["200"] = &huma.Response{Description: "A page, or an export.", Content: map[string]*huma.MediaType{
		"application/json":     {Schema: a.Huma.OpenAPI().Components.Schemas.Schema(page, true, "AuditPage")},
		"text/csv":             {Schema: text},
		"application/x-ndjson": {Schema: text},
	}}
	a.problems(op, http.StatusBadRequest, http.StatusNotAcceptable)
	a.router.Handle(http.MethodGet+" "+a.BasePath+op.Path, h)
	a.Huma.OpenAPI().AddOperation(op)
}

// Fail answers with the problem in err.
func (a *API) Fail(w http.ResponseWriter, r *http.Request, err error) { a.fail(w, r, err) }
