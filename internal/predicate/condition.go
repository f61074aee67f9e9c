package predicate

import (
	"errors"
	"fmt"
)

// Condition is a rule as the developer wrote it: columns are addresses of struct fields. The zero Condition is an error.
type Condition struct{ node *node }

type node struct {
	op     Op
	args   []Condition
	field  any // pointer to a field of Resource.Fields
	values []any
	names  []string
}

// NewCondition makes a node of parts that package policy has named.
func NewCondition(op Op, args []Condition, field any, values []any, names []string) Condition {
	return Condition{&node{op: op, args: args, field: field, values: values, names: names}}
}

// Resolver knows a model's columns.
type Resolver interface {
	// Column finds the column whose struct field is at the address, or says why there is none.
	Column(field any) (column int, kind Kind, err error)
	// Value converts a Go value of the column's field.
	Value(column int, v any) (Value, error)
}

// ErrZero is the mistake of a Condition that no function of package policy made.
var ErrZero = errors.New("zero Condition: build it with policy.Anyone, policy.Owner, policy.Field and the like")

// Resolve checks c and returns its tree over numbered columns.
func Resolve(c Condition, r Resolver) (*Expr, error) {
	n := c.node
	if n == nil || n.op == Invalid {
		return nil, ErrZero
	}
	e := &Expr{Op: n.op, Names: n.names}
	var errs []error
	for _, arg := range n.args {
		child, err := Resolve(arg, r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		e.Args = append(e.Args, child)
	}
	if n.op == HasRole {
		errs = append(errs, checkRoles(n.names))
	}
	if n.op == Claim && n.names[0] == "" {
		errs = append(errs, errors.New(`Claim needs the name of a claim, such as "org_id"`))
	}
	if n.field != nil {
		if err := e.resolveColumn(n, r); err != nil {
			errs = append(errs, err)
		}
	}
	return e, errors.Join(errs...)
}

func checkRoles(roles []string) error {
	for _, role := range roles {
		switch role {
		case "":
			return errors.New(`Role("") matches nobody: name a role`)
		case "*":
			return errors.New(`Role("*") is not a wildcard: use policy.Anyone() or policy.SignedIn()`)
		}
	}
	return nil
}

func (e *Expr) resolveColumn(n *node, r Resolver) error {
	var err error
	if e.Column, e.Kind, err = r.Column(n.field); err != nil {
		return err
	}
	if e.Kind == JSON && n.op != IsNull {
		return fmt.Errorf("%s on a JSON column: only IsNull is defined there", n.op)
	}
	for _, goValue := range n.values {
		v, err := r.Value(e.Column, goValue)
		if err != nil {
			return err
		}
		e.Values = append(e.Values, v)
	}
	return nil
}
