package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// reserved are the parameters that never name a field, of every route, so that a filter means the same on all of them.
func reserved() []string {
	return []string{"order", "limit", "offset", "select", "and", "or", "not", "not.and", "not.or", "after", "since",
		"snapshot", "tables", "auth"}
}

// filter reads a parameter that is a condition or a group of them; nil after a mistake.
func (p *parser) filter(param parameter) *predicate.Expr {
	location := param.location()
	group, negated := strings.CutPrefix(param.name, "not.")
	switch {
	case group == "and" || group == "or":
		return negate(p.group(location, group, param.value), negated)
	case param.name == "not":
		p.mistake(location, "expected not.and=(…) or not.or=(…)")
		return nil
	case slices.Contains(reserved(), param.name):
		message := "not a parameter of this route"
		if _, ok := p.field(param.name); ok {
			message += "; the field of this name is filtered inside and=(…)"
		}
		p.mistake(location, "%s", message)
		return nil
	}
	f, ok := p.field(param.name)
	if !ok {
		p.mistake(location, "%s", p.unknownField())
		return nil
	}
	return p.topLevel(f, location, param.value)
}

// topLevel reads the value of field=value, where everything up to the end is the operand, quotes included.
func (p *parser) topLevel(f *model.Field, location, value string) *predicate.Expr {
	c, operand, foreign := cutOperator(value)
	switch {
	case foreign:
		p.mistake(location, "%s: %s; the operators are %s", f.Name, foreignOperator, strings.Join(allowed(f), ", "))
		return nil
	case c.operator == "":
		c.operator = "eq"
	}
	c.operand = operand
	if c.operator == "in" {
		s := scanner{text: operand}
		list, err := s.list(p.limits.Values)
		if err == nil && !s.end() {
			err = s.expected("the end of the list")
		}
		if err != nil {
			p.mistake(location, "%s: in: %s", f.Name, err)
			return nil
		}
		c.list = list
	}
	return p.leaf(f, c, location, "")
}

// group reads the value of and=(…) or or=(…).
func (p *parser) group(location, operator, value string) *predicate.Expr {
	g := group{parser: p, scanner: scanner{text: value}, location: location}
	e, err := g.members(operator, 1)
	if err == nil {
		g.space()
		if !g.end() {
			err = g.expected("the end of the group")
		}
	}
	if err != nil && !errors.Is(err, errStopped) {
		p.mistake(location, "%s", err)
	}
	return e
}

// errStopped ends the reading of a group after a mistake that is told already.
var errStopped = errors.New("stopped")

// group reads nested conditions.
type group struct {
	*parser
	scanner
	location string
}

// members reads the parenthesis of and or or. Mistakes of meaning are collected, one of syntax is returned.
func (g *group) members(operator string, depth int) (*predicate.Expr, error) {
	if depth > g.limits.Depth {
		return nil, fmt.Errorf("expected at most %d groups in each other", g.limits.Depth)
	}
	g.space()
	if !g.eat('(') {
		return nil, g.expected(`"("`)
	}
	var args []*predicate.Expr
	for {
		g.space()
		arg, err := g.member(depth)
		if err != nil {
			return nil, err
		}
		if g.stopped {
			return nil, errStopped
		}
		args = append(args, arg)
		g.space()
		if g.eat(')') {
			break
		}
		if !g.eat(',') {
			return nil, g.expected(`"," or ")"`)
		}
	}
	if operator == "and" {
		return predicate.All(args...), nil
	}
	return predicate.Any(args...), nil
}

// member reads a nested group or field.operator.value, negated or not.
func (g *group) member(depth int) (*predicate.Expr, error) {
	negated := g.negation()
	start := g.pos
	name, quoted, err := g.name()
	if err != nil {
		return nil, err
	}
	if !quoted && (name == "and" || name == "or") && g.peek() == '(' {
		e, err := g.members(name, depth+1)
		return negate(e, negated), err
	}
	prefix := fmt.Sprintf("character %d: ", g.character(start))
	if !g.eat('.') {
		return nil, g.expected(`"." and an operator after the name of a field`)
	}
	c, err := g.condition()
	if err != nil {
		return nil, err
	}
	f, ok := g.field(name)
	if !ok {
		g.mistake(g.location, "%s%s", prefix, g.unknownField())
		return nil, nil
	}
	return negate(g.leaf(f, c, g.location, prefix), negated), nil
}

// negation passes "not." where it stands before a member, and not where a field is called so.
func (g *group) negation() bool {
	rest, ok := strings.CutPrefix(g.rest(), "not.")
	if !ok {
		return false
	}
	if _, exists := g.field("not"); exists {
		if c, _, _ := cutOperator(rest); c.operator != "" {
			return false
		}
	}
	g.pos += len("not.")
	return true
}

// condition reads an operator and its operand, up to the comma or parenthesis that ends it.
func (g *group) condition() (condition, error) {
	c, operand, foreign := cutOperator(g.rest())
	if foreign {
		return c, g.expected("one of the operators " + strings.Join(operators(), ", "))
	}
	if c.operator == "" {
		return c, g.expected("an operator and a value: one of " + strings.Join(operators(), ", "))
	}
	g.pos = len(g.text) - len(operand)
	var err error
	if c.operator == "in" {
		c.list, err = g.list(g.limits.Values)
	} else {
		c.operand, err = g.value()
	}
	return c, err
}
