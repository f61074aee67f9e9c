package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// A group ends after so many members, or this long after its first began, so that none waits for many others.
	maxMembers = 64
	maxGroup   = 5 * time.Millisecond
)

// UpdateGroup is UpdateRetry for a fn that only runs statements of its Conn, none of which takes long. On SQLite, where
// writes take turns, those that wait become one transaction: each is a savepoint of it, one that fails is undone alone, and
// all are answered once the whole is committed. Begin and Commit of Options are called around each of them. What spoils the
// transaction of several makes each of them try again by itself. The context's end is heard while fn waits, not while it runs.
func (db *DB) UpdateGroup(ctx context.Context, fn func(ctx context.Context, c *Conn) error) error {
	if c := db.joined(ctx); !db.writer.only || c != nil && c.writes {
		return db.UpdateRetry(ctx, fn)
	}
	m := &member{ctx: ctx, fn: fn, turn: make(chan bool, 1), came: db.writer.waits()}
	if db.group.enter(m) || db.group.await(m) {
		db.lead(m)
	}
	switch {
	case m.panicked != nil:
		panic(m.panicked)
	case m.alone:
		return db.UpdateRetry(ctx, fn)
	}
	return m.err
}

// member is one write of a group.
type member struct {
	ctx  context.Context
	fn   func(ctx context.Context, c *Conn) error
	came time.Time // for Options.Waited
	turn chan bool // gets true when it is to lead the next group, and false once it is done with

	err      error
	panicked any
	alone    bool // it has to run by itself
}

// group is the writes that wait for each other.
type group struct {
	mu      sync.Mutex
	led     bool      // somebody leads
	waiting []*member // in the order in which they came
}

// enter tells whether the member is to lead at once; otherwise it waits.
func (g *group) enter(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.led {
		g.led = true
		return true
	}
	g.waiting = append(g.waiting, m)
	return false
}

// await waits for the member's turn, and tells whether it is to lead.
func (g *group) await(m *member) bool {
	select {
	case lead := <-m.turn:
		return lead
	case <-m.ctx.Done():
	}
	if g.leave(m) {
		m.err = m.ctx.Err()
		return false
	}
	return <-m.turn // it is being run, or leads
}

// leave takes a member out of those that wait, if it is still there.
func (g *group) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	return i >= 0
}

// take takes at most n of those that wait.
func (g *group) take(n int) []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n = min(n, len(g.waiting))
	taken := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return taken
}

// pass lets the next one lead.
func (g *group) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.led = false
		return
	}
	next := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	next.turn <- true
}

// lead runs a member's write and those that wait meanwhile in one transaction.
func (db *DB) lead(m *member) {
	defer db.group.pass()
	runtime.Gosched() // requests that are there already can join
	c, err := db.beginUnnamed(m.ctx, driver.TxOptions{})
	if err != nil {
		m.fail(db, err)
		if errors.Is(err, ErrBusy) { // the others have waited for the same
			for _, other := range db.group.take(math.MaxInt) {
				other.err = err
				other.turn <- false
			}
		}
		return
	}
	defer c.rollback()
	c.ctx = context.WithoutCancel(m.ctx) // it is the transaction of others too
	m.run(c, m.write)
	if m.err != nil || m.panicked != nil {
		return
	}
	members := db.gather(c)
	defer func() {
		for _, other := range members {
			other.turn <- false
		}
	}()
	err = c.state(c.ctx)
	if err == nil {
		err = c.commitStamped(c.ctx)
	}
	if err == nil {
		return
	}
	// Who was refused may have been because of what is undone now.
	for _, each := range append(members, m) {
		each.alone = each.panicked == nil
	}
	if len(members) == 0 {
		m.fail(db, err)
	}
}

// gather runs the writes that wait, each within a savepoint.
func (db *DB) gather(c *Conn) (members []*member) {
	for len(members) < maxMembers && time.Since(c.since) < maxGroup {
		taken := db.group.take(maxMembers - len(members))
		if len(taken) == 0 {
			break
		}
		for _, m := range taken {
			db.writer.waited(m.came)
			m.run(c, m.nested)
		}
		members = append(members, taken...)
	}
	return members
}

// run runs the member's part of a transaction.
func (m *member) run(c *Conn, part func(ctx context.Context, c *Conn) error) {
	defer func() { m.panicked = recover() }()
	err := m.ctx.Err()
	if err == nil {
		err = part(c.within(context.WithoutCancel(m.ctx)), c)
	}
	if err != nil {
		m.fail(c.db, err)
	}
}

// nested is write within a savepoint.
func (m *member) nested(ctx context.Context, c *Conn) error {
	return c.nested(ctx, func(ctx context.Context, c *Conn) error {
		if c.db.options.Begin != nil {
			if err := c.db.options.Begin(ctx, c); err != nil {
				return err
			}
		}
		return m.write(ctx, c)
	})
}

// write runs the member's function, and what Options says of its end.
func (m *member) write(ctx context.Context, c *Conn) error {
	if err := m.fn(ctx, c); err != nil {
		return err
	}
	return c.stamp(ctx)
}

// fail notes why the member failed: what may pass is tried again.
func (m *member) fail(db *DB, err error) {
	m.err, m.alone = err, !errors.Is(err, ErrBusy) && db.repeatable(err)
}
