package sqldriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// Outside returns the context without the transactions that it holds: calls with it run by themselves.
func Outside(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, (*scope)(nil))
}

// Snapshot runs fn in one consistent read: one snapshot on SQLite, one REPEATABLE READ transaction elsewhere. It does
// not join a transaction of the context, which may see less; calls with fn's context join it.
func (db *DB) Snapshot(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	c, err := db.begin(ctx, driver.TxOptions{Isolation: driver.IsolationLevel(sql.LevelRepeatableRead), ReadOnly: true})
	if err != nil {
		return err
	}
	defer c.rollback()
	return fn(c.within(ctx), c)
}

// maxApart bounds the connections that are beside the pools.
const maxApart = 4

// Apart runs fn with a connection beside those of the pools, which is closed then. It is for what keeps a connection for
// long, or leaves something in its session. Calls with fn's context do not join it.
func (db *DB) Apart(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	c, err := db.lease(ctx, db.apart)
	if err != nil {
		return err
	}
	defer c.discard()
	return fn(ctx, c)
}

// discard is end for a connection that nobody may use again.
func (c *Conn) discard() {
	// The turn is waited for as end does.
	if c.physical.take(context.Background()) == nil {
		c.physical.broken = true
		c.exit()
	}
	c.end()
}

// Wait waits until the server notifies the session of a channel that it listens to, and returns the payload. When the
// context ends it returns its error, and the connection stays usable. [errors.ErrUnsupported] says that the engine, or the
// user's connector, cannot tell.
func (c *Conn) Wait(ctx context.Context) (payload string, err error) {
	if c.db.backend.Wait == nil {
		return "", errors.ErrUnsupported
	}
	if err := c.enter(ctx); err != nil {
		return "", err
	}
	defer c.exit()
	payload, err = c.db.backend.Wait(ctx, c.physical.driver)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return "", c.note(ctx, err)
	}
	return payload, err
}
