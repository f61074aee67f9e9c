package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// others is how many entries of other transactions there are.
const others = 100_000

// A statement's entries are found without a look at the others, whether the server has counted the journal or not, and
// however many entries the transaction has written before.
func TestStatementReadsItsEntriesAlone(t *testing.T) {
	t.Parallel()
	const own = 500
	numbers := fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n) AS n", others)
	fill := map[string]string{
		"sqlite":   "INSERT INTO cape_journal (at, v, tbl, op, key, new) SELECT 0, 1, 'other', 'I', '[' || i || ']', '{}' FROM " + numbers,
		"postgres": "INSERT INTO cape.journal (xid, v, tbl, op, key, new) SELECT (3 + i)::text::xid8, 1, 'other', 'I', '[1]', '{}' FROM " + numbers,
		"mysql":    "INSERT INTO cape_journal (`at`, `v`, `tbl`, `op`, `key`, `new`, `tx`) SELECT UTC_TIMESTAMP(6), 1, 'other', 'I', '[1]', '{}', MD5(seq) FROM seq_1_to_100000",
	}
	count := map[string]string{"sqlite": "ANALYZE", "postgres": "ANALYZE cape.journal", "mysql": "ANALYZE TABLE cape_journal"}
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := shelfBed(t, target)
		name := b.db.Dialect().Name()
		b.exec(fill[name])
		for _, counted := range []bool{false, true} {
			if counted {
				b.exec(count[name])
			}
			err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				from := strings.ReplaceAll(numbers, fmt.Sprint(others), fmt.Sprint(own))
				if name == "mysql" {
					from = fmt.Sprintf("(SELECT seq AS i FROM seq_1_to_%d) AS n", own)
				}
				text := fmt.Sprintf("INSERT INTO shelves (id, label) SELECT i + %d, i + %d FROM %s", boolOffset(counted, others), boolOffset(counted, others), from)
				if _, err := c.Exec(ctx, text, nil); err != nil {
					return err
				}
				entries, err := b.written(ctx, c, fmt.Sprintf("UPDATE shelves SET label = 'x%v' WHERE id = %d", counted, 1+boolOffset(counted, others)))
				if err != nil || len(entries) != 1 {
					return fmt.Errorf("wrote %d entries, %w", len(entries), err)
				}
				return b.explain(ctx, c, counted)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func boolOffset(set bool, by int) int {
	if set {
		return by
	}
	return 0
}

// explain fails the test where a plan of the statements goes through the journal.
func (b *bed) explain(ctx context.Context, c *sqldriver.Conn, counted bool) error {
	type statement struct {
		text string
		args []driver.NamedValue
	}
	var prefix string
	var statements []statement
	var wanted []string
	switch b.db.Dialect().Name() {
	case "sqlite":
		prefix, wanted = "EXPLAIN QUERY PLAN ", []string{"SEARCH cape_journal"}
		statements = []statement{{sqliteStart, nil}, {sqliteSince, arguments(int64(100), int64(10))}}
	case "postgres":
		prefix, wanted = "EXPLAIN ", []string{"journal_xid_seq_idx"}
		statements = []statement{{postgresStart, nil}, {postgresSince, arguments(int64(100), int64(10))}}
	default:
		prefix, wanted = "EXPLAIN ", []string{"Select tables optimized away", "range PRIMARY"}
		statements = []statement{{mysqlStart, nil}, {mysqlSince, arguments(int64(others), "x", int64(10))}}
	}
	for _, s := range statements {
		var plan []string
		err := each(ctx, c, prefix+s.text, s.args, func(row []driver.Value) error {
			cells := make([]string, len(row))
			for i := range row {
				cells[i] = textOf(row[i])
			}
			plan = append(plan, strings.Join(cells, " "))
			return nil
		})
		if err != nil {
			return err
		}
		whole := strings.Join(plan, "\n")
		good := false
		for _, part := range wanted {
			good = good || strings.Contains(whole, part)
		}
		if !good || strings.Contains(whole, "Seq Scan") || strings.Contains(whole, "Sort") {
			b.t.Errorf("counted %v: %s:\n%s", counted, s.text, whole)
		}
	}
	return nil
}
