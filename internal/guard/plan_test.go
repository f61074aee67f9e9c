package guard

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// shapes are statements and what one would write by hand to limit them to the rows of a user; the second form names the
// user's condition.
var shapes = []struct{ name, guarded, written string }{
	{"get by key", "SELECT * FROM todos WHERE id = 10", "SELECT * FROM todos WHERE id = 10 AND user_id = 'user 10'"},
	{"list", "SELECT * FROM todos ORDER BY id LIMIT 20", "SELECT * FROM todos WHERE user_id = 'user 10' ORDER BY id LIMIT 20"},
	{"list of a list", "SELECT id FROM todos WHERE list_id = 10 ORDER BY id", "SELECT id FROM todos WHERE list_id = 10 AND user_id = 'user 10' ORDER BY id"},
	{"join", "SELECT t.id, l.name FROM todos t JOIN lists l ON l.id = t.list_id WHERE t.id = 10",
		"SELECT t.id, l.name FROM todos t JOIN lists l ON l.id = t.list_id AND l.owner = 'user 10' WHERE t.id = 10 AND t.user_id = 'user 10'"},
	{"count", "SELECT count(*) FROM todos", "SELECT count(*) FROM todos WHERE user_id = 'user 10'"},
	{"in", "SELECT id FROM todos WHERE list_id IN (SELECT id FROM lists)",
		"SELECT id FROM todos WHERE list_id IN (SELECT id FROM lists WHERE owner = 'user 10') AND user_id = 'user 10'"},
	{"update by key", "UPDATE todos SET task = 'x' WHERE id = 10", "UPDATE todos SET task = 'x' WHERE id = 10 AND user_id = 'user 10'"},
	{"delete by key", "DELETE FROM todos WHERE id = 10", "DELETE FROM todos WHERE id = 10 AND user_id = 'user 10'"},
	{"update all", "UPDATE todos SET task = 'x'", "UPDATE todos SET task = 'x' WHERE user_id = 'user 10'"},
}

// Limits are no hindrance to the planner: it takes the indexes that it takes for conditions written by hand.
func TestPlans(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := owned(t, target, 20_000)
		user := auth.With(t.Context(), auth.Identity{ID: "user 10"})
		for _, s := range shapes {
			got, want := b.indexes(user, s.guarded), b.indexes(caller.WithInternal(t.Context()), s.written)
			if !slices.Equal(got, want) {
				t.Errorf("%s: uses %q, and %q by hand", s.name, got, want)
			}
			if len(want) == 0 {
				t.Errorf("%s: uses no index by hand either", s.name)
			}
		}
	})
}

// indexes returns the indexes that a statement uses.
func (b *bed) indexes(ctx context.Context, query string) []string {
	b.t.Helper()
	explain := map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN (FORMAT JSON) ", "mysql": "EXPLAIN FORMAT=JSON "}[b.dialect.Name()]
	index := map[string]string{
		"sqlite": `USING (?:COVERING )?((?:INDEX|INTEGER) \w+)`, "postgres": `"Index Name": "(\w+)"`, "mysql": `"key": "(\w+)"`,
	}[b.dialect.Name()]
	plan, err := answer(ctx, b.sql, explain+query)
	if err != nil {
		b.t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile(index).FindAllStringSubmatch(strings.Join(plan, "\n"), -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}
