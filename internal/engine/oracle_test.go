package engine_test

import (
	"slices"

	"github.com/capebase/capebase/internal/predicate"
)

// direct answers a tree that still speaks of the caller, node by node and without Fold: what folding must agree with.
func direct(e *predicate.Expr, c predicate.Caller, row []predicate.Value) predicate.Truth {
	switch e.Op {
	case predicate.And:
		result := predicate.Yes
		for _, arg := range e.Args {
			result = min(result, direct(arg, c, row))
		}
		return result
	case predicate.Or:
		result := predicate.No
		for _, arg := range e.Args {
			result = max(result, direct(arg, c, row))
		}
		return result
	case predicate.Not:
		return -direct(e.Args[0], c, row)
	case predicate.SignedIn:
		return yesIf(c.ID != "")
	case predicate.HasRole:
		return yesIf(slices.ContainsFunc(c.Roles, func(role string) bool { return slices.Contains(e.Names, role) }))
	case predicate.Owner:
		return directOwner(e, c.ID, row[e.Column])
	case predicate.Claim:
		return directClaim(e, c.Claims[e.Names[0]], row[e.Column])
	default:
		return e.Eval(row)
	}
}

func yesIf(b bool) predicate.Truth {
	if b {
		return predicate.Yes
	}
	return predicate.No
}

// directOwner compares texts: the ID owns what is written as the ID.
func directOwner(e *predicate.Expr, id string, v predicate.Value) predicate.Truth {
	parsed, ok := predicate.Parse(e.Kind, id)
	if v.IsNull() || id == "" || !ok || parsed.String() != id {
		return predicate.Maybe
	}
	return yesIf(v.String() == id)
}

func directClaim(e *predicate.Expr, claim any, v predicate.Value) predicate.Truth {
	values := predicate.ClaimValues(e.Kind, claim)
	if v.IsNull() || len(values) == 0 {
		return predicate.Maybe
	}
	return yesIf(slices.ContainsFunc(values, func(candidate predicate.Value) bool { return candidate.String() == v.String() }))
}
