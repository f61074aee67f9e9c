package audit

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/capebase/capebase/internal/problem"
)

// FuzzParameters: whatever a client asks for is understood, or a problem of its own.
func FuzzParameters(f *testing.F) {
	for _, query := range []string{
		"", "resource=todo&key=1&limit=5&order=asc", "since=2026-01-31T12:00:00Z&until=x", "limit=99999999999999999999", "format=csv&format=csv", "a=%zz", "after=1-1",
		"event=%00", "key=", ";", "limit=-1",
	} {
		f.Add(query, "text/csv;q=0, */*")
	}
	h := &Handler{Limit: 100, MaxLimit: 1000}
	f.Fuzz(func(t *testing.T, query, accept string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/audit", RawQuery: query}, Header: http.Header{"Accept": {accept}}}
		q, format, err := h.parse(r)
		if err != nil {
			if e := new(problem.Error); !errors.As(err, &e) || e.Status >= http.StatusInternalServerError || e.Detail == "" {
				t.Fatalf("%q: %v", query, err)
			}
			return
		}
		if q.Limit < 0 || format != "json" && format != formatCSV && format != formatNDJSON {
			t.Fatalf("%q: %+v, %q", query, q, format)
		}
		if _, ok := parseID(q.After); !ok && q.After != "" {
			return // refused by whoever reads
		}
		values, err := url.ParseQuery(query)
		if err != nil || values.Get("key") != q.Key || values.Get("actor") != q.Actor {
			t.Fatalf("%q: %+v", query, q)
		}
	})
}
