package apitest

import (
	"cmp"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
)

// Content is a row of the tables that random rules are about.
type Content struct {
	ID    int64   `json:"id" gorm:"primaryKey;autoIncrement:false"`
	Owner *string `json:"owner"`
	Org   *string `json:"org"`
	Grade *int64  `json:"grade"`
	Open  bool    `json:"open"`
	Hint  *string `json:"hint,omitempty" cape:"hidden"`
}

// verdict is an answer in three-valued logic, as a second program would write it.
type verdict int

const (
	no      verdict = -1
	unknown verdict = 0
	yes     verdict = 1
)

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// rule is a condition as CapeBase gets it, beside what it means.
type rule struct {
	text  string
	build func(*Content) policy.Condition
	holds func(auth.Identity, *Content) verdict
}

// rules draws trees.
func rules(depth int) *rapid.Generator[rule] {
	return rapid.Custom(func(t *rapid.T) rule {
		if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
			return leaf(t)
		}
		a := rules(depth-1).Draw(t, "a")
		kind := rapid.SampledFrom([]string{"and", "or", "not"}).Draw(t, "kind")
		if kind == "not" {
			return rule{
				"not(" + a.text + ")",
				func(c *Content) policy.Condition { return policy.Not(a.build(c)) },
				func(id auth.Identity, c *Content) verdict { return -a.holds(id, c) },
			}
		}
		b := rules(depth-1).Draw(t, "b")
		join, choose := policy.And, func(x, y verdict) verdict { return min(x, y) }
		if kind == "or" {
			join, choose = policy.Or, func(x, y verdict) verdict { return max(x, y) }
		}
		return rule{
			kind + "(" + a.text + ", " + b.text + ")",
			func(c *Content) policy.Condition { return join(a.build(c), b.build(c)) },
			func(id auth.Identity, c *Content) verdict { return choose(a.holds(id, c), b.holds(id, c)) },
		}
	})
}

// The values that rows and rules draw from: few, so that they meet.
func someOwner() []*string { return pointers("alice", "bob", "root", "") }
func someOrg() []*string   { return pointers("org1", "org2", "org3") }
func someHint() []*string  { return pointers("x", "y") }
func someGrade() []*int64  { return pointers(int64(1), int64(2), int64(3)) }

// pointers adds NULL.
func pointers[V any](values ...V) []*V {
	found := []*V{nil}
	for _, v := range values {
		found = append(found, &v)
	}
	return found
}

func leaf(t *rapid.T) rule {
	switch rapid.IntRange(0, 8).Draw(t, "kind of leaf") {
	case 0:
		return rule{"anyone", func(*Content) policy.Condition { return policy.Anyone() },
			func(auth.Identity, *Content) verdict { return yes }}
	case 1:
		return rule{"signed in", func(*Content) policy.Condition { return policy.SignedIn() },
			func(id auth.Identity, _ *Content) verdict { return verdictOf(id.ID != "") }}
	case 2:
		role := rapid.SampledFrom([]string{"admin", "editor"}).Draw(t, "role")
		return rule{"role " + role, func(*Content) policy.Condition { return policy.Role(role) },
			func(id auth.Identity, _ *Content) verdict { return verdictOf(slices.Contains(id.Roles, role)) }}
	case 3:
		return rule{"owner", func(c *Content) policy.Condition { return policy.Owner(&c.Owner) }, ownerHolds}
	case 4:
		return rule{"claim", func(c *Content) policy.Condition { return policy.Claim(&c.Org, "org_id") }, claimHolds}
	case 5:
		open := rapid.Bool().Draw(t, "open")
		return rule{fmt.Sprintf("open = %v", open), func(c *Content) policy.Condition { return policy.Field(&c.Open).Eq(open) },
			func(_ auth.Identity, c *Content) verdict { return verdictOf(c.Open == open) }}
	case 6:
		want := rapid.SampledFrom(someHint()[1:]).Draw(t, "hint")
		return rule{"hint <> " + *want, func(c *Content) policy.Condition { return policy.Field(&c.Hint).Ne(want) },
			func(_ auth.Identity, c *Content) verdict {
				if c.Hint == nil {
					return unknown
				}
				return verdictOf(*c.Hint != *want)
			}}
	case 7:
		return nullLeaf(t)
	}
	return gradeLeaf(t)
}

func ownerHolds(id auth.Identity, c *Content) verdict {
	if id.ID == "" || c.Owner == nil {
		return unknown
	}
	return verdictOf(*c.Owner == id.ID)
}

func claimHolds(id auth.Identity, c *Content) verdict {
	var orgs []any
	switch claim := id.Claims["org_id"].(type) {
	case string:
		orgs = []any{claim}
	case []any:
		orgs = claim
	}
	if len(orgs) == 0 || c.Org == nil {
		return unknown
	}
	return verdictOf(slices.Contains(orgs, any(*c.Org)))
}

func nullLeaf(t *rapid.T) rule {
	if rapid.Bool().Draw(t, "of grade") {
		return rule{"grade is null", func(c *Content) policy.Condition { return policy.Field(&c.Grade).IsNull() },
			func(_ auth.Identity, c *Content) verdict { return verdictOf(c.Grade == nil) }}
	}
	return rule{"hint is null", func(c *Content) policy.Condition { return policy.Field(&c.Hint).IsNull() },
		func(_ auth.Identity, c *Content) verdict { return verdictOf(c.Hint == nil) }}
}

func gradeLeaf(t *rapid.T) rule {
	want := rapid.SampledFrom(someGrade()[1:]).Draw(t, "grade")
	other := rapid.SampledFrom(someGrade()[1:]).Draw(t, "another grade")
	name := rapid.SampledFrom([]string{"=", "<", "<=", ">", ">=", "in"}).Draw(t, "operator")
	return rule{
		fmt.Sprint("grade ", name, " ", *want, " ", *other),
		func(c *Content) policy.Condition {
			column := policy.Field(&c.Grade)
			switch name {
			case "=":
				return column.Eq(want)
			case "<":
				return column.Lt(want)
			case "<=":
				return column.Le(want)
			case ">":
				return column.Gt(want)
			case ">=":
				return column.Ge(want)
			}
			return column.In(want, other)
		},
		func(_ auth.Identity, c *Content) verdict {
			if c.Grade == nil {
				return unknown
			}
			order := cmp.Compare(*c.Grade, *want)
			return verdictOf(map[string]bool{
				"=": order == 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
				"in": order == 0 || *c.Grade == *other,
			}[name])
		},
	}
}

// filtered is a filter of a subscription, beside what it means.
type filtered struct {
	query string
	holds func(*Content) bool
}

func someFilter() []filtered {
	return []filtered{
		{"open=eq.true", func(c *Content) bool { return c.Open }},
		{"grade=is.null", func(c *Content) bool { return c.Grade == nil }},
		{"grade=not.in.(1,3)", func(c *Content) bool { return c.Grade != nil && *c.Grade == 2 }},
		{"or=(grade.gte.2,owner.eq.alice)", func(c *Content) bool {
			return c.Grade != nil && *c.Grade >= 2 || c.Owner != nil && *c.Owner == "alice"
		}},
		{"not.and=(open.eq.true,org.eq.org1)", func(c *Content) bool { return !c.Open || c.Org != nil && *c.Org != "org1" }},
	}
}
