package rest

import (
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

const (
	historyDescription = "The versions of one row that the caller could read under the rules of now, newest first, in the shape of live " +
		"events: a row that entered what the caller may read is an INSERT, one that left it a DELETE with its last version. A row that is " +
		"gone has its past too. A column that was added later is null in the versions before."
	revertDescription = "Changes one row to what it was, as an update by the caller would: those fields that the caller may change get the " +
		"values of a version, or of a time. Columns that were added later keep theirs."
	versionPattern = "^[0-9a-z]{1,13}\\.-?[0-9a-z]{1,13}$"
)

func (r *Resource) documentHistory() *huma.Operation {
	op := r.operation("history", "The history of a "+r.model.Name, historyDescription)
	least, most := 1.0, float64(r.api.MaxPage)
	op.Parameters = []*huma.Param{
		r.idParam(),
		{Name: "limit", In: "query", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: r.api.Page},
			Description: fmt.Sprintf("The number of versions, %d unless given; a larger one than %d counts as %[2]d.", r.api.Page, r.api.MaxPage)},
		{Name: "before", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Pattern: versionPattern},
			Description: "Only those before this version, as `Link` has it."},
		ifNoneMatch(),
	}
	op.Responses["200"] = &huma.Response{
		Description: "A page of versions.",
		Headers: map[string]*huma.Param{
			"History-Since": responseHeader("From this time on the history is complete; earlier versions may be missing."),
			"Link":          responseHeader("The next page, of earlier versions, when there is one: `</todo/1/history?limit=100&before=…>; rel=\"next\"`."),
			"ETag":          responseHeader("Of this page."),
		},
		Content: content(&huma.Schema{Type: huma.TypeArray, Items: r.api.File(r.model.Name+"Version", r.versionSchema())}),
	}
	notModified(op)
	r.problems(op, http.StatusBadRequest, http.StatusNotFound)
	return op
}

// versionSchema is that of a version. Its row is not the schema of now: what a column was may have been another.
func (r *Resource) versionSchema() *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeObject,
		Properties: map[string]*huma.Schema{
			"version":   {Type: huma.TypeString, Pattern: versionPattern, Description: "The name of the version."},
			"event":     {Type: huma.TypeString, Enum: []any{string(inserted), string(updated), string(deleted)}},
			"payload":   {Type: huma.TypeObject, Description: "The row as the change left it, or, deleted, as it was last. Columns that it did not have yet are null.", AdditionalProperties: true},
			"timestamp": {Type: huma.TypeString, Format: "date-time", Description: "When the statement was run, by the database's clock."},
		},
		Required:             []string{"version", "event", "payload", "timestamp"},
		AdditionalProperties: false,
	}
	s.PrecomputeMessages()
	return s
}

func (r *Resource) documentRevert() *huma.Operation {
	op := r.operation("revert", "Revert a "+r.model.Name, revertDescription)
	op.Parameters = []*huma.Param{r.idParam(), ifMatch()}
	target := func(name string, property *huma.Schema) *huma.Schema {
		s := &huma.Schema{
			Type: huma.TypeObject, Properties: map[string]*huma.Schema{name: property}, Required: []string{name}, AdditionalProperties: false,
		}
		s.PrecomputeMessages()
		return s
	}
	op.RequestBody = &huma.RequestBody{Required: true, Content: content(r.api.File(r.model.Name+"Revert", &huma.Schema{OneOf: []*huma.Schema{
		target("version", &huma.Schema{Type: huma.TypeString, Pattern: versionPattern, Description: "A version of this row."}),
		target("as_of", &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "A time, as in `as_of` of a get."}),
	}}))}
	op.Responses["200"] = r.rowResponse("The row after the change.")
	op.Responses["204"] = &huma.Response{Description: "Changed, and out of what the caller may read."}
	r.problems(op, append(writeProblems(), http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed)...)
	return op
}

func asOfDocument() *huma.Param {
	return &huma.Param{
		Name: "as_of", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Format: "date-time"},
		Description: "The row as it was at this time, when the rules of now allow the caller to read both that row and the present one. Columns that it did not have yet are null.",
	}
}
