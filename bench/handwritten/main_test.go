package main

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/todo/todotest"
	"github.com/capebase/capebase/bench/internal/users"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/sqlite"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestServes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if err := todotest.Check(t.Context(), opened(t, target.URL), todo.REST{}); err != nil {
			t.Error(err)
		}
	})
}

func opened(t *testing.T, database string) http.Handler {
	t.Helper()
	handler, closeAll, err := open(t.Context(), child.Config{Database: database, Users: todotest.Users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeAll(); err != nil {
			t.Error(err)
		}
	})
	return handler
}

func TestRefuses(t *testing.T) {
	handler := opened(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	for name, each := range map[string]struct {
		method, path, kind, body string
		status                   int
	}{
		"a limit that is no number":      {"GET", "/todo?limit=x", "", "", 400},
		"a negative offset":              {"GET", "/todo?offset=-1", "", "", 400},
		"an id that is no number":        {"GET", "/todo/x", "", "", 400},
		"no task":                        {"POST", "/todo", "application/json", `{}`, 422},
		"a long task":                    {"POST", "/todo", "application/json", `{"task":"` + strings.Repeat("é", 201) + `"}`, 422},
		"a number for a task":            {"POST", "/todo", "application/json", `{"task":1}`, 422},
		"another type of body":           {"POST", "/todo", "text/plain", `{"task":"x"}`, 415},
		"two objects":                    {"POST", "/todo", "application/json", `{"task":"x"}{}`, 400},
		"no body":                        {"POST", "/todo", "application/json", ``, 400},
		"too large a body":               {"POST", "/todo", "application/json", `{"task":"` + strings.Repeat("x", maxBody) + `"}`, 413},
		"a change to another user's row": {"PATCH", "/todo/1", "application/json", `{"user_id":"user-0001"}`, 403},
		"a method that there is not":     {"DELETE", "/todo/1", "", "", 405},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(each.method, each.path, strings.NewReader(each.body))
			request.Header.Set("Authorization", "Bearer "+users.Make(1)[0].Token)
			if each.kind != "" {
				request.Header.Set("Content-Type", each.kind)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != each.status {
				t.Fatalf("want %d, got %d: %s", each.status, recorder.Code, recorder.Body)
			}
		})
	}
}

// The comparison is fair only while both servers open their files alike.
func TestPragmasAreCapeBases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	comparePragmas(t, path, false, sqlite.File(path))
	comparePragmas(t, path, true, sqlite.File(path).Durable())
}

func comparePragmas(t *testing.T, path string, durable bool, database sqlite.Database) {
	t.Helper()
	own, err := openSQLite(path, durable)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := database.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, pools := range map[string][2]*sql.DB{
		"writer": {own.write, sql.OpenDB(backend.Writer)},
		"reader": {own.read, sql.OpenDB(backend.Reader)},
	} {
		for _, pragma := range []string{
			"busy_timeout", "cache_size", "cache_spill", "foreign_keys", "journal_mode", "mmap_size", "page_size",
			"query_only", "recursive_triggers", "synchronous", "temp_store", "wal_autocheckpoint",
		} {
			ours, theirs := pragmaOf(t.Context(), t, pools[0], pragma), pragmaOf(t.Context(), t, pools[1], pragma)
			if ours != theirs {
				t.Errorf("%s: %s is %s here and %s in package sqlite", name, pragma, ours, theirs)
			}
		}
		if err := pools[1].Close(); err != nil {
			t.Error(err)
		}
	}
	if backend.Writers != own.write.Stats().MaxOpenConnections || backend.Readers != own.read.Stats().MaxOpenConnections {
		t.Errorf("want %d writers and %d readers, got %d and %d", backend.Writers, backend.Readers,
			own.write.Stats().MaxOpenConnections, own.read.Stats().MaxOpenConnections)
	}
	if err := own.Close(); err != nil {
		t.Error(err)
	}
}

func pragmaOf(ctx context.Context, t *testing.T, pool *sql.DB, name string) (value string) {
	t.Helper()
	if err := pool.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

func TestUnknownDatabase(t *testing.T) {
	if _, _, err := open(t.Context(), child.Config{Database: "oracle://x"}); err == nil {
		t.Fatal("want an error")
	}
}
