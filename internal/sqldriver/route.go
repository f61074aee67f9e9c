package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// call is one statement that came through SQL.
type call struct {
	db    *DB
	text  text
	query string
	args  []driver.NamedValue
	guard Guarded
	conn  *Conn // the transaction to run in, nil for none
	// outcome is for the guard's check.
	outcome Outcome
}

// prepareCall finds the transaction of a call, asks the guard, and refuses what would upset the connections.
func (db *DB) prepareCall(ctx context.Context, tx *Conn, query string, known text, args []driver.NamedValue) (*call, error) {
	c := &call{db: db, text: known, query: query, args: args, conn: db.transactionOf(ctx, tx, known)}
	switch {
	case known.control == whole:
		return nil, errors.New("transactions are begun and ended by BeginTx, Commit and Rollback of database/sql, not by text")
	case known.control == savepoint && c.conn == nil:
		return nil, errors.New("a savepoint needs a transaction: begin one with BeginTx")
	}
	if db.options.Guard == nil {
		return c, nil
	}
	var err error
	if c.guard, err = db.options.Guard(ctx, query, args, c.conn != nil); err != nil {
		return nil, err
	}
	c.query, c.args = c.guard.Query, c.guard.Args
	switch {
	case c.guard.Kind == Reads:
		c.text.class = reading
	case c.guard.Kind == Changes:
		c.text.class = changing
	case c.query != query:
		c.text = db.lexicon.inspect(c.query)
	}
	if c.text.class != known.class {
		c.conn = db.transactionOf(ctx, tx, c.text)
	}
	return c, nil
}

// transactionOf returns what the call has to join: the *sql.Tx it was made on, or else its context's transaction.
func (db *DB) transactionOf(ctx context.Context, tx *Conn, t text) *Conn {
	if tx != nil {
		return tx
	}
	c := db.joined(ctx)
	if c != nil && !c.writes && (t.class != reading || c.ended.Load()) {
		return nil // a View's snapshot is for reads
	}
	return c
}

// manner says how the driver gets the statement.
func (c *call) manner() manner {
	switch {
	case len(c.args) == 0 && (!c.db.backend.Embedded || c.text.many || c.text.class == other):
		return plain
	default:
		return cached
	}
}

// renewed tells whether the statement is prepared anew each time, in a transaction: its * may stand for other columns.
func (c *call) renewed() bool { return c.db.backend.Refresh != "" && c.text.star && !c.text.many }

// alone tells whether the statement needs a transaction that it does not have, and that can write.
func (c *call) alone() bool {
	if c.conn != nil {
		return false
	}
	return c.guard.Check != nil || c.renewed() && c.text.class == changing ||
		c.text.class == changing && (c.db.options.Begin != nil || c.db.options.Commit != nil)
}

func (db *DB) exec(ctx context.Context, tx *Conn, query string, known text, args []driver.NamedValue) (driver.Result, error) {
	c, err := db.prepareCall(ctx, tx, query, known, args)
	if err != nil {
		return nil, err
	}
	var result driver.Result
	run := func(ctx context.Context, conn *Conn) (err error) {
		if result, err = conn.exec(ctx, c.manner(), c.query, c.args); err == nil && c.guard.Check != nil {
			c.outcome = outcomeOf(result)
		}
		return err
	}
	switch {
	case c.alone():
		err = db.Update(ctx, c.checked(run))
	case c.conn != nil:
		err = c.checked(run)(ctx, c.conn)
	default:
		err = c.single(ctx, run)
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (db *DB) query(ctx context.Context, tx *Conn, query string, known text, args []driver.NamedValue) (driver.Rows, error) {
	c, err := db.prepareCall(ctx, tx, query, known, args)
	if err != nil {
		return nil, err
	}
	var rows driver.Rows
	stream := func(ctx context.Context, conn *Conn) error {
		r, err := c.run(ctx, conn)
		if err == nil {
			rows = r
		}
		return err
	}
	hold := func(ctx context.Context, conn *Conn) error {
		r, err := c.run(ctx, conn)
		if err != nil {
			return err
		}
		held, err := holdRows(r, c.guard)
		if err == nil {
			rows, c.outcome.Rows = held, len(held.rows)
		}
		return err
	}
	switch {
	case c.alone():
		err = db.Update(ctx, c.checked(hold))
	case c.guard.Check != nil:
		err = c.checked(hold)(ctx, c.conn)
	case c.conn != nil:
		err = stream(ctx, c.conn)
	case c.text.class != reading && db.writer.only:
		// To keep the writer until the rows are closed would lock out a write from within their loop.
		err = c.single(ctx, hold)
	default:
		err = c.again(ctx, func() error { return c.borrow(ctx, &rows) })
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// run runs a query.
func (c *call) run(ctx context.Context, conn *Conn) (*result, error) {
	m := c.manner()
	if c.renewed() {
		m = fresh
	}
	r, err := conn.query(ctx, m, c.query, c.args)
	if err != nil {
		return nil, err
	}
	r.undeclared, r.leaves = c.db.textTimes, true
	return r, nil
}

// borrow runs a query by itself; its rows keep the connection until they are closed.
func (c *call) borrow(ctx context.Context, rows *driver.Rows) error {
	conn, err := c.borrowed(ctx)
	if err != nil {
		return err
	}
	r, err := c.run(ctx, conn)
	if err != nil {
		conn.rollback()
		return err
	}
	r.borrowed = true
	*rows = r
	return nil
}

// checked puts the guard's check around run.
func (c *call) checked(run func(context.Context, *Conn) error) func(context.Context, *Conn) error {
	if c.guard.Check == nil {
		return run
	}
	return func(ctx context.Context, conn *Conn) error {
		if err := conn.state(ctx); err != nil {
			return err
		}
		c.outcome = Outcome{Affected: -1}
		after, err := c.guard.Check(conn.within(ctx), conn)
		if err != nil {
			if !errors.Is(err, errOpenRows) { // which the statement itself would have met
				conn.Fail(err)
			}
			return err
		}
		failed := run(ctx, conn)
		if after == nil || failed != nil && c.db.aborts {
			return failed
		}
		c.outcome.Failed = failed != nil
		if err := after(conn.within(ctx), c.outcome); err != nil {
			// Where the connection is of no use any more, that is what the caller should hear.
			err = errors.Join(failed, err)
			conn.Fail(err)
			return err
		}
		return failed
	}
}

func outcomeOf(result driver.Result) Outcome {
	affected, err := result.RowsAffected()
	if err != nil {
		affected = -1 // some statements have no such number
	}
	return Outcome{Affected: affected}
}

func (c *call) pool() *pool {
	if c.text.class == reading {
		return c.db.reader
	}
	return c.db.writer
}

// single runs a statement by itself on a connection of the right kind.
func (c *call) single(ctx context.Context, run func(context.Context, *Conn) error) error {
	err := c.again(ctx, func() error {
		conn, err := c.db.lease(ctx, c.pool())
		if err != nil {
			return err
		}
		defer conn.end()
		return run(ctx, conn)
	})
	if err == nil && c.text.class != reading && c.db.options.After != nil {
		c.db.options.After(ctx)
	}
	return err
}

func (c *call) borrowed(ctx context.Context) (*Conn, error) {
	if c.renewed() {
		return c.db.begin(ctx, driver.TxOptions{ReadOnly: true})
	}
	return c.db.lease(ctx, c.pool())
}

// again runs a second time what found its connection dead, where nothing can have happened: the driver says so, or the
// statement only reads.
func (c *call) again(ctx context.Context, run func() error) error {
	err := run()
	if err == nil || ctx.Err() != nil || c.db.backend.Embedded {
		return err
	}
	if !errors.Is(err, driver.ErrBadConn) && !(c.text.class == reading && c.db.lost(err)) {
		return err
	}
	c.pool().forget()
	if again := run(); again != nil {
		return fmt.Errorf("%w (first: %w)", again, err)
	}
	return nil
}
