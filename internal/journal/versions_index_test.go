package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// TestVersionsAreFoundByTheIndex fills the journal with the entries of other rows and tables, and asks how a row's are
// found: by the index, whether the server has counted the journal or not.
func TestVersionsAreFoundByTheIndex(t *testing.T) {
	t.Parallel()
	numbers := fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n) AS n", others)
	fill := map[string]string{
		"sqlite":   "INSERT INTO cape_journal (at, v, tbl, op, key, new) SELECT 0, 1, CASE i % 2 WHEN 0 THEN 'items' ELSE 'other' END, 'I', '[' || i || ']', '{\"id\":1}' FROM " + numbers,
		"postgres": "INSERT INTO cape.journal (xid, v, tbl, op, key, new) SELECT (3 + i)::text::xid8, 1, CASE i % 2 WHEN 0 THEN 'items' ELSE 'other' END, 'I', jsonb_build_array(i), '{}' FROM " + numbers,
		"mysql":    "INSERT INTO cape_journal (`at`, `v`, `tbl`, `op`, `key`, `new`, `tx`) SELECT UTC_TIMESTAMP(6), 1, IF(seq % 2 = 0, 'items', 'other'), 'I', CONCAT('[', seq, ']'), '{\"id\":1}', MD5(seq) FROM seq_1_to_100000",
	}
	count := map[string]string{"sqlite": "ANALYZE", "postgres": "ANALYZE cape.journal", "mysql": "ANALYZE TABLE cape_journal"}
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{History: []int{0}}, parse[Item](t)).start()
		name := b.db.Dialect().Name()
		b.exec(fill[name])
		for _, counted := range []bool{false, true} {
			if counted {
				b.exec(count[name])
			}
			if found := b.versions(0, 50_000, 10, 10); len(found) != 1 || found[0].Key != "[50000]" {
				t.Fatalf("found %+v", found)
			}
			var seen []string
			err := b.db.View(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				for _, query := range b.rowQueries() {
					plan, err := b.planOf(ctx, c, query)
					if err != nil {
						return err
					}
					if !b.usesIndex(plan) {
						t.Errorf("counted %v: %s:\n%s", counted, query.text, plan)
					}
					seen = append(seen, plan)
				}
				return nil
			})
			if err != nil || len(seen) == 0 {
				t.Fatalf("looked at %d plans, error %v", len(seen), err)
			}
		}
	})
}

type rowQuery struct {
	text string
	args []driver.NamedValue
}

// rowQueries are the statements that read a row's versions.
func (b *bed) rowQueries() []rowQuery {
	t, key := b.tables[0], []predicate.Value{predicate.IntValue(50_000)}
	switch s := b.source.(type) {
	case *sqliteSource:
		where, args := s.ofRow(t, key)
		return []rowQuery{
			{sqliteEntry + where + " AND seq < ? ORDER BY seq DESC" + sqliteLimit, also(args, int64(Newest), int64(10))},
			{sqliteEntry + where + " AND at > ? ORDER BY seq" + sqliteLimit, also(args, int64(7), int64(1))},
			{"SELECT max(at) FROM cape_journal WHERE tbl = 'items' AND key IS NULL", nil},
		}
	case *postgresSource:
		where, args := s.ofRow(t, key)
		return []rowQuery{
			{postgresEntry + where + " AND seq < $2::bigint ORDER BY seq DESC LIMIT 10", also(args, int64(Newest))},
			{postgresEntry + where + " AND at > $2::timestamptz ORDER BY seq LIMIT 1", also(args, "2026-01-01 00:00:00Z")},
			{"SELECT max(at) FROM cape.journal WHERE tbl = 'items' AND " + postgresRowNumber + " IS NULL AND key IS NULL", nil},
		}
	default:
		my := s.(*mysqlSource) //nolint:forcetypeassert // there is no other
		newest, args := my.ofRow(t, key, mysqlHistoryHint, "AND `id` < ? ORDER BY `id` DESC LIMIT 10")
		first, _ := my.ofRow(t, key, mysqlHistoryHint, "AND `at` > ? ORDER BY `id` LIMIT 1")
		return []rowQuery{
			{newest, also(args, int64(Newest))}, {first, also(args, "2026-01-01 00:00:00")},
			{"SELECT MAX(`at`) FROM cape_journal WHERE `tbl` = 'items' AND `key` IS NULL", nil},
		}
	}
}

// planOf explains a query.
func (b *bed) planOf(ctx context.Context, c *sqldriver.Conn, query rowQuery) (string, error) {
	prefix := "EXPLAIN "
	if b.db.Dialect().Name() == "sqlite" {
		prefix = "EXPLAIN QUERY PLAN "
	}
	var lines []string
	err := each(ctx, c, prefix+query.text, query.args, func(row []driver.Value) error {
		cells := make([]string, len(row))
		for i := range row {
			cells[i] = textOf(row[i])
		}
		lines = append(lines, strings.Join(cells, " "))
		return nil
	})
	return strings.Join(lines, "\n"), err
}

func (b *bed) usesIndex(plan string) bool {
	index := map[string]string{"sqlite": "USING INDEX cape_history_items (key", "postgres": `"history items"`, "mysql": "ref " + mysqlHistoryIndex + " " + mysqlHistoryIndex}
	return strings.Contains(plan, index[b.db.Dialect().Name()]) && !strings.Contains(plan, "Seq Scan") && !strings.Contains(plan, "SCAN")
}

// historyIndexes are the names of the indexes by row.
func (b *bed) historyIndexes() []string {
	b.t.Helper()
	query := map[string]string{
		"sqlite":   "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'cape_history%' ORDER BY 1",
		"postgres": "SELECT indexname FROM pg_indexes WHERE schemaname = 'cape' AND indexname LIKE 'history %' ORDER BY 1",
		"mysql":    "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = database() AND index_name = '" + mysqlHistoryIndex + "'",
	}
	names := []string{}
	err := b.db.View(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query[b.db.Dialect().Name()], nil, func(row []driver.Value) error {
			names = append(names, textOf(row[0]))
			return nil
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

// TestHistoryIndexesComeAndGo starts programs that need other indexes on one database, one after the other and at once.
func TestHistoryIndexesComeAndGo(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		folders, files := parse[Folder](t), parse[File](t)
		without := open(t, target, Options{}, folders, files).start()
		entries := without.tail(Mark{})
		one := map[string]string{"sqlite": "cape_history_folders", "postgres": "history folders", "mysql": mysqlHistoryIndex}[without.db.Dialect().Name()]
		two := map[string]string{"sqlite": "cape_history_files", "postgres": "history files", "mysql": mysqlHistoryIndex}[without.db.Dialect().Name()]
		want := func(names ...string) {
			t.Helper()
			slices.Sort(names)
			if got := without.historyIndexes(); !slices.Equal(got, slices.Compact(names)) {
				t.Fatalf("there are %q, want %q", got, names)
			}
		}
		want()
		with := open(t, target, Options{History: []int{0, 1}}, folders, files)
		missing := &MissingError{}
		if err := with.Check(t.Context()); !errors.As(err, &missing) || !strings.Contains(err.Error(), "CREATE INDEX") {
			t.Fatalf("got %v, want a MissingError", err)
		}
		ended := make(chan error, 3)
		for range cap(ended) { // as processes do that start at once
			go func() {
				ended <- open(t, target, Options{History: []int{0, 1}}, folders, files).Install(t.Context())
			}()
		}
		for range cap(ended) {
			if err := within(t, ended, "Install"); err != nil {
				t.Fatal(err)
			}
		}
		want(one, two)
		if statements, err := with.Statements(t.Context()); err != nil || len(statements) > 0 {
			t.Fatalf("then %q is missing, error %v", statements, err)
		}
		if err := with.Check(t.Context()); err != nil {
			t.Fatal(err)
		}

		// The tailer of a program that needs none looks at the catalogue, and leaves them alone.
		without.exec("CREATE TABLE other (id INTEGER)")
		without.exec("INSERT INTO folders (id, name, size) VALUES (1, 'a', 1)")
		next(t, entries)
		want(one, two)
		if err := without.Check(t.Context()); err != nil {
			t.Errorf("a program that may not drop an index: %v", err)
		}

		// A program that publishes other tables, and one that needs one of two.
		if err := open(t, target, Options{}, parse[Item](t)).start().Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(one, two)
		if err := open(t, target, Options{History: []int{0}}, folders, files).Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(one)
		found := 0
		for _, b := range []*bed{with, without} { // the one from before reads all the same
			err := b.Past(t.Context(), 0, []predicate.Value{predicate.IntValue(1)}, func(ctx context.Context, p *Past) error {
				versions, err := p.Before(ctx, Newest, 10)
				found += len(versions)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if found != 2 {
			t.Errorf("found %d versions, want 1 in each program", found)
		}
		if err := without.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		want()
		without.past(0, 1, func(ctx context.Context, p *Past) error { // without an index it takes longer
			versions, err := p.Before(ctx, Newest, 10)
			if err == nil && len(versions) != 1 {
				t.Errorf("without an index there are %d versions", len(versions))
			}
			return err
		})
	})
}

func TestUninstallDropsIndexes(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{History: []int{0}}, parse[Item](t)).start()
		if len(b.historyIndexes()) != 1 {
			t.Fatalf("there are %q", b.historyIndexes())
		}
		if err := Uninstall(t.Context(), b.db); err != nil {
			t.Fatal(err)
		}
		if left := b.historyIndexes(); len(left) != 0 {
			t.Errorf("%q are left", left)
		}
	})
}

// TestHistoryOfTablesOfOlderBuilds: where an older build has noted no time of installation, the past begins with the
// program that asks for it.
func TestHistoryOfTablesOfOlderBuilds(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		older := open(t, target, Options{}, parse[Item](t)).start()
		older.insert(1, 1)
		first := older.all()[0]
		d := older.db.Dialect()
		older.awaitClock(first.Time)
		older.exec("UPDATE " + older.source.name("meta") + " SET value = '1' WHERE " + d.Quote("key") + " = 'journal.table.items'")
		b := open(t, target, Options{History: []int{0}}, parse[Item](t))
		if err := b.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.past(0, 1, func(ctx context.Context, p *Past) error {
			r, err := p.Reach(ctx)
			if err == nil && !r.Since.After(first.Time) {
				t.Errorf("the past is known since %v, and nobody knows what was before %v", r.Since, first.Time)
			}
			return err
		})
		if statements, err := b.Statements(t.Context()); err != nil || len(statements) > 0 {
			t.Errorf("then %q is missing, error %v", statements, err)
		}
	})
}

// TestPostgresMendsAnIndex that a failure has left half made.
func TestPostgresMendsAnIndex(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.Postgres), Options{History: []int{0}}, parse[Item](t)).start()
	b.exec(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'cape."history items"'::regclass`)
	if err := b.Check(t.Context()); !errors.As(err, new(*MissingError)) {
		t.Fatalf("got %v, want a MissingError", err)
	}
	if err := b.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	b.insert(1, 1)
	if versions := b.versions(0, 1, 5, 5); len(versions) != 1 {
		t.Errorf("there are %d versions", len(versions))
	}
}
