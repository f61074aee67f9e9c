package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
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
	m := &member{ctx: ctx, fn: fn, turn: make(chan bool, 1)}
	if db.group.enter(m) || db.await(m) {
		db.lead(m)
	}
	if m.alone {
		return db.UpdateRetry(ctx, fn)
	}
	return m.err
}

// member is one write of a group.
type member struct {
	ctx  context.Context
	fn   func(ctx context.Context, c *Conn) error
	came time.Time // when it began to wait; zero where it led at once
	turn chan bool // gets true when it is to lead the next group, and false once it is done with

	err   error
	alone bool // it has to run by itself
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
	m.came = time.Now()
	g.waiting = append(g.waiting, m)
	return false
}

// await waits for the member's turn, as long as others would for the writer, and tells whether it is to lead.
func (db *DB) await(m *member) bool {
	patience := time.NewTimer(db.options.WriteWait)
	defer patience.Stop()
	ended := m.ctx.Done()
	select {
	case lead := <-m.turn:
		return lead
	case <-ended:
	case <-patience.C:
		ended = nil
	}
	if !db.group.leave(m) {
		return <-m.turn // it is being run, or leads
	}
	db.writer.waited(m.came)
	m.err = db.writer.taken()
	if ended != nil {
		m.err = m.ctx.Err()
	}
	return false
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

// take takes the first of those that wait; nil where there is none.
func (g *group) take() *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.first()
}

func (g *group) first() *member {
	if len(g.waiting) == 0 {
		return nil
	}
	m := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	return m
}

// pass lets the next one lead.
func (g *group) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next := g.first(); next != nil {
		next.turn <- true
	} else {
		g.led = false
	}
}

// lead runs a member's write and those that wait meanwhile in one transaction.
func (db *DB) lead(m *member) {
	defer db.group.pass()
	runtime.Gosched() // requests that are there already can join
	c, err := db.beginUnnamed(m.ctx, driver.TxOptions{}, m.came)
	if err != nil {
		m.fail(db, err)
		return
	}
	defer c.rollback()
	c.ctx = context.WithoutCancel(m.ctx) // it is the transaction of others too
	m.run(c, m.write)
	if m.err != nil {
		return
	}
	var members []*member
	committed := false
	defer func() { // also when this goroutine panics or ends
		for _, other := range members {
			// Who was refused may have been because of what is undone now.
			other.alone = other.alone || !committed
			other.turn <- false
		}
	}()
	db.gather(c, &members)
	err = c.state(c.ctx)
	if err == nil {
		err = c.commitInDriver(c.ctx)
	}
	switch {
	case err == nil:
		committed = true
		c.committed(c.ctx)
	case len(members) > 0:
		m.alone = true
	default:
		m.fail(db, err)
	}
}

// gather runs the writes that wait, each within a savepoint. It notes each before.
func (db *DB) gather(c *Conn, members *[]*member) {
	for len(*members) < maxMembers && time.Since(c.since) < maxGroup {
		m := db.group.take()
		if m == nil {
			return
		}
		*members = append(*members, m)
		db.writer.waited(m.came)
		m.runForOther(c)
	}
}

// runForOther runs the member's write in the transaction of who leads. One that panics has to by itself, where the panic is
// its own goroutine's, with the stack that leads there.
func (m *member) runForOther(c *Conn) {
	defer func() { m.alone = recover() != nil || m.alone }()
	m.run(c, m.nested)
}

// run runs the member's part of a transaction.
func (m *member) run(c *Conn, part func(ctx context.Context, c *Conn) error) {
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
