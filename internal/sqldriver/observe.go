package sqldriver

import (
	"context"
	"time"
)

// Statement is what Observe is told.
type Statement struct {
	Query    string        // after the guard; without arguments; the write alone where it is a whole transaction
	Duration time.Duration // until the last row was read, which is also the time that the reader took
	Rows     int64         // read, or affected
	Err      error
}

// observation is one statement being watched; the zero one is of a statement that nobody watches.
type observation struct {
	query string
	start time.Time
	err   error
}

func (db *DB) observe(query string) observation {
	if db.options.Observe == nil {
		return observation{}
	}
	return observation{query: query, start: time.Now()}
}

// watched tells whether anybody wants to hear of the statement.
func (o *observation) watched() bool { return !o.start.IsZero() }

// fail notes an error between rows.
func (o *observation) fail(err error) { o.err = err }

func (o *observation) done(ctx context.Context, db *DB, rows int64, err error) {
	if !o.watched() {
		return
	}
	if err == nil {
		err = o.err
	}
	db.options.Observe(ctx, Statement{Query: o.query, Duration: time.Since(o.start), Rows: rows, Err: err})
}

// PoolStats is what a pool of connections holds and has done.
type PoolStats struct {
	Name     string // "reader", "writer", or "shared" where one pool serves both; "apart" for connections used once
	InUse    int
	Idle     int
	Max      int
	Waits    int64         // times that none was idle, and one had to be waited for, or made
	WaitTime time.Duration // in all of them
}

// Stats returns the current figures of the pools.
func (db *DB) Stats() []PoolStats {
	if db.reader == db.writer {
		return []PoolStats{db.writer.stats("shared"), db.apart.stats("apart")}
	}
	return []PoolStats{db.writer.stats("writer"), db.reader.stats("reader"), db.apart.stats("apart")}
}

func (p *pool) stats(name string) PoolStats {
	s := p.puddle.Stat()
	return PoolStats{
		Name: name, InUse: int(s.AcquiredResources()), Idle: int(s.IdleResources()), Max: p.size,
		Waits: s.EmptyAcquireCount(), WaitTime: s.EmptyAcquireWaitTime(),
	}
}

// waits begins a wait for SQLite's one writer; the zero time is of one that nobody wants to hear of.
func (p *pool) waits() time.Time {
	if !p.only || p.db.options.Waited == nil {
		return time.Time{}
	}
	return time.Now()
}

func (p *pool) waited(since time.Time) {
	if !since.IsZero() && p.only && p.db.options.Waited != nil {
		p.db.options.Waited(time.Since(since))
	}
}
