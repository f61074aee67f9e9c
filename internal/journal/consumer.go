package journal

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// ConsumerOptions configures a Consumer.
type ConsumerOptions struct {
	// FromStart registers the consumer at the journal's oldest entry; otherwise it gets what is committed from then on.
	FromStart bool
	// Tries is how often a handler may fail with an entry before that is set aside; default 20, which takes some 12
	// minutes of pauses.
	Tries int
	// Table is the index of the table whose entries are handled, or AllTables.
	Table int
	// Gap hands a gap to the handler before anything else: the journal was replaced while this program ran, and it cannot
	// be known what came between.
	Gap bool
}

// Handler handles an entry. It may be called again for the same entry: after a crash, or when it was cancelled. Its
// context ends with that of Run, and when another process has taken the consumer.
type Handler func(ctx context.Context, e *Entry) error

// Consumer hands the entries of a table to a handler, at least once each and in order, in one process at a time. Its
// position is in the database. Several processes run the same consumer: one has the lease, and the others take over
// within 7 seconds when that one is killed.
type Consumer struct {
	journal *Journal
	log     *slog.Logger
	name    string
	options ConsumerOptions
}

// Consumer returns the consumer of a name, which is at most 191 characters. It touches nothing in the database.
func (j *Journal) Consumer(name string, o ConsumerOptions) *Consumer {
	if o.Tries <= 0 {
		o.Tries = 20
	}
	return &Consumer{journal: j, log: j.log.With("consumer", name), name: name, options: o}
}

const (
	standbyPause = time.Second // between looks of a process that does not have the consumer
	firstRetry   = 100 * time.Millisecond
	lastRetry    = time.Minute
)

// Register notes where a consumer begins, unless the database knows it already. Run does so too; what is committed
// between is then not handled.
func (c *Consumer) Register(ctx context.Context) error {
	if c.name == "" || utf8.RuneCountInString(c.name) > nameSize || !predicate.ValidText(c.name) {
		return fmt.Errorf("journal: a consumer's name %q: expected 1 to %d characters", c.name, nameSize)
	}
	j := c.journal
	known := false
	look := engine.NewBuilder(j.db.Dialect())
	look.Write("SELECT 1 FROM ", j.source.name(consumerTable), " WHERE ")
	equal(look, "name", c.name)
	err := j.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, look.String(), look.Args, func([]driver.Value) error {
			known = true
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("journal: consumer %s: %w", c.name, err)
	}
	if known {
		return nil
	}
	floor, head, err := j.bounds(ctx)
	if err != nil {
		return err
	}
	at := head
	if c.options.FromStart {
		at = floor
	}
	err = j.db.UpdateRetry(own(ctx), func(ctx context.Context, conn *sqldriver.Conn) error { return c.insert(ctx, conn, at) })
	if err != nil && j.db.Dialect().Classify(err).Class != engine.UniqueViolation { // another process was faster
		return fmt.Errorf("journal: consumer %s: %w", c.name, err)
	}
	return nil
}

func (c *Consumer) insert(ctx context.Context, conn *sqldriver.Conn, at Mark) error {
	d := c.journal.db.Dialect()
	q := engine.NewBuilder(d)
	q.Write("INSERT INTO ", c.journal.source.name(consumerTable), " (")
	for _, column := range [...]string{"name", "position", "nonce", "tries", "owner", "leased", "fence"} {
		q.Quote(column)
		q.Write(", ")
	}
	q.Quote("registered")
	q.Write(") VALUES (")
	q.Raw(c.name)
	q.Write(", ")
	q.Raw(at.Position)
	q.Write(", ")
	q.Raw(nonceTo(at.Nonce))
	q.Write(", 0, '', 0, 0, ", c.journal.source.now(), ")")
	_, err := conn.Exec(ctx, q.String(), q.Args)
	return err
}

// run is one Run.
type run struct {
	*Consumer
	owner   string
	working context.Context // ends with Run's
	waiting context.Context // ends with that, and with stop
	next    func(ctx context.Context, after int64) ([]Entry, error)
	handle  Handler
	gap     bool // the handler is to get one
}

// Run handles entries until ctx ends or stop is closed, which is no error, while this process has the lease, and waits
// for that otherwise. After stop it returns once the running handler has, and has saved its position; the end of ctx
// cancels the handler's context. next returns entries after a position, at least one, and waits for them: Feed.Next
// does. Errors of the database are logged, and it tries again; ErrReplaced, which next returns, ends Run.
//
// The position is saved after the handler; entries that took less than 20 ms in all are saved together. Where entries
// were pruned before the consumer came to them, which Options.Hold forbids for long, it is lost: the handler gets a Gap.
func (c *Consumer) Run(ctx context.Context, stop <-chan struct{}, next func(ctx context.Context, after int64) ([]Entry, error), handle Handler) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-waiting.Done():
		}
	}()
	r := &run{Consumer: c, owner: owner(), working: ctx, waiting: waiting, next: next, handle: handle, gap: c.options.Gap}
	backoff := firstBackoff
	for waiting.Err() == nil {
		began := time.Now()
		err := r.turn()
		switch {
		case waiting.Err() != nil:
		case errors.Is(err, ErrReplaced):
			return err
		case err == nil: // another process has it
			pause(waiting, standbyPause/2+mrand.N(standbyPause/2)) //nolint:gosec // no secret
		default:
			if time.Since(began) > lastBackoff {
				backoff = firstBackoff
			}
			c.log.WarnContext(ctx, "journal: a consumer will begin again", "error", err, "after", backoff)
			pause(waiting, backoff)
			backoff = min(2*backoff, lastBackoff)
		}
	}
	return nil
}

// owner names this run for those who look into the table.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// turn runs the consumer for as long as this process has it. It returns nil when another has.
func (r *run) turn() (err error) {
	l, registered, err := r.journal.acquire(r.waiting, r.name, r.owner)
	if err != nil {
		return err
	}
	if !registered {
		if err := r.Register(r.waiting); err != nil {
			return err
		}
		l, _, err = r.journal.acquire(r.waiting, r.name, r.owner)
	}
	if err != nil || l == nil {
		return err
	}
	working, cancel := context.WithCancelCause(r.working)
	waiting, cancelWaiting := context.WithCancel(r.waiting)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(working, func() {
			cancel(errTaken)
			cancelWaiting()
		})
	}()
	defer func() {
		cancelWaiting()
		cancel(nil)
		<-renewed
		if released := l.release(r.working, !errors.Is(err, ErrReplaced)); !errors.Is(released, errTaken) {
			err = errors.Join(err, released)
		}
		if errors.Is(err, errTaken) {
			r.log.WarnContext(r.working, "journal: the lease of a consumer ran out, and another process took it")
			err = nil
		}
	}()
	s := &shift{run: r, lease: l, working: working, waiting: waiting}
	if err := s.verify(); err != nil {
		return err
	}
	return s.serve()
}

// shift is the time from the acquisition of a lease to its end.
type shift struct {
	*run
	lease            *lease
	working, waiting context.Context // they end with the lease too
}

// verify compares the position with the journal, which may have been pruned, or be another one.
func (s *shift) verify() error {
	state, floor, err := s.journal.stateOf(s.waiting, s.lease.now().Mark)
	switch {
	case err != nil:
		return err
	case state != OK:
		err = s.lost(floor)
	case s.gap:
		s.log.WarnContext(s.waiting, "journal: it was replaced; a consumer gets a gap and goes on from its position", "position", s.lease.now().Position)
		err = s.one(gapAt(s.lease.now().Mark))
	}
	if err == nil && s.waiting.Err() == nil {
		s.gap = false
	}
	return err
}

// gapAt is a gap of all tables.
func gapAt(m Mark) *Entry {
	return &Entry{Mark: m, Table: AllTables, Op: Gap, Time: time.Now().UTC()}
}

// lost hands on a gap, and goes on from the floor.
func (s *shift) lost(floor Mark) error {
	s.log.ErrorContext(s.waiting, "journal: entries that a consumer had not handled yet are gone; it gets a gap and goes on with the oldest that is there",
		"position", s.lease.now().Position, "floor", floor.Position, "error", ErrPruned)
	return s.one(gapAt(floor))
}

func (s *shift) serve() error {
	for {
		entries, err := s.next(s.waiting, s.lease.now().Position)
		switch {
		case s.waiting.Err() != nil:
			return nil
		case errors.Is(err, ErrPruned):
			floor, err := s.journal.Floor(s.waiting)
			if err != nil {
				return err
			}
			if err := s.lost(floor); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := s.page(entries); err != nil {
			return err
		}
	}
}

func (s *shift) page(entries []Entry) error {
	handled := false
	for i := range entries {
		e := &entries[i]
		if s.waiting.Err() != nil {
			return nil // release saves
		}
		if t := s.options.Table; t != AllTables && e.Table != t && (e.Op != Gap || e.Table != AllTables) {
			s.lease.move(consumerState{Mark: e.Mark}) // written by the next renewal
			continue
		}
		handled = true
		if err := s.one(e); err != nil {
			return err
		}
	}
	if _, dirty := s.lease.age(); handled && dirty {
		return s.lease.keep(s.waiting, nil)
	}
	return nil
}

// one handles an entry until it is done or set aside. It returns nil also when waiting ended before.
func (s *shift) one(e *Entry) error {
	for {
		age, _ := s.lease.age()
		if age > leaseDoubt { // this process was halted, or the database away
			if err := s.lease.keep(s.waiting, nil); err != nil {
				return err
			}
		}
		err := s.call(s.working, s.handle, e)
		if err == nil {
			s.lease.move(consumerState{Mark: e.Mark})
			if age, _ := s.lease.age(); age < saveAfter {
				return nil
			}
			return s.lease.keep(s.waiting, nil)
		}
		if s.working.Err() != nil {
			return context.Cause(s.working)
		}
		if done, err := s.failed(e, err); done || err != nil {
			return err
		}
		if s.waiting.Err() != nil {
			return nil
		}
	}
}

// failed counts a try, and waits for the next one or sets the entry aside.
func (s *shift) failed(e *Entry, fault error) (done bool, err error) {
	state := s.lease.now()
	tries := state.tries + 1
	if tries >= int64(s.options.Tries) {
		s.log.ErrorContext(s.waiting, "journal: a consumer failed too often with an entry, which is set aside", "position", e.Position, "error", fault, "tries", tries)
		return true, s.setAside(e, tries, fault)
	}
	wait := retryPause(tries)
	s.log.WarnContext(s.waiting, "journal: a consumer failed with an entry", "position", e.Position, "error", fault, "tries", tries, "after", wait)
	s.lease.move(consumerState{state.Mark, tries})
	if err := s.lease.keep(s.waiting, nil); err != nil {
		return false, err
	}
	pause(s.waiting, wait)
	return false, nil
}

// retryPause is the pause after a number of tries, with jitter.
func retryPause(tries int64) time.Duration {
	wait := lastRetry
	if tries < 12 {
		wait = min(lastRetry, firstRetry<<(tries-1))
	}
	return wait/2 + mrand.N(wait) //nolint:gosec // no secret
}

// call calls a handler; what it panics with is an error.
func (c *Consumer) call(ctx context.Context, handle Handler, e *Entry) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.log.ErrorContext(ctx, "journal: a consumer panicked", "position", e.Position, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return handle(ctx, e)
}
