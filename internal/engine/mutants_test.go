package engine_test

import (
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// broken is a dialect with a mistake in what it is asked to write.
type broken struct {
	engine.Dialect
	column  func(*engine.Column)
	op      func(predicate.Op) predicate.Op
	values  func([]predicate.Value) []predicate.Value
	fold    func(bool) bool
	unknown string
}

func (d broken) Unknown() string {
	if d.unknown != "" {
		return d.unknown
	}
	return d.Dialect.Unknown()
}

func (d broken) Compare(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	if d.column != nil {
		d.column(&column)
	}
	if d.op != nil {
		op = d.op(op)
	}
	d.Dialect.Compare(b, column, op, v)
}

func (d broken) In(b *engine.Builder, column engine.Column, values []predicate.Value) {
	if d.column != nil {
		d.column(&column)
	}
	if d.values != nil {
		values = d.values(values)
	}
	d.Dialect.In(b, column, values)
}

func (d broken) Pattern(b *engine.Builder, column engine.Column, pattern []predicate.Token, fold bool) {
	if d.fold != nil {
		fold = d.fold(fold)
	}
	d.Dialect.Pattern(b, column, pattern, fold)
}

func compileWith(mistake broken) compiler {
	return func(b *engine.Builder, table *engine.Table, e *predicate.Expr) {
		mistake.Dialect = b.Dialect
		b.Dialect = mistake
		engine.Where(b, table, e)
		b.Dialect = mistake.Dialect
	}
}

// compileOther compiles another tree than it is given.
func compileOther(change func(*predicate.Expr) *predicate.Expr) compiler {
	return func(b *engine.Builder, table *engine.Table, e *predicate.Expr) {
		engine.Where(b, table, rewrite(e, change))
	}
}

// rewrite changes each node of a tree, the inner ones first.
func rewrite(e *predicate.Expr, change func(*predicate.Expr) *predicate.Expr) *predicate.Expr {
	clone := *e
	clone.Args = make([]*predicate.Expr, len(e.Args))
	for i, arg := range e.Args {
		clone.Args[i] = rewrite(arg, change)
	}
	return change(&clone)
}

func evalOther(change func(*predicate.Expr) *predicate.Expr) func(*predicate.Expr, []predicate.Value) predicate.Truth {
	return func(e *predicate.Expr, row []predicate.Value) predicate.Truth { return rewrite(e, change).Eval(row) }
}

func swap(a, b predicate.Op) func(predicate.Op) predicate.Op {
	return func(op predicate.Op) predicate.Op {
		switch op {
		case a:
			return b
		case b:
			return a
		}
		return op
	}
}

func swapNodes(a, b predicate.Op) func(*predicate.Expr) *predicate.Expr {
	return func(e *predicate.Expr) *predicate.Expr {
		e.Op = swap(a, b)(e.Op)
		return e
	}
}

func withoutNot(e *predicate.Expr) *predicate.Expr {
	if e.Op == predicate.Not {
		return e.Args[0]
	}
	return e
}

func unknownIsFalse(e *predicate.Expr, row []predicate.Value) predicate.Truth {
	switch e.Op {
	case predicate.Not:
		return -unknownIsFalse(e.Args[0], row)
	case predicate.And, predicate.Or:
		return e.Eval(row)
	}
	if truth := e.Eval(row); truth != predicate.Maybe {
		return truth
	}
	return predicate.No
}

// TestRulesCatchMistakes shows that the test of rules would see a mistake on either side.
func TestRulesCatchMistakes(t *testing.T) {
	t.Parallel()
	compile := func(mistake broken) subject { return subject{compileWith(mistake), (*predicate.Expr).Eval} }
	other := func(change func(*predicate.Expr) *predicate.Expr) subject {
		return subject{compileOther(change), (*predicate.Expr).Eval}
	}
	eval := func(change func(*predicate.Expr) *predicate.Expr) subject {
		return subject{engine.Where, evalOther(change)}
	}
	mutants := map[string]subject{
		"SQL: lt is lte":                 compile(broken{op: swap(predicate.Lt, predicate.Le)}),
		"SQL: gt is gte":                 compile(broken{op: swap(predicate.Gt, predicate.Ge)}),
		"SQL: lt is gt":                  compile(broken{op: swap(predicate.Lt, predicate.Gt)}),
		"SQL: eq is neq":                 compile(broken{op: swap(predicate.Eq, predicate.Ne)}),
		"SQL: unknown is false":          compile(broken{unknown: "1 = 0"}),
		"SQL: like is ilike":             compile(broken{fold: func(fold bool) bool { return !fold }}),
		"SQL: collation is not named":    compile(broken{column: func(c *engine.Column) { c.Foreign = false }}),
		"SQL: in loses its last value":   compile(broken{values: func(v []predicate.Value) []predicate.Value { return v[:max(1, len(v)-1)] }}),
		"SQL: not is lost":               other(withoutNot),
		"SQL: and is or":                 other(swapNodes(predicate.And, predicate.Or)),
		"SQL: is.true is eq":             other(isTrueIsEq),
		"SQL: is.null is its opposite":   other(isNotNull),
		"SQL: in drops NULL":             other(inWithoutNull),
		"memory: lt is lte":              eval(swapNodes(predicate.Lt, predicate.Le)),
		"memory: gte is gt":              eval(swapNodes(predicate.Gt, predicate.Ge)),
		"memory: eq is neq":              eval(swapNodes(predicate.Eq, predicate.Ne)),
		"memory: not is lost":            eval(withoutNot),
		"memory: and is or":              eval(swapNodes(predicate.And, predicate.Or)),
		"memory: like is ilike":          eval(swapNodes(predicate.Like, predicate.ILike)),
		"memory: is.true is is.false":    eval(swapNodes(predicate.IsTrue, predicate.IsFalse)),
		"memory: unknown is false":       {engine.Where, unknownIsFalse},
		"memory: in drops NULL":          eval(inWithoutNull),
		"memory: is.null is its reverse": eval(isNotNull),
	}
	b := newBed(t, dbtest.New(t, dbtest.SQLite))
	table := rulesTable()
	b.createRules(t, table)
	for name, mutant := range mutants {
		s := newSource(1, kindsOf(table))
		c := &tally{truth: make(map[predicate.Truth]int), seen: make(map[string]int)}
		caught := false
		for range generations {
			if caught = b.generation(t, s, table, mutant, 5, c) != ""; caught {
				break
			}
		}
		if !caught {
			t.Errorf("%s: not seen in %d trees", name, c.trees)
		}
	}
}

func isTrueIsEq(e *predicate.Expr) *predicate.Expr {
	if e.Op == predicate.IsTrue {
		e.Op, e.Values = predicate.Eq, []predicate.Value{predicate.BoolValue(true)}
	}
	return e
}

func isNotNull(e *predicate.Expr) *predicate.Expr {
	if e.Op == predicate.IsNull {
		return &predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{e}}
	}
	return e
}

func inWithoutNull(e *predicate.Expr) *predicate.Expr {
	if e.Op != predicate.In {
		return e
	}
	var known []predicate.Value
	for _, v := range e.Values {
		if !v.IsNull() {
			known = append(known, v)
		}
	}
	if len(known) > 0 {
		e.Values = known
	}
	return e
}
