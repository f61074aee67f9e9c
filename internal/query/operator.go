package query

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// condition is a filter's right side: an operator and what it is given.
type condition struct {
	negated  bool
	operator string
	operand  string   // of every operator but in
	list     []string // of in
}

// operators are all that the grammar has.
func operators() []string {
	return []string{"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in", "is"}
}

// isForeign tells whether PostgREST has an operator of this name, or gives one of ours this modifier, and we do not: it
// must not be taken for text.
func isForeign(name string) bool {
	base, modifier, modified := strings.Cut(name, "(")
	switch base {
	case "match", "imatch", "isdistinct", "fts", "plfts", "phfts", "wfts", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj":
		return !modified || strings.HasSuffix(modifier, ")")
	}
	return modified && strings.HasSuffix(modifier, ")") && slices.Contains(operators(), base)
}

// allowed lists the operators of a field.
func allowed(f *model.Field) []string {
	switch f.Kind {
	case predicate.Text:
		return operators()
	case predicate.JSON:
		return []string{"is"}
	case predicate.Bool:
		return []string{"eq", "neq", "in", "is"}
	}
	return []string{"eq", "neq", "gt", "gte", "lt", "lte", "in", "is"}
}

// cutOperator takes "not." and an operator from the front of text. When there is none of ours, rest is the whole text
// and foreign tells whether it is one of PostgREST's.
func cutOperator(text string) (c condition, rest string, foreign bool) {
	unsigned, negated := strings.CutPrefix(text, "not.")
	name, rest, dotted := strings.Cut(unsigned, ".")
	switch {
	case dotted && slices.Contains(operators(), name):
		return condition{negated: negated, operator: name}, rest, false
	case dotted && isForeign(name):
		return condition{}, text, true
	}
	return condition{}, text, false
}

const foreignOperator = "unknown operator; write eq. before a value that begins like one"

// leaf checks the condition against the field and makes its node; nil after a mistake, which is told with the prefix.
func (p *parser) leaf(f *model.Field, c condition, location, prefix string) *predicate.Expr {
	if p.terms++; p.terms > p.limits.Terms {
		p.fatal("query", "expected at most %d conditions", p.limits.Terms)
		return nil
	}
	if allowed := allowed(f); !slices.Contains(allowed, c.operator) {
		p.mistake(location, "%s%s is of kind %s and has no operator %s; use %s", prefix, f.Name, f.Kind, c.operator, strings.Join(allowed, ", "))
		return nil
	}
	e := &predicate.Expr{Column: f.Column, Kind: f.Kind}
	expected := ""
	switch c.operator {
	case "is":
		e, expected = is(e, c.operand)
	case "like", "ilike":
		expected = p.pattern(e, c)
	case "in":
		e.Op = predicate.In
		for i, text := range c.list {
			v, err := f.FromText(text)
			if err != nil {
				p.mistake(location, "%s%s: value %d of in: %s", prefix, f.Name, i+1, err)
				return nil
			}
			e.Values = append(e.Values, v)
		}
	default:
		e.Op = comparison(c.operator)
		v, err := f.FromText(c.operand)
		if err != nil {
			expected = err.Error()
		}
		e.Values = []predicate.Value{v}
	}
	if expected != "" {
		p.mistake(location, "%s%s: %s", prefix, f.Name, expected)
		return nil
	}
	return negate(e, c.negated)
}

func negate(e *predicate.Expr, negated bool) *predicate.Expr {
	if e == nil || !negated {
		return e
	}
	return &predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{e}}
}

func comparison(operator string) predicate.Op {
	switch operator {
	case "eq":
		return predicate.Eq
	case "neq":
		return predicate.Ne
	case "gt":
		return predicate.Gt
	case "gte":
		return predicate.Ge
	case "lt":
		return predicate.Lt
	default:
		return predicate.Le
	}
}

// is completes e, or says what was expected.
func is(e *predicate.Expr, operand string) (complete *predicate.Expr, expected string) {
	e.Op = predicate.IsNull
	operand = strings.ToLower(operand)
	switch {
	case operand == "null":
		return e, ""
	case operand == "not_null":
		return negate(e, true), ""
	case e.Kind != predicate.Bool:
		return nil, "expected is.null or is.not_null"
	}
	switch operand {
	case "unknown":
	case "true":
		e.Op = predicate.IsTrue
	case "false":
		e.Op = predicate.IsFalse
	default:
		return nil, "expected is.null, is.not_null, is.true, is.false or is.unknown"
	}
	return e, ""
}

// pattern completes e, or says what was expected.
func (p *parser) pattern(e *predicate.Expr, c condition) (expected string) {
	wildcards := 0
	for _, token := range predicate.Pattern(c.operand) {
		if token.Wild == predicate.AnyText {
			wildcards++
		}
	}
	switch {
	case utf8.RuneCountInString(c.operand) > p.limits.Pattern:
		return fmt.Sprintf("expected a pattern of at most %d characters", p.limits.Pattern)
	case wildcards > p.limits.Wildcards:
		return fmt.Sprintf("expected a pattern with at most %d of the wildcards %% and *", p.limits.Wildcards)
	}
	e.Op = predicate.Like
	if c.operator == "ilike" {
		e.Op = predicate.ILike
	}
	e.Values = []predicate.Value{predicate.TextValue(c.operand)}
	return ""
}
