package sqldriver

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
)

const (
	// A connection to a server is closed when it is this old, so that a server that came back elsewhere is found, or when
	// it has not been used for that long.
	maxAge  = time.Hour
	maxIdle = 15 * time.Minute
	// trimEvery is how often idle connections are looked at.
	trimEvery = time.Minute
	// closeWait bounds Close's wait for the calls in progress.
	closeWait = 10 * time.Second
	// endWait bounds a rollback or commit, which a cancelled call must not interrupt.
	endWait = 10 * time.Second
)

// pool holds the connections of one kind.
type pool struct {
	db     *DB
	puddle *puddle.Pool[*connection]
	size   int
	only   bool                 // it is SQLite's one writer
	holder atomic.Pointer[Conn] // who has it, where there is only one
	idle   atomic.Int32         // connections given back and not taken again; a hint that may lag
	trim   atomic.Int64         // when idle connections were last looked at, in Unix nanoseconds
}

func newPool(db *DB, c driver.Connector, size int) (*pool, error) {
	p := &pool{db: db, size: size}
	if c == nil {
		return nil, errors.New("no connector")
	}
	if size < 1 || size > 1<<20 {
		return nil, fmt.Errorf("%d connections: want at least one", size)
	}
	p.trim.Store(time.Now().UnixNano())
	var err error
	p.puddle, err = puddle.NewPool(&puddle.Config[*connection]{
		Constructor: func(ctx context.Context) (*connection, error) {
			conn, err := c.Connect(ctx)
			if err != nil {
				return nil, err
			}
			return newConnection(db, conn), nil
		},
		Destructor: func(c *connection) {
			if err := c.close(); err != nil {
				db.options.Logger.Debug("closing a database connection", "error", err)
			}
		},
		MaxSize: int32(size),
	})
	return p, err
}

// acquire waits for a connection that is alive, for WriteWait since then; zero: from now on.
func (p *pool) acquire(ctx context.Context, since time.Time) (*puddle.Resource[*connection], error) {
	for {
		began := since
		if began.IsZero() {
			began = p.waits()
		}
		resource, err := p.wait(ctx, since)
		p.waited(began)
		if err != nil {
			return nil, err
		}
		c := resource.Value()
		if c.idle {
			c.idle = false
			p.idle.Add(-1)
		}
		if err = c.reset(ctx); err == nil {
			return resource, nil
		}
		resource.Destroy()
		if !errors.Is(err, driver.ErrBadConn) {
			return nil, p.db.wrap(ctx, err)
		}
	}
}

func (p *pool) wait(ctx context.Context, since time.Time) (*puddle.Resource[*connection], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Most often a connection is idle: then there is no wait, and no need for a timer. Where none is, TryAcquire would dial
	// one beside Acquire's.
	err := puddle.ErrNotAvailable
	var resource *puddle.Resource[*connection]
	if p.idle.Load() > 0 {
		resource, err = p.puddle.TryAcquire(ctx)
	}
	if errors.Is(err, puddle.ErrNotAvailable) {
		patience := p.db.options.WriteWait
		if !since.IsZero() {
			patience -= time.Since(since)
		}
		timed, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		resource, err = p.puddle.Acquire(timed)
		if err != nil && timed.Err() != nil && ctx.Err() == nil {
			return nil, p.exhausted()
		}
	}
	switch {
	case err == nil:
		return resource, nil
	case errors.Is(err, puddle.ErrClosedPool):
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
}

// exhausted says why the wait was in vain.
func (p *pool) exhausted() error {
	wait := p.db.options.WriteWait
	if int(p.puddle.Stat().AcquiredResources()) < p.size {
		return fmt.Errorf("%w: no connection within %v", ErrDown, wait)
	}
	if !p.only {
		return fmt.Errorf("%w: all %d connections have been in use for %v: are rows or transactions left open?", ErrBusy, p.size, wait)
	}
	return p.taken()
}

// taken says who has the one writer.
func (p *pool) taken() error {
	wait := p.db.options.WriteWait
	holder := "another statement"
	if c := p.holder.Load(); c != nil {
		holder = fmt.Sprintf("the transaction that %s began %v ago", c.site, time.Since(c.since).Round(time.Millisecond))
	}
	return fmt.Errorf("%w: waited %v for the database's one writer, which %s holds; "+
		"if this call is made inside that transaction, give it the transaction's own context or *sql.Tx, not the outer context",
		ErrBusy, wait, holder)
}

// release gives a connection back, or closes it when it is broken or old.
func (p *pool) release(resource *puddle.Resource[*connection]) {
	c := resource.Value()
	if !c.valid() || !p.db.backend.Embedded && time.Since(resource.CreationTime()) > maxAge {
		resource.Destroy()
	} else {
		c.idle = true
		p.idle.Add(1)
		resource.Release()
	}
	p.trimIdle()
}

// forget closes all idle connections: one of them was found dead, and so may be the others.
func (p *pool) forget() {
	p.puddle.Reset()
	p.idle.Store(0)
}

func (p *pool) trimIdle() {
	now := time.Now().UnixNano()
	last := p.trim.Load()
	if p.db.backend.Embedded || time.Duration(now-last) < trimEvery || !p.trim.CompareAndSwap(last, now) {
		return
	}
	idle := p.puddle.AcquireAllIdle()
	// The last to go back is the first to be taken: it must be the one that was used last, or all would be kept in use.
	slices.SortFunc(idle, func(a, b *puddle.Resource[*connection]) int {
		return cmp.Compare(a.LastUsedNanotime(), b.LastUsedNanotime())
	})
	for _, resource := range idle {
		if resource.IdleDuration() > maxIdle {
			if resource.Value().idle {
				p.idle.Add(-1)
			}
			resource.Destroy()
		} else {
			resource.ReleaseUnused()
		}
	}
}

func (p *pool) close() error {
	closed := make(chan struct{})
	go func() {
		p.puddle.Close()
		close(closed)
	}()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-closed:
		return nil
	case <-timer.C:
		return fmt.Errorf("%d database connections were still in use after %v", p.puddle.Stat().AcquiredResources(), closeWait)
	}
}
