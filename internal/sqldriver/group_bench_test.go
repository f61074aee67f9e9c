package sqldriver_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// What the commits of several writers at once cost: alone, and together.
func BenchmarkWriters(b *testing.B) {
	for name, update := range map[string]func(*sqldriver.DB, context.Context, func(context.Context, *sqldriver.Conn) error) error{
		"alone": (*sqldriver.DB).UpdateRetry, "together": (*sqldriver.DB).UpdateGroup,
	} {
		b.Run(name, func(b *testing.B) {
			var commits, next atomic.Int64
			bed := newBed(b, dbtest.New(b, dbtest.SQLite), sqldriver.Options{After: func(context.Context) { commits.Add(1) }})
			b.SetParallelism(8)
			b.ResetTimer()
			commits.Store(0)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := next.Add(1)
					err := update(bed.DB, b.Context(), func(ctx context.Context, c *sqldriver.Conn) error { return bed.insert(ctx, c, id) })
					if err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/float64(commits.Load()), "writes/commit")
		})
	}
}
