// Package predicate is the one tree that says which rows are meant: by a rule, by a filter, or by both. It is closed: no
// node calls the user's code, so that SQL, memory and the index of live subscriptions give the same answer.
//
// A rule begins as a [Condition], which names columns by the address of a struct field and may speak of the caller.
// [Resolve] turns it into an [Expr] over numbered columns, [Fold] puts a caller in, and then [Expr.Eval] answers in
// memory and package engine in SQL. Logic is SQL's: a comparison with NULL is unknown, and unknown never matches, also
// when inverted.
package predicate

// Op is what a node does.
type Op uint8

// The operators. Those from SignedIn on speak of the caller and are gone after Fold.
const (
	Invalid Op = iota
	True
	False
	Unknown
	And // of Args; true when there are none
	Or  // of Args; false when there are none
	Not // of one
	Eq  // Column with Values[0], as the following
	Ne
	Lt
	Le
	Gt
	Ge
	In      // any of Values; unknown when there are none
	IsNull  // never unknown, as the following two
	IsTrue  // of a Bool column
	IsFalse // of a Bool column
	Like    // Values[0] is the pattern: % and * any text, _ one code point, \ escapes; see Pattern
	ILike   // likewise; A to Z equal a to z, and no other letters fold

	SignedIn // the caller has an ID
	HasRole  // the caller has one of Names
	Owner    // Column is the caller's ID
	Claim    // Column is, or is in, the caller's claim Names[0]
)

// String returns the operator as filters write it.
func (o Op) String() string {
	names := [...]string{"invalid", "true", "false", "unknown", "and", "or", "not", "eq", "neq", "lt", "lte", "gt", "gte",
		"in", "is.null", "is.true", "is.false", "like", "ilike", "signed-in", "role", "owner", "claim"}
	if int(o) < len(names) {
		return names[o]
	}
	return "op"
}

// Expr is a node of the tree. Exprs are shared and never changed.
type Expr struct {
	Op     Op
	Args   []*Expr
	Column int  // index into the table's columns
	Kind   Kind // the column's
	Values []Value
	Names  []string // roles, or one claim
}

// All returns a node that holds when every one of exprs does; nil ones are left out.
func All(exprs ...*Expr) *Expr { return join(And, exprs) }

// Any returns a node that holds when one of exprs does; nil ones are left out.
func Any(exprs ...*Expr) *Expr { return join(Or, exprs) }

func join(op Op, exprs []*Expr) *Expr {
	args := make([]*Expr, 0, len(exprs))
	for _, e := range exprs {
		if e != nil {
			args = append(args, e)
		}
	}
	if len(args) == 1 {
		return args[0]
	}
	return &Expr{Op: op, Args: args}
}

// Columns calls visit with each column that e reads.
func (e *Expr) Columns(visit func(column int)) {
	switch e.Op {
	case Eq, Ne, Lt, Le, Gt, Ge, In, IsNull, IsTrue, IsFalse, Like, ILike, Owner, Claim:
		visit(e.Column)
	}
	for _, arg := range e.Args {
		arg.Columns(visit)
	}
}
