package store

import "github.com/capebase/capebase/internal/predicate"

// allowable tells whether a rule could allow a row that a constraint refused before the rule saw it. Where it could not,
// what the constraint says, which may tell of rows that the caller cannot read, is not the caller's to know. A column
// that was not given would have got its value from the database, which may be any.
func allowable(rule *predicate.Expr, row Row, given []bool) bool {
	return possible(rule, predicate.Yes, row, func(leaf *predicate.Expr) bool {
		free := false
		leaf.Columns(func(column int) { free = free || !given[column] })
		return free
	})
}

// possible tells whether a folded tree can have the given answer for a row whose values are known but where free says
// that a leaf's is not.
func possible(e *predicate.Expr, answer predicate.Truth, row Row, free func(leaf *predicate.Expr) bool) bool {
	all := false
	switch e.Op {
	case predicate.Not:
		return possible(e.Args[0], -answer, row, free)
	case predicate.And:
		all = answer == predicate.Yes
	case predicate.Or:
		all = answer == predicate.No
	case predicate.True, predicate.False, predicate.Unknown:
		return e.Eval(row) == answer
	default:
		return free(e) || e.Eval(row) == answer
	}
	for _, arg := range e.Args {
		if possible(arg, answer, row, free) != all {
			return !all
		}
	}
	return all
}
