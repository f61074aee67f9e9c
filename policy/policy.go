// Package policy holds the closed tree that says which rows an identity may touch.
//
// A rule names columns by the address of a field in [capebase.Resource.Fields], so that the compiler checks it and the
// editor renames it:
//
//	todos.Allow(policy.Read, policy.Anyone())
//	todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
//	todos.Allow(policy.All, policy.Role("admin"))
//
// Logic is SQL's: a comparison with NULL, an absent claim or an anonymous owner is unknown, and what is unknown never
// matches, also inside [Not].
//
// [capebase.Resource.Fields]: https://pkg.go.dev/github.com/capebase/capebase#Resource
package policy

import "github.com/capebase/capebase/internal/predicate"

// Action is a set of things a rule allows.
type Action uint8

// The actions.
const (
	Read   Action = 1 << iota // list, get, subscribe, history
	Create                    // the new row must satisfy the rule
	Update                    // the row before and after must satisfy the rule
	Delete                    // the row before must satisfy the rule
	Write  = Create | Update | Delete
	All    = Read | Write
)

// Condition is a node of the tree; a zero Condition fails Start. The functions of this package and the methods of
// [Column] make them.
type Condition = predicate.Condition

// Anyone matches for every caller, signed in or not.
func Anyone() Condition { return predicate.NewCondition(predicate.True, nil, nil, nil, nil) }

// SignedIn matches when the identity has an ID.
func SignedIn() Condition { return predicate.NewCondition(predicate.SignedIn, nil, nil, nil, nil) }

// Role matches when the identity has one of the roles. There is no wildcard: "*" fails Start.
func Role(role string, more ...string) Condition {
	return predicate.NewCondition(predicate.HasRole, nil, nil, nil, append([]string{role}, more...))
}

// Owner matches rows whose field, written as text, is the identity's ID. An ID that is not how the field's value is
// written owns nothing: "007" is not the owner of rows of the integer 7.
func Owner[V any](field *V) Condition {
	return predicate.NewCondition(predicate.Owner, nil, field, nil, nil)
}

// Claim matches rows whose field equals the identity's claim, or is in it when the claim is a list. An absent claim and
// an empty list match nothing.
func Claim[V any](field *V, claim string) Condition {
	return predicate.NewCondition(predicate.Claim, nil, field, nil, []string{claim})
}

// And matches when all do.
func And(a, b Condition, more ...Condition) Condition {
	return predicate.NewCondition(predicate.And, append([]Condition{a, b}, more...), nil, nil, nil)
}

// Or matches when any does.
func Or(a, b Condition, more ...Condition) Condition {
	return predicate.NewCondition(predicate.Or, append([]Condition{a, b}, more...), nil, nil, nil)
}

// Not inverts a condition; what was unknown stays unknown and matches nothing.
func Not(c Condition) Condition {
	return predicate.NewCondition(predicate.Not, []Condition{c}, nil, nil, nil)
}

// Column is a field of a row in a condition.
type Column[V any] struct{ field *V }

// Field names a column by the address of its field in Resource.Fields.
func Field[V any](field *V) Column[V] { return Column[V]{field} }

// Eq matches rows whose field equals v.
func (c Column[V]) Eq(v V) Condition { return c.compare(predicate.Eq, v) }

// Ne matches rows whose field is another value than v; NULL is not another value.
func (c Column[V]) Ne(v V) Condition { return c.compare(predicate.Ne, v) }

// Lt matches rows whose field is less than v.
func (c Column[V]) Lt(v V) Condition { return c.compare(predicate.Lt, v) }

// Le matches rows whose field is at most v.
func (c Column[V]) Le(v V) Condition { return c.compare(predicate.Le, v) }

// Gt matches rows whose field is greater than v.
func (c Column[V]) Gt(v V) Condition { return c.compare(predicate.Gt, v) }

// Ge matches rows whose field is at least v.
func (c Column[V]) Ge(v V) Condition { return c.compare(predicate.Ge, v) }

// In matches rows whose field is one of v; of none it matches nothing.
func (c Column[V]) In(v ...V) Condition { return c.compare(predicate.In, v...) }

// IsNull matches rows whose field is NULL.
func (c Column[V]) IsNull() Condition { return c.compare(predicate.IsNull) }

func (c Column[V]) compare(op predicate.Op, values ...V) Condition {
	anys := make([]any, len(values))
	for i, v := range values {
		anys[i] = v
	}
	return predicate.NewCondition(op, nil, c.field, anys, nil)
}
