package guard

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/migrate"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/internal/store"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// Todo may be read by its owner and, where it is public, by everyone; written by its owner. Admins may do all.
type Todo struct {
	ID     int64
	UserID string `gorm:"index"`
	ListID *int64 `gorm:"index"`
	Task   string
	Note   *string
	Done   bool
	Public bool
	Rank   int64
	At     time.Time
}

// List may be read by the members of its org, and written by those who are editors too.
type List struct {
	ID    int64
	Org   string
	Name  string
	Owner string
}

// Mixed has a name that needs quotes.
type Mixed struct {
	ID     int64
	UserID string
	List   int64
}

// TableName implements schema.Tabler.
func (Mixed) TableName() string { return "MixedCase" }

// Page has a managed column. Everyone who is signed in may create pages; their owners do the rest.
type Page struct {
	ID     int64
	UserID string `cape:"auth.id"`
	Title  string
}

// bed is a database with tables behind a guard.
type bed struct {
	*Guard
	t      testing.TB
	sql    *sql.DB
	target dbtest.Target
}

func connect(t testing.TB, target dbtest.Target) *engine.Backend {
	t.Helper()
	backend, err := engines.Of(target.URL).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func parse[T any](t testing.TB) *model.Model {
	t.Helper()
	m, err := model.Parse(reflect.TypeFor[T](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func column(m *model.Model, name string) (int, predicate.Kind) {
	for i, c := range m.Table.Columns {
		if c.Name == name {
			return i, c.Kind
		}
	}
	panic("no column " + name)
}

func owner(m *model.Model, name string) *predicate.Expr {
	i, k := column(m, name)
	return &predicate.Expr{Op: predicate.Owner, Column: i, Kind: k}
}

func isTrue(m *model.Model, name string) *predicate.Expr {
	i, k := column(m, name)
	return &predicate.Expr{Op: predicate.IsTrue, Column: i, Kind: k}
}

func role(name string) *predicate.Expr {
	return &predicate.Expr{Op: predicate.HasRole, Names: []string{name}}
}

func claim(m *model.Model, name, claim string) *predicate.Expr {
	i, k := column(m, name)
	return &predicate.Expr{Op: predicate.Claim, Column: i, Kind: k, Names: []string{claim}}
}

// published are the models of a bed and their rules.
func published(t testing.TB) []Table {
	todo, list, mixed, page := parse[Todo](t), parse[List](t), parse[Mixed](t), parse[Page](t)
	admin := role("admin")
	own := predicate.Any(owner(todo, "user_id"), admin)
	org := predicate.Any(claim(list, "org", "orgs"), admin)
	editor := predicate.Any(predicate.All(claim(list, "org", "orgs"), role("editor")), admin)
	mine := predicate.Any(owner(mixed, "user_id"), admin)
	return []Table{
		{todo, store.Rules{Read: predicate.Any(own, isTrue(todo, "public")), Create: own, Update: own, Delete: own}},
		{list, store.Rules{Read: org, Create: editor, Update: editor, Delete: editor}},
		{mixed, store.Rules{Read: mine, Create: mine, Update: mine, Delete: mine}},
		{page, store.Rules{
			Read: predicate.Any(owner(page, "user_id"), admin), Create: &predicate.Expr{Op: predicate.SignedIn},
			Update: predicate.Any(owner(page, "user_id"), admin), Delete: owner(page, "user_id"),
		}},
	}
}

func models(tables []Table) []*model.Model {
	var found []*model.Model
	for _, t := range tables {
		found = append(found, t.Model)
	}
	return found
}

// newBed makes the tables, empty, and guards them.
func newBed(t testing.TB, target dbtest.Target, tables ...Table) *bed {
	t.Helper()
	if tables == nil {
		tables = published(t)
	}
	backend := connect(t, target)
	stamp, err := journal.NewStamp(backend.Dialect.Name())
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, target: target}
	db, err := sqldriver.Open(backend, sqldriver.Options{
		Logger: logger(t), Frame: stamp.Frame, Begin: stamp.Begin, Commit: stamp.Commit, WriteWait: time.Minute,
		Guard: func(ctx context.Context, query string, args []driver.NamedValue, inTx bool) (sqldriver.Guarded, error) {
			if b.Guard == nil || b.known.Load() == nil { // of gorm.Open
				return sqldriver.Guarded{Query: query, Args: args}, nil
			}
			return b.Limit(ctx, query, args, inTx)
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
	b.Guard, b.sql = New(db, j, tables, logger(t)), db.SQL()
	ctx := caller.WithInternal(t.Context())
	g, err := gorm.Open(backend.Gorm(b.sql), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate.Run(ctx, db, g, models(tables), migrate.All, logger(t)); err != nil {
		t.Fatal(err)
	}
	if err := j.Install(ctx); err != nil {
		t.Fatal(err)
	}
	b.exec("CREATE TABLE colors (id BIGINT PRIMARY KEY, name VARCHAR(40), todos VARCHAR(40), lists BIGINT)")
	b.exec("INSERT INTO colors (id, name, todos, lists) VALUES (1, 'red', 'x', 1), (2, 'green', 'y', 2), (3, NULL, 'z', NULL)")
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// exec runs a statement without limits.
func (b *bed) exec(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.sql.ExecContext(caller.WithInternal(b.t.Context()), statement, args...); err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
}

// identities are the callers of the tests, by name.
func identities() map[string]auth.Identity {
	return map[string]auth.Identity{
		"anonymous": {},
		"alice":     {ID: "alice", Roles: []string{"editor"}, Claims: map[string]any{"orgs": "red"}},
		"bob":       {ID: "bob", Claims: map[string]any{"orgs": []any{"red", "blue"}}},
		"admin":     {ID: "root", Roles: []string{"admin"}},
	}
}

// as returns a context of a caller.
func (b *bed) as(name string) context.Context {
	id, ok := identities()[name]
	if !ok {
		b.t.Fatal("no identity", name)
	}
	return auth.With(b.t.Context(), id)
}

// seed inserts the rows that keep lets pass: allowed tells whether a caller may read them.
func (b *bed) seed(keep func(table int, row []predicate.Value) bool) {
	b.t.Helper()
	for table, rows := range seedRows() {
		t := &b.tables[table].Model.Table
		for _, row := range rows {
			if !keep(table, row) {
				continue
			}
			builder := engine.NewBuilder(b.dialect)
			builder.Write("INSERT INTO ")
			builder.Table(t)
			builder.Write(" (")
			builder.Columns(t)
			builder.Write(") VALUES (")
			for i, v := range row {
				if i > 0 {
					builder.Write(", ")
				}
				builder.Arg(v)
			}
			builder.Write(")")
			args := make([]any, len(builder.Args))
			for i, a := range builder.Args {
				args[i] = a.Value
			}
			b.exec(builder.String(), args...)
		}
	}
}

func everything(int, []predicate.Value) bool { return true }

// readable lets a caller's rows pass.
func (b *bed) readable(name string) func(table int, row []predicate.Value) bool {
	id := identities()[name]
	f := folded{guard: b.Guard, caller: predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims}}
	return func(table int, row []predicate.Value) bool { return f.read(table).Match(row) }
}

// seedRows are the rows of the tables of published.
func seedRows() [][][]predicate.Value {
	text, number, yes := predicate.TextValue, predicate.IntValue, predicate.BoolValue
	rows := make([][][]predicate.Value, 4)
	users := []string{"alice", "bob", "carol", ""}
	for i := range 24 {
		list, note := predicate.Value{}, predicate.Value{}
		if i%5 != 0 {
			list = number(int64(i%6 + 1))
		}
		if i%3 != 0 {
			note = text(fmt.Sprintf("note %d", i%4))
		}
		rows[0] = append(rows[0], []predicate.Value{number(int64(i + 1)), text(users[i%4]), list, text(fmt.Sprintf("task %02d", i%10)), note,
			yes(i%2 == 0), yes(i%7 == 0), number(int64(i % 3)), predicate.TimeValue(time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC))})
		rows[2] = append(rows[2], []predicate.Value{number(int64(i + 1)), text(users[i%3]), number(int64(i%6 + 1))})
	}
	for i, org := range []string{"red", "blue", "green", "red", "blue", ""} {
		rows[1] = append(rows[1], []predicate.Value{number(int64(i + 1)), text(org), text(fmt.Sprintf("list %d", i%4)), text(users[i%4])})
	}
	for i := range 6 {
		rows[3] = append(rows[3], []predicate.Value{number(int64(i + 1)), text(users[i%3]), text(fmt.Sprintf("page %d", i%3))})
	}
	return rows
}
