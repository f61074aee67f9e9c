package sqlite

import (
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// SQLite has no decimals: they are text in canonical form, so that = and <> compare text. For the rest two of one sign
// compare by the place of the point and then, digit by digit, as text.

// digits writes a decimal's text. A table that was not made by CapeBase may hold a number instead, exact to 15 digits.
func digits(b *engine.Builder, column engine.Column) string {
	return "CAST(" + b.Dialect.Quote(column.Name) + " AS TEXT)"
}

// negative writes whether a decimal has a sign.
func negative(text string) string { return "substr(" + text + ", 1, 1) = '-'" }

// width writes the place of the point, from 1, or of where it would stand.
func width(text string) string { return "instr(" + text + " || '.', '.')" }

func compareDecimal(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	text := digits(b, column)
	less := op == predicate.Lt || op == predicate.Le
	sign := engine.Operator(op)
	below := strings.HasPrefix(v.Content(), "-")
	if below { // further from zero is less
		sign = engine.Operator(mirror(op))
	}
	b.Write("(")
	switch {
	case less && below:
		b.Write(negative(text), " AND ")
	case less:
		b.Write(negative(text), " OR ")
	case below:
		b.Write("NOT ", negative(text), " OR ")
	default:
		b.Write("NOT ", negative(text), " AND ")
	}
	whole, _, _ := strings.Cut(v.Content(), ".")
	b.Write("(", width(text), ", ", text, ")", sign, "(")
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
	text := digits(b, column)
	b.Write("CASE WHEN ", negative(text), " THEN -", width(text), " ELSE ", width(text), " END")
	direction(b, descending)
	nulls(b, column, nullsFirst)
	b.Write(", CASE WHEN ", negative(text), " THEN '' ELSE ", text, " END")
	direction(b, descending)
	b.Write(", CASE WHEN ", negative(text), " THEN ", text, " ELSE '' END")
	direction(b, !descending)
}
