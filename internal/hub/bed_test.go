package hub

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/capebase/capebase/internal/predicate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tables of these tests have four columns.
const (
	owner = iota
	status
	open
	extra
	width
)

const tables = 2

// columns is an Encoding that shows the columns it has.
type columns []int

func (c columns) ID() string { return fmt.Sprint([]int(c)) }

func (c columns) Encode(kind Kind, row []predicate.Value, e *Event) []byte {
	b := fmt.Appendf(nil, "%d %s", e.Position, kind)
	for _, column := range c {
		b = row[column].AppendJSON(append(b, ' '))
	}
	return b
}

func (c columns) Same(before, after []predicate.Value) bool {
	return !slices.ContainsFunc(c, func(column int) bool { return before[column] != after[column] })
}

var everything = columns{owner, status, open, extra}

// source is where random choices come from: a seed, or rapid, which can make them simpler.
type source interface{ IntN(n int) int }

func pick[T any](r source, items ...T) T { return items[r.IntN(len(items))] }

// constant returns one of few values of a column, sometimes NULL.
func constant(r source, column int) predicate.Value {
	if r.IntN(6) == 0 {
		return predicate.Value{}
	}
	switch column {
	case owner:
		return predicate.IntValue(int64(r.IntN(4)))
	case status:
		return predicate.TextValue(pick(r, "new", "open", "done"))
	case open:
		return predicate.BoolValue(r.IntN(2) == 0)
	default:
		return predicate.RawDecimal(pick(r, "1", "1.", "1.5", "2"))
	}
}

func row(r source) []predicate.Value {
	values := make([]predicate.Value, width)
	for column := range values {
		values[column] = constant(r, column)
	}
	return values
}

// event returns the change at a position: mostly an update of one or two columns, sometimes a gap.
func event(r source, position int64) Event {
	e := Event{
		Mark:   Mark{position, uint64(position) * 7},
		Source: uint64(position) * 3,
		Table:  r.IntN(tables),
		Time:   time.UnixMicro(position),
	}
	switch r.IntN(12) {
	case 0:
		e.Gap = true
		e.Table = pick(r, 0, 1, AllTables)
	case 1, 2, 3:
		e.After = row(r)
	case 4, 5:
		e.Before = row(r)
	default:
		e.Before = row(r)
		e.After = slices.Clone(e.Before)
		for range 1 + r.IntN(2) {
			column := r.IntN(width)
			e.After[column] = constant(r, column)
		}
	}
	return e
}

func tree(r source, depth int) *predicate.Expr {
	if depth > 0 && r.IntN(2) == 0 {
		switch r.IntN(3) {
		case 0:
			return &predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{tree(r, depth-1)}}
		case 1:
			return &predicate.Expr{Op: predicate.Or, Args: trees(r, depth-1)}
		default:
			return &predicate.Expr{Op: predicate.And, Args: trees(r, depth-1)}
		}
	}
	e := &predicate.Expr{Op: pick(r, predicate.Eq, predicate.Eq, predicate.Eq, predicate.In, predicate.In, predicate.Ne,
		predicate.Ge, predicate.IsNull, predicate.IsTrue, predicate.IsFalse, predicate.Like,
		predicate.True, predicate.False, predicate.Unknown, predicate.SignedIn)}
	n := 1
	switch e.Op {
	case predicate.True, predicate.False, predicate.Unknown, predicate.SignedIn:
		return e
	case predicate.IsTrue, predicate.IsFalse:
		e.Column = open
		return e
	case predicate.Like:
		e.Column = status
	case predicate.In:
		e.Column = r.IntN(width)
		n = r.IntN(4)
	default:
		e.Column = r.IntN(width)
	}
	for range n {
		e.Values = append(e.Values, constant(r, e.Column))
	}
	return e
}

func trees(r source, depth int) []*predicate.Expr {
	args := make([]*predicate.Expr, r.IntN(4))
	for i := range args {
		args[i] = tree(r, depth)
	}
	return args
}

func shape(r source) Shape {
	return Shape{r.IntN(tables), tree(r, 3), pick(r, everything, columns{status}, columns{owner, open})}
}

func shapes(r source) []Shape {
	list := make([]Shape, 1+r.IntN(3))
	for i := range list {
		list[i] = shape(r)
	}
	return list
}

// expected is the oracle: what shapes see of the events above after and up to last.
func expected(journal []Event, shapes []Shape, after, last int64) []Message {
	var messages []Message
	for i := range journal {
		e := &journal[i]
		if e.Position <= after || e.Position > last {
			continue
		}
		for number, s := range shapes {
			if m, ok := expectedOne(e, s); ok {
				m.Shape = int32(number)
				messages = append(messages, m)
			}
		}
	}
	return messages
}

func expectedOne(e *Event, s Shape) (Message, bool) {
	m := Message{Mark: e.Mark, Source: e.Source}
	if e.Gap {
		m.Kind = Reset
		return m, e.Table == s.Table || e.Table == AllTables
	}
	if e.Table != s.Table {
		return m, false
	}
	was := e.Before != nil && s.Visible.Eval(e.Before) == predicate.Yes
	is := e.After != nil && s.Visible.Eval(e.After) == predicate.Yes
	if !was && !is || was && is && s.Encoding.Same(e.Before, e.After) {
		return m, false
	}
	row := e.After
	switch {
	case !was:
		m.Kind = Insert
	case is:
		m.Kind = Update
	default:
		m.Kind, row = Delete, e.Before
	}
	m.Data = s.Encoding.Encode(m.Kind, row, e)
	return m, true
}

// difference says where two lists differ. Messages of one position may come in any order.
func difference(got, want []Message) string {
	got = slices.Clone(got)
	slices.SortStableFunc(got, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Shape, b.Shape))
	})
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("missing: %s", text(want[i]))
		case i >= len(want):
			return fmt.Sprintf("too much: %s", text(got[i]))
		case text(got[i]) != text(want[i]):
			return fmt.Sprintf("got %s, want %s", text(got[i]), text(want[i]))
		}
	}
	return ""
}

func text(m Message) string {
	return fmt.Sprintf("%d/%d from %d to shape %d: %s %q", m.Position, m.Nonce, m.Source, m.Shape, m.Kind, m.Data)
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// checkEmpty finds what closed subscriptions left behind.
func checkEmpty(t interface{ Errorf(string, ...any) }, h *Hub) {
	s := h.Stats()
	if s.Subscriptions != 0 || s.Lagging != 0 || s.Groups != 0 || s.Views != 0 || s.Scanned != 0 {
		t.Errorf("after everything was closed: %+v", s)
	}
	if len(h.tables) != 0 || len(h.views) != 0 {
		t.Errorf("%d tables and %d views are left in the index", len(h.tables), len(h.views))
	}
}
