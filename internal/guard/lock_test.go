package guard

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// A SELECT that locks rows locks those that it would lock with conditions written by hand; on PostgreSQL those that it
// returns, and no others.
func TestLocks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine == dbtest.SQLite {
			return // it has no such statement
		}
		b := newBed(t, target)
		b.seed(everything)
		const mine = " AND (t.user_id = 'alice' OR t.public)"
		for query, written := range map[string]string{
			"SELECT id FROM todos WHERE id IN (1, 2, 3, 5) FOR UPDATE":                                    "SELECT t.id FROM todos t WHERE t.id IN (1, 2, 3, 5)" + mine + " FOR UPDATE",
			"SELECT t.id FROM todos AS t WHERE t.id IN (1, 2, 3, 5) ORDER BY t.id FOR UPDATE":             "SELECT t.id FROM todos t WHERE t.id IN (1, 2, 3, 5)" + mine + " ORDER BY t.id FOR UPDATE",
			"SELECT t.id FROM todos t JOIN colors ON colors.id = t.id WHERE t.id IN (1, 2, 3) FOR UPDATE": "SELECT t.id FROM todos t JOIN colors ON colors.id = t.id WHERE t.id IN (1, 2, 3)" + mine + " FOR UPDATE",
		} {
			rows, locked := b.locked(b.as("alice"), query)
			want, wantLocked := b.locked(caller.WithInternal(t.Context()), written)
			slices.Sort(rows)
			slices.Sort(want)
			if len(rows) == 0 || !slices.Equal(rows, want) || !slices.Equal(locked, wantLocked) {
				t.Errorf("%s: rows %s, locks %s; by hand rows %s, locks %s", query, rows, locked, want, wantLocked)
			}
			// InnoDB locks what it has looked at, be it by hand.
			if target.Engine == dbtest.Postgres && !slices.Equal(locked, rows) {
				t.Errorf("%s: rows %s, locks %s", query, rows, locked)
			}
		}
	})
}

// locked runs a query and returns its rows, and the todos that are locked as long as its transaction is open.
func (b *bed) locked(ctx context.Context, query string) (rows, locked []string) {
	b.t.Helper()
	tx, err := b.sql.BeginTx(ctx, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if rows, err = answer(ctx, tx, query); err != nil {
		b.t.Fatal(err)
	}
	for id := 1; id <= 24; id++ {
		free, err := answer(caller.WithInternal(b.t.Context()), b.sql, fmt.Sprintf("SELECT id FROM todos WHERE id = %d FOR UPDATE SKIP LOCKED", id))
		if err != nil {
			b.t.Fatal(err)
		}
		if len(free) == 0 {
			locked = append(locked, fmt.Sprintf("[%d]", id))
		}
	}
	if err := tx.Rollback(); err != nil {
		b.t.Fatal(err)
	}
	return rows, locked
}
