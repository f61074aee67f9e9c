package guard

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/internal/store"
)

// Memo has all that checks look at.
type Memo struct {
	ID        int64
	UserID    string `cape:"auth.id"`
	Tenant    string `cape:"claims.tenant,optional"`
	Org       string
	Rank      int64
	Public    bool
	Token     string `cape:"secret"`
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt
}

// Remark hangs on a memo.
type Remark struct {
	ID     int64
	MemoID int64
	Text   string `gorm:"uniqueIndex;size:40"`
}

// memos are the tables of a checked bed. A memo may be read by members of its org and where it is public, created by its
// owner, changed by members of its org while its rank is below 10, and deleted by its owner. Remarks are closed.
func memos(t testing.TB) []Table {
	memo, remark := parse[Memo](t), parse[Remark](t)
	org := claim(memo, "org", "org")
	rank, kind := column(memo, "rank")
	low := &predicate.Expr{Op: predicate.Lt, Column: rank, Kind: kind, Values: []predicate.Value{predicate.IntValue(10)}}
	return []Table{
		{memo, store.Rules{
			Read: predicate.Any(org, isTrue(memo, "public")), Create: owner(memo, "user_id"),
			Update: predicate.All(org, low), Delete: owner(memo, "user_id"),
		}},
		{remark, store.Rules{}},
	}
}

// checked is a database whose statements are checked, but not limited.
type checked struct {
	*bed
	*sql.DB
	targets []int
	upserts bool
	guard   *Guard
}

func newChecked(t testing.TB, target dbtest.Target, tables []Table) *checked {
	t.Helper()
	b := &checked{bed: newBed(t, target, tables...)}
	backend := connect(t, target)
	stamp, err := journal.NewStamp(backend.Dialect.Name())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldriver.Open(backend, sqldriver.Options{
		Logger: logger(t), Frame: stamp.Frame, Begin: stamp.Begin, Commit: stamp.Commit,
		Guard: func(ctx context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
			if caller.Internal(ctx) {
				return sqldriver.Guarded{Query: query, Args: args}, nil
			}
			return sqldriver.Guarded{Query: query, Args: args, Check: b.guard.check(ctx, b.targets, b.upserts)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	j, err := journal.Open(db, models(tables), journal.Options{Logger: logger(t), Stamp: stamp})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.guard = New(db, j, tables, logger(t))
	b.DB = db.SQL()
	return b
}

// clear empties the tables and inserts memos: of alice and bob in red and blue, one of them public, one high.
func (b *checked) clear() {
	b.t.Helper()
	b.exec("DELETE FROM remarks")
	b.exec("DELETE FROM memos")
	const at = "'2024-01-02 03:04:05'"
	b.exec("INSERT INTO memos (id, user_id, tenant, org, " + b.dialect.Quote("rank") + ", public, token, updated_at, deleted_at) VALUES " +
		"(1, 'alice', '', 'red', 1, false, '', " + at + ", NULL), (2, 'bob', '', 'red', 2, false, '', " + at + ", NULL), " +
		"(3, 'bob', '', 'blue', 3, false, '', " + at + ", NULL), (4, 'carol', '', 'blue', 4, true, '', " + at + ", NULL), " +
		"(5, 'alice', '', 'red', 10, false, '', " + at + ", NULL), (6, 'alice', '', 'blue', 6, false, '', " + at + ", NULL)")
	b.exec("INSERT INTO remarks (id, memo_id, text) VALUES (1, 1, 'one')")
}

// state is the contents of the tables.
func (b *checked) state() string {
	b.t.Helper()
	rows, err := b.sql.QueryContext(auth.Privileged(b.t.Context(), "test"),
		"SELECT id, user_id, tenant, org, "+b.dialect.Quote("rank")+", public, token, deleted_at IS NULL FROM memos ORDER BY id")
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out strings.Builder
	for rows.Next() {
		var id, rank int64
		var user, tenant, org, token string
		var public, alive bool
		if err := rows.Scan(&id, &user, &tenant, &org, &rank, &public, &token, &alive); err != nil {
			b.t.Fatal(err)
		}
		fmt.Fprintln(&out, id, user, tenant, org, rank, public, token, alive)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

func callers() map[string]auth.Identity {
	return map[string]auth.Identity{
		"alice":     {ID: "alice", Claims: map[string]any{"org": "red"}},
		"tenant":    {ID: "alice", Claims: map[string]any{"org": "red", "tenant": []any{"x", "y"}}},
		"anonymous": {},
	}
}

const (
	noCreate = "the rules do not allow to create this Memo"
	noChange = "the rules do not allow to change this Memo"
	noDelete = "the rules do not allow to delete this Memo"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const columns = "(id, user_id, tenant, org, rank, public, token, updated_at)"
	insert := func(values ...string) string {
		for i, v := range values {
			values[i] = "(" + v + ", '2024-01-02 03:04:05')"
		}
		return "INSERT INTO memos " + columns + " VALUES " + strings.Join(values, ", ")
	}
	cases := []struct {
		who, statement string
		want           string // of the error; "" is none
	}{
		{"alice", insert("7, 'alice', '', 'red', 1, false, ''"), ""},
		{"alice", insert("7, 'alice', '', 'green', 99, false, 's'"), ""}, // the create rule asks for no more
		{"alice", insert("7, 'alice', '', 'red', 1, false, ''", "8, 'bob', '', 'red', 1, false, ''"), noCreate},
		{"alice", insert("7, 'alice', 'x', 'red', 1, false, ''"), "Memo.Tenant: it is filled from the caller's identity and cannot be given another value"},
		{"tenant", insert("7, 'alice', 'y', 'red', 1, false, ''"), ""},
		{"tenant", insert("7, 'alice', '', 'red', 1, false, ''"), "Memo.Tenant: it is filled"},
		{"anonymous", insert("7, '', '', 'red', 1, true, ''"), noCreate},
		{"alice", "INSERT INTO memos " + columns + " SELECT id + 10, user_id, tenant, org, rank, public, token, updated_at FROM memos WHERE user_id = 'alice'", ""},
		{"alice", "INSERT INTO memos " + columns + " SELECT id + 10, user_id, tenant, org, rank, public, token, updated_at FROM memos", noCreate},
		{"alice", "UPDATE memos SET rank = 5 WHERE id = 1", ""},
		{"alice", "UPDATE memos SET rank = rank + 1 WHERE id IN (1, 2)", ""},
		{"alice", "UPDATE memos SET rank = 5 WHERE id IN (1, 3)", noChange}, // not readable
		{"alice", "UPDATE memos SET rank = 5 WHERE id = 4", noChange},       // readable only
		{"alice", "UPDATE memos SET rank = 5 WHERE id = 5", noChange},       // not before
		{"alice", "UPDATE memos SET rank = 10 WHERE id = 1", noChange},      // not after
		{"alice", "UPDATE memos SET org = 'blue' WHERE id = 1", noChange},   // given away
		{"alice", "UPDATE memos SET rank = rank", ""},                       // nothing changed
		{"alice", "UPDATE memos SET user_id = 'alice' WHERE id = 1", ""},
		{"alice", "UPDATE memos SET user_id = 'alice' WHERE id = 2", "Memo.UserID: it is filled"},
		{"tenant", "UPDATE memos SET tenant = 'x' WHERE id = 1", "Memo.Tenant: it is filled"},
		{"alice", "UPDATE memos SET token = 'new' WHERE id = 1", ""},
		{"alice", "UPDATE memos SET token = 'new' WHERE id = 3", noChange}, // images are equal
		{"anonymous", "UPDATE memos SET rank = 5 WHERE id = 4", noChange},
		{"alice", "UPDATE memos SET id = 70 WHERE id = 1", ""}, // a deletion and an insertion
		{"alice", "UPDATE memos SET id = 70 WHERE id = 2", noDelete},
		{"alice", "DELETE FROM memos WHERE id IN (1, 5)", ""},
		{"alice", "DELETE FROM memos WHERE id IN (1, 2)", noDelete}, // of another
		{"alice", "DELETE FROM memos WHERE id = 6", noDelete},       // not readable
		{"alice", "DELETE FROM memos WHERE id = 99", ""},
		{"alice", "UPDATE memos SET deleted_at = '2024-01-02 03:04:05', updated_at = '2024-01-02 03:04:06' WHERE id = 5", ""}, // deletable, not changeable
		{"alice", "UPDATE memos SET deleted_at = '2024-01-02 03:04:05' WHERE id = 2", noDelete},
		{"alice", "UPDATE memos SET deleted_at = '2024-01-02 03:04:05' WHERE id = 6", noDelete},
		{"alice", "UPDATE memos SET deleted_at = '2024-01-02 03:04:05', rank = 11 WHERE id = 5", noChange},
		{"alice", "UPDATE memos SET deleted_at = '2024-01-02 03:04:05', user_id = 'bob' WHERE id = 1", "Memo.UserID: it is filled"},
		{"alice", "UPDATE memos SET deleted_at = NULL", ""},
		{"alice", "DELETE FROM remarks", ""}, // no target
		{"alice", "SELECT id FROM memos", ""},
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newChecked(t, target, memos(t))
		b.targets = []int{0}
		for _, c := range cases {
			b.clear()
			before := b.state()
			statement := strings.ReplaceAll(c.statement, "rank", b.dialect.Quote("rank"))
			ctx := auth.With(t.Context(), callers()[c.who])
			for _, nested := range []bool{true, false} {
				_, err := b.run(ctx, statement, nested)
				wantRefusal(t, c.who+": "+statement, err, c.want)
				if c.want != "" && b.state() != before {
					t.Errorf("%s: %s: the refused statement left\n%s", c.who, statement, b.state())
				}
				if c.want == "" && nested {
					b.clear()
				}
			}
		}
	})
}

// run runs a statement by itself or in a transaction.
func (b *checked) run(ctx context.Context, statement string, nested bool) (sql.Result, error) {
	if !nested {
		return b.ExecContext(ctx, statement)
	}
	tx, err := b.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	result, err := tx.ExecContext(ctx, statement)
	if ended := tx.Commit(); (ended == nil) != (err == nil) {
		b.t.Errorf("%s: %v, and the commit: %v", statement, err, ended)
	}
	return result, err
}

func wantRefusal(t *testing.T, what string, err error, want string) {
	t.Helper()
	var p *problem.Error
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want == "":
	case !errors.As(err, &p) || p.Code != problem.Permission || !strings.HasPrefix(p.Detail, want):
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

func TestCheckOfAllTables(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newChecked(t, target, memos(t))
		b.clear()
		ctx := auth.With(t.Context(), callers()["alice"])
		_, err := b.ExecContext(ctx, "DELETE FROM remarks")
		wantRefusal(t, "a table without rules", err, "the rules do not allow to delete this Remark")
		_, err = b.ExecContext(ctx, "DELETE FROM colors")
		wantRefusal(t, "a table that is not published", err, "")
	})
}

func TestCheckHoldsBackRows(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newChecked(t, target, memos(t))
		b.targets = []int{0}
		b.clear()
		cases := []struct{ statement, want string }{
			{"DELETE FROM memos WHERE id = 1 RETURNING id", ""},
			{"DELETE FROM memos WHERE id IN (2, 5) RETURNING id", noDelete},
		}
		if b.dialect.Returning() {
			cases = append(cases, []struct{ statement, want string }{
				{"UPDATE memos SET rank = 10 - rank WHERE id = 2 RETURNING id", ""},
				{"UPDATE memos SET rank = 7 WHERE id = 3 RETURNING id", noChange},
			}...)
		}
		ctx := auth.With(t.Context(), callers()["alice"])
		for _, c := range cases {
			var id int64
			err := b.QueryRowContext(ctx, c.statement).Scan(&id)
			wantRefusal(t, c.statement, err, c.want)
			if (id != 0) != (c.want == "") {
				t.Errorf("%s: returned %d", c.statement, id)
			}
		}
	})
}

// An upsert changes rows that its INSERT meets.
func TestCheckOfUpserts(t *testing.T) {
	t.Parallel()
	const values = "INSERT INTO memos (id, user_id, tenant, org, rank, public, token, updated_at) VALUES "
	row := func(id int, user, org string, rank int) string {
		return fmt.Sprintf("(%d, '%s', '', '%s', %d, false, '', '2024-01-02 03:04:05')", id, user, org, rank)
	}
	cases := []struct {
		values string
		want   string
		hidden string // on MySQL, which cannot tell whose rows stay as they are
	}{
		{row(7, "alice", "red", 1), "", ""},
		{row(1, "alice", "red", 2), "", ""},
		{row(1, "alice", "red", 2) + ", " + row(7, "alice", "red", 1) + ", " + row(8, "alice", "red", 1), "", ""},
		{row(3, "alice", "red", 9), noChange, ""},
		{row(1, "alice", "red", 2) + ", " + row(3, "alice", "red", 9), noChange, ""},
		{row(1, "alice", "red", 11), noChange, ""},
		{row(3, "alice", "red", 3), "", noChange}, // it has this rank
		{row(7, "alice", "red", 1) + ", " + row(3, "alice", "red", 3), "", noChange},
		{row(1, "alice", "red", 2) + ", " + row(3, "alice", "red", 3), "", noChange},
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newChecked(t, target, memos(t))
		b.targets = []int{0}
		mysql := b.dialect.Name() == "mysql"
		b.upserts = mysql
		rank := b.dialect.Quote("rank")
		upsert := " ON CONFLICT (id) DO UPDATE SET " + rank + " = excluded." + rank
		if mysql {
			upsert = " ON DUPLICATE KEY UPDATE " + rank + " = VALUES(" + rank + ")"
		}
		ctx := auth.With(t.Context(), callers()["alice"])
		for _, c := range cases {
			statement := strings.ReplaceAll(values, "rank", rank) + c.values + upsert
			want := c.want
			if mysql && want == "" {
				want = c.hidden
			}
			b.clear()
			before := b.state()
			_, err := b.ExecContext(ctx, statement)
			wantRefusal(t, statement, err, want)
			if want != "" && b.state() != before {
				t.Errorf("%s: the refused statement left\n%s", statement, b.state())
			}
		}
		// Whoever may read all may meet any row. A failure is no such meeting.
		b.clear()
		failing := strings.ReplaceAll(values, "rank", rank) + "(1, NULL, '', 'red', 1, false, '', NULL)" + upsert
		if _, err := b.ExecContext(ctx, failing); err == nil || problemOf(err) != nil {
			t.Errorf("a failing upsert: %v", err)
		}
		b.guard.tables[0].Rules.Read = &predicate.Expr{Op: predicate.True}
		if _, err := b.ExecContext(ctx, strings.ReplaceAll(values, "rank", rank)+row(3, "alice", "red", 3)+upsert); err != nil {
			t.Errorf("an upsert of a row that everyone may read: %v", err)
		}
	})
}

func problemOf(err error) *problem.Error {
	var p *problem.Error
	if errors.As(err, &p) {
		return p
	}
	return nil
}

func TestCheckOfReplace(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{dbtest.SQLite, dbtest.MariaDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newChecked(t, dbtest.New(t, engine), memos(t))
			b.targets = []int{0}
			ctx := auth.With(t.Context(), callers()["alice"])
			for id, want := range map[int]string{1: "", 2: noDelete, 6: noDelete, 7: ""} {
				b.clear()
				statement := fmt.Sprintf("REPLACE INTO memos (id, user_id, tenant, org, %s, public, token, updated_at) "+
					"VALUES (%d, 'alice', '', 'red', 3, false, '', '2024-01-02 03:04:05')", b.dialect.Quote("rank"), id)
				_, err := b.ExecContext(ctx, statement)
				wantRefusal(t, statement, err, want)
			}
		})
	}
}

func TestTallyFindsRowsThatStay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown   tally
		outcome sqldriver.Outcome
		want    bool
	}{
		{tally{}, sqldriver.Outcome{Affected: 0}, false},
		{tally{}, sqldriver.Outcome{Affected: 1}, true},
		{tally{inserts: 2}, sqldriver.Outcome{Affected: 2}, false},
		{tally{updates: 1}, sqldriver.Outcome{Affected: 2}, false},
		{tally{inserts: 1, updates: 1}, sqldriver.Outcome{Affected: 4}, true},
		{tally{inserts: 1, deletes: 1}, sqldriver.Outcome{Affected: 2}, false},
		{tally{inserts: 1, deletes: 1}, sqldriver.Outcome{Affected: -1, Rows: 1}, false},
		{tally{inserts: 1}, sqldriver.Outcome{Affected: -1, Rows: 2}, true},
		{tally{inserts: 1}, sqldriver.Outcome{Affected: -1}, true},
	} {
		if got := c.shown.hides(c.outcome); got != c.want {
			t.Errorf("%+v of %+v: %v, want %v", c.outcome, c.shown, got, c.want)
		}
	}
}
