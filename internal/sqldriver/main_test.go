package sqldriver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

func TestMain(m *testing.M) {
	// GORM never ends the goroutine that tends its cache of prepared statements.
	dbtest.Main(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

// bed is a database with one table, item.
type bed struct {
	*sqldriver.DB
	t      testing.TB
	target dbtest.Target
}

// onEach runs test on every engine.
func onEach(t *testing.T, o sqldriver.Options, test func(t *testing.T, b bed)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) { test(t, newBed(t, target, o)) })
}

func onSQLite(t *testing.T, o sqldriver.Options) bed {
	t.Helper()
	return bedOn(t, dbtest.SQLite, o)
}

func bedOn(t *testing.T, engine string, o sqldriver.Options) bed {
	t.Helper()
	return newBed(t, dbtest.New(t, engine), o)
}

func newBed(t testing.TB, target dbtest.Target, o sqldriver.Options) bed {
	t.Helper()
	b := bed{DB: open(t, backendOf(t, target), o), t: t, target: target}
	b.exec(t.Context(), "CREATE TABLE item(id BIGINT PRIMARY KEY, name VARCHAR(200) UNIQUE, at "+
		map[string]string{"sqlite": "DATETIME", "postgres": "timestamptz", "mysql": "DATETIME(6)"}[b.Dialect().Name()]+")")
	return b
}

func backendOf(t testing.TB, target dbtest.Target) *engine.Backend {
	t.Helper()
	scheme, path, _ := strings.Cut(target.URL, ":")
	e := map[string]engine.Engine{
		"sqlite": sqlite.File(path), "postgres": postgres.URL(target.URL), "mysql": mysql.URL(target.URL),
	}[scheme]
	backend, err := e.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

func open(t testing.TB, backend *engine.Backend, o sqldriver.Options) *sqldriver.DB {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	db, err := sqldriver.Open(backend, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return db
}

// sql writes a statement with the database's placeholders for ?.
func (b bed) sql(text string) string {
	var out strings.Builder
	n := 0
	for _, c := range text {
		if c == '?' {
			n++
			out.WriteString(b.Dialect().Placeholder(n))
			continue
		}
		out.WriteRune(c)
	}
	return out.String()
}

// exec runs a statement through SQL.
func (b bed) exec(ctx context.Context, text string, args ...any) {
	b.t.Helper()
	if _, err := b.SQL().ExecContext(ctx, b.sql(text), args...); err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
}

// add inserts a row through SQL.
func (b bed) add(ctx context.Context, id int64) error {
	_, err := b.SQL().ExecContext(ctx, b.sql("INSERT INTO item(id, name) VALUES (?, ?)"), id, nameOf(id))
	return err
}

func nameOf(id int64) string {
	return "item-" + string(rune('a'+id%26)) + "-" + time.Duration(id).String()
}

// count counts the rows that a context sees through SQL.
func (b bed) count(ctx context.Context) int {
	b.t.Helper()
	var n int
	if err := b.SQL().QueryRowContext(ctx, "SELECT count(id) FROM item").Scan(&n); err != nil {
		b.t.Fatal("count:", err)
	}
	return n
}

// want fails the test unless n rows have been committed.
func (b bed) want(n int) {
	b.t.Helper()
	if got := b.count(context.WithoutCancel(b.t.Context())); got != n {
		b.t.Errorf("%d rows are committed, want %d", got, n)
	}
}

func named(values ...driver.Value) []driver.NamedValue {
	args := make([]driver.NamedValue, len(values))
	for i, v := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return args
}

// insert inserts a row on a Conn.
func (b bed) insert(ctx context.Context, c *sqldriver.Conn, id int64) error {
	_, err := c.Exec(ctx, b.sql("INSERT INTO item(id, name) VALUES (?, ?)"), named(id, nameOf(id)))
	return err
}

// ids reads the keys that a Conn sees.
func ids(ctx context.Context, c *sqldriver.Conn) (_ []int64, err error) {
	rows, err := c.Query(ctx, "SELECT id FROM item ORDER BY id", nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var found []int64
	row := make([]driver.Value, 1)
	for {
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return found, nil
			}
			return nil, err
		}
		id, ok := row[0].(int64)
		if !ok {
			return nil, fmt.Errorf("a key is a %T", row[0])
		}
		found = append(found, id)
	}
}

func mustBegin(t testing.TB, ctx context.Context, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}
