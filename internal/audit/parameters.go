package audit

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/problem"
)

// Parameter is a parameter of the route.
type Parameter struct {
	Name, Description string
	Values            []string // those that are allowed; nil: any
}

// Parameters lists the parameters of the route.
func (h *Handler) Parameters() []Parameter {
	return []Parameter{
		{"resource", "Entries of a resource, by its name in live events; of a private table, by the table's.", nil},
		{"key", "Entries of a row, by its key in its URL.", nil},
		{"actor", "What an identity did, by its ID.", nil},
		{"event", "`INSERT`, `UPDATE`, `DELETE`, `GAP`, or the kind of a recorded event, such as `sign-in`.", nil},
		{"since", "Entries of that time and later: RFC 3339.", nil},
		{"until", "Entries before that time: RFC 3339.", nil},
		{"transaction", "Entries of one transaction.", nil},
		{"request", "What one request did, by its X-Request-Id.", nil},
		{"order", "`desc`, the newest first, unless it is `asc`.", []string{"asc", "desc"}},
		{"limit", fmt.Sprintf("Entries of a page: %d unless given, at most %d. Of an export: all unless given.", h.Limit, h.MaxLimit), nil},
		{"after", "`next` of the page before, or the id of an entry: what follows it in this order.", nil},
		{"format", "What Accept says otherwise: `csv` and `ndjson` export all that matches.", []string{"json", formatCSV, formatNDJSON}},
	}
}

// The formats of exports.
const (
	formatCSV    = "csv"
	formatNDJSON = "ndjson"
)

// parse reads the query of a request.
func (h *Handler) parse(r *http.Request) (q *Query, format string, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, "", problem.New(problem.Malformed, "the query is not URL-encoded")
	}
	if err := h.known(values); err != nil {
		return nil, "", err
	}
	q = &Query{
		Resource: values.Get("resource"), Key: values.Get("key"), Actor: values.Get("actor"), Event: values.Get("event"),
		Transaction: values.Get("transaction"), Request: values.Get("request"), After: values.Get("after"),
		Ascending: values.Get("order") == "asc",
	}
	var errs []problem.FieldError
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		if *to, err = time.Parse(time.RFC3339, text); err != nil {
			errs = append(errs, problem.FieldError{Location: "query." + name, Message: `expected an RFC 3339 date-time, such as "2026-01-31T12:00:00Z"`})
		}
	}
	if text := values.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 {
			errs = append(errs, problem.FieldError{Location: "query.limit", Message: "expected a positive integer"})
		}
	}
	if errs != nil {
		slices.SortFunc(errs, func(a, b problem.FieldError) int { return strings.Compare(a.Location, b.Location) })
		return nil, "", problem.Fields(problem.InvalidQuery, errs)
	}
	if format = values.Get("format"); format == "" {
		format, err = accepted(r.Header)
	}
	return q, format, err
}

// known refuses parameters that there are not, that come twice or empty, and values that there are not.
func (h *Handler) known(values url.Values) error {
	parameters := h.Parameters()
	var errs []problem.FieldError
	for name, given := range values {
		fail := func(message string) {
			errs = append(errs, problem.FieldError{Location: "query." + name, Message: message})
		}
		i := slices.IndexFunc(parameters, func(p Parameter) bool { return p.Name == name })
		switch {
		case i < 0:
			names := make([]string, len(parameters))
			for j, p := range parameters {
				names[j] = p.Name
			}
			fail("there is no such parameter; expected " + strings.Join(names, ", "))
		case len(given) > 1:
			fail("expected one value")
		case given[0] == "":
			fail("expected a value; leave the parameter out for all")
		case parameters[i].Values != nil && !slices.Contains(parameters[i].Values, given[0]):
			fail("expected " + strings.Join(parameters[i].Values, ", "))
		}
	}
	if errs == nil {
		return nil
	}
	slices.SortFunc(errs, func(a, b problem.FieldError) int { return strings.Compare(a.Location, b.Location) })
	return problem.Fields(problem.InvalidQuery, errs)
}

// accepted chooses the format by the Accept header: the first type in it that there is.
func accepted(header http.Header) (string, error) {
	unsaid := true
	for _, line := range header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			kind, parameters, err := mime.ParseMediaType(part)
			if err != nil || parameters["q"] == "0" {
				continue
			}
			unsaid = false
			switch kind {
			case "text/csv":
				return formatCSV, nil
			case "application/x-ndjson", "application/ndjson":
				return formatNDJSON, nil
			case "application/json", "application/*", "*/*":
				return "json", nil
			}
		}
	}
	if unsaid {
		return "json", nil
	}
	return "", problem.New(problem.NotAcceptable, "the audit trail is application/json, text/csv or application/x-ndjson")
}
