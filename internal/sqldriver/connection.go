package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/capebase/capebase/internal/engine"
)

// connection is one of the engine's, together with the statements it has prepared. It belongs to one Conn at a time,
// whose goroutines take turns.
type connection struct {
	db     *DB
	driver driver.Conn
	cache  *cache
	turn   chan struct{} // holds a token while a goroutine uses the connection
	used   bool          // since it was opened
	idle   bool          // it lies in the pool
	broken bool          // it must not be used again
	// doubtful is set when a call's context ended while it ran, even where the call succeeded: pgx may have met the
	// deadline that interrupts its reads, and fails then with what comes next. It is not used again by others.
	doubtful bool
}

const (
	defaultStatements = 256
	// Longer texts are most often made for one use, such as an INSERT of many rows, and would take much memory.
	maxCachedText = 16 << 10
)

func newConnection(db *DB, c driver.Conn) *connection {
	size := db.backend.Statements
	if size == 0 {
		size = defaultStatements
	}
	return &connection{db: db, driver: c, cache: newCache(size), turn: make(chan struct{}, 1)}
}

func (c *connection) close() error { return errors.Join(c.cache.close(), c.driver.Close()) }

// reset readies a connection that was used before, as database/sql would.
func (c *connection) reset(ctx context.Context) error {
	if !c.used {
		c.used = true
		return nil
	}
	if r, ok := c.driver.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *connection) valid() bool {
	if c.broken || c.doubtful {
		return false
	}
	v, ok := c.driver.(driver.Validator)
	return !ok || v.IsValid()
}

// alive tells whether a statement that cannot be repeated may be sent.
func (c *connection) alive() bool {
	return c.db.backend.Alive == nil || c.db.backend.Alive(c.driver)
}

// manner is how a statement is handed to the driver.
type manner uint8

const (
	// cached: prepared once for the connection.
	cached manner = iota
	// fresh: prepared for this one call, under the present schema.
	fresh
	// plain: as text where it has no arguments, so that it may be several statements, or one that cannot be prepared.
	plain
	// native: as cached, for rows that ReadNative reads.
	native
)

// query runs a statement that returns rows. The statement, which may be nil, must be released when the rows are closed.
func (c *connection) query(ctx context.Context, m manner, query string, args []driver.NamedValue) (driver.Rows, *statement, error) {
	if m == native && c.db.backend.Query != nil {
		bound, err := c.arguments(nil, args)
		if err != nil {
			return nil, nil, err
		}
		rows, err := c.db.backend.Query(ctx, c.driver, query, bound)
		if !errors.Is(err, driver.ErrSkip) {
			return rows, nil, err
		}
	}
	if c.asText(m, args) {
		if q, ok := c.driver.(driver.QueryerContext); ok {
			args, err := c.arguments(nil, args)
			if err != nil {
				return nil, nil, err
			}
			rows, err := q.QueryContext(ctx, query, args)
			if !errors.Is(err, driver.ErrSkip) {
				return rows, nil, err
			}
		}
	}
	if m == fresh {
		if _, err := c.exec(ctx, cached, c.db.backend.Refresh, nil); err != nil {
			return nil, nil, err
		}
	}
	s, err := c.prepare(ctx, m, query)
	if err != nil {
		return nil, nil, err
	}
	rows, err := c.queryPrepared(ctx, s, args)
	if err != nil {
		return nil, nil, errors.Join(err, c.cache.release(s))
	}
	return rows, s, nil
}

func (c *connection) queryPrepared(ctx context.Context, s *statement, args []driver.NamedValue) (driver.Rows, error) {
	args, err := c.arguments(s.driver, args)
	if err != nil {
		return nil, err
	}
	if q, ok := s.driver.(driver.StmtQueryContext); ok {
		return q.QueryContext(ctx, args)
	}
	return nil, fmt.Errorf("%T has no QueryContext", s.driver)
}

// exec runs a statement that returns no rows.
func (c *connection) exec(ctx context.Context, m manner, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.asText(m, args) {
		if e, ok := c.driver.(driver.ExecerContext); ok {
			args, err := c.arguments(nil, args)
			if err != nil {
				return nil, err
			}
			result, err := e.ExecContext(ctx, query, args)
			if !errors.Is(err, driver.ErrSkip) {
				return result, err
			}
		}
	}
	s, err := c.prepare(ctx, m, query)
	if err != nil {
		return nil, err
	}
	result, err := c.execPrepared(ctx, s, args)
	return result, errors.Join(err, c.cache.release(s))
}

func (c *connection) execPrepared(ctx context.Context, s *statement, args []driver.NamedValue) (driver.Result, error) {
	if c.db.drains {
		if known := c.db.lexicon.inspect(s.query); known.class == reading || known.returns {
			return c.drain(ctx, s, args)
		}
	}
	args, err := c.arguments(s.driver, args)
	if err != nil {
		return nil, err
	}
	if e, ok := s.driver.(driver.StmtExecContext); ok {
		return e.ExecContext(ctx, args)
	}
	return nil, fmt.Errorf("%T has no ExecContext", s.driver)
}

// drain runs a statement that returns rows, and counts them. MariaDB leaves the columns' descriptions out of what it
// answers to a prepared statement that it has described before, and the driver's Exec waits for them in vain.
func (c *connection) drain(ctx context.Context, s *statement, args []driver.NamedValue) (_ driver.Result, err error) {
	rows, err := c.queryPrepared(ctx, s, args)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for n := int64(0); ; n++ {
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return driver.RowsAffected(n), nil
			}
			return nil, err
		}
	}
}

// asText tells whether the driver is given the text before a prepared statement is tried.
func (c *connection) asText(m manner, args []driver.NamedValue) bool {
	return c.db.backend.CachesStatements || m == plain && len(args) == 0
}

// prepare returns a busy statement.
func (c *connection) prepare(ctx context.Context, m manner, query string) (*statement, error) {
	keep := (m == cached || m == native) && len(query) <= maxCachedText
	if keep {
		if s := c.cache.take(query); s != nil {
			return s, nil
		}
	}
	s, err := c.driverPrepare(ctx, query)
	if err != nil {
		return nil, err
	}
	prepared := &statement{query: query, driver: s, busy: true}
	if !keep {
		return prepared, nil
	}
	return prepared, c.cache.add(prepared)
}

var errEmpty = errors.New("the text holds no statement")

func (c *connection) driverPrepare(ctx context.Context, query string) (driver.Stmt, error) {
	if c.db.backend.Embedded && c.db.lexicon.inspect(query).empty {
		return nil, errEmpty // SQLite's driver would panic
	}
	if p, ok := c.driver.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	return c.driver.Prepare(query)
}

// check asks the database whether it takes the statement.
func (c *connection) check(ctx context.Context, query string) error {
	if !c.db.backend.CachesStatements {
		s, err := c.prepare(ctx, cached, query)
		if err != nil {
			return err
		}
		return c.cache.release(s)
	}
	// The driver would otherwise keep it beside those that it caches itself, and never renew it.
	s, err := c.driverPrepare(ctx, query)
	if err != nil {
		return err
	}
	return s.Close()
}

// outgrown forgets a statement that the schema has left behind, and tells whether it is worth another try.
func (c *connection) outgrown(err error, query string) bool {
	if err == nil || c.db.backend.Dialect.Classify(err).Class != engine.Stale {
		return false
	}
	if s := c.cache.statements[query]; s != nil {
		// Its session has forgotten the statement: an error to close it says no more.
		_ = c.cache.drop(s)
	}
	return true
}

// ping asks for a sign of life.
func (c *connection) ping(ctx context.Context) error {
	if p, ok := c.driver.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	rows, s, err := c.query(ctx, cached, "SELECT 1", nil)
	if err != nil {
		return err
	}
	rows.Columns() // drivers may count on being asked first
	if err = rows.Next(make([]driver.Value, 1)); errors.Is(err, io.EOF) {
		err = nil
	}
	err = errors.Join(err, rows.Close())
	if s != nil {
		err = errors.Join(err, c.cache.release(s))
	}
	return err
}
