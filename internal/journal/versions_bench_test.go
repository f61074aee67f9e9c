package journal

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// BenchmarkWriteWithHistory writes rows one by one with and without the index that History asks for, into a journal that has
// entries of all rows of the table. docs/history.md has the ratio. A hundred of them are a transaction: the disk, which all
// writes wait for alike, says little then.
func BenchmarkWriteWithHistory(b *testing.B) {
	const rows, batch = 50_000, 100
	for _, name := range journaled() {
		for _, statement := range []string{
			"UPDATE items SET count = count + 1 WHERE id = %d",
			"INSERT INTO items (id, name, count, token) VALUES (%[1]d, 'm%[1]d', 0, '')",
		} {
			b.Run(name+"/"+statement[:6], func(b *testing.B) {
				type side struct {
					bed  *bed
					next int
				}
				sides := make([]*side, 2)
				for i, o := range []Options{{}, {History: []int{0}}} {
					sides[i] = &side{bed: open(b, dbtest.New(b, name), o, parse[Item](b)).start(), next: rows}
					for from := 1; from <= rows; from += 5000 {
						sides[i].bed.insertRows(from, from+4999)
					}
				}
				// In turns, so that both have the same machine.
				var times [2][]time.Duration
				for n := 0; b.Loop(); n++ {
					s := sides[n%2]
					began := b.Elapsed()
					err := s.bed.db.Update(b.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
						for range batch {
							s.next++
							id := s.next
							if statement[0] == 'U' {
								id = (s.next*7919)%rows + 1
							}
							if _, err := c.Exec(ctx, fmt.Sprintf(statement, id), nil); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
					times[n%2] = append(times[n%2], b.Elapsed()-began)
				}
				median := func(of []time.Duration) float64 {
					slices.Sort(of)
					return float64(of[len(of)/2])
				}
				if len(times[1]) > 0 {
					b.ReportMetric(median(times[1])/median(times[0]), "with/without")
				}
			})
		}
	}
}
