package journal

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/migrate"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		fmt.Fprintln(os.Stderr, role, "ended:", runChild(role, os.Getenv(targetVariable)))
		os.Exit(1)
	}
	dbtest.Main(m)
}

// bed is a database with tables of models and their journal.
type bed struct {
	*Journal
	t      testing.TB
	target dbtest.Target
	models []*model.Model
}

func parse[T any](t testing.TB) *model.Model {
	t.Helper()
	m, err := model.Parse(reflect.TypeFor[T](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func backendOf(t testing.TB, target dbtest.Target) *engine.Backend {
	t.Helper()
	backend, err := connect(t.Context(), target.URL)
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

func connect(ctx context.Context, url string) (*engine.Backend, error) {
	return engines.Of(url).Connect(ctx)
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// open opens another journal on the target, as another process would.
func open(t testing.TB, target dbtest.Target, o Options, models ...*model.Model) *bed {
	t.Helper()
	backend := backendOf(t, target)
	stamp, err := NewStamp(backend.Dialect.Name())
	if err != nil {
		t.Fatal(err)
	}
	var b bed
	db, err := sqldriver.Open(backend, sqldriver.Options{
		Logger: logger(t), Frame: stamp.Frame, Begin: stamp.Begin, Commit: stamp.Commit,
		After: func(context.Context) {
			if b.Journal != nil {
				b.Wake()
			}
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
	o.Logger, o.Stamp = logger(t), stamp
	j, err := Open(db, models, o)
	if err != nil {
		t.Fatal(err)
	}
	b = bed{Journal: j, t: t, target: target, models: models}
	return &b
}

// start makes the tables and installs the journal.
func (b *bed) start() *bed {
	b.t.Helper()
	b.migrate()
	if err := b.Install(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// migrate makes the tables.
func (b *bed) migrate() {
	b.t.Helper()
	backend := backendOf(b.t, b.target)
	g, err := gorm.Open(backend.Gorm(b.db.SQL()), &gorm.Config{})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := migrate.Run(b.t.Context(), b.db, g, b.models, migrate.All, logger(b.t)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) exec(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.db.SQL().ExecContext(b.t.Context(), statement, args...); err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
}

// settle gives positions to what has been committed. A tailer may be at work: advance is for that alone.
func (b *bed) settle() {
	b.t.Helper()
	if _, err := b.Snapshot(b.t.Context(), nil, func(context.Context, *sqldriver.Conn) error { return nil }); err != nil {
		b.t.Fatal(err)
	}
}

// all reads the whole journal.
func (b *bed) all() []Entry {
	b.t.Helper()
	b.settle()
	floor, err := b.Floor(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var entries []Entry
	for at := floor.Position; ; {
		page, err := b.Read(b.t.Context(), at, 100)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(page) == 0 {
			return entries
		}
		entries = append(entries, page...)
		at = page[len(page)-1].Position
	}
}

// summary writes entries for comparison: "INSERT [1]".
func summary(entries []Entry) string {
	var lines []string
	for _, e := range entries {
		lines = append(lines, e.Op.String()+" "+e.Key)
	}
	return strings.Join(lines, ", ")
}

// tail runs the tailer and returns what receives its entries.
func (b *bed) tail(after Mark) <-chan Entry {
	entries := make(chan Entry, 100_000)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Run(ctx, after, func(page []Entry) {
			for _, e := range page {
				entries <- e
			}
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error("Run:", err)
		}
	})
	return entries
}

func next(t testing.TB, entries <-chan Entry) Entry {
	t.Helper()
	select {
	case e := <-entries:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no entry within 20 s")
		return Entry{}
	}
}

// Item is a model with a key that counts, a unique column and a secret one.
type Item struct {
	ID    int64
	Name  string `gorm:"uniqueIndex"`
	Count int64
	Token string `cape:"secret"`
}
