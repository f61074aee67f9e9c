package guard

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/store"
)

// owned is todos with an owner rule alone, many of them.
func owned(t testing.TB, target dbtest.Target, rows int) *bed {
	t.Helper()
	todo, list := parse[Todo](t), parse[List](t)
	mine, theirs := owner(todo, "user_id"), owner(list, "owner")
	b := newBed(t, target,
		Table{todo, store.Rules{Read: mine, Create: mine, Update: mine, Delete: mine}},
		Table{list, store.Rules{Read: theirs, Create: theirs, Update: theirs, Delete: theirs}})
	b.fill(rows)
	return b
}

// fill inserts rows of 100 owners, and a tenth as many lists.
func (b *bed) fill(rows int) {
	b.t.Helper()
	const digit = "(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) AS "
	numbers := fmt.Sprintf("(SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS i FROM %[1]sa, %[1]sb, %[1]sc, %[1]se, %[1]sf) AS n WHERE i <= %[2]d", digit, rows)
	user := "'user ' || (i % 100)"
	if b.dialect.Name() == "mysql" {
		user = "concat('user ', i % 100)"
	}
	b.exec("INSERT INTO todos (id, user_id, list_id, task, done, public, " + b.dialect.Quote("rank") + ", at) " +
		"SELECT i, " + user + ", i % 1000, 'task', i % 2 = 0, i % 3 = 0, i % 7, '2024-01-01 00:00:00' FROM " + numbers + " ORDER BY i")
	b.exec("INSERT INTO lists (id, org, name, owner) SELECT i, 'org', 'name', " + user + " FROM " + numbers + " AND i % 10 = 0 ORDER BY i")
	b.exec(map[string]string{"mysql": "ANALYZE TABLE todos, lists", "postgres": "ANALYZE", "sqlite": "ANALYZE"}[b.dialect.Name()])
}

// BenchmarkPointQuery prints what the guard costs a query by key: the median of pairs of runs with it and without.
func BenchmarkPointQuery(b *testing.B) {
	const rows, pairs, queries, block = 100_000, 11, 4000, 50
	bed := owned(b, dbtest.New(b, dbtest.SQLite), rows)
	const query = "SELECT id, user_id, list_id, task, note, done, public, rank, at FROM todos WHERE id = ?"
	stmt, err := bed.sql.PrepareContext(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	defer stmt.Close() //nolint:errcheck // it is of no use any more
	user := auth.With(b.Context(), auth.Identity{ID: "user 7"})
	for name, db := range map[string]querier{"text": bed.sql, "prepared": prepared{stmt}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var ratios, costs []float64
				for range pairs {
					var without, with time.Duration
					for first := 0; first < queries; first += block { // side by side, whatever else the machine does
						without += bed.timeQueries(caller.WithInternal(b.Context()), db, query, first, block)
						with += bed.timeQueries(user, db, query, first, block)
					}
					ratios = append(ratios, float64(with)/float64(without))
					costs = append(costs, float64(with-without)/queries)
				}
				slices.Sort(ratios)
				slices.Sort(costs)
				b.ReportMetric(ratios[pairs/2], "guarded/unguarded")
				b.ReportMetric(costs[pairs/2], "ns/guard")
			}
		})
	}
}

// timeQueries asks for many rows by their keys.
func (b *bed) timeQueries(ctx context.Context, db querier, query string, first, queries int) time.Duration {
	b.t.Helper()
	begin := time.Now()
	for i := first; i < first+queries; i++ {
		rows, err := db.QueryContext(ctx, query, 7+i*31%1000*100) // rows of user 7
		if err != nil {
			b.t.Fatal(err)
		}
		found := 0
		for ; rows.Next(); found++ {
			var row Todo
			if err := rows.Scan(&row.ID, &row.UserID, &row.ListID, &row.Task, &row.Note, &row.Done, &row.Public, &row.Rank, &row.At); err != nil {
				b.t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil || found != 1 {
			b.t.Fatal(found, err)
		}
	}
	return time.Since(begin)
}
