package capebase

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/guard"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/internal/store"
)

// DB is a GORM session limited to what ctx's identity may do, in ctx's transaction if it has one. It sees the rows of
// published tables that their read rules allow, and of the others all; it fills managed fields of what it creates, leaves
// rows alone that the caller may not change or delete, and fails with [ErrPermission], for good in a transaction, where a
// row that it created or changed breaks a rule. A write to a single row named by its key that the caller may only read is
// ErrPermission too. An identity is put into ctx by routes, [Cape.Middleware] and [auth.With]; without one the caller is
// anonymous. [auth.Privileged] lifts the limits.
//
// A constraint that refuses a row is [ErrConflict] or [ErrInvalid], a database that is busy or away an [Error] with the
// code "unavailable"; all unwrap to the driver's error, and may be returned from a typed route. What cannot be limited is
// refused with an error that says how to write it instead. Before Start every statement fails with [ErrNotStarted], but a
// repository may be made; the functions of OnStart may use sessions.
func (c *Cape) DB(ctx context.Context) *gorm.DB {
	return c.gorm.WithContext(ctx) // which admit refuses, once it asks the database
}

// SQL is a pool limited as [Cape.DB] is, by the context of each call; open it once and share it. Statements may be
// prepared without an identity: the context of each execution decides. Rows that the caller may not read are not there
// for UPDATE and DELETE either; a statement that creates, changes or deletes a row against the rules fails with
// [ErrPermission] and leaves nothing behind, and the rows that a changing statement returns are held back until then (at
// most 10,000). Calls with the context of [Cape.Transaction] join it. The pool is closed by [Cape.Close].
func (c *Cape) SQL() *sql.DB { return c.db.SQL() }

// Transaction runs fn in a transaction that [Cape.DB] and [Cape.SQL] join through fn's context. It is committed when fn
// returns nil, and rolled back when fn returns an error, which Transaction returns as it is, or panics. Within another
// transaction of the context it is a savepoint. A statement that broke a rule fails the whole transaction: what follows
// and the commit return [ErrPermission], also when fn goes on. fn runs once: a deadlock is an [Error] with the code
// "unavailable".
//
// On SQLite, where one transaction writes at a time, a write with another context than fn's waits for [Limits].WriteWait
// and fails with an error that names this mistake.
func (c *Cape) Transaction(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := c.admit(ctx); err != nil {
		return err
	}
	var failed error
	err := c.db.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error {
		failed = fn(ctx)
		return failed
	})
	if failed != nil {
		return failed
	}
	return c.report(ctx, err)
}

// sessions is what DB, SQL and Transaction stand on.
type sessions struct {
	opened atomic.Bool                 // until then GORM and its plugins may look at the database
	guard  atomic.Pointer[guard.Guard] // nil until Start has prepared the database
}

// admit refuses sessions before Start.
func (c *Cape) admit(ctx context.Context) error {
	if c.guard.Load() != nil || !c.opened.Load() || caller.Internal(ctx) {
		return nil
	}
	return ErrNotStarted
}

// limit asks the guard about a statement.
func (c *Cape) limit(ctx context.Context, query string, args []driver.NamedValue, inTx bool) (sqldriver.Guarded, error) {
	g := c.guard.Load()
	if g == nil || caller.Internal(ctx) {
		return sqldriver.Guarded{Query: query, Args: args}, nil
	}
	return g.Limit(ctx, query, args, inTx)
}

// report explains the errors of sessions. CapeBase's own statements keep the database's: the store knows more of them.
func (c *Cape) report(ctx context.Context, err error) error {
	if caller.Internal(ctx) {
		return err
	}
	c.refusedSession(ctx, err)
	return store.Problem(c.backend.Dialect, err)
}

// protect makes the guard; from then on sessions may be used.
func (c *Cape) protect(ctx context.Context, all []*published) error {
	tables := make([]guard.Table, len(all))
	for i, p := range all {
		tables[i] = guard.Table{Model: p.model, Rules: p.rules}
	}
	g := guard.New(c.db, c.live.Load().journal, tables, c.config.Logger)
	g.Refused = c.refusedSession
	if err := g.Refresh(ctx); err != nil {
		return err
	}
	c.guard.Store(g)
	return nil
}

// internalGorm is GORM for CapeBase's own statements.
func (c *Cape) internalGorm(ctx context.Context) *gorm.DB {
	return c.gorm.WithContext(caller.WithInternal(ctx))
}

// refreshEvery is how long a view or function that was made under the running program may be unknown to the guard.
const refreshEvery = time.Minute

// refreshGuard looks for changes of the schema until ctx ends.
func (c *Cape) refreshGuard(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.guard.Load().Refresh(ctx); err != nil && ctx.Err() == nil {
			c.config.Logger.Warn("views and functions could not be looked up for sessions", "error", err)
		}
	}
}
