package hub

import (
	"slices"

	"github.com/capebase/capebase/internal/predicate"
)

const (
	// maxKeys bounds the keys of one view. One that would need more is scanned.
	maxKeys = 1000
	// keysAtOnce bounds how many of them are added or removed while the publisher waits.
	keysAtOnce = 128
)

// table finds the views of one table that a row may be in.
type table struct {
	number  int
	columns []*column
	scan    []*view // those without a key
	views   int     // all, with those that no row can be in
}

// column has the views whose rows all hold one of some constants in it.
type column struct {
	number int
	views  map[predicate.Value][]*view
}

// index returns what the views of a row are found by.
func (c *column) index(row []predicate.Value) (v predicate.Value, ok bool) {
	if c.number >= len(row) {
		return v, false
	}
	return predicate.Index(row[c.number]), true
}

func (t *table) column(number int) *column {
	for _, c := range t.columns {
		if c.number == number {
			return c
		}
	}
	return nil
}

// view is a set of rows: those of a table for which a predicate holds.
type view struct {
	identity Identity
	table    *table
	visible  *predicate.Expr
	width    int             // values that a row must have for the predicate
	keys     []predicate.Key // empty when no row matches
	scanned  bool
	groups   []*group
	visited  uint64 // Hub.event when last visited
}

// group is those who see a view in the same encoding.
type group struct {
	view     *view
	encoding Encoding
	id       string // the encoding's
	members  []member
}

// member is a shape of a subscription.
type member struct {
	subscription *Subscription
	shape        int32
}

// sees tells whether row is in the view. Rows are as wide as the table; one that is not has lost what the predicate
// asks for, and is not shown.
func (v *view) sees(row []predicate.Value) bool {
	return row != nil && len(row) >= v.width && v.visible.Match(row)
}

// kind tells what e is to those who see the view.
func (v *view) kind(e *Event) Kind {
	if e.Gap {
		return Reset
	}
	before, after := v.sees(e.Before), v.sees(e.After)
	switch {
	case before && after:
		return Update
	case after:
		return Insert
	case before:
		return Delete
	}
	return None
}

// message returns e, which is of the given kind to those who see the view, encoded. ok is false when they see no
// difference.
func (g *group) message(kind Kind, e *Event) (m Message, ok bool) {
	m = Message{Mark: e.Mark, Source: e.Source, Kind: kind}
	switch kind {
	case Insert:
		m.Data = g.encoding.Encode(kind, e.After, e)
	case Update:
		if g.encoding.Same(e.Before, e.After) {
			return m, false
		}
		m.Data = g.encoding.Encode(kind, e.After, e)
	case Delete:
		m.Data = g.encoding.Encode(kind, e.Before, e)
	case None:
		return m, false
	}
	return m, true
}

// enter finds or makes the group of a shape, whose view has the given identity. The door is held.
func (h *Hub) enter(s Shape, identity Identity) *group {
	v := h.enterView(s, identity)
	id := s.Encoding.ID()
	for _, g := range v.groups {
		if g.id == id {
			return g
		}
	}
	g := &group{view: v, encoding: s.Encoding, id: id}
	h.mu.Lock()
	defer h.mu.Unlock()
	v.groups = append(v.groups, g)
	h.groups++
	return g
}

func (h *Hub) enterView(s Shape, identity Identity) *view {
	if v := h.views[identity]; v != nil {
		return v
	}
	t := h.tables[s.Table]
	if t == nil {
		t = &table{number: s.Table}
		h.mu.Lock()
		h.tables[s.Table] = t
		h.mu.Unlock()
	}
	v := &view{identity: identity, table: t, visible: s.Visible}
	s.Visible.Columns(func(column int) { v.width = max(v.width, column+1) })
	keys, ok := predicate.Keys(s.Visible, maxKeys, t.load)
	v.keys, v.scanned = slices.Clip(keys), !ok

	h.mu.Lock()
	h.views[identity] = v
	t.views++
	if v.scanned {
		t.scan = append(t.scan, v)
	}
	h.mu.Unlock()
	// The view has no members yet whom a missing key could cost an event: they join when all keys are there.
	for keys := range slices.Chunk(v.keys, keysAtOnce) {
		h.mu.Lock()
		for _, k := range keys {
			t.add(k, v)
		}
		h.mu.Unlock()
	}
	return v
}

func (t *table) add(k predicate.Key, v *view) {
	c := t.column(k.Column)
	if c == nil {
		c = &column{number: k.Column, views: map[predicate.Value][]*view{}}
		t.columns = append(t.columns, c)
	}
	c.views[k.Value] = append(c.views[k.Value], v)
}

func (t *table) remove(k predicate.Key, v *view) {
	c := t.column(k.Column)
	if views := without(c.views[k.Value], v); len(views) > 0 {
		c.views[k.Value] = views
		return
	}
	delete(c.views, k.Value)
	if len(c.views) == 0 { // the map's own memory, which delete keeps
		t.columns = without(t.columns, c)
	}
}

// leave removes a group that has no members, and what it leaves empty. The door is held.
func (h *Hub) leave(g *group) {
	v, t := g.view, g.view.table
	h.mu.Lock()
	v.groups = without(v.groups, g)
	h.groups--
	h.mu.Unlock()
	if len(v.groups) > 0 {
		return
	}
	for keys := range slices.Chunk(v.keys, keysAtOnce) {
		h.mu.Lock()
		for _, k := range keys {
			t.remove(k, v)
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.scanned {
		t.scan = without(t.scan, v)
	}
	delete(h.views, v.identity)
	if len(h.views) == 0 {
		h.views = map[Identity]*view{}
	}
	if t.views--; t.views == 0 {
		delete(h.tables, t.number)
	}
}

// without removes one item of a list whose order does not matter.
func without[T comparable](list []T, item T) []T {
	i := slices.Index(list, item)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	var none T
	list[i], list[last] = list[last], none
	if last == 0 {
		return nil
	}
	return list[:last]
}
