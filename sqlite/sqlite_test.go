package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is an opened database of one test.
type file struct {
	*engine.Backend
	writer, reader *sql.DB
}

func open(t testing.TB, database sqlite.Database) file {
	t.Helper()
	backend, err := database.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := file{backend, sql.OpenDB(backend.Writer), sql.OpenDB(backend.Reader)}
	f.writer.SetMaxOpenConns(backend.Writers)
	t.Cleanup(func() {
		for _, closer := range []io.Closer{f.writer, f.reader} {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f file) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := f.writer.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func one(t testing.TB, db *sql.DB, query string, args ...any) any {
	t.Helper()
	var v any
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	text := filepath.Join(directory, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	wide := filepath.Join(directory, "wide.db")
	for path, want := range map[string]string{
		"":              "no path given",
		":memory:":      "use sqlite.Temp()",
		"file:todos.db": "give a plain path",
		"a\x00b":        "NUL",
		filepath.Join(directory, "no", "todo.db"): "create it first",
		filepath.Join(text, "todo.db"):            "is not a directory",
		directory:                                 "is a directory",
		text:                                      "is not an SQLite database",
	} {
		_, err := sqlite.File(path).Connect(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
	utf16(t, wide)
	if _, err := sqlite.File(wide).Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "UTF-16le") {
		t.Errorf("UTF-16: %v", err)
	}
}

// utf16 makes a database file in UTF-16 by way of the header of one in UTF-8: an empty database has no texts yet.
func utf16(t *testing.T, path string) {
	t.Helper()
	f := open(t, sqlite.File(path+".utf8"))
	f.exec(t, "PRAGMA user_version = 1") // makes the file
	f.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	content, err := os.ReadFile(path + ".utf8")
	if err != nil {
		t.Fatal(err)
	}
	const encoding = 59 // the last byte of the big-endian word; 2 is UTF-16le
	content[encoding] = 2
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConnectCreatesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.db")
	if _, err := sqlite.File(path).Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Connect: %v", err)
	}
}

func TestPathsOfAnyCharacters(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"plain.db", "with space.db", "100%.db", "%41.db", "what?.db", "a?mode=memory", "#1.db", "a&b=c;d.db", "plus+.db",
		"quote'\".db", "ü日本😀.db", "[x].db", "back\\slash.db", "file.db", "-dash.db", "a:b.db",
	} {
		directory := t.TempDir()
		f := open(t, sqlite.File(filepath.Join(directory, name)))
		f.exec(t, "CREATE TABLE t (a)")
		f.exec(t, "INSERT INTO t VALUES (1)")
		if count := one(t, f.reader, "SELECT count(*) FROM t"); count != int64(1) {
			t.Errorf("%q: the reader finds %v rows", name, count)
		}
		entries, err := os.ReadDir(directory)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), name) {
				t.Errorf("%q: made %q", name, entry.Name())
			}
		}
		// A file that exists is looked at before it is used.
		open(t, sqlite.File(filepath.Join(directory, name)))
	}
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	f := open(t, sqlite.File("todos.db"))
	f.exec(t, "CREATE TABLE t (a)")
	if _, err := os.Stat("todos.db"); err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	f := open(t, sqlite.File(filepath.Join(t.TempDir(), "a.db")))
	temp := open(t, sqlite.Temp())
	durable := open(t, sqlite.File(filepath.Join(t.TempDir(), "a.db")).Durable())
	for _, c := range []struct {
		name string
		db   *sql.DB
		want map[string]any
	}{
		{"writer", f.writer, map[string]any{"journal_mode": "wal", "synchronous": int64(1), "foreign_keys": int64(1), "busy_timeout": int64(5000), "query_only": int64(0)}},
		{"reader", f.reader, map[string]any{"journal_mode": "wal", "synchronous": int64(1), "foreign_keys": int64(1), "busy_timeout": int64(5000), "query_only": int64(1)}},
		{"writer of Temp", temp.writer, map[string]any{"journal_mode": "wal", "synchronous": int64(0), "query_only": int64(0)}},
		{"writer of Durable", durable.writer, map[string]any{"journal_mode": "wal", "synchronous": int64(2), "foreign_keys": int64(1), "query_only": int64(0)}},
		{"reader of Temp", temp.reader, map[string]any{"journal_mode": "wal", "synchronous": int64(0), "query_only": int64(1)}},
	} {
		for pragma, want := range c.want {
			if got := one(t, c.db, "PRAGMA "+pragma); got != want {
				t.Errorf("%s: %s is %v, want %v", c.name, pragma, got, want)
			}
		}
	}
	if f.Writers != 1 || f.Readers < 4 || f.BeginWrite != "BEGIN IMMEDIATE" || !f.Embedded {
		t.Errorf("backend %+v", f.Backend)
	}
}

func TestTempIsPrivateAndRemoved(t *testing.T) {
	t.Parallel()
	a, err := sqlite.Temp().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, sqlite.Temp())
	db := sql.OpenDB(a.Writer)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (a)"); err != nil {
		t.Fatal(err)
	}
	path, _ := one(t, db, "SELECT file FROM pragma_database_list WHERE name = 'main'").(string)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if count := one(t, b.writer, "SELECT count(*) FROM sqlite_schema"); count != int64(0) {
		t.Errorf("another Temp has %v tables", count)
	}
	if err := errors.Join(db.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}

// TestManyAtOnce opens a new file as many processes do that start together: SQLite answers the first change of the
// journal mode with "busy" at once, whatever the time-out.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.db")
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			backend, err := sqlite.File(path).Connect(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				if err := createAndCount(t.Context(), backend); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

func createAndCount(ctx context.Context, backend *engine.Backend) (err error) {
	for _, connector := range []driver.Connector{backend.Reader, backend.Writer} {
		conn, err := connector.Connect(ctx)
		if err != nil {
			return err
		}
		if _, err = engine.QueryRow(ctx, conn, "SELECT count(*) FROM sqlite_schema"); err == nil && connector == backend.Writer {
			err = engine.Exec(ctx, conn, "CREATE TABLE IF NOT EXISTS t (a)")
		}
		if err = errors.Join(err, conn.Close()); err != nil {
			return err
		}
	}
	return nil
}

func TestConnectHonoursContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	open(t, sqlite.File(path)).exec(t, "CREATE TABLE t (a)")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.File(path).Connect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Connect: %v", err)
	}
	backend, err := sqlite.File(path).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.Writer.Connect(ctx); backend.Dialect.Classify(err).Class != engine.Cut {
		t.Errorf("Writer.Connect: %v", err)
	}
}

func TestGorm(t *testing.T) {
	t.Parallel()
	type Note struct {
		ID   int64
		Text string
	}
	f := open(t, sqlite.Temp())
	g, err := gorm.Open(f.Gorm(f.writer), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.exec(t, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
	note := Note{Text: "a"}
	if err := g.Create(&note).Error; err != nil || note.ID != 1 {
		t.Errorf("%+v: %v", note, err)
	}
	if name := fmt.Sprint(g.Name()); name != sqlite.Temp().Name() {
		t.Errorf("GORM calls it %q", name)
	}
}
