package sqldriver

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"

	"github.com/capebase/capebase/internal/engine"
)

// Conn is a connection in the hands of one View, Update or call through SQL. Several goroutines may use it: their
// statements take turns.
type Conn struct {
	db       *DB
	pool     *pool
	resource *puddle.Resource[*connection]
	physical *connection
	// ctx is the transaction's: when it has ended, so has the transaction.
	ctx      context.Context
	writes   bool // it may change something
	begun    bool // a transaction is open
	inDriver driver.Tx
	frame    Frame  // of the transaction, where it has one
	shown    string // instead of the statement to whoever watches, unless it is ""
	lifetime *lifetime

	// The following are touched by whoever has the connection's turn.
	depth int       // of savepoints
	open  []*result // results that are not closed yet
	undos int       // times that the transaction went back to a savepoint

	used    atomic.Bool // a statement was run since the transaction began
	ended   atomic.Bool
	failure atomic.Pointer[error]

	site  *site // recorded where others will wait for this transaction; nil where it never lasts
	since time.Time
}

// scope is what a context holds of transactions, the innermost first: there may be one of each database, and a snapshot
// that a transaction hides.
type scope struct {
	conn  *Conn
	outer *scope
}

type scopeKey struct{}

// within returns a context whose calls join the Conn.
func (c *Conn) within(ctx context.Context) context.Context {
	outer, _ := ctx.Value(scopeKey{}).(*scope)
	if outer != nil && outer.conn == c {
		return ctx
	}
	return context.WithValue(ctx, scopeKey{}, &scope{c, outer})
}

// joined returns the Conn that the context holds for this database, or nil.
func (db *DB) joined(ctx context.Context) *Conn {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	for ; s != nil; s = s.outer {
		if s.conn.db == db {
			return s.conn
		}
	}
	return nil
}

// InTransaction tells whether the context is one that Update gave to its function: a call with it joins a transaction
// that can change something. It does not ask whether the transaction has ended.
func InTransaction(ctx context.Context) bool {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	for ; s != nil; s = s.outer {
		if s.conn.writes {
			return true
		}
	}
	return false
}

// lease borrows a connection.
func (db *DB) lease(ctx context.Context, p *pool) (*Conn, error) {
	return db.leaseSince(ctx, p, time.Time{})
}

// leaseSince is lease for who has waited since then; zero: who begins to.
func (db *DB) leaseSince(ctx context.Context, p *pool, since time.Time) (*Conn, error) {
	resource, err := p.acquire(ctx, since)
	if err != nil {
		return nil, err
	}
	return &Conn{db: db, pool: p, resource: resource, physical: resource.Value(), writes: p == db.writer}, nil
}

// end closes what is open and gives the connection back.
func (c *Conn) end() {
	// The turn is waited for without the caller's context: a connection must not be given back while it is in use.
	if c.ended.Load() || c.physical.take(context.Background()) != nil {
		return
	}
	if c.ended.Swap(true) {
		c.exit()
		return
	}
	c.closeRows(0, sql.ErrTxDone)
	if c.pool.only {
		c.pool.holder.Store(nil)
	}
	c.exit()
	c.pool.release(c.resource)
}

// take waits for the connection's turn.
func (c *connection) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter takes the turn when the Conn can still be used.
func (c *Conn) enter(ctx context.Context) error {
	if c.ended.Load() {
		return c.over()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.physical.take(ctx); err != nil {
		return err
	}
	err := c.usable()
	if err != nil {
		c.exit()
	}
	return err
}

func (c *Conn) exit() { <-c.physical.turn }

// doubt gives up a connection, once it is free, if the context ended during a call.
func (c *Conn) doubt(ctx context.Context) {
	if !c.db.backend.Embedded && ctx.Err() != nil {
		c.physical.doubtful = true
	}
}

func (c *Conn) over() error {
	if failure := c.failure.Load(); failure != nil {
		return *failure
	}
	return sql.ErrTxDone
}

func (c *Conn) usable() error {
	if failure := c.failure.Load(); failure != nil {
		return *failure
	}
	switch {
	case c.ended.Load():
		return sql.ErrTxDone
	case c.begun && c.ctx.Err() != nil:
		return c.ctx.Err()
	case c.physical.broken:
		return fmt.Errorf("%w: the connection broke in an earlier statement", ErrDown)
	}
	return nil
}

// Fail spoils the Conn's transaction: all later statements and its commit return err. The first failure stays.
func (c *Conn) Fail(err error) { c.failure.CompareAndSwap(nil, &err) }

// Framed tells whether a Frame began the transaction.
func (c *Conn) Framed() bool { return c.frame.Begin != "" }

// InTransaction tells whether the Conn is in a transaction that its owner will commit or roll back.
func (c *Conn) InTransaction() bool { return c.begun && c.writes }

// Fresh tells whether no statement was run in the Conn's transaction since Options.Begin, but for savepoints.
func (c *Conn) Fresh() bool { return c.InTransaction() && !c.used.Load() }

// Undos is how often the transaction went back to a savepoint.
func (c *Conn) Undos() int { return c.undos }

var errOpenRows = errors.New("rows of an earlier statement of this transaction are still open: close them first")

// Query runs a statement that returns rows, which must be closed; the end of its View or Update closes them too. The
// arguments are in the driver's form, or what that takes beside. The statement is prepared and kept: where the table may
// get other columns, it must name them instead of a *.
//
// The rows are for one goroutine, and their bytes are valid until the next row.
func (c *Conn) Query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.query(ctx, native, query, args)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Exec runs a statement and returns what it did. One without arguments is not kept, and may be several.
func (c *Conn) Exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	m := cached
	if len(args) == 0 {
		m = plain
	}
	return c.exec(ctx, m, query, args)
}

func (c *Conn) query(ctx context.Context, m manner, query string, args []driver.NamedValue) (*result, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.exit()
	defer c.doubt(ctx)
	if len(c.open) > 0 && !c.db.backend.Embedded {
		return nil, errOpenRows
	}
	c.used.Store(true)
	observed := c.db.observe(cmp.Or(c.shown, query))
	rows, s, err := c.physical.query(ctx, m, query, args)
	if !c.begun && c.physical.outgrown(err, query) {
		rows, s, err = c.physical.query(ctx, m, query, args)
	}
	if err != nil {
		err = c.note(ctx, err)
		observed.done(ctx, c.db, 0, err)
		return nil, err
	}
	r := &result{conn: c, rows: rows, statement: s, observed: observed, ctx: ctx, level: c.depth}
	c.open = append(c.open, r)
	return r, nil
}

func (c *Conn) exec(ctx context.Context, m manner, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.exit()
	defer c.doubt(ctx)
	if len(c.open) > 0 && !c.db.backend.Embedded {
		return nil, errOpenRows
	}
	c.used.Store(true)
	observed := c.db.observe(query)
	result, err := c.physical.exec(ctx, m, query, args)
	if !c.begun && c.physical.outgrown(err, query) {
		result, err = c.physical.exec(ctx, m, query, args)
	}
	if err != nil {
		err = c.note(ctx, err)
		observed.done(ctx, c.db, 0, err)
		return nil, err
	}
	if observed.watched() {
		affected, err := result.RowsAffected()
		if err != nil {
			affected = 0 // some statements have no such number
		}
		observed.done(ctx, c.db, affected, nil)
	}
	return result, nil
}

func (c *Conn) check(ctx context.Context, query string) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.exit()
	defer c.doubt(ctx)
	if len(c.open) > 0 && !c.db.backend.Embedded {
		return nil // it will be seen when it runs
	}
	if err := c.physical.check(ctx, query); err != nil {
		return c.note(ctx, err)
	}
	return nil
}

func (c *Conn) ping(ctx context.Context) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.exit()
	defer c.doubt(ctx)
	if err := c.physical.ping(ctx); err != nil {
		return c.note(ctx, err)
	}
	return nil
}

// closeRows closes the results that were opened within the savepoint; the caller has the turn.
func (c *Conn) closeRows(level int, reason error) {
	for i := len(c.open) - 1; i >= 0; i-- {
		if r := c.open[i]; r.level >= level {
			// What could not be read any more has no reader.
			_ = r.finish(reason)
		}
	}
}

// note gives up a connection that broke, and says in an error what went wrong. The caller has the turn.
func (c *Conn) note(ctx context.Context, err error) error {
	if c.db.lost(err) {
		c.physical.broken = true
	}
	return c.db.wrap(ctx, err)
}

// lost tells whether an error says that a connection, or the way to the database, is gone.
func (db *DB) lost(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || db.backend.Dialect.Classify(err).Class == engine.Down
}

// wrap adds to a driver's error what callers ask for with errors.Is.
func (db *DB) wrap(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		if errors.Is(err, ended) {
			return err
		}
		return fmt.Errorf("%w: %w", ended, err)
	}
	if db.lost(err) {
		return fmt.Errorf("%w: %w", ErrDown, err)
	}
	return err
}
