package engine_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

// source makes trees, rows and callers from one seed.
type source struct {
	*rand.Rand
	kinds []predicate.Kind // of the columns
}

func newSource(seed uint64, kinds []predicate.Kind) *source {
	return &source{rand.New(rand.NewPCG(seed, 0)), kinds}
}

func pick[T any](s *source, from ...T) T { return from[s.IntN(len(from))] }

func (s *source) chance(percent int) bool { return s.IntN(100) < percent }

func (s *source) value(kind predicate.Kind) predicate.Value { return pick(s, pool(kind)...) }

// row makes a row with the key in front; a quarter of the rest is NULL.
func (s *source) row(key int64) []predicate.Value {
	row := []predicate.Value{predicate.IntValue(key)}
	for _, kind := range s.kinds[1:] {
		if s.chance(25) {
			row = append(row, predicate.Value{})
		} else {
			row = append(row, s.value(kind))
		}
	}
	return row
}

func comparisons() []predicate.Op {
	return []predicate.Op{predicate.Eq, predicate.Ne, predicate.Lt, predicate.Le, predicate.Gt, predicate.Ge, predicate.In}
}

// tree makes a random condition of at most the given depth.
func (s *source) tree(depth int) *predicate.Expr {
	if depth == 0 || s.chance(30) {
		return s.leaf()
	}
	switch s.IntN(5) {
	case 0, 1:
		return &predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{s.tree(depth - 1)}}
	default:
		e := &predicate.Expr{Op: pick(s, predicate.And, predicate.Or)}
		for range s.IntN(4) {
			e.Args = append(e.Args, s.tree(depth-1))
		}
		return e
	}
}

func (s *source) leaf() *predicate.Expr {
	column := 1 + s.IntN(len(s.kinds)-1)
	kind := s.kinds[column]
	e := &predicate.Expr{Column: column, Kind: kind}
	switch n := s.IntN(40); {
	case n == 0:
		return &predicate.Expr{Op: pick(s, predicate.True, predicate.False, predicate.Unknown)}
	case n == 1:
		return &predicate.Expr{Op: predicate.SignedIn}
	case n == 2:
		return &predicate.Expr{Op: predicate.HasRole, Names: []string{pick(s, "admin", "editor", "nobody")}}
	case n < 6 || kind == predicate.JSON:
		e.Op = predicate.IsNull
	case n < 9:
		e.Op = predicate.Owner
	case n < 12:
		e.Op, e.Names = predicate.Claim, []string{pick(s, claimNames()...)}
	case n < 18 && kind == predicate.Bool:
		e.Op = pick(s, predicate.IsTrue, predicate.IsFalse)
	case n < 24 && kind == predicate.Text:
		e.Op, e.Values = pick(s, predicate.Like, predicate.ILike), []predicate.Value{predicate.TextValue(s.pattern())}
	default:
		s.comparison(e)
	}
	return e
}

func (s *source) comparison(e *predicate.Expr) {
	e.Op = pick(s, comparisons()...)
	count := 1
	if e.Op == predicate.In {
		count = s.IntN(5)
	}
	for range count {
		if s.chance(4) {
			e.Values = append(e.Values, predicate.Value{})
		} else {
			e.Values = append(e.Values, s.value(e.Kind))
		}
	}
}

// pattern turns pieces of a text into wildcards, and escapes some of the rest.
func (s *source) pattern() string {
	var b strings.Builder
	for _, r := range pick(s, pool(predicate.Text)...).Content() {
		switch s.IntN(8) {
		case 0:
			b.WriteString(pick(s, "%", "*", "_", "%_", ""))
		case 1:
			b.WriteString(`\`)
			b.WriteRune(r)
		case 2:
			b.WriteString(strings.ToUpper(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return pick(s, "", "%", "") + b.String() + pick(s, "", "%", `\`, "")
}

func claimNames() []string {
	return []string{"text", "number", "list", "mixed", "empty", "absent", "flag"}
}

// caller makes an identity whose ID and claims are, often, values of the pools.
func (s *source) caller() predicate.Caller {
	c := predicate.Caller{Claims: map[string]any{
		"text":   s.value(s.anyKind()).String(),
		"number": pick[any](s, int64(7), json.Number("42"), 1.5, uint8(1), json.Number("9007199254740993"), math.NaN()),
		"list":   []string{s.value(s.anyKind()).String(), s.value(s.anyKind()).String(), s.value(s.anyKind()).String()},
		"mixed":  []any{s.value(s.anyKind()).String(), int64(s.IntN(9)), true, nil, 0.1, map[string]any{}},
		"empty":  []string{},
		"flag":   pick[any](s, true, false, "true", nil),
	}}
	if s.chance(75) {
		c.ID = s.value(s.anyKind()).String()
	}
	c.Roles = pick(s, nil, []string{"admin"}, []string{"editor", "admin"}, []string{"other"})
	return c
}

func (s *source) anyKind() predicate.Kind { return s.kinds[s.IntN(len(s.kinds))] }
