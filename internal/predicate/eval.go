package predicate

// Truth is an answer in three-valued logic.
type Truth int8

// The answers, ordered so that and is the least and or the greatest of them.
const (
	No    Truth = -1
	Maybe Truth = 0 // SQL's unknown
	Yes   Truth = 1
)

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// Match tells whether row satisfies e: whether Eval is Yes.
func (e *Expr) Match(row []Value) bool { return e.Eval(row) == Yes }

// Eval answers for a row, whose values stand at their columns' indexes. A node that still speaks of the caller is
// unknown: without Fold nothing is allowed.
func (e *Expr) Eval(row []Value) Truth {
	switch e.Op {
	case True:
		return Yes
	case False:
		return No
	case And:
		result := Yes
		for _, arg := range e.Args {
			if result = min(result, arg.Eval(row)); result == No {
				break
			}
		}
		return result
	case Or:
		result := No
		for _, arg := range e.Args {
			if result = max(result, arg.Eval(row)); result == Yes {
				break
			}
		}
		return result
	case Not:
		return -e.Args[0].Eval(row)
	case Eq, Ne, Lt, Le, Gt, Ge, In, IsNull, IsTrue, IsFalse, Like, ILike:
		return e.test(row[e.Column])
	default:
		return Maybe
	}
}

func (e *Expr) test(v Value) Truth {
	switch e.Op {
	case IsNull:
		return truth(v.IsNull())
	case IsTrue:
		return truth(v == BoolValue(true))
	case IsFalse:
		return truth(v == BoolValue(false))
	case In:
		return in(v, e.Values)
	case Like, ILike:
		pattern := e.Values[0]
		if v.kind != Text || pattern.kind != Text {
			return Maybe
		}
		return truth(matchPattern(pattern.text, v.text, e.Op == ILike))
	}
	order, ok := Compare(v, e.Values[0])
	if !ok {
		return Maybe
	}
	switch e.Op {
	case Eq:
		return truth(order == 0)
	case Ne:
		return truth(order != 0)
	case Lt:
		return truth(order < 0)
	case Le:
		return truth(order <= 0)
	case Gt:
		return truth(order > 0)
	default:
		return truth(order >= 0)
	}
}

// in is SQL's: no, unless a NULL or nothing at all leaves it open.
func in(v Value, values []Value) Truth {
	result := No
	if len(values) == 0 {
		return Maybe
	}
	for _, candidate := range values {
		order, ok := Compare(v, candidate)
		switch {
		case !ok:
			result = Maybe
		case order == 0:
			return Yes
		}
	}
	return result
}
