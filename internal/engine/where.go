package engine

import "github.com/capebase/capebase/internal/predicate"

// Where writes e as a condition over the table's columns, and its values as arguments. A node that still speaks of the
// caller is unknown, as it is in memory.
func Where(b *Builder, t *Table, e *predicate.Expr) {
	switch e.Op {
	case predicate.True:
		b.Write("1 = 1")
	case predicate.False:
		b.Write("1 = 0")
	case predicate.And, predicate.Or:
		whereJoin(b, t, e)
	case predicate.Not:
		b.Write("NOT (")
		Where(b, t, e.Args[0])
		b.Write(")")
	case predicate.In:
		whereIn(b, t, e)
	case predicate.IsNull:
		b.Quote(t.Columns[e.Column].Name)
		b.Write(" IS NULL")
	case predicate.IsTrue, predicate.IsFalse:
		b.Quote(t.Columns[e.Column].Name)
		if e.Op == predicate.IsTrue {
			b.Write(" IS TRUE")
		} else {
			b.Write(" IS FALSE")
		}
	case predicate.Eq, predicate.Ne, predicate.Lt, predicate.Le, predicate.Gt, predicate.Ge:
		whereCompare(b, t.Columns[e.Column], e.Op, e.Values[0])
	case predicate.Like, predicate.ILike:
		wherePattern(b, t.Columns[e.Column], e)
	default:
		b.Write(b.Dialect.Unknown())
	}
}

func whereJoin(b *Builder, t *Table, e *predicate.Expr) {
	if len(e.Args) == 0 {
		Where(b, t, &predicate.Expr{Op: map[predicate.Op]predicate.Op{predicate.And: predicate.True, predicate.Or: predicate.False}[e.Op]})
		return
	}
	separator := " AND "
	if e.Op == predicate.Or {
		separator = " OR "
	}
	b.Write("(")
	for i, arg := range e.Args {
		if i > 0 {
			b.Write(separator)
		}
		Where(b, t, arg)
	}
	b.Write(")")
}

// whereCompare leaves what can never be known to the one word that says so: a NULL, or a value of another kind.
func whereCompare(b *Builder, column Column, op predicate.Op, v predicate.Value) {
	if v.Kind() != column.Kind {
		b.Write(b.Dialect.Unknown())
		return
	}
	b.Dialect.Compare(b, column, op, v)
}

func whereIn(b *Builder, t *Table, e *predicate.Expr) {
	column := t.Columns[e.Column]
	if len(e.Values) == 0 {
		b.Write(b.Dialect.Unknown())
		return
	}
	b.Dialect.In(b, column, e.Values)
}

// List writes the arguments of an IN in parentheses, each with a suffix, and NULL for each value that is not of the
// column's kind.
func List(b *Builder, column Column, values []predicate.Value, suffix string) {
	b.Write("(")
	for i, v := range values {
		if i > 0 {
			b.Write(", ")
		}
		if v.Kind() != column.Kind {
			b.Write("NULL")
			continue
		}
		b.Arg(v)
		b.Write(suffix)
	}
	b.Write(")")
}

func wherePattern(b *Builder, column Column, e *predicate.Expr) {
	if column.Kind != predicate.Text || e.Values[0].Kind() != predicate.Text {
		b.Write(b.Dialect.Unknown())
		return
	}
	b.Dialect.Pattern(b, column, predicate.Pattern(e.Values[0].Content()), e.Op == predicate.ILike)
}

// Operator writes a comparison's sign.
func Operator(op predicate.Op) string {
	switch op {
	case predicate.Eq:
		return " = "
	case predicate.Ne:
		return " <> "
	case predicate.Lt:
		return " < "
	case predicate.Le:
		return " <= "
	case predicate.Gt:
		return " > "
	default:
		return " >= "
	}
}

// Comparison is the plain form of Dialect.Compare: column, sign, argument.
func Comparison(b *Builder, column Column, op predicate.Op, v predicate.Value) {
	b.Quote(column.Name)
	b.Write(Operator(op))
	b.Arg(v)
}
