package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3/driver"
)

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) != "" {
		hold()
		return
	}
	Main(m)
}

// holdVariable makes the test program start servers, tell about them and wait to be killed.
const holdVariable = "CAPE_DBTEST_HOLD"

func hold() {
	for _, engine := range []string{Postgres, MariaDB} {
		server, err := Launch(context.Background(), engine, ServerConfig{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(server.Pid(), server.dir)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// openTarget opens a target as a test of the library would.
func openTarget(t *testing.T, target Target) *sql.DB {
	t.Helper()
	pool, err := openURL(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

func openURL(target Target) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(target.URL, "sqlite:"); ok {
		return driver.Open("file:" + path)
	}
	admin, err := parseAdminURL(target.URL)
	if err != nil {
		return nil, err
	}
	return admin.pool()
}

func execute(t *testing.T, pool *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func ask[V any](t *testing.T, pool *sql.DB, question string, arguments ...any) V {
	t.Helper()
	var answer V
	if err := pool.QueryRowContext(t.Context(), question, arguments...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}

func TestEachRunsOnEveryEngine(t *testing.T) {
	env, err := shared.environment()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var engines []string
	t.Run("", func(t *testing.T) {
		Each(t, func(t *testing.T, target Target) {
			if !strings.HasPrefix(t.Name(), "TestEachRunsOnEveryEngine/") || !strings.Contains(t.Name(), target.Engine) {
				t.Errorf("the subtest for %s is named %s", target.Engine, t.Name())
			}
			mu.Lock()
			defer mu.Unlock()
			engines = append(engines, target.Engine)
		})
	})
	slices.Sort(engines)
	slices.Sort(env.engines)
	if diff := cmp.Diff(env.engines, slices.Compact(engines)); diff != "" {
		t.Errorf("engines that tests ran on (-want +got):\n%s", diff)
	}
}

func TestTargetIsAnEmptyDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, target Target) {
		// The same table in both: they would collide in one database.
		for _, target := range []Target{target, New(t, target.Engine)} {
			pool := openTarget(t, target)
			execute(t, pool, "CREATE TABLE todos (id integer PRIMARY KEY, task varchar(20))",
				"INSERT INTO todos VALUES (1, 'é 🚀')")
			if task := ask[string](t, pool, "SELECT task FROM todos"); task != "é 🚀" {
				t.Errorf("read %q", task)
			}
		}
	})
}

func TestDatabaseIsDroppedUnderOpenTransactions(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{Postgres, MariaDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var name string
			var left *sql.DB
			t.Run("test", func(t *testing.T) {
				target := New(t, engine)
				parsed, err := url.Parse(target.URL)
				if err != nil {
					t.Fatal(err)
				}
				name = strings.TrimPrefix(parsed.Path, "/")
				if left, err = openURL(target); err != nil {
					t.Fatal(err)
				}
				execute(t, left, "CREATE TABLE todos (id integer)", "BEGIN", "INSERT INTO todos VALUES (1)")
			})
			if err := left.Close(); err != nil {
				t.Error(err)
			}
			admin := adminOf(t, shared, engine)
			pool, err := admin.open()
			if err != nil {
				t.Fatal(err)
			}
			question := "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '" + name + "'"
			if admin.postgres() {
				question = "SELECT count(*) FROM pg_database WHERE datname = '" + name + "'"
			}
			if count := ask[int](t, pool, question); count != 0 {
				t.Errorf("database %s is still there", name)
			}
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
