package rest

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/capebase/capebase/internal/body"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/store"
)

// target is what a row is to become again: as a version left it, or as it was at a time.
type target struct {
	version string // "" is by time
	at      time.Time
}

const (
	versionLocation  = "body.version"
	asOfBodyLocation = "body.as_of"
)

// revert changes a row to what it was, as an update by the caller would.
func (r *Resource) revert(w http.ResponseWriter, req *http.Request) {
	key, err := r.keyBefore(req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	doc, err := r.body(w, req)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	to, err := readTarget(doc)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	in, err := r.former(req.Context(), key, to)
	if err != nil {
		r.api.fail(w, req, err)
		return
	}
	r.change(w, req, key, in)
}

// readTarget reads {"version":"…"} or {"as_of":"…"}.
func readTarget(doc any) (to target, err error) {
	members, ok := doc.(map[string]any)
	if !ok {
		return to, problem.At(problem.Invalid, "body", "expected an object")
	}
	for name := range members {
		if name != "version" && name != "as_of" {
			return to, problem.At(problem.Invalid, "body."+name, "unexpected property")
		}
	}
	if len(members) != 1 {
		return to, problem.At(problem.Invalid, "body", "expected either version or as_of")
	}
	if v, given := members["version"]; given {
		name, _ := v.(string)
		if _, ok := versionID(name); !ok {
			return to, problem.At(problem.Invalid, versionLocation, "expected a version as the history names it")
		}
		return target{version: name}, nil
	}
	text, _ := members["as_of"].(string)
	if to.at, err = time.Parse(time.RFC3339Nano, text); err != nil {
		return to, problem.At(problem.Invalid, asOfBodyLocation, "expected a time such as 2026-01-31T12:00:00Z")
	}
	return to, nil
}

// former is the update that makes the row what it was.
func (r *Resource) former(ctx context.Context, key []predicate.Value, to target) (in store.Input, err error) {
	var row store.Row
	var has []bool
	check := func(reach journal.Reach) error {
		if to.version != "" {
			return nil
		}
		return within(reach, to.at, problem.Invalid, asOfBodyLocation)
	}
	err = r.recall(ctx, key, check, func(ctx context.Context, p *past) (err error) {
		if p.current == nil {
			return r.notFound()
		}
		if to.version != "" {
			row, has, err = r.versionOf(ctx, p, to.version)
		} else {
			row, has, err = r.asOf(ctx, p, to.at, problem.Invalid, asOfBodyLocation)
		}
		return err
	})
	if err != nil {
		return in, err
	}
	// It is a body like any other from here: the schema decides, and then the rules.
	members := []byte{'{'}
	for _, f := range r.Update.Fields {
		if revertible(f) && (has == nil || has[f.Column]) {
			if len(members) > 1 {
				members = append(members, ',')
			}
			members = append(predicate.AppendString(members, f.Name), ':')
			members = f.AppendJSON(members, row[f.Column])
		}
	}
	members = append(members, '}')
	doc, err := body.Decode(bytes.NewReader(members), int64(len(members)))
	if err != nil {
		return in, err
	}
	return r.input(r.Update, doc, "version", false)
}

// revertible tells whether a field is the caller's to choose, and to see.
func revertible(f *model.Field) bool {
	return !f.Hidden && !f.Secret && !f.ReadOnly && !f.Immutable && f.Managed.Source == model.FromBody && f.Auto == model.NoAuto
}

// versionOf returns the row as a version left it, and which columns are known of it.
func (r *Resource) versionOf(ctx context.Context, p *past, name string) (row store.Row, has []bool, err error) {
	missing := problem.New(problem.NotFound, "there is no such version of this "+r.model.Name)
	id, _ := versionID(name)
	versions, err := p.Before(ctx, id+1, 1)
	if err != nil {
		return nil, nil, err
	}
	if len(versions) == 0 || versionName(&versions[0]) != name || versions[0].Op == journal.Gap {
		return nil, nil, missing
	}
	switch event, row := r.seen(p, &versions[0]); event {
	case "":
		return nil, nil, missing
	case deleted:
		return nil, nil, problem.At(problem.Invalid, versionLocation, "expected a version that is not a deletion")
	default:
		return row, versions[0].Has, nil
	}
}
