package policy_test

import (
	"github.com/capebase/capebase"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

type Article struct {
	ID        int64  `json:"id"`
	Author    string `json:"author" cape:"auth.id"`
	Team      *int64 `json:"team"`
	Published bool   `json:"published"`
	Section   string `json:"section"`
}

func Example() {
	cape, err := capebase.Open(sqlite.Temp(), capebase.Config{})
	if err != nil {
		panic(err)
	}
	defer cape.Close() //nolint:errcheck // an example's end

	articles := capebase.Publish[Article](cape)
	fields := articles.Fields
	// Anyone reads what is published; any of several calls suffices.
	articles.Allow(policy.Read, policy.Field(&fields.Published).Eq(true))
	// Authors may do everything with their own; all conditions of one call hold together.
	articles.Allow(policy.All, policy.SignedIn(), policy.Owner(&fields.Author))
	// The team of an article reads it, also before it is published. An article without a team is nobody's through this
	// rule: a comparison with NULL never matches.
	articles.Allow(policy.Read, policy.Claim(&fields.Team, "teams"))
	// Editors change what is in their sections, and nothing that has left them.
	articles.Allow(policy.Update, policy.Role("editor"), policy.Or(
		policy.Field(&fields.Section).In("news", "sport"),
		policy.Not(policy.Field(&fields.Published).Eq(true)),
	))
	// Output:
}
