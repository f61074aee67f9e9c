package audit

import (
	"context"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/predicate"
)

// filter decides which entries a query wants.
type filter struct {
	trail   *Trail
	journal *journal.Journal
	query   *Query
	tables  []int // nil: all
}

// filter checks a query.
func (t *Trail) filter(q *Query) (*filter, error) {
	f := &filter{trail: t, journal: t.journal(), query: q}
	if q.Resource != "" {
		for i := range t.resources {
			if t.resources[i].Called() == q.Resource {
				f.tables = append(f.tables, i)
			}
		}
		if f.tables == nil {
			return nil, invalid("resource", "expected one of "+strings.Join(t.names, ", "))
		}
	}
	if q.Event != "" && !slices.Contains([]string{inserted, updated, deleted, gap}, q.Event) && !validKind(q.Event) {
		return nil, invalid("event", "expected INSERT, UPDATE, DELETE, GAP, or the kind of a recorded event in lower case, such as sign-in")
	}
	if q.Limit < 0 {
		return nil, invalid("limit", "expected a positive integer")
	}
	return f, nil
}

// entry makes an entry; ok is false when the query does not want it. Most are left out before their images are decoded.
func (f *filter) entry(ctx context.Context, r *journal.Raw) (e Entry, ok bool) {
	if r.Table == len(f.trail.resources) && r.Op != journal.Gap {
		return f.event(ctx, r)
	}
	if !f.wants(r) {
		return e, false
	}
	e = f.change(ctx, r)
	return e, f.takes(&e)
}

// wants tells what is known without the images.
func (f *filter) wants(r *journal.Raw) bool {
	q := f.query
	everywhere := r.Op == journal.Gap && r.Table == journal.AllTables
	switch {
	case f.tables != nil && !slices.Contains(f.tables, r.Table) && !everywhere:
	case q.Transaction != "" && r.Tx != q.Transaction:
	case q.Actor != "" && r.Actor.ID != q.Actor:
	case q.Request != "" && r.Actor.Request != q.Request:
	case !q.Since.IsZero() && r.Time.Before(q.Since), !q.Until.IsZero() && !r.Time.Before(q.Until):
	case q.Event != "" && r.Op.String() != q.Event && q.Event != gap: // anything may turn out to be a gap
	case q.Key != "" && r.Op == journal.Gap:
	default:
		return true
	}
	return false
}

// takes tells the rest.
func (f *filter) takes(e *Entry) bool {
	return (f.query.Event == "" || e.Event == f.query.Event) && (f.query.Key == "" || e.Key == f.query.Key)
}

// event reads a recorded event. Its table is empty: what is deleted from it tells nothing.
func (f *filter) event(ctx context.Context, r *journal.Raw) (e Entry, ok bool) {
	q := f.query
	if r.Op != journal.Insert || q.Transaction != "" && q.Transaction != r.Tx {
		return e, false
	}
	decoded := f.journal.Decode(ctx, r)
	if decoded.Op != journal.Insert {
		return e, false
	}
	var d document
	if !d.parse(decoded.After[documentColumn].Content()) {
		return e, false
	}
	e = Entry{
		ID: formatID(r.Mark), Time: d.At, Transaction: r.Tx, Resource: d.Resource, Key: d.Key, Event: d.Kind, Actor: actorOf(&d.Actor),
		Detail: d.Detail, Raw: !r.Stamped, User: r.User,
	}
	if e.Raw { // whoever can write SQL can claim anything
		e.Time, e.Actor = r.Time, Actor{}
	}
	if d.Count > 1 {
		e.Count = d.Count
	}
	f.trail.place(&e)
	wanted := (q.Resource == "" || q.Resource == d.Resource) && (q.Actor == "" || q.Actor == e.Actor.ID) &&
		(q.Request == "" || q.Request == e.Actor.Request) &&
		(q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until))
	return e, wanted && f.takes(&e)
}

// place moves the name of a private table to where it belongs.
func (t *Trail) place(e *Entry) {
	if slices.ContainsFunc(t.resources, func(r Resource) bool { return r.Name == "" && r.Table() == e.Resource }) {
		e.Resource, e.Table = "", e.Resource
	}
}

// change makes the entry of a change.
func (f *filter) change(ctx context.Context, r *journal.Raw) Entry {
	t := f.trail
	e := Entry{
		ID: formatID(r.Mark), Time: r.Time, Transaction: r.Tx, Event: r.Op.String(), Actor: actorOf(&r.Actor),
		Raw: !r.Stamped && r.Op != journal.Gap, User: r.User,
	}
	if r.Table < 0 || r.Table >= len(t.resources) {
		e.Table = r.Name // what of it is hidden is not known
		return e
	}
	res := &t.resources[r.Table]
	if e.Resource = res.Name; e.Resource == "" {
		e.Table = res.Table()
	}
	if r.Op == journal.Gap {
		return e
	}
	m, d := res.Model, f.journal.Decode(ctx, r)
	if d.Op == journal.Gap {
		e.Event = gap
		return e
	}
	for _, image := range []struct {
		row []predicate.Value
		to  *[]byte
	}{{d.Before, (*[]byte)(&e.Before)}, {d.After, (*[]byte)(&e.After)}} {
		if image.row != nil {
			*image.to = m.AppendRow(nil, image.row)
			e.Key = m.FormatKey(image.row)
		}
	}
	if d.Before == nil || d.After == nil {
		return e
	}
	for i, field := range m.Fields {
		if d.Op == journal.Secret && field.Secret || !field.Hidden && !field.Secret && d.Before[i] != d.After[i] {
			e.Changed = append(e.Changed, field.Name)
		}
	}
	return e
}
