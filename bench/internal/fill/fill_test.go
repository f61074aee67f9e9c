package fill_test

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/bench/internal/fill"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

type Todo struct {
	ID         int64  `json:"id"`
	UserID     string `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string
	IsComplete bool
	Code       string `gorm:"index"`
	Note       string
	InsertedAt time.Time `gorm:"autoCreateTime"`
}

// serve opens the database with CapeBase, and calls fn in between.
func serve(t *testing.T, path string, fn func(ctx context.Context, cape *capebase.Cape) error) {
	t.Helper()
	cape, err := capebase.Open(sqlite.File(path), capebase.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cape.UseAuth(auth.Func(func(*http.Request) (auth.Identity, error) { return auth.Identity{}, nil }))
	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
	if err := cape.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fn(auth.With(t.Context(), auth.Identity{ID: "user-0001"}), cape); err != nil {
		t.Error(err)
	}
	if err := cape.Close(); err != nil {
		t.Error(err)
	}
}

func query(t *testing.T, path, text string) (n int) {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close() //nolint:errcheck // it only read
	if err := pool.QueryRow(text).Scan(&n); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

// TestFill: what is filled is a database to the server as its own, and what it holds is what Rows says.
func TestFill(t *testing.T) {
	directory := t.TempDir()
	template, path := filepath.Join(directory, "template.db"), filepath.Join(directory, "filled.db")
	serve(t, template, func(ctx context.Context, cape *capebase.Cape) error {
		return cape.DB(ctx).Create(&Todo{UserID: "user-0001", Task: "x"}).Error
	})
	const rows, users = 600, 3
	if err := fill.Rows(t.Context(), template, path, rows, users); err != nil {
		t.Fatal(err)
	}
	if tables := query(t, path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'cape%'"); tables != 0 {
		t.Errorf("it has %d parts of a journal already", tables)
	}
	if indexes := query(t, path, "SELECT count(*) FROM sqlite_schema WHERE type = 'index'"); indexes != 2 {
		t.Errorf("want 2 indexes, got %d", indexes)
	}
	serve(t, path, func(ctx context.Context, cape *capebase.Cape) error {
		var all []Todo
		err := cape.DB(ctx).Order("id").Find(&all).Error
		if len(all) != rows/users || all[0].ID != 2 || all[1].ID != 2+users || all[0].InsertedAt.IsZero() {
			t.Errorf("got %d rows that begin with %+v", len(all), all[:min(2, len(all))])
		}
		return err
	})
	for _, column := range []string{"code", "note"} {
		// All of equal values are ten rows of one user.
		groups := query(t, path, "SELECT count(*) FROM (SELECT 1 FROM todos GROUP BY "+column+" HAVING count(*) = 10 AND min(user_id) = max(user_id))")
		if groups != rows/10 {
			t.Errorf("want %d values of %s for ten rows of a user, got %d", rows/10, column, groups)
		}
	}
	for _, n := range []int{100, 1700} {
		if err := fill.Journal(t.Context(), path, n); err != nil {
			t.Fatal(err)
		}
		if entries := query(t, path, "SELECT count(*) FROM cape_journal WHERE op = 'U' AND new <> old"); entries != n {
			t.Errorf("want %d entries, got %d", n, entries)
		}
	}
}

func TestRowsRefuses(t *testing.T) {
	for _, test := range []struct{ rows, users int }{{0, 1}, {10, 0}, {55, 1}, {100, 3}} {
		if err := fill.Rows(t.Context(), "nowhere", filepath.Join(t.TempDir(), "x.db"), test.rows, test.users); err == nil {
			t.Errorf("%+v: want an error", test)
		}
	}
	if err := fill.Journal(t.Context(), filepath.Join(t.TempDir(), "x.db"), 1); err == nil {
		t.Error("want an error: there is no journal")
	}
}
