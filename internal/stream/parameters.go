package stream

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/query"
)

// parameters are what a subscription says beside its filter.
type parameters struct {
	since    string
	snapshot bool
	message  bool // the credentials come in a message
}

// The parameters of the routes.
const (
	tablesParameter   = "tables"
	sinceParameter    = "since"
	snapshotParameter = "snapshot"
	authParameter     = "auth"
)

// parse reads the URL of a subscription to one resource, or to those in tables= when r is nil.
func (s *Server) parse(req *http.Request, r *resource) ([]want, parameters, error) {
	values, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil && r == nil { // a filter is parsed by itself, which knows what to say
		return nil, parameters{}, problem.At(problem.InvalidQuery, "query", "expected parameters in URL encoding")
	}
	if err := refuseTokens(values, r); err != nil {
		return nil, parameters{}, err
	}
	var p parameters
	if p.since, err = single(values, sinceParameter); err != nil {
		return nil, p, err
	}
	if p.snapshot, err = boolean(values, snapshotParameter); err != nil {
		return nil, p, err
	}
	if last := req.Header.Get("Last-Event-ID"); last != "" {
		p.since = last
	}
	var wants []want
	if r == nil {
		wants, err = s.tables(values)
	} else {
		var w want
		w, err = r.filtered(req.URL.RawQuery, sinceParameter, snapshotParameter)
		wants = []want{w}
	}
	return wants, p, err
}

// refuseTokens keeps credentials out of URLs, which end in logs and histories.
func refuseTokens(values url.Values, r *resource) error {
	for _, name := range [...]string{"token", "access_token"} {
		if !values.Has(name) {
			continue
		}
		if r != nil {
			if f, ok := r.Model.Field(name); ok && !f.Hidden {
				continue
			}
		}
		return problem.At(problem.InvalidQuery, "query."+name,
			"credentials do not belong in a URL: expected an Authorization header, a cookie, or a WebSocket's auth message")
	}
	return nil
}

func single(values url.Values, name string) (string, error) {
	if len(values[name]) > 1 {
		return "", problem.At(problem.InvalidQuery, "query."+name, "expected once")
	}
	return values.Get(name), nil
}

func boolean(values url.Values, name string) (bool, error) {
	value, err := single(values, name)
	if err != nil || !values.Has(name) {
		return false, err
	}
	if value != "true" && value != "false" {
		return false, problem.At(problem.InvalidQuery, "query."+name, "expected true or false")
	}
	return value == "true", nil
}

func (r *resource) filtered(raw string, own ...string) (want, error) {
	filter, err := query.ParseFilter(raw, r.Model, r.Query, own...)
	return want{resource: r, filter: filter}, err
}

// tables reads tables=todo,note. There are no filters here.
func (s *Server) tables(values url.Values) ([]want, error) {
	for name := range values {
		if name != tablesParameter && name != sinceParameter && name != snapshotParameter {
			return nil, problem.At(problem.InvalidQuery, "query."+name, "not a parameter of this route: expected tables, since and snapshot")
		}
	}
	list, err := single(values, tablesParameter)
	if err != nil {
		return nil, err
	}
	var wants []want
	for name := range strings.SplitSeq(list, ",") {
		r := s.resources[strings.TrimSpace(name)]
		if r == nil {
			return nil, problem.At(problem.InvalidQuery, "query."+tablesParameter, s.expectedTables())
		}
		if slices.ContainsFunc(wants, func(w want) bool { return w.resource == r }) {
			return nil, problem.At(problem.InvalidQuery, "query."+tablesParameter, "expected each resource once")
		}
		wants = append(wants, want{resource: r})
	}
	return wants, nil
}

func (s *Server) expectedTables() string {
	names := make([]string, 0, len(s.resources))
	for name := range s.resources {
		names = append(names, name)
	}
	slices.Sort(names)
	return "expected names of resources, separated by commas: " + strings.Join(names, ", ")
}
