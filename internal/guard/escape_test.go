package guard

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// longName is longer than PostgreSQL's names.
const longName = "very_long_name_that_is_cut_by_the_database_at_sixty_three_bytes_x"

// loopholes are definitions that show rows of published tables, or change them, by engine.
func loopholes(engine string) []string {
	views := []string{
		"CREATE VIEW todo_view AS SELECT * FROM todos",
		"CREATE VIEW todo_view_again AS SELECT id, note FROM todo_view",
	}
	switch engine {
	case dbtest.SQLite:
		return views
	case dbtest.Postgres:
		const wipe = "(i bigint) RETURNS bigint LANGUAGE sql VOLATILE AS 'DELETE FROM todos WHERE id = i RETURNING 1::bigint'"
		return append(views,
			"CREATE SCHEMA side",
			"CREATE VIEW side.todo_view AS SELECT * FROM todos",
			"CREATE VIEW todos_every AS SELECT note FROM colors LEFT JOIN LATERAL (SELECT note FROM todos) t ON true",
			"CREATE VIEW "+longName+" AS SELECT * FROM todos",
			"CREATE MATERIALIZED VIEW todo_stored AS SELECT * FROM todos",
			"CREATE TABLE public.todo_child () INHERITS (todos)",
			"CREATE TABLE todo_parent (note text COLLATE \"C\")",
			"ALTER TABLE todos INHERIT todo_parent",
			"CREATE FUNCTION wipe"+wipe, "CREATE FUNCTION side.wipe"+wipe, "CREATE FUNCTION key"+wipe,
			"CREATE PROCEDURE nothing() LANGUAGE sql AS 'DELETE FROM todos'",
		)
	}
	return append(views,
		"CREATE FUNCTION wipe(i INT) RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM todos WHERE id = i; RETURN 1; END",
	)
}

// escapeBed is a bed with loopholes in which what alice may not read says SECRET.
func escapeBed(t *testing.T, target dbtest.Target) *bed {
	t.Helper()
	b := newBed(t, target)
	b.seedForWrites(everything)
	b.exec("UPDATE todos SET note = 'SECRET' WHERE user_id <> 'alice' AND NOT public")
	b.exec("UPDATE lists SET name = 'SECRET' WHERE org <> 'red'")
	for _, definition := range loopholes(target.Engine) {
		b.exec(definition)
	}
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// Attempts to get past the guard come to nothing.
func TestEscapes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := escapeBed(t, target)
		attempts := corpus(t, target.Engine, "escape/common.sql", "escape/"+strings.Replace(target.Engine, "mysql", "mariadb", 1)+".sql")
		if len(attempts) < 140 {
			t.Errorf("only %d attempts", len(attempts))
		}
		before := b.contents(b.sql).String()
		for _, e := range attempts {
			if target.Engine == dbtest.MariaDB {
				e.sql = strings.ReplaceAll(e.sql, "`DATABASE`", target.URL[strings.LastIndex(target.URL, "/")+1:])
			}
			got, after := b.attemptAsAlice(e)
			if kind, _, _ := strings.Cut(got, ":"); kind != e.mark {
				t.Errorf("%s: %s, want %s", e.sql, got, e.mark)
			}
			if strings.Count(after, "SECRET") > strings.Count(before, "SECRET") {
				t.Errorf("%s: copied what cannot be read", e.sql)
			}
			if now := b.contents(b.sql).String(); now != before {
				t.Fatalf("%s: left traces:\n%s", e.sql, now)
			}
		}
	})
}

// attemptAsAlice runs a statement in a transaction, and where that is refused also outside of one, and says what it came
// to. after is what the transaction sees.
func (b *bed) attemptAsAlice(e entry) (got, after string) {
	b.t.Helper()
	ctx := b.as("alice")
	tx, err := b.sql.BeginTx(ctx, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	rows, affected, err := run(ctx, tx, e)
	got = verdict(rows, affected, err)
	if err == nil {
		after = b.contents(tx).String()
	}
	if err := tx.Rollback(); err != nil {
		b.t.Fatalf("%s: rollback: %v", e.sql, err)
	}
	if err == nil && got == "limited" {
		return got, after
	}
	rows, affected, err = run(ctx, b.sql, e)
	if again := verdict(rows, affected, err); again != got {
		got += ", but outside of a transaction " + again
	}
	return got, after
}

func verdict(rows []string, affected int64, err error) string {
	switch {
	case strings.Contains(strings.Join(rows, "\n"), "SECRET"):
		return "a leak: " + strings.Join(rows, "\n")
	case err == nil && len(rows) == 0 && affected <= 0:
		return "empty"
	case err == nil:
		return "limited"
	case permission(err):
		return "permission"
	case refused(err), strings.Contains(err.Error(), "of database/sql, not by text"), strings.Contains(err.Error(), "a savepoint needs"):
		return "refused"
	}
	return "error: " + err.Error()
}

// What cannot stand in a file of statements is refused too.
func TestEscapesByBytes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := escapeBed(t, target)
		for _, query := range []string{
			"\ufeffSELECT note FROM todos", "SELECT note FROM \ufefftodos", "SELECT note FROM todos\x00 WHERE 1 = 0", "SELECT note FROM\u00a0todos",
			"SELECT note FROM todos\u2003WHERE 1 = 1", "SELECT note FROM \xfftodos", "SELECT '\xff' || note FROM todos", "SELECT note\x01FROM todos",
			"SELECT note FROM todos --\x00\n", "SELECT '" + strings.Repeat("x", maxStatement) + "', note FROM todos",
			"SELECT note FROM \u017fodos", "SELECT note FROM todo\u017f", "SELECT note\x1aFROM todos", "SELECT note FROM\x7ftodos",
		} {
			if got, _ := b.attemptAsAlice(entry{sql: query}); got != "refused" && !strings.HasPrefix(got, "error") {
				t.Errorf("%.60q: %s", query, got)
			}
		}
	})
}

// A statement is limited to the caller of each call, whoever prepared it, and to nobody once the session is over.
func TestPreparedElsewhere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newBed(t, target)
		b.seed(everything)
		const query = "SELECT id FROM todos ORDER BY id"
		stmt, err := b.sql.PrepareContext(b.as("admin"), query)
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close() //nolint:errcheck // it is of no use any more
		for range 2 {
			for name := range identities() {
				want, err := answer(b.as(name), b.sql, query)
				if err != nil {
					t.Fatal(err)
				}
				got, err := answer(b.as(name), prepared{stmt}, query)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %v %v, want %v", name, got, err, want)
				}
			}
		}
		ctx, end := context.WithCancel(b.as("admin"))
		end()
		if got, err := answer(ctx, prepared{stmt}, query); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of the session: %v %v", got, err)
		}
	})
}

// To prepare a text must not do what the text says: SQLite runs some PRAGMAs then.
func TestPrepareDoesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t, dbtest.New(t, dbtest.SQLite))
	b.seed(everything)
	for _, query := range []string{
		"PRAGMA recursive_triggers = ON", "EXPLAIN PRAGMA recursive_triggers = ON", "/* x */ pragma recursive_triggers = ON",
		"EXPLAIN QUERY PLAN PRAGMA recursive_triggers = ON", "; PRAGMA recursive_triggers = ON", "PRAGMA ignore_check_constraints = ON",
		"EXPLAIN PRAGMA ignore_check_constraints = ON", "PRAGMA query_only = ON", "EXPLAIN PRAGMA query_only = ON",
	} {
		tx, err := b.sql.BeginTx(b.as("alice"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if stmt, err := tx.PrepareContext(b.as("alice"), query); err == nil {
			if _, err := stmt.ExecContext(b.as("alice")); err == nil {
				t.Errorf("%s: not refused", query)
			}
		}
		internal := caller.WithInternal(t.Context())
		for pragma, want := range map[string]string{"recursive_triggers": "[0]", "ignore_check_constraints": "[0]", "query_only": "[0]"} {
			if got, err := answer(internal, tx, "PRAGMA "+pragma); err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %s is %s, %v, want %s", query, pragma, got, err, want)
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// A read-only identity changes nothing, in whatever words.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := escapeBed(t, target)
		ctx := auth.With(t.Context(), auth.Identity{ID: "alice", ReadOnly: true})
		before := b.contents(b.sql).String()
		writes := []string{"UPDATE todos SET task = 'x' WHERE id = 1", "DELETE FROM todos WHERE id = 1", "INSERT INTO colors (id) VALUES (77)"}
		if target.Engine != dbtest.SQLite {
			writes = append(writes, "SELECT wipe(1)")
		}
		if target.Engine == dbtest.Postgres {
			writes = append(writes, "WITH gone AS (DELETE FROM todos WHERE id = 1 RETURNING id) SELECT * FROM gone", "EXPLAIN ANALYZE DELETE FROM todos WHERE id = 1")
		}
		for _, query := range writes {
			if _, err := b.sql.ExecContext(ctx, query); !permission(err) {
				t.Errorf("%s: %v", query, err)
			}
		}
		if rows, err := answer(ctx, b.sql, "SELECT id FROM todos"); err != nil || len(rows) == 0 {
			t.Errorf("reads: %v %v", rows, err)
		}
		if now := b.contents(b.sql).String(); now != before {
			t.Errorf("changed: %s", now)
		}
	})
}
