package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/store"
)

// History is where the versions of a resource's rows are read.
type History struct {
	Table   int                     // its number in the journal
	Journal func() *journal.Journal // the present one
}

// past is one row's past as the caller may see it: the rules of now, on the rows of then.
type past struct {
	*journal.Past
	visible *predicate.Expr
	reach   journal.Reach
	current store.Row // nil: there is none now
}

// recall runs fn in one consistent read of the row and its past. check is asked about the journal's reach before anything
// is said of the row. A row that is there, and that the caller may not read, has no past either.
func (r *Resource) recall(ctx context.Context, key []predicate.Value, check func(journal.Reach) error, fn func(ctx context.Context, p *past) error) error {
	err := r.History.Journal().Past(ctx, r.History.Table, key, func(ctx context.Context, found *journal.Past) (err error) {
		p := &past{Past: found, visible: r.Store.Visible(ctx)}
		if p.reach, err = found.Reach(ctx); err != nil {
			return err
		}
		if err := check(p.reach); err != nil {
			return err
		}
		if p.visible.Op == predicate.False || p.visible.Op == predicate.Unknown {
			return r.notFound() // without reading what would show nothing
		}
		if p.current, err = r.Store.Find(ctx, key); err != nil {
			return err
		}
		if p.current != nil && !p.visible.Match(p.current) {
			return r.notFound()
		}
		return fn(ctx, p)
	})
	return r.Store.Problem(err)
}

func (r *Resource) notFound() error { return problem.New(problem.NotFound, r.model.Name+" not found") }

// kind is what a version is to a caller, as in the events of streams.
type kind string

const (
	inserted kind = "INSERT"
	updated  kind = "UPDATE"
	deleted  kind = "DELETE"
)

// seen tells what a version is to the caller, and the row that shows it; "" is nothing.
func (r *Resource) seen(p *past, v *journal.Version) (kind, store.Row) {
	was, is := v.Before != nil && p.visible.Match(v.Before), v.After != nil && p.visible.Match(v.After)
	switch {
	case is && !was:
		return inserted, v.After
	case was && !is:
		return deleted, v.Before
	case was && string(r.model.AppendRow(nil, v.Before)) != string(r.model.AppendRow(nil, v.After)):
		return updated, v.After
	}
	return "", nil
}

// Most of a row's versions may show a caller nothing, and one may be as large as a body: a walk reads a little at a time,
// and not without end.
const (
	historyPage  = 200     // versions that are read at once
	historyBytes = 4 << 20 // of their images, by the size of those before
	walkVersions = 20_000  // for one request
	walkBytes    = 64 << 20
)

// walk visits the versions below an id that the caller may see, newest first, until visit returns false; first is how many
// are read to begin with. rest is the id of the last that it has read where it gave up; 0 is that there are no more. An
// entry that cannot be read ends it, and the reach: what was before it is not known.
func (r *Resource) walk(ctx context.Context, p *past, below int64, first int, visit func(v *journal.Version, event kind, row store.Row) bool) (rest int64, err error) {
	page, read, bytes := min(first, historyPage), 0, 0
	for {
		versions, err := p.Before(ctx, below, page)
		if err != nil {
			return 0, err
		}
		size := 1
		for i := range versions {
			v := &versions[i]
			if v.Op == journal.Gap {
				p.reach.Since = later(p.reach.Since, v.Time)
				return 0, nil
			}
			if event, row := r.seen(p, v); event != "" && !visit(v, event, row) {
				return 0, nil
			}
			size += v.Size
		}
		if len(versions) < page {
			return 0, nil
		}
		below = versions[len(versions)-1].ID
		if read, bytes = read+len(versions), bytes+size; read >= walkVersions || bytes >= walkBytes {
			return below, nil
		}
		page = max(1, min(2*page, historyPage, historyBytes*len(versions)/size))
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// history answers with the versions of a row.
func (r *Resource) history(w http.ResponseWriter, req *http.Request) {
	key, err := r.keyBefore(req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	limit, below, err := r.historyQuery(req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	buffer := getBuffer()
	defer buffer.release()
	out := append(buffer.bytes, '[')
	shown, more, last := 0, false, ""
	var since time.Time
	known := func(journal.Reach) error { return nil }
	err = r.recall(req.Context(), key, known, func(ctx context.Context, p *past) error {
		since = p.reach.Since
		rest, err := r.walk(ctx, p, below, limit+1, func(v *journal.Version, event kind, row store.Row) bool {
			if more = shown == limit; more {
				return false
			}
			if shown > 0 {
				out = append(out, ',', '\n')
			}
			shown++
			last = versionName(v)
			out = r.appendVersion(out, last, event, row, v.Time)
			return true
		})
		switch {
		case err != nil:
			return err
		case shown == 0 && p.current == nil && below == journal.Newest:
			return r.notFound()
		case shown == 0 && p.current == nil:
			return nil // as for a row that never was: how much was read, and how far, would tell that there was one
		case rest != 0:
			more, last = true, placeName(rest)
		}
		since = p.reach.Since
		return nil
	})
	out = append(out, ']', '\n')
	buffer.bytes = out
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	w.Header().Set("History-Since", since.Format(time.RFC3339Nano))
	if more {
		w.Header().Set("Link", "<"+r.api.BasePath+r.Path+"/"+r.segment(key)+"/history?limit="+strconv.Itoa(limit)+"&before="+last+`>; rel="next"`)
	}
	r.answer(w, req, http.StatusOK, out)
}

func (r *Resource) appendVersion(b []byte, name string, event kind, row store.Row, at time.Time) []byte {
	b = append(append(append(b, `{"version":"`...), name...), `","event":"`...)
	b = append(append(b, event...), `","payload":`...)
	b = r.model.AppendRow(b, row)
	b = predicate.TimeValue(at).AppendJSON(append(b, `,"timestamp":`...))
	return append(b, '}')
}

// nameBase is that of the numbers in the name of a version.
const nameBase = 36

// versionName names a version to clients: by its number, and by its time, which tells it from one of another journal.
func versionName(v *journal.Version) string {
	return strconv.FormatInt(v.ID, nameBase) + "." + strconv.FormatInt(v.Time.UnixMicro(), nameBase)
}

// placeName names the place of a version that is not the caller's to know: it has no time, and reverts to nothing.
func placeName(id int64) string { return strconv.FormatInt(id, nameBase) + ".0" }

// versionID reads a version's number from its name.
func versionID(name string) (int64, bool) {
	number, at, _ := strings.Cut(name, ".")
	id, err := strconv.ParseInt(number, nameBase, 64)
	if err != nil || id <= 0 || id == journal.Newest {
		return 0, false
	}
	micros, err := strconv.ParseInt(at, nameBase, 64)
	return id, err == nil && strconv.FormatInt(id, nameBase)+"."+strconv.FormatInt(micros, nameBase) == name
}

// historyQuery reads limit and before.
func (r *Resource) historyQuery(req *http.Request) (limit int, below int64, err error) {
	limit, below = r.api.Page, journal.Newest
	values, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return 0, 0, problem.At(problem.InvalidQuery, "query", "expected percent-escapes of two hexadecimal digits, and & between parameters")
	}
	for name, given := range values {
		location := "query." + strings.ToValidUTF8(name, "\uFFFD")
		switch {
		case name != "limit" && name != "before":
			return 0, 0, problem.At(problem.InvalidQuery, location, "unexpected parameter; expected limit or before")
		case len(given) > 1:
			return 0, 0, problem.At(problem.InvalidQuery, location, "expected one value")
		case name == "limit":
			number := strings.TrimLeft(given[0], "0")
			if number == "" || strings.Trim(number, "0123456789") != "" {
				return 0, 0, problem.At(problem.InvalidQuery, location, fmt.Sprintf("expected an integer from 1 to %d", r.api.MaxPage))
			}
			limit = r.api.MaxPage
			if n, err := strconv.Atoi(number); err == nil {
				limit = min(n, limit)
			}
		default:
			id, ok := versionID(given[0])
			if !ok {
				return 0, 0, problem.At(problem.InvalidQuery, location, "expected a version as the history names it")
			}
			below = id
		}
	}
	return limit, below, nil
}

// keyBefore is key for paths that have a segment after it.
func (r *Resource) keyBefore(req *http.Request) ([]predicate.Value, error) {
	path := req.URL.EscapedPath()
	path = path[:strings.LastIndexByte(path, '/')]
	key, err := r.model.ParseKey(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return nil, problem.At(problem.InvalidID, "path.id", err.Error())
	}
	return key, nil
}

// segment is the key as it is in a path.
func (r *Resource) segment(key []predicate.Value) string {
	row := make(store.Row, len(r.model.Fields))
	for i, column := range r.model.Table.Key {
		row[column] = key[i]
	}
	return r.model.FormatKey(row)
}

// asOfParameter finds as_of among a get's parameters.
func asOfParameter(req *http.Request) (text string, given bool, err error) {
	if req.URL.RawQuery == "" {
		return "", false, nil
	}
	values, malformed := url.ParseQuery(req.URL.RawQuery)
	switch all := values["as_of"]; {
	case len(all) == 0:
		return "", false, nil
	case malformed != nil:
		return "", true, problem.At(problem.InvalidQuery, "query", "expected percent-escapes of two hexadecimal digits, and & between parameters")
	case len(all) > 1:
		return "", true, problem.At(problem.InvalidQuery, asOfLocation, "expected one value")
	default:
		return all[0], true, nil
	}
}

const (
	asOfLocation = "query.as_of"
	expectedTime = "expected a time such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.25%2B01:00"
)

// getAsOf answers with a row as it was.
func (r *Resource) getAsOf(w http.ResponseWriter, req *http.Request, key []predicate.Value, text string) {
	if r.History == nil {
		r.api.fail(w, req, problem.At(problem.InvalidQuery, asOfLocation, "there is no history of "+r.model.Name+": its rows can be read as they are now"))
		return
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		r.api.fail(w, req, problem.At(problem.InvalidQuery, asOfLocation, expectedTime))
		return
	}
	var row store.Row
	check := func(reach journal.Reach) error { return within(reach, at, problem.InvalidQuery, asOfLocation) }
	err = r.recall(req.Context(), key, check, func(ctx context.Context, p *past) (err error) {
		row, _, err = r.asOf(ctx, p, at, problem.InvalidQuery, asOfLocation)
		return err
	})
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	r.answerRow(w, req, http.StatusOK, row)
}

// within refuses a time that the journal does not know. It says the same for all rows.
func within(reach journal.Reach, at time.Time, code, location string) error {
	if at.Before(reach.Since) {
		return problem.At(code, location, "expected a time from "+reach.Since.Format(time.RFC3339Nano)+" on: the history does not reach further back")
	}
	if at.Truncate(reach.Grain).After(reach.Now) {
		return problem.At(code, location, "expected a time that is not after that of the database, which is "+reach.Now.Format(time.RFC3339Nano))
	}
	return nil
}

// asOf returns a row as it was, and which columns are known of it; nil is all.
func (r *Resource) asOf(ctx context.Context, p *past, at time.Time, code, location string) (row store.Row, has []bool, err error) {
	v, err := p.After(ctx, at.Truncate(time.Microsecond))
	if err != nil {
		return nil, nil, err
	}
	row = p.current
	if v != nil {
		if v.Op == journal.Gap && p.current == nil {
			return nil, nil, r.notFound() // an error of its own would tell that there was a row, whoever's it was
		}
		if v.Op == journal.Gap {
			p.reach.Since = later(p.reach.Since, v.Time)
			return nil, nil, problem.At(code, location, "expected a time from "+p.reach.Since.Format(time.RFC3339Nano)+" on: the history of this row does not reach further back")
		}
		row, has = v.Before, v.Had
	}
	if row == nil || !p.visible.Match(row) {
		return nil, nil, r.notFound()
	}
	return row, has, nil
}
