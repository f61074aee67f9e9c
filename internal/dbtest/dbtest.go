// Package dbtest gives tests every database engine that CapeBase runs on, with one fresh database for each test.
//
// PostgreSQL and MariaDB are private servers in a temporary directory: they are started at their first use, listen on
// 127.0.0.1 only, and die with the test process however it ends. Two environment variables change that:
//
//   - CAPE_TEST_DATABASES lists administrator URLs of running servers, separated by commas
//     (postgres://user:password@host:port/postgres?sslmode=disable,mysql://user:password@host:port/). A listed server
//     takes the place of the private one of its engine; a MySQL server is an engine of its own, "mysql", beside
//     MariaDB. A listed server that cannot be reached fails the tests.
//   - CAPE_TEST_ENGINES narrows a local run to the engines that it lists, such as "sqlite,mariadb". Where CI is "true"
//     it is ignored.
//
// An engine that is missing fails the tests; none is ever skipped. scripts/install installs the servers.
//
// The private servers are set up to be unlike what CapeBase needs, so that what it forgets to say shows: their time
// zone is not UTC, and their default collation is that of a language. A crash of the server process loses no
// acknowledged commit; a crash of the machine may, unless [ServerConfig] says Durable.
package dbtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The engines, as tests name them.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
	MariaDB  = "mariadb"
	MySQL    = "mysql" // only where CAPE_TEST_DATABASES lists a server
)

// databaseTimeout bounds the work of making or dropping one database on a machine that is busy with other tests.
const databaseTimeout = time.Minute

// Target is an empty database for one test.
type Target struct {
	Engine string // one of the constants above
	// URL is what examples/todo takes in DATABASE_URL: sqlite:/tmp/…/test.db, postgres://… or mysql://….
	URL string
}

// Each runs test as a parallel subtest for each engine, named after it, with a database of its own. Like all parallel
// subtests they begin when the calling test function returns: clean up with t.Cleanup there, not with defer.
func Each(t *testing.T, test func(t *testing.T, target Target)) {
	t.Helper()
	hosts, err := shared.hosts()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		t.Run(host.engine, func(t *testing.T) {
			t.Parallel()
			test(t, newTarget(t, host))
		})
	}
}

// New makes a database of the engine, which is dropped when the test ends.
func New(t testing.TB, engine string) Target {
	t.Helper()
	if engine == SQLite {
		return newTarget(t, host{engine: SQLite})
	}
	host, err := shared.host(engine)
	if err != nil {
		t.Fatal(err)
	}
	return newTarget(t, host)
}

// Main is a TestMain that runs the tests, stops the private servers and then fails when goroutines are left. A package
// that does not use it lets go of its servers all the same.
func Main(m interface{ Run() int }, options ...goleak.Option) {
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintln(os.Stderr, "dbtest: goroutines outlive the tests:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// IgnoreServers is for goleak.VerifyNone within a test: it leaves out the goroutines that hold private servers.
func IgnoreServers() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/capebase/capebase/internal/dbtest.(*process).hold")
}

func newTarget(t testing.TB, host host) Target {
	t.Helper()
	if host.engine == SQLite {
		return Target{Engine: SQLite, URL: "sqlite:" + filepath.Join(t.TempDir(), "test.db")}
	}
	admin, err := host.admin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), databaseTimeout)
	defer cancel()
	name, err := createDatabase(ctx, admin)
	if err != nil {
		t.Fatalf("dbtest: create a database on %s: %v", host.engine, err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
		defer cancel()
		if err := dropDatabase(ctx, admin, name); err != nil {
			t.Errorf("dbtest: drop database %s on %s: %v", name, host.engine, err)
		}
	})
	return Target{Engine: host.engine, URL: admin.database(name)}
}
