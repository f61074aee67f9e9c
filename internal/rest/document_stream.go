package rest

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/internal/query"
)

const streamDescription = "Changes as server-sent events, or over a WebSocket with the subprotocol `capebase.v1` when the request " +
	"asks for the upgrade. A row that enters what the caller may see and the filter lets through arrives as INSERT, one that " +
	"leaves as DELETE. `event: ready` comes first; unnamed events are changes, `{\"table\",\"event\",\"payload\",\"timestamp\"}`; " +
	"`event: reset` says to read again."

func (r *Resource) documentSubscribe() *huma.Operation {
	op := r.operation("subscribe", "Live changes of "+r.model.Name, streamDescription)
	op.Parameters = append(query.FilterParameters(r.model), streamParameters()...)
	r.api.documentStream(op)
	return op
}

// MountSubscribe serves several resources over one connection.
func (a *API) MountSubscribe(h http.Handler) {
	op := &huma.Operation{
		OperationID: "subscribe", Method: http.MethodGet, Path: "/subscribe",
		Summary: "Live changes of several resources", Description: streamDescription, Tags: []string{"Live"},
		Responses: map[string]*huma.Response{}, Security: a.security(),
		Parameters: append([]*huma.Param{queryParameter("tables", "The resources, separated by commas.", "todo,note")}, streamParameters()...),
	}
	a.documentStream(op)
	a.router.Handle(http.MethodGet+" "+a.BasePath+op.Path, h)
	a.Huma.OpenAPI().AddOperation(op)
}

func (a *API) documentStream(op *huma.Operation) {
	op.Responses["101"] = &huma.Response{Description: "A WebSocket."}
	op.Responses["200"] = &huma.Response{
		Description: "A stream of events, until one side ends it.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	a.problems(op, http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests)
}

func streamParameters() []*huma.Param {
	return []*huma.Param{
		queryParameter("since", "A cursor to go on from: the id of the last event that was seen. Last-Event-ID goes before it.", nil),
		queryParameter("snapshot", "`true`: the rows that are there come first, as INSERT, up to `event: snapshot-end`.", "true"),
		queryParameter("auth", "`message`: the credentials come as the first message of the WebSocket.", nil),
		header("Last-Event-ID", "A cursor to go on from, as EventSource sends it."),
	}
}

func queryParameter(name, description string, example any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Example: example, Schema: &huma.Schema{Type: huma.TypeString}}
}
