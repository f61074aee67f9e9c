package predicate

import (
	"math"
	"slices"
	"strings"
)

// Key is a constant that a column holds. Keys find the predicates that a row can match without trying all of them: the
// row is looked up with [Index] of each of its values.
type Key struct {
	Column int
	Value  Value
}

// Index returns the one value that stands for all those that [Compare] finds equal to v, so that == tells whether two
// are. NULL stands for itself, though nothing equals it.
func Index(v Value) Value {
	switch v.kind {
	case Float:
		if math.IsNaN(v.Float()) {
			return FloatValue(math.NaN())
		}
	case Decimal:
		if strings.IndexByte(v.text, '.') == len(v.text)-1 && v.text != "" {
			v.text = v.text[:len(v.text)-1]
		}
	}
	return v
}

// Keys returns constants of which every row that matches e holds at least one in its column; none at all when no row
// can match. ok is false when e has no such constants, or only more than limit of them.
//
// Where several sets would do, as for owner = 7 and status = 'open', Keys takes the one of the least cost: the number
// of its keys, and what load says of the one that costs most. A nil load says nothing.
//
// There is no need for a disjunctive normal form, which can be exponentially larger than e. A conjunction has keys when
// one of its operands has, and a disjunction when all have. Were there a conjunction without keys of which each normal
// term had some, each operand would have a term without a key, and those terms together are one of the normal form's.
func Keys(e *Expr, limit int, load func(Key) int) (keys []Key, ok bool) {
	if load == nil {
		load = func(Key) int { return 0 }
	}
	set, ok := keyFinder{limit, load}.find(e, false)
	return set.keys, ok
}

type keyFinder struct {
	limit int
	load  func(Key) int
}

type keySet struct {
	keys []Key
	load int // the greatest of the keys'
}

func (s keySet) cost() int { return s.load + len(s.keys) }

// find returns the keys of e, or of its opposite. What is never true, as a node that speaks of the caller, has the
// empty set.
func (f keyFinder) find(e *Expr, negated bool) (keySet, bool) {
	switch e.Op {
	case Not:
		return f.find(e.Args[0], !negated)
	case And, Or:
		if (e.Op == And) != negated {
			return f.conjunction(e.Args, negated)
		}
		return f.disjunction(e.Args, negated)
	case True, False:
		return keySet{}, (e.Op == False) != negated
	case Eq, Ne:
		return f.constants(e, (e.Op == Eq) != negated)
	case In:
		return f.constants(e, !negated)
	case IsTrue, IsFalse:
		if negated {
			return keySet{}, false // NULL is neither
		}
		return f.set([]Key{{e.Column, BoolValue(e.Op == IsTrue)}})
	case Lt, Le, Gt, Ge, IsNull, Like, ILike:
		return keySet{}, false
	default:
		return keySet{}, true
	}
}

func (f keyFinder) conjunction(args []*Expr, negated bool) (best keySet, found bool) {
	for _, arg := range args {
		set, ok := f.find(arg, negated)
		if ok && (!found || set.cost() < best.cost()) {
			best, found = set, true
		}
	}
	return best, found
}

func (f keyFinder) disjunction(args []*Expr, negated bool) (keySet, bool) {
	var keys []Key
	for _, arg := range args {
		set, ok := f.find(arg, negated)
		if !ok {
			return keySet{}, false
		}
		keys = append(keys, set.keys...)
	}
	return f.set(keys)
}

// constants returns the keys of a node that is true for the values it names alone. A comparison with NULL never is.
func (f keyFinder) constants(e *Expr, equal bool) (keySet, bool) {
	if !equal {
		return keySet{}, false
	}
	keys := make([]Key, 0, len(e.Values))
	for _, v := range e.Values {
		if !v.IsNull() {
			keys = append(keys, Key{e.Column, Index(v)})
		}
	}
	return f.set(keys)
}

// set removes what keys has twice and asks for the load.
func (f keyFinder) set(keys []Key) (keySet, bool) {
	if len(keys) > 1 {
		seen := make(map[Key]bool, len(keys))
		keys = slices.DeleteFunc(keys, func(k Key) bool {
			again := seen[k]
			seen[k] = true
			return again
		})
	}
	if len(keys) > f.limit {
		return keySet{}, false
	}
	set := keySet{keys: keys}
	for _, k := range keys {
		set.load = max(set.load, f.load(k))
	}
	return set, true
}
