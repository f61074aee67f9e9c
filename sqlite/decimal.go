package sqlite

import (
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// SQLite has no decimals: they are text in canonical form, so that = and <> compare text. For the rest two of one sign
// compare by the place of the point and then, digit by digit, as text.

// negative writes whether a decimal has a sign.
func negative(name string) string { return "substr(" + name + ", 1, 1) = '-'" }

// width writes the place of the point, from 1, or of where it would stand.
func width(name string) string { return "instr(" + name + " || '.', '.')" }

func compareDecimal(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	name := b.Dialect.Quote(column.Name)
	less := op == predicate.Lt || op == predicate.Le
	sign := engine.Operator(op)
	below := strings.HasPrefix(v.Content(), "-")
	if below { // further from zero is less
		sign = engine.Operator(mirror(op))
	}
	b.Write("(")
	switch {
	case less && below:
		b.Write(negative(name), " AND ")
	case less:
		b.Write(negative(name), " OR ")
	case below:
		b.Write("NOT ", negative(name), " OR ")
	default:
		b.Write("NOT ", negative(name), " AND ")
	}
	whole, _, _ := strings.Cut(v.Content(), ".")
	b.Write("(", width(name), ", ", name, " COLLATE BINARY)", sign, "(")
	b.Raw(int64(len(whole) + 1))
	b.Write(", ")
	b.Arg(v)
	b.Write("))")
}

func mirror(op predicate.Op) predicate.Op {
	switch op {
	case predicate.Lt:
		return predicate.Gt
	case predicate.Le:
		return predicate.Ge
	case predicate.Gt:
		return predicate.Lt
	default:
		return predicate.Le
	}
}

func orderDecimal(b *engine.Builder, column engine.Column, descending, nullsFirst bool) {
	name := b.Dialect.Quote(column.Name)
	b.Write("CASE WHEN ", negative(name), " THEN -", width(name), " ELSE ", width(name), " END")
	direction(b, descending)
	nulls(b, column, nullsFirst)
	b.Write(", CASE WHEN ", negative(name), " THEN '' ELSE ", name, " END")
	direction(b, descending)
	b.Write(", CASE WHEN ", negative(name), " THEN ", name, " ELSE '' END")
	direction(b, !descending)
}
