package guard

import (
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

// Each write does what it does without limits in a database that has the caller's rows alone, or nothing at all where the
// rules do not allow that.
func TestWrites(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newBed(t, target)
		b.seedForWrites(everything)
		statements := corpus(t, target.Engine, "write/common.sql", "write/"+strings.Replace(target.Engine, "mysql", "mariadb", 1)+".sql")
		if len(statements) < 90 {
			t.Errorf("only %d statements", len(statements))
		}
		for name := range identities() {
			p := newPair(b, name)
			for _, e := range statements {
				if err := p.write(e); err != nil {
					t.Errorf("%s: %s: %v", name, e.sql, err)
				}
			}
			t.Logf("%s: of %d statements %d changed something and %d were refused", name, len(statements), p.rows, p.bans)
			if name == "alice" && (p.rows < 20 || p.bans < 20) {
				t.Errorf("%s: only %d of %d statements changed something, and %d were refused", name, p.rows, len(statements), p.bans)
			}
		}
	})
}
