package predicate_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "github.com/capebase/capebase/internal/predicate"
)

// columnKinds are the columns of the rows in these tests.
var columnKinds = []Kind{Int, Text, Bool, Float, Decimal, Time, Int}

func drawText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "A", "a ", "ab", "é"}).Draw(t, "text")
}

// drawConstant returns one of few values, so that random pairs are often equal; sometimes NULL.
func drawConstant(t *rapid.T, kind Kind) Value {
	if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
		return Value{}
	}
	switch kind {
	case Int:
		return IntValue(rapid.Int64Range(-1, 2).Draw(t, "int"))
	case Bool:
		return BoolValue(rapid.Bool().Draw(t, "bool"))
	case Float:
		return FloatValue(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1.5, math.NaN(),
			math.Float64frombits(0x7ff8000000000123), math.Inf(1)}).Draw(t, "float"))
	case Decimal:
		return RawDecimal(rapid.SampledFrom([]string{"0", "-0", "1", "1.", "1.0", "1.5", "-1", "-1.", "01", "", ".", "..", "1..",
			"-", "-."}).Draw(t, "decimal"))
	case Time:
		return TimeValue(time.UnixMicro(rapid.Int64Range(0, 2).Draw(t, "time")))
	default:
		return TextValue(drawText(t))
	}
}

func drawRow(t *rapid.T) []Value {
	row := make([]Value, len(columnKinds))
	for i, kind := range columnKinds {
		row[i] = drawConstant(t, kind)
	}
	return row
}

// drawTree returns a tree of any operator, also those that Fold would have removed.
func drawTree(t *rapid.T, depth int) *Expr {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "inner") > 0 {
		op := rapid.SampledFrom([]Op{And, Or, Not}).Draw(t, "join")
		n := 1
		if op != Not {
			n = rapid.IntRange(0, 3).Draw(t, "operands")
		}
		e := &Expr{Op: op}
		for range n {
			e.Args = append(e.Args, drawTree(t, depth-1))
		}
		return e
	}
	op := rapid.SampledFrom([]Op{Eq, In, Eq, In, Eq, In, Ne, Lt, Le, Gt, Ge, IsNull, IsTrue, IsFalse, Like, ILike,
		True, False, Unknown, Invalid, SignedIn, HasRole, Owner, Claim}).Draw(t, "op")
	e := &Expr{Op: op}
	switch op {
	case True, False, Unknown, Invalid, SignedIn:
		return e
	case HasRole:
		e.Names = []string{drawText(t), drawText(t)}
		return e
	case IsTrue, IsFalse:
		e.Column = 2
	case Like, ILike:
		e.Column = 1
	default:
		e.Column = rapid.IntRange(0, len(columnKinds)-1).Draw(t, "column")
	}
	e.Kind = columnKinds[e.Column]
	n := 1
	switch op {
	case Claim:
		e.Names = []string{drawText(t)}
		return e
	case Owner, IsNull, IsTrue, IsFalse:
		return e
	case In:
		n = rapid.IntRange(0, 4).Draw(t, "constants")
	}
	for range n {
		e.Values = append(e.Values, drawConstant(t, e.Kind))
	}
	return e
}

func holds(row []Value, k Key) bool { return Index(row[k.Column]) == k.Value }

// Each row that matches must hold one of the keys, whatever the load makes Keys choose.
func TestKeysMissNoMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawTree(t, 4)
		limit := rapid.IntRange(0, 6).Draw(t, "limit")
		loads := rapid.SliceOfN(rapid.IntRange(0, 5), len(columnKinds), len(columnKinds)).Draw(t, "loads")
		keys, ok := Keys(e, limit, func(k Key) int { return loads[k.Column] })
		if !ok {
			return
		}
		if len(keys) > limit {
			t.Fatalf("%d keys, limit %d", len(keys), limit)
		}
		for i, k := range keys {
			if slices.Contains(keys[:i], k) {
				t.Fatalf("key %v twice", k)
			}
		}
		for range 40 {
			row := drawRow(t)
			if e.Match(row) && !slices.ContainsFunc(keys, func(k Key) bool { return holds(row, k) }) {
				t.Fatalf("row %v matches, but holds none of %v", row, keys)
			}
		}
	})
}

func TestKeys(t *testing.T) {
	eq := func(column int, v int64) *Expr {
		return &Expr{Op: Eq, Column: column, Kind: Int, Values: []Value{IntValue(v)}}
	}
	in := func(column int, values ...int64) *Expr {
		e := &Expr{Op: In, Column: column, Kind: Int}
		for _, v := range values {
			e.Values = append(e.Values, IntValue(v))
		}
		return e
	}
	not := func(e *Expr) *Expr { return &Expr{Op: Not, Args: []*Expr{e}} }
	less := &Expr{Op: Lt, Column: 0, Kind: Int, Values: []Value{IntValue(9)}}
	ne := &Expr{Op: Ne, Column: 0, Kind: Int, Values: []Value{IntValue(9)}}
	hot := func(k Key) int {
		if k.Column == 0 {
			return 100
		}
		return 0
	}
	key := func(column int, v int64) Key { return Key{column, IntValue(v)} }
	tests := []struct {
		name string
		e    *Expr
		load func(Key) int
		keys []Key
		ok   bool
	}{
		{"equality", eq(0, 7), nil, []Key{key(0, 7)}, true},
		{"range", less, nil, nil, false},
		{"conjunction with a range", All(less, eq(6, 7)), nil, []Key{key(6, 7)}, true},
		{"disjunction with a range", Any(less, eq(6, 7)), nil, nil, false},
		{"disjunction", Any(eq(0, 1), eq(6, 7), eq(0, 1)), nil, []Key{key(0, 1), key(6, 7)}, true},
		{"equality rather than in", All(in(0, 1, 2), eq(6, 7)), nil, []Key{key(6, 7)}, true},
		{"in rather than a crowded equality", All(eq(0, 7), in(6, 1, 2)), hot, []Key{key(6, 1), key(6, 2)}, true},
		{"negated inequality", not(ne), nil, []Key{key(0, 9)}, true},
		{"negated equality", not(eq(0, 7)), nil, nil, false},
		{"negated disjunction", not(Any(less, ne)), nil, []Key{key(0, 9)}, true},
		{"too many", in(0, 1, 2, 3, 4, 5), nil, nil, false},
		{"too many, but for another operand", All(in(0, 1, 2, 3, 4, 5), eq(6, 1)), nil, []Key{key(6, 1)}, true},
		{"as many as allowed", in(0, 1, 2, 3, 3), nil, []Key{key(0, 1), key(0, 2), key(0, 3)}, true},
		{"nothing", Any(), nil, nil, true},
		{"everything", All(), nil, nil, false},
		{"NULL", &Expr{Op: Eq, Column: 0, Values: []Value{{}}}, nil, nil, true},
		{"unknown beside a range", All(less, &Expr{Op: Unknown}), nil, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keys, ok := Keys(test.e, 3, test.load)
			if ok != test.ok || ok && !slices.Equal(keys, test.keys) {
				t.Errorf("got %v, %v; want %v, %v", keys, ok, test.keys, test.ok)
			}
		})
	}
}

func TestIndexIsEquality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(columnKinds).Draw(t, "kind")
		a, b := drawConstant(t, kind), drawConstant(t, kind)
		if a.IsNull() || b.IsNull() {
			return
		}
		order, ok := Compare(a, b)
		if !ok || (order == 0) != (Index(a) == Index(b)) {
			t.Fatalf("%q and %q compare %d, but indexes %v and %v", a, b, order, Index(a), Index(b))
		}
	})
}

// The identity's bytes can be read back to a tree that answers alike: so they hold all that matters, and two trees
// with the same bytes are the same predicate.
func TestIdentityDeterminesTheAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawTree(t, 4)
		d := identityDecoder{t, AppendIdentity(nil, e)}
		back := d.expr()
		if len(d.rest) > 0 {
			t.Fatalf("%d bytes left", len(d.rest))
		}
		for range 20 {
			row := drawRow(t)
			if got, want := back.Eval(row), e.Eval(row); got != want {
				t.Fatalf("%v: read back %d, original %d", row, got, want)
			}
		}
	})
}

func TestIdentityIgnoresTheWriting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawTree(t, 4)
		rewritten := rewrite(t, e)
		if string(AppendIdentity(nil, e)) != string(AppendIdentity(nil, rewritten)) {
			t.Fatal("the same predicate in another writing has another identity")
		}
	})
}

// rewrite shuffles and repeats operands, groups them and doubles negations.
func rewrite(t *rapid.T, e *Expr) *Expr {
	out := *e
	if len(e.Values) > 1 {
		out.Values = rapid.Permutation(append(slices.Clone(e.Values), e.Values[0])).Draw(t, "values")
	}
	out.Args = nil
	for _, arg := range e.Args {
		out.Args = append(out.Args, rewrite(t, arg))
	}
	if (e.Op == And || e.Op == Or) && len(out.Args) > 1 {
		out.Args = rapid.Permutation(append(out.Args, out.Args[0])).Draw(t, "args")
		head := &Expr{Op: e.Op, Args: out.Args[:2]}
		out.Args = append([]*Expr{head}, out.Args[2:]...)
	}
	if rapid.IntRange(0, 3).Draw(t, "double negation") == 0 {
		return &Expr{Op: Not, Args: []*Expr{{Op: Not, Args: []*Expr{&out}}}}
	}
	return &out
}

type identityDecoder struct {
	t    *rapid.T
	rest []byte
}

func (d *identityDecoder) byte() byte {
	if len(d.rest) == 0 {
		d.t.Fatal("bytes are missing")
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *identityDecoder) count() int {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.t.Fatal("a count is missing")
	}
	d.rest = d.rest[size:]
	return int(n)
}

func (d *identityDecoder) text() string {
	n := d.count()
	if n > len(d.rest) {
		d.t.Fatal("text is missing")
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *identityDecoder) value() Value {
	switch kind := Kind(d.byte()); kind {
	case Null:
		return Value{}
	case Bool, Int, Float, Time:
		n, size := binary.Varint(d.rest)
		d.rest = d.rest[size:]
		switch kind {
		case Bool:
			return BoolValue(n != 0)
		case Int:
			return IntValue(n)
		case Float:
			return FloatValue(math.Float64frombits(uint64(n)))
		default:
			return TimeValue(time.UnixMicro(n))
		}
	case Decimal:
		return RawDecimal(d.text())
	default:
		return TextValue(d.text())
	}
}

func (d *identityDecoder) expr() *Expr {
	e := &Expr{Op: Op(d.byte())}
	switch e.Op {
	case Not:
		e.Args = []*Expr{d.expr()}
	case And, Or:
		for range d.count() {
			e.Args = append(e.Args, d.expr())
		}
	case True, False, Unknown, SignedIn:
	case HasRole, Owner, Claim:
		e.Kind = Kind(d.byte())
		e.Column = d.count()
		for range d.count() {
			e.Names = append(e.Names, d.text())
		}
	default:
		e.Column = d.count()
		for range d.count() {
			e.Values = append(e.Values, d.value())
		}
	}
	return e
}
