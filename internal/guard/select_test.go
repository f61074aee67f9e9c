package guard

import (
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// Each SELECT gives each caller what it gives without limits in a database that has the caller's rows alone.
func TestSelects(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newBed(t, target)
		b.seed(everything)
		queries := corpus(t, target.Engine, "select/common.sql", "select/"+strings.Replace(target.Engine, "mysql", "mariadb", 1)+".sql")
		if len(queries) < 150 {
			t.Errorf("only %d queries", len(queries))
		}
		unlimited := map[string][]string{}
		for name := range identities() {
			mirror := newBed(t, dbtest.New(t, target.Engine))
			mirror.seed(b.readable(name))
			limited := 0
			for _, q := range queries {
				if !b.compare(mirror, name, q, unlimited) {
					limited++
				}
			}
			if limited < len(queries)*2/3 && name != "admin" {
				t.Errorf("%s: only %d of %d answers differ from those without limits", name, limited, len(queries))
			}
		}
	})
}

// compare runs a query for a caller, and without limits in the mirror, and tells whether limits made no
// difference. unlimited keeps the answers without limits.
func (b *bed) compare(mirror *bed, name string, q entry, unlimited map[string][]string) (same bool) {
	b.t.Helper()
	got, err := answer(b.as(name), b.sql, q.sql, q.args...)
	switch q.mark {
	case "refused":
		if err == nil && name != "admin" { // whose statements are not rewritten
			b.t.Errorf("%s: %s: not refused, but %s", name, q.sql, got)
		}
		return false
	case "runs":
		if err != nil || len(got) == 0 {
			b.t.Errorf("%s: %s: %s %v", name, q.sql, got, err)
		}
		return false
	case "":
	default:
		b.t.Fatalf("%s: unknown mark %q", q.sql, q.mark)
	}
	if err != nil {
		b.t.Errorf("%s: %s: %v", name, q.sql, err)
		return true
	}
	internal := caller.WithInternal(b.t.Context())
	want, err := answer(internal, mirror.sql, q.sql, q.args...)
	if err != nil {
		b.t.Fatalf("%s: %v", q.sql, err)
	}
	all, known := unlimited[q.sql]
	if !known {
		if all, err = answer(internal, b.sql, q.sql, q.args...); err != nil {
			b.t.Fatalf("%s: %v", q.sql, err)
		}
		unlimited[q.sql] = all
	}
	if !ordered(b.target.Engine, q.sql) {
		slices.Sort(got)
		slices.Sort(want)
		slices.Sort(all)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: %s:\n%s\nwant:\n%s", name, q.sql, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return slices.Equal(got, all)
}
