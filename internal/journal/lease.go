package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	// leaseTime is how long a consumer stays with a process that was killed, at most.
	leaseTime = 6 * time.Second
	// leaseRenewal is how often a lease is extended while a handler runs or nothing happens.
	leaseRenewal = 2 * time.Second
	// leaseDoubt is the age of a lease from which no handler is called before it was extended.
	leaseDoubt = 4 * time.Second
	// saveTime bounds a try to save a position.
	saveTime = 5 * time.Second
	// saveAfter is how long handlers may go on before the position is saved. Handlers that take longer than this have it
	// saved after each entry; quick ones share a write.
	saveAfter = 20 * time.Millisecond
)

// errTaken says that another process has the consumer.
var errTaken = errors.New("another process has taken the consumer")

// lease is the right of one process to run a consumer. Whatever it writes carries its fence: once another process has
// the consumer, nothing is written any more.
type lease struct {
	journal *Journal
	name    string
	fence   int64

	mu    sync.Mutex // held while the state is written, so that an older one never overwrites a newer one
	state consumerState
	dirty bool      // the state is not written yet
	saved time.Time // since when the lease runs, and the state is written
}

// consumerState is where a consumer is.
type consumerState struct {
	Mark        // of the last entry that is done
	tries int64 // that failed, of the entry after it
}

// acquire takes a consumer that is free. It returns nil when another process has it, or when there is no such consumer,
// which registered tells.
func (j *Journal) acquire(ctx context.Context, name, owner string) (l *lease, registered bool, err error) {
	d := j.db.Dialect()
	look := engine.NewBuilder(d)
	look.Write("SELECT CASE WHEN ", d.Quote("leased"), " < ", j.source.now(), " THEN 1 ELSE 0 END FROM ", j.source.name(consumerTable), " WHERE ")
	equal(look, "name", name)
	free := false
	err = j.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, look.String(), look.Args, func(row []driver.Value) error {
			registered, free = true, intOf(row[0]) != 0
			return nil
		})
	})
	if err != nil || !free {
		return nil, registered, err
	}
	began := time.Now()
	err = j.db.UpdateRetry(own(ctx), func(ctx context.Context, c *sqldriver.Conn) (err error) {
		l, err = j.take(ctx, c, name, owner)
		return err
	})
	if l != nil {
		l.saved = began
	}
	return l, true, err
}

func (j *Journal) take(ctx context.Context, c *sqldriver.Conn, name, owner string) (*lease, error) {
	d, table := j.db.Dialect(), j.source.name(consumerTable)
	take := engine.NewBuilder(d)
	take.Write("UPDATE ", table, " SET ", d.Quote("fence"), " = ", d.Quote("fence"), " + 1, ")
	equal(take, "owner", owner)
	take.Write(", ", d.Quote("leased"), " = ", j.source.now(), " + ")
	take.Raw(leaseTime.Microseconds())
	take.Write(" WHERE ", d.Quote("leased"), " < ", j.source.now(), " AND ")
	equal(take, "name", name)
	if n, err := changes(ctx, c, take); err != nil || n == 0 {
		return nil, err
	}
	read := engine.NewBuilder(d)
	read.Write("SELECT ", d.Quote("position"), ", ", d.Quote("nonce"), ", ", d.Quote("tries"), ", ", d.Quote("fence"), " FROM ", table, " WHERE ")
	equal(read, "name", name)
	l := &lease{journal: j, name: name}
	err := each(ctx, c, read.String(), read.Args, func(row []driver.Value) error {
		l.state = consumerState{Mark: Mark{intOf(row[0]), nonceFrom(intOf(row[1]))}, tries: intOf(row[2])}
		l.fence = intOf(row[3])
		return nil
	})
	return l, err
}

// move notes a state; it is written by the next save.
func (l *lease) move(to consumerState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.dirty = to, true
}

// now is the state.
func (l *lease) now() consumerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// age is the time since the lease was last extended; dirty tells whether there is something to write.
func (l *lease) age() (age time.Duration, dirty bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.saved), l.dirty
}

// step is a change of the state together with what belongs to it.
type step struct {
	to   consumerState
	also func(ctx context.Context, c *sqldriver.Conn) error // in the same transaction
}

// save writes the state and extends the lease; a step, which may be nil, is taken when that succeeds. It does not end
// with ctx: what a handler has done is saved. Its error is errTaken when the lease is another's.
func (l *lease) save(ctx context.Context, s *step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s == nil {
		s = &step{to: l.state}
	}
	began := time.Now()
	if err := l.write(ctx, true, s); err != nil {
		return err
	}
	l.state, l.saved, l.dirty = s.to, began, false
	return nil
}

// release frees the consumer. It writes the state unless that is of a journal that was replaced: the other one has its own.
func (l *lease) release(ctx context.Context, state bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !state {
		return l.write(ctx, false, nil)
	}
	return l.write(ctx, false, &step{to: l.state})
}

// write extends or ends the lease and takes a step; without one, which is nil, the state stays as it is.
func (l *lease) write(ctx context.Context, keep bool, s *step) error {
	d := l.journal.db.Dialect()
	q := engine.NewBuilder(d)
	q.Write("UPDATE ", l.journal.source.name(consumerTable), " SET ")
	if s != nil {
		equal(q, "position", s.to.Position)
		q.Write(", ")
		equal(q, "nonce", nonceTo(s.to.Nonce))
		q.Write(", ")
		equal(q, "tries", s.to.tries)
		q.Write(", ")
	}
	q.Write(d.Quote("leased"), " = ")
	if keep {
		q.Write(l.journal.source.now(), " + ")
		q.Raw(leaseTime.Microseconds())
	} else {
		q.Write("0")
	}
	q.Write(" WHERE ")
	equal(q, "name", l.name)
	q.Write(" AND ")
	equal(q, "fence", l.fence)
	return l.journal.db.UpdateRetry(own(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		n, err := changes(ctx, c, q)
		switch {
		case err != nil:
			return err
		case n == 0:
			return errTaken
		case s != nil && s.also != nil:
			return s.also(ctx, c)
		}
		return nil
	})
}

// keep saves until it succeeds: while the database is away nobody else can take the consumer. It gives up when the
// lease is another's, or waiting ends.
func (l *lease) keep(waiting context.Context, s *step) error {
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		err := l.save(waiting, s)
		if err == nil || errors.Is(err, errTaken) || waiting.Err() != nil {
			return err
		}
		l.journal.log.WarnContext(waiting, "journal: a consumer's position could not be saved", "consumer", l.name, "error", err, "after", backoff)
		pause(waiting, backoff)
	}
}

// renew extends the lease from time to time until ctx ends, and calls taken once the lease is another's.
func (l *lease) renew(ctx context.Context, taken func()) {
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if age, dirty := l.age(); age < leaseRenewal/2 && !dirty {
			continue
		}
		switch err := l.save(ctx, nil); {
		case errors.Is(err, errTaken):
			taken()
			return
		case err != nil:
			l.journal.log.WarnContext(ctx, "journal: a consumer's lease could not be extended", "consumer", l.name, "error", err)
		}
	}
}

// equal writes a comparison, or an assignment.
func equal(q *engine.Builder, column string, v driver.Value) {
	q.Quote(column)
	q.Write(" = ")
	q.Raw(v)
}

// changes runs a statement and tells how many rows it matched.
func changes(ctx context.Context, c *sqldriver.Conn, q *engine.Builder) (int64, error) {
	result, err := c.Exec(ctx, q.String(), q.Args)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("rows affected: %w", err)
	}
	return n, nil
}

// Columns are signed, and hold a nonce bit by bit.

func nonceTo(nonce uint64) int64 { return int64(nonce) } //nolint:gosec // bits, not a number

func nonceFrom(column int64) uint64 { return uint64(column) } //nolint:gosec // likewise
