package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// closer is a statement that counts its closings.
type closer struct {
	query  string
	closed map[string]int
}

var errFake = errors.New("a fake statement was run")

func (c closer) Close() error                               { c.closed[c.query]++; return nil }
func (c closer) NumInput() int                              { return 0 }
func (c closer) Exec([]driver.Value) (driver.Result, error) { return nil, errFake }
func (c closer) Query([]driver.Value) (driver.Rows, error)  { return nil, errFake }

// server is a database that fails as it is told.
type server struct {
	mu          sync.Mutex
	dialled     int
	open        int
	log         []string
	unreachable bool
	// fail is asked before each call of a connection; what names it: reset, begin, commit, rollback, query or exec.
	fail func(conn int, what string) error
	// invalid connections say so when they are given back.
	invalid bool
}

// newFake opens a database over the server, which has a pool of two.
func newFake(t *testing.T, o Options) (*DB, *server) {
	t.Helper()
	s := &server{fail: func(int, string) error { return nil }}
	db, err := Open(backendOfFake(s), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if s.open != 0 {
			t.Errorf("%d connections are left open", s.open)
		}
	})
	return db, s
}

func backendOfFake(s *server) *engine.Backend {
	return &engine.Backend{Dialect: fakeDialect{}, Writer: s, Writers: 2, CachesStatements: true}
}

// set changes the server's behaviour.
func (s *server) set(fail func(conn int, what string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// take returns what was called, and forgets it.
func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

func (s *server) count() (dialled, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled, s.open
}

func (s *server) Driver() driver.Driver { return nil }

func (s *server) Connect(context.Context) (driver.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreachable {
		return nil, errUnreachable
	}
	s.dialled++
	s.open++
	return &fakeConn{server: s, number: s.dialled}, nil
}

func (s *server) call(conn int, what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
	return s.fail(conn, what)
}

type fakeConn struct {
	server *server
	number int
	ctx    context.Context // of the transaction, as pgx keeps it
}

func (c *fakeConn) Prepare(string) (driver.Stmt, error) { return nil, errFake }
func (c *fakeConn) Begin() (driver.Tx, error)           { return nil, errFake }

func (c *fakeConn) Close() error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.open--
	return nil
}

func (c *fakeConn) ResetSession(context.Context) error { return c.server.call(c.number, "reset") }

func (c *fakeConn) IsValid() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return !c.server.invalid
}

func (c *fakeConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	c.ctx = ctx
	return c, c.server.call(c.number, "begin")
}

func (c *fakeConn) Commit() error   { return c.finish("commit") }
func (c *fakeConn) Rollback() error { return c.finish("rollback") }

func (c *fakeConn) finish(what string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.server.call(c.number, what)
}

func (c *fakeConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	if err := c.server.call(c.number, "query"); err != nil {
		return nil, err
	}
	return fakeRows{}, nil
}

func (c *fakeConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), c.server.call(c.number, "exec")
}

type fakeRows struct{}

func (fakeRows) Columns() []string         { return []string{"a"} }
func (fakeRows) Close() error              { return nil }
func (fakeRows) Next([]driver.Value) error { return io.EOF }

var (
	errUnreachable = errors.New("fake: no route")
	errGone        = errors.New("fake: the connection was reset")
	errUnique      = errors.New("fake: not unique")
	errStale       = errors.New("fake: the plan is old")
)

// fakeDialect knows the fake's errors.
type fakeDialect struct{ engine.Dialect }

func (fakeDialect) Name() string                        { return "fake" }
func (fakeDialect) Bind(v predicate.Value) driver.Value { return v.Time() }

func (fakeDialect) Classify(err error) engine.Failure {
	for class, known := range map[engine.Class]error{
		engine.Down: errGone, engine.UniqueViolation: errUnique, engine.Stale: errStale,
	} {
		if errors.Is(err, known) {
			return engine.Failure{Class: class}
		}
	}
	return engine.Failure{}
}
