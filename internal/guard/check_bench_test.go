package guard

import (
	"context"
	"fmt"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// BenchmarkCheck compares updates of a single row with and without the check.
func BenchmarkCheck(b *testing.B) {
	for _, engine := range []string{dbtest.SQLite, dbtest.Postgres, dbtest.MariaDB} {
		bed := newChecked(b, dbtest.New(b, engine), memos(b))
		bed.targets = []int{0}
		bed.clear()
		statement := fmt.Sprintf("UPDATE memos SET org = 'red', %[1]s = 10 - %[1]s WHERE id = 1", bed.dialect.Quote("rank"))
		alice := auth.With(b.Context(), callers()["alice"])
		bed.exec("UPDATE memos SET " + bed.dialect.Quote("rank") + " = 4")
		for _, c := range []struct {
			name string
			ctx  context.Context
		}{{"unchecked", caller.WithInternal(alice)}, {"checked", alice}} {
			b.Run(engine+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := bed.ExecContext(c.ctx, statement); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
