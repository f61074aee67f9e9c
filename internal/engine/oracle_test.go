package engine_test

import (
	"slices"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
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

// TestUnfolded holds that nothing is allowed, on either side, by what still speaks of the caller.
func TestUnfolded(t *testing.T) {
	t.Parallel()
	b := newBed(t, dbtest.New(t, dbtest.SQLite))
	table := rulesTable()
	b.createRules(t, table)
	s := newSource(1, kindsOf(table))
	rows := [][]predicate.Value{s.row(0), s.row(1)}
	b.insert(t, table, rows)
	owner := &predicate.Expr{Op: predicate.Owner, Column: 5, Kind: predicate.Text}
	unknown := []*predicate.Expr{
		{Op: predicate.SignedIn}, {Op: predicate.HasRole, Names: []string{"admin"}}, owner, {Op: predicate.Unknown}, {Op: predicate.Invalid},
		{Op: predicate.Claim, Column: 5, Kind: predicate.Text, Names: []string{"text"}}, {Op: predicate.Not, Args: []*predicate.Expr{owner}},
	}
	trees := append([]*predicate.Expr{{Op: predicate.And}, {Op: predicate.Or}}, unknown...)
	c := &tally{truth: make(map[predicate.Truth]int), seen: make(map[string]int)}
	if difference := b.compare(t.Context(), table, rows, honest(), trees, c); difference != "" {
		t.Error(difference)
	}
	if want := len(unknown) * len(rows); c.truth[predicate.Maybe] != want {
		t.Errorf("%d are unknown, want %d", c.truth[predicate.Maybe], want)
	}
}
