package mysql

import (
	"fmt"
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// maxDigits is the most that a decimal has on both servers; the most after the point differs.
const maxDigits = 65

// The servers compare a decimal with text as doubles. So the text is cast, to a type just large enough for it; what no
// such type can hold, no column can, and the comparison is made with the nearest number towards zero.

// bound is a decimal that the servers can hold.
type bound struct {
	text             string
	precision, scale int
	order            int // of the number that was asked for against this one: 0 the same, 1 greater, -1 less
}

func (d dialect) boundOf(canonical string) bound {
	digits, negative := strings.CutPrefix(canonical, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	var r bound
	if len(whole) > maxDigits {
		whole, fraction, r.order = strings.Repeat("9", maxDigits), "", 1
	}
	if room := min(d.maxScale, maxDigits-len(whole)); len(fraction) > room {
		fraction, r.order = fraction[:room], 1
	}
	r.precision, r.scale = len(whole)+len(fraction), len(fraction)
	r.text = whole
	if fraction != "" {
		r.text += "." + fraction
	}
	if negative {
		r.text, r.order = "-"+r.text, -r.order
	}
	return r
}

func (r bound) write(b *engine.Builder) {
	b.Write("CAST(")
	b.Raw(r.text)
	b.Write(fmt.Sprintf(" AS DECIMAL(%d,%d))", r.precision, r.scale))
}

// operator turns one for the number that was asked for into one for the bound. Between the two no column holds anything:
// to be less than the one is to be at most the other.
func (r bound) operator(op predicate.Op) predicate.Op {
	switch {
	case r.order > 0 && op == predicate.Lt:
		return predicate.Le
	case r.order > 0 && op == predicate.Ge:
		return predicate.Gt
	case r.order < 0 && op == predicate.Le:
		return predicate.Lt
	case r.order < 0 && op == predicate.Gt:
		return predicate.Ge
	}
	return op
}

func (d dialect) compareDecimal(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	r := d.boundOf(v.Content())
	switch {
	case r.order != 0 && op == predicate.Eq:
		itself(b, column, predicate.Ne)
	case r.order != 0 && op == predicate.Ne:
		itself(b, column, predicate.Eq)
	default:
		b.Quote(column.Name)
		b.Write(engine.Operator(r.operator(op)))
		r.write(b)
	}
}

// itself compares a column with itself: a constant, but unknown for NULL.
func itself(b *engine.Builder, column engine.Column, op predicate.Op) {
	b.Quote(column.Name)
	b.Write(engine.Operator(op))
	b.Quote(column.Name)
}

func (d dialect) inDecimal(b *engine.Builder, column engine.Column, values []predicate.Value) {
	var bounds []bound
	null := false
	for _, v := range values {
		if v.Kind() != column.Kind {
			null = true
		} else if r := d.boundOf(v.Content()); r.order == 0 {
			bounds = append(bounds, r)
		}
	}
	if len(bounds) == 0 && !null {
		itself(b, column, predicate.Ne)
		return
	}
	b.Quote(column.Name)
	b.Write(" IN (")
	for i, r := range bounds {
		if i > 0 {
			b.Write(", ")
		}
		r.write(b)
	}
	switch {
	case null && len(bounds) > 0:
		b.Write(", NULL)")
	case null:
		b.Write("NULL)")
	default:
		b.Write(")")
	}
}
