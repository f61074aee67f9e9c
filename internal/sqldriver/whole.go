package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/capebase/capebase/internal/engine"
)

// UpdateWhole runs a write that is a whole transaction, with the variables of Options. next is called for the rows that it
// returns, until it returns io.EOF. Where done is false and there is no error, nothing was written, and an UpdateRetry can
// find out why: the engine has no such statement, the context has a transaction, no row was returned, or the statement
// failed with undone. Begin and Commit of Options are not called.
func (db *DB) UpdateWhole(ctx context.Context, w *engine.Whole, next func(driver.Rows) error) (done bool, undone, err error) {
	writer, ok := db.backend.Dialect.(engine.WholeWriter)
	if !ok || db.options.Variables == nil || db.joined(ctx) != nil {
		return false, nil, nil
	}
	w.Variables, err = db.options.Variables(ctx)
	if err != nil || len(w.Variables) == 0 {
		return false, nil, err
	}
	c, err := db.lease(ctx, db.writer)
	if err != nil {
		return false, nil, err
	}
	defer c.end()
	if !c.physical.alive() {
		return false, nil, nil
	}
	began := time.Now()
	b := engine.NewBuilder(db.backend.Dialect)
	b.Grow(wholeText, wholeArguments)
	writer.WriteWhole(b, w)
	c.shown = w.Change(b)
	rows, err := c.query(ctx, native, b.String(), b.Args)
	if errors.Is(err, driver.ErrBadConn) && ctx.Err() == nil { // it was never sent
		c.pool.forget()
		return false, err, nil
	}
	if err == nil {
		err = rows.readAll(next)
	}
	switch {
	case err == nil && rows.count > 0:
		c.committed(ctx)
		return true, nil, nil
	case err == nil:
		return false, nil, nil
	case ctx.Err() != nil || !writer.Undone(err) || !c.clear(ctx, writer.Cleared(w.Variables)):
		c.spoil()
		return false, nil, err
	case db.repeatable(err) && time.Since(began) > db.options.WriteWait: // there is no time to wait again
		return false, nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return false, err, nil
}

// What most statements need: bytes of text, and arguments.
const wholeText, wholeArguments = 768, 16

// readAll reads what a statement returns to its very end, where errors of a commit come.
func (r *result) readAll(next func(driver.Rows) error) (err error) {
	defer func() { err = errors.Join(err, r.Close()) }()
	for err == nil {
		err = next(r)
	}
	if errors.Is(err, io.EOF) && r.HasNextResultSet() {
		err = r.NextResultSet()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return r.conn.db.wrap(r.ctx, err)
}

// clear runs statements that ready the connection for others, and tells whether they did.
func (c *Conn) clear(ctx context.Context, statements []string) bool {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	for _, text := range statements {
		if _, err := c.exec(bounded, plain, text, nil); err != nil {
			return false
		}
	}
	return true
}

// spoil makes end close the connection.
func (c *Conn) spoil() {
	// The turn is waited for as end does.
	if c.physical.take(context.Background()) == nil {
		c.physical.broken = true
		c.exit()
	}
}
