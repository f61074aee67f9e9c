package stream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// resource is a Resource with how its changes are written. It is the hub.Encoding of SSE and WebSocket alike.
type resource struct {
	Resource
	id      string
	begin   [hub.Reset]string // by kind: what comes before the row
	visible []*model.Field
	pool    sync.Pool
}

func newResource(r Resource) *resource {
	res := &resource{Resource: r}
	names := []string{r.Name}
	for _, f := range r.Model.Fields {
		if !f.Hidden {
			res.visible = append(res.visible, f)
			names = append(names, f.Name)
		}
	}
	res.id = strings.Join(names, "\x00")
	for kind := hub.Insert; kind < hub.Reset; kind++ {
		b := predicate.AppendString([]byte(`{"table":`), r.Name)
		b = predicate.AppendString(append(b, `,"event":`...), kind.String())
		res.begin[kind] = string(append(b, `,"payload":`...))
	}
	res.pool.New = func() any { return new([]byte) }
	return res
}

// ID implements hub.Encoding.
func (r *resource) ID() string { return r.id }

// Encode implements hub.Encoding: one JSON object without line breaks.
func (r *resource) Encode(kind hub.Kind, row []predicate.Value, e *hub.Event) []byte {
	scratch := r.pool.Get().(*[]byte) //nolint:errcheck,forcetypeassert // New makes nothing else
	b := r.append((*scratch)[:0], kind, row, predicate.TimeValue(e.Time))
	// As long as it is, since the hub keeps it.
	data := slices.Clip(append(make([]byte, 0, len(b)), b...))
	*scratch = b
	if cap(b) <= keptBuffer {
		r.pool.Put(scratch)
	}
	return data
}

func (r *resource) append(b []byte, kind hub.Kind, row []predicate.Value, at predicate.Value) []byte {
	b = append(b, r.begin[kind]...)
	b = r.Model.AppendRow(b, row)
	b = at.AppendJSON(append(b, `,"timestamp":`...))
	return append(b, '}')
}

// Same implements hub.Encoding. Values that differ may still be written alike.
func (r *resource) Same(before, after []predicate.Value) bool {
	for _, f := range r.visible {
		a, b := before[f.Column], after[f.Column]
		if a != b && string(f.AppendJSON(nil, a)) != string(f.AppendJSON(nil, b)) {
			return false
		}
	}
	return true
}

// want is a resource and the client's filter, which is nil where there is none.
type want struct {
	resource *resource
	filter   *predicate.Expr
}

// shape is what the context's caller may see of it.
func (w want) shape(ctx context.Context) hub.Shape {
	visible := predicate.Fold(predicate.All(w.resource.Visible(ctx), w.filter), predicate.Caller{})
	return hub.Shape{Table: w.resource.Table, Visible: visible, Encoding: w.resource}
}

// view identifies what a feed shows: two with the same view can resume each other's cursors. It names the resources,
// whose numbers move when others are published, and the columns, so that another one is not taken for it.
type view [sha256.Size]byte

func viewOf(wants []want, shapes []hub.Shape) view {
	parts := make([]string, len(shapes))
	for i, shape := range shapes {
		r := wants[i].resource
		b := appendPart(nil, []byte(r.id))
		b = appendPart(b, predicate.AppendIdentity(nil, shape.Visible))
		var columns []string
		shape.Visible.Columns(func(column int) { columns = append(columns, r.Model.Fields[column].Name) })
		slices.Sort(columns) // equal trees may hold them in any order
		for _, name := range slices.Compact(columns) {
			b = appendPart(b, []byte(name))
		}
		parts[i] = string(b)
	}
	slices.Sort(parts) // tables=a,b is tables=b,a
	var all []byte
	for _, part := range parts {
		all = appendPart(all, []byte(part))
	}
	return sha256.Sum256(all)
}

func appendPart(dst, part []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(part)))
	return append(dst, part...)
}

// set is the part of a view that is in cursors.
func (v view) set() uint64 { return binary.BigEndian.Uint64(v[:8]) }
