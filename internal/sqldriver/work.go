package sqldriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capebase/capebase/internal/engine"
)

// View runs fn with a connection for reading. In a transaction of the context it joins that. Otherwise fn sees one
// snapshot on SQLite (elsewhere with Options.Snapshots), which reads through SQL with fn's context share; writes with
// that context go their own way.
func (db *DB) View(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	if c := db.joined(ctx); c != nil {
		return fn(ctx, c)
	}
	if !db.backend.Embedded && !db.options.Snapshots {
		return db.Read(ctx, fn)
	}
	c, err := db.begin(ctx, driver.TxOptions{Isolation: driver.IsolationLevel(sql.LevelRepeatableRead), ReadOnly: true})
	if err != nil {
		return err
	}
	defer c.rollback()
	return fn(c.within(ctx), c)
}

// Read is View for a single statement, which needs no snapshot: it spares the statements that begin and end one.
func (db *DB) Read(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	if c := db.joined(ctx); c != nil {
		return fn(ctx, c)
	}
	c, err := db.lease(ctx, db.reader)
	if err != nil {
		return err
	}
	c.writes = false
	defer c.end()
	return fn(ctx, c)
}

// Update runs fn in a transaction, which is committed when fn returns nil and rolled back when it returns an error or
// panics. Calls with fn's context join it. In a transaction of the context it is a savepoint.
func (db *DB) Update(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	if c := db.joined(ctx); c != nil && c.writes {
		return c.nested(ctx, fn)
	}
	c, err := db.begin(ctx, driver.TxOptions{})
	if err != nil {
		return err
	}
	defer c.rollback()
	if err := fn(c.within(ctx), c); err != nil {
		return err
	}
	return c.commit(ctx)
}

func (c *Conn) nested(ctx context.Context, fn func(ctx context.Context, c *Conn) error) (err error) {
	level, err := c.savepoint(ctx)
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			c.undo(ctx, level, err)
		}
	}()
	if err := fn(ctx, c); err != nil {
		return err
	}
	if err := c.releaseSavepoint(ctx, level); err != nil {
		return err
	}
	kept = true
	return nil
}

const (
	attempts     = 5
	firstBackoff = 2 * time.Millisecond
)

// UpdateRetry is Update for a fn that may run again: when the database gave up the transaction for the sake of another
// (deadlock, serialization failure), it is tried up to 5 times within WriteWait, with pauses in between, and then fails
// with ErrBusy. In a transaction of the context there is one try: only the whole can be repeated.
func (db *DB) UpdateRetry(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	if c := db.joined(ctx); c != nil && c.writes {
		return c.nested(ctx, fn)
	}
	deadline := time.Now().Add(db.options.WriteWait)
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		err := db.Update(ctx, fn)
		if err == nil || errors.Is(err, ErrBusy) || !db.repeatable(err) {
			return err
		}
		pause := backoff/2 + rand.N(backoff) //nolint:gosec // no secret
		if attempt == attempts || time.Now().Add(pause).After(deadline) {
			return fmt.Errorf("%w after %d attempts: %w", ErrBusy, attempt, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		backoff *= 4
	}
}

func (db *DB) repeatable(err error) bool {
	class := db.backend.Dialect.Classify(err).Class
	return class == engine.Busy || class == engine.Stale
}
