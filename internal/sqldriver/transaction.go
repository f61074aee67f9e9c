package sqldriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/internal/engine"
)

// lifetime is the context that a driver's transaction keeps: of its BEGIN first, then of its end. A cancelled call would
// otherwise cost the connection, since the driver could not roll back any more.
type lifetime struct {
	context.Context // for values
	present         atomic.Pointer[context.Context]
}

func newLifetime(ctx context.Context) *lifetime {
	l := &lifetime{Context: ctx}
	l.present.Store(&ctx)
	return l
}

func (l *lifetime) enter(ctx context.Context)           { l.present.Store(&ctx) }
func (l *lifetime) Done() <-chan struct{}               { return (*l.present.Load()).Done() }
func (l *lifetime) Err() error                          { return (*l.present.Load()).Err() }
func (l *lifetime) Deadline() (at time.Time, some bool) { return (*l.present.Load()).Deadline() }

// begin opens a transaction on a connection of its own, and notes who does where others may wait for it.
func (db *DB) begin(ctx context.Context, o driver.TxOptions) (*Conn, error) {
	c, err := db.beginUnnamed(ctx, o, time.Time{})
	if err == nil && c.pool.only {
		c.site = new(site)
		c.site.record()
		c.pool.holder.Store(c)
	}
	return c, err
}

// beginUnnamed is begin for transactions that never last. since is when the wait for them began; zero: now.
func (db *DB) beginUnnamed(ctx context.Context, o driver.TxOptions, since time.Time) (*Conn, error) {
	p := db.writer
	if o.ReadOnly {
		p = db.reader
	}
	c, reached, err := db.started(ctx, p, o, since)
	if err != nil && reached && ctx.Err() == nil && db.lost(err) {
		// The connection had died in the pool. Nothing has happened yet: a new one may do.
		p.forget()
		c, _, err = db.started(ctx, p, o, since)
	}
	if err != nil {
		return nil, err
	}
	if !c.writes || db.options.Begin == nil {
		return c, nil
	}
	ready := false
	defer func() {
		if !ready { // by an error or a panic
			c.rollback()
		}
	}()
	if err := db.options.Begin(c.within(ctx), c); err != nil {
		return nil, err
	}
	c.used.Store(false)
	ready = true
	return c, nil
}

// started tells also whether there was a connection at all.
func (db *DB) started(ctx context.Context, p *pool, o driver.TxOptions, since time.Time) (_ *Conn, reached bool, err error) {
	c, err := db.leaseSince(ctx, p, since)
	if err != nil {
		return nil, false, err
	}
	c.writes = !o.ReadOnly
	if err := c.start(ctx, o); err != nil {
		c.end()
		return nil, true, err
	}
	return c, true, nil
}

// start begins the transaction.
func (c *Conn) start(ctx context.Context, o driver.TxOptions) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.exit()
	if err := c.startInDriver(ctx, o); err != nil {
		return c.note(ctx, err)
	}
	c.ctx, c.since, c.begun = ctx, time.Now(), true
	return nil
}

func (c *Conn) startInDriver(ctx context.Context, o driver.TxOptions) error {
	text := c.db.backend.BeginWrite
	if o.ReadOnly {
		text = c.db.backend.BeginRead
	} else if c.db.options.Frame != nil && o.Isolation == driver.IsolationLevel(sql.LevelDefault) {
		frame, err := c.db.options.Frame(ctx)
		if err != nil {
			return err
		}
		if frame.Begin != "" {
			_, err := c.physical.exec(ctx, plain, frame.Begin, nil)
			if err == nil {
				c.frame = frame
			}
			return err
		}
	}
	if text != "" {
		_, err := c.physical.exec(ctx, cached, text, nil)
		return err
	}
	b, ok := c.physical.driver.(driver.ConnBeginTx)
	if !ok {
		return fmt.Errorf("%T has no BeginTx", c.physical.driver)
	}
	var err error
	c.lifetime = newLifetime(ctx)
	c.inDriver, err = b.BeginTx(c.lifetime, o)
	return err
}

// commit ends the transaction for good, or rolls back and says why.
func (c *Conn) commit(ctx context.Context) error {
	defer c.rollback() // when it does not come to a commit, be it by a panic
	if c.writes && c.db.options.Commit != nil {
		if err := c.state(ctx); err != nil {
			return err
		}
		if err := c.stamp(c.within(ctx)); err != nil {
			return err
		}
	}
	return c.commitStamped(ctx)
}

// stamp is what Options says of the end of a write.
func (c *Conn) stamp(ctx context.Context) error {
	if c.db.options.Commit == nil {
		return nil
	}
	return c.db.options.Commit(ctx, c)
}

// commitStamped is commit after stamp. It does not roll back.
func (c *Conn) commitStamped(ctx context.Context) error {
	if err := c.commitInDriver(ctx); err != nil {
		return err
	}
	c.committed(ctx)
	return nil
}

// committed gives the connection back, and tells of what was committed.
func (c *Conn) committed(ctx context.Context) {
	c.end()
	if c.writes && c.db.options.After != nil {
		c.db.options.After(ctx)
	}
}

// state tells whether the transaction can still be used.
func (c *Conn) state(ctx context.Context) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	c.exit()
	return nil
}

func (c *Conn) commitInDriver(ctx context.Context) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.exit()
	if c.depth != 0 {
		return errors.New("a transaction was committed while one nested in it was open")
	}
	c.closeRows(0, sql.ErrTxDone)
	err := c.finish(ctx, "COMMIT", driver.Tx.Commit, c.frame.Commit)
	if err == nil {
		c.begun = false
		return nil
	}
	if c.inDriver != nil {
		// There is nothing left to roll back. When it was not the server that refused, nobody knows what the connection does.
		c.begun = false
		c.physical.broken = !refused(c.db.backend.Dialect.Classify(err).Class)
	}
	return c.note(ctx, err)
}

// refused tells whether a failure is the server's answer, so that its transaction is over.
func refused(class engine.Class) bool {
	switch class {
	case engine.UniqueViolation, engine.NotNull, engine.Check, engine.ForeignKey, engine.Busy:
		return true
	default:
		return false
	}
}

// finish runs the end of a transaction, which the caller's context cannot interrupt.
func (c *Conn) finish(ctx context.Context, text string, inDriver func(driver.Tx) error, framed ...string) error {
	if c.inDriver == nil && !c.Framed() {
		_, err := c.physical.exec(context.WithoutCancel(ctx), cached, text, nil)
		return err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	if c.inDriver != nil {
		c.lifetime.enter(bounded)
		return inDriver(c.inDriver)
	}
	for _, text := range framed {
		if _, err := c.physical.exec(bounded, plain, text, nil); err != nil {
			return err
		}
	}
	return nil
}

// rollback undoes the transaction unless it has ended. A connection that cannot roll back is closed, which does.
func (c *Conn) rollback() {
	if c.ended.Load() || c.physical.take(context.Background()) != nil {
		return
	}
	if c.begun && !c.ended.Load() {
		c.closeRows(0, sql.ErrTxDone)
		c.begun = false
		if err := c.finish(c.ctx, "ROLLBACK", driver.Tx.Rollback, c.frame.Rollback...); err != nil {
			c.physical.broken = true
			c.db.options.Logger.Debug("a rollback failed; its connection is closed", "error", err)
		}
	}
	c.exit()
	c.end()
}

// savepoint opens a nested transaction and returns its level.
func (c *Conn) savepoint(ctx context.Context) (level int, err error) {
	if err := c.enter(ctx); err != nil {
		return 0, err
	}
	defer c.exit()
	if len(c.open) > 0 && !c.db.backend.Embedded {
		return 0, errOpenRows
	}
	if err := c.control(ctx, "SAVEPOINT", c.depth+1); err != nil {
		return 0, c.note(ctx, err)
	}
	c.depth++
	return c.depth, nil
}

var errInterleaved = errors.New("nested transactions of one transaction ran at the same time: give each a transaction of its own")

// releaseSavepoint keeps what was done since.
func (c *Conn) releaseSavepoint(ctx context.Context, level int) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.exit()
	if c.depth != level {
		c.Fail(errInterleaved)
		return errInterleaved
	}
	c.closeRows(level, sql.ErrTxDone)
	if err := c.control(ctx, "RELEASE SAVEPOINT", level); err != nil {
		return c.note(ctx, err)
	}
	c.depth--
	return nil
}

// undo rolls back to a savepoint. When it cannot, the whole transaction fails with cause.
func (c *Conn) undo(ctx context.Context, level int, cause error) {
	if c.ended.Load() || c.physical.take(context.Background()) != nil {
		return
	}
	defer c.exit()
	if c.ended.Load() || !c.begun {
		return
	}
	if c.depth != level {
		c.Fail(errInterleaved)
		return
	}
	c.undos++
	c.closeRows(level, sql.ErrTxDone)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	err := c.control(bounded, "ROLLBACK TO SAVEPOINT", level)
	if err == nil {
		err = c.control(bounded, "RELEASE SAVEPOINT", level)
	}
	c.depth--
	if err != nil {
		c.Fail(errors.Join(cause, c.note(ctx, err)))
	}
}

func (c *Conn) control(ctx context.Context, verb string, level int) error {
	m := plain
	if c.db.backend.Embedded {
		m = cached
	}
	_, err := c.physical.exec(ctx, m, verb+" cape_"+strconv.Itoa(level), nil)
	return err
}
