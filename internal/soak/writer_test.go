package soak

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// step is a statement of a script; ? marks its arguments, which are safe to be written into it.
type step struct {
	query  string
	args   []any
	counts func(affected int64) int64                 // the rows that it wrote, by what the database says
	orm    func(*gorm.DB) (affected int64, err error) // the same by GORM; nil where GORM runs the query
	copied string                                     // the same for psql, with data; "" where it runs the query
}

// group is a part of a script, maybe within a savepoint.
type group struct {
	steps     []step
	savepoint bool
	undone    bool // the savepoint is rolled back to
}

// script is a transaction before it runs.
type script struct {
	tag    string
	groups []group
	commit bool
	pauses []time.Duration // before steps, in their order
	open   *atomic.Int64   // counts transactions that have written and not ended
}

// outcome is what a writer knows of a transaction.
type outcome struct {
	state state
	wrote int64 // rows, if it was committed
}

type state uint8

const (
	rolledBack state = iota
	committed
	cutOff // nobody told
)

// ledger holds the outcomes of all transactions, by their tags.
type ledger struct {
	mu       sync.Mutex
	outcomes map[string]outcome
	totals   *totals
}

func (l *ledger) note(tag string, o outcome) {
	l.mu.Lock()
	l.outcomes[tag] = o
	l.mu.Unlock()
	l.totals.transactions.Add(1)
	switch o.state {
	case committed:
		l.totals.committed.Add(1)
		l.totals.acknowledged.Add(o.wrote)
	case rolledBack:
		l.totals.rolledBack.Add(1)
	default:
		l.totals.unknown.Add(1)
	}
}

// verify compares what writers know with what the journal has.
func (l *ledger) verify(wrote map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tag, o := range l.outcomes {
		got := wrote[tag]
		switch {
		case o.state == committed && got < o.wrote:
			l.totals.fault(&l.totals.lost, "transaction %s wrote %d rows, and the journal has %d", tag, o.wrote, got)
		case o.state == committed && got > o.wrote:
			l.totals.fault(&l.totals.doubled, "transaction %s wrote %d rows, and the journal has %d", tag, o.wrote, got)
		case o.state == rolledBack && got > 0:
			l.totals.fault(&l.totals.wrong, "transaction %s was rolled back, and the journal has %d rows", tag, got)
		case o.state == cutOff && got != 0 && got != o.wrote && o.wrote >= 0:
			l.totals.fault(&l.totals.broken, "transaction %s of %d rows was cut off, and the journal has %d", tag, o.wrote, got)
		}
	}
	for tag := range wrote {
		if _, known := l.outcomes[tag]; !known {
			l.totals.fault(&l.totals.wrong, "the journal has a transaction %q that nobody ran", tag)
		}
	}
}

// executor runs scripts in one of the ways to write.
type executor interface {
	execute(ctx context.Context, s *script) outcome
}

// writer runs random scripts, one after the other.
type writer struct {
	name     string
	executor executor
	author   *author
	ledger   *ledger
	think    time.Duration // at most, between transactions
}

func (w *writer) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		s := w.author.script(fmt.Sprintf("%s-%d", w.name, n))
		// A transaction that has begun is not cut off by the end of the test.
		o := w.executor.execute(context.WithoutCancel(ctx), s)
		w.ledger.note(s.tag, o)
		wait(ctx, time.Duration(w.author.random.Int64N(int64(w.think)+1)))
	}
}

// author makes up scripts.
type author struct {
	random *rand.Rand
	engine string
	shared *sharedKeys
	hold   time.Duration // longest pause within a transaction
}

// sharedKeys are what writers know of each other's rows.
type sharedKeys struct {
	tasks, memos atomic.Int64
	open         atomic.Int64 // transactions that have written and not ended
}

func (a *author) script(tag string) *script {
	s := &script{tag: tag, commit: a.random.IntN(6) > 0, open: &a.shared.open}
	length := 1 + int(a.random.ExpFloat64()*6)
	for length > 0 {
		g := group{savepoint: a.random.IntN(5) == 0}
		g.undone = g.savepoint && a.random.IntN(2) == 0
		for range 1 + a.random.IntN(min(length, 4)) {
			g.steps = append(g.steps, a.step(tag))
			length--
			pause := time.Duration(0)
			if a.random.IntN(12) == 0 {
				pause = time.Duration(a.random.Int64N(int64(a.hold) + 1))
			}
			s.pauses = append(s.pauses, pause)
		}
		s.groups = append(s.groups, g)
	}
	return s
}

func asIs(affected int64) int64     { return affected }
func nothing(int64) int64           { return 0 }
func one(int64) int64               { return 1 }
func oneIfAny(affected int64) int64 { return min(affected, 1) }

// statement is a step whose arguments stand in its query.
func statement(counts func(int64) int64, query string, args ...any) step {
	return step{query: query, args: args, counts: counts}
}

// inline writes the arguments into the query.
func (s *step) inline() string {
	var b strings.Builder
	rest := s.query
	for _, arg := range s.args {
		head, tail, _ := strings.Cut(rest, "?")
		b.WriteString(head)
		switch arg := arg.(type) {
		case string:
			b.WriteString("'" + arg + "'")
		case bool:
			fmt.Fprintf(&b, "%t", arg)
		default:
			fmt.Fprint(&b, arg)
		}
		rest = tail
	}
	return b.String() + rest
}

// numbered has PostgreSQL's placeholders.
func numbered(query string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		head, rest, found := strings.Cut(query, "?")
		b.WriteString(head)
		if !found {
			return b.String()
		}
		fmt.Fprintf(&b, "$%d", n)
		query = rest
	}
}

// runScript runs a script by functions that begin, run and end a transaction.
func runScript(ctx context.Context, s *script, tx transaction) outcome {
	wrote, n := int64(0), 0
	defer func() {
		if n > 1 {
			s.open.Add(-1)
		}
	}()
	for i, g := range s.groups {
		savepoint := fmt.Sprintf("point%d", i)
		if g.savepoint {
			if err := tx.command(ctx, "SAVEPOINT "+savepoint); err != nil {
				return abandon(tx)
			}
		}
		within := int64(0)
		for j := range g.steps {
			if pause := s.pauses[n]; pause > 0 {
				wait(ctx, pause)
			}
			if n++; n == 2 { // the first statement has been run
				s.open.Add(1)
			}
			affected, err := tx.run(ctx, &g.steps[j])
			if err != nil {
				return abandon(tx)
			}
			within += g.steps[j].counts(affected)
		}
		switch {
		case g.undone:
			if err := tx.command(ctx, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
				return abandon(tx)
			}
			continue
		case g.savepoint:
			if err := tx.command(ctx, "RELEASE SAVEPOINT "+savepoint); err != nil {
				return abandon(tx)
			}
		}
		wrote += within
	}
	if !s.commit {
		return abandon(tx)
	}
	if err := tx.commit(); err != nil {
		return outcome{cutOff, wrote}
	}
	return outcome{committed, wrote}
}

// transaction is an open one.
type transaction interface {
	command(ctx context.Context, query string) error
	run(ctx context.Context, s *step) (affected int64, err error)
	commit() error
	rollback() error
}

// abandon rolls back. Where that fails the connection is gone, and the transaction with it.
func abandon(tx transaction) outcome {
	_ = tx.rollback()
	return outcome{state: rolledBack}
}

// plain is a database/sql pool of a test's own.
type plain struct {
	pool     *sql.DB
	numbered bool
	prepared bool // each statement is prepared
	isolated sql.IsolationLevel
}

func (p *plain) execute(ctx context.Context, s *script) outcome {
	tx, err := p.pool.BeginTx(ctx, &sql.TxOptions{Isolation: p.isolated})
	if err != nil {
		return outcome{state: rolledBack}
	}
	return runScript(ctx, s, &plainTransaction{p, tx})
}

type plainTransaction struct {
	*plain
	tx *sql.Tx
}

func (t *plainTransaction) command(ctx context.Context, query string) error {
	_, err := t.tx.ExecContext(ctx, query)
	return err
}

func (t *plainTransaction) run(ctx context.Context, s *step) (int64, error) {
	query, args := s.query, s.args
	switch {
	case !t.prepared:
		query, args = s.inline(), nil
	case t.numbered:
		query = numbered(query)
	}
	if !t.prepared {
		return affected(t.tx.ExecContext(ctx, query))
	}
	prepared, err := t.tx.PrepareContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer prepared.Close() //nolint:errcheck // the transaction tells of a broken connection
	return affected(prepared.ExecContext(ctx, args...))
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t *plainTransaction) commit() error   { return t.tx.Commit() }
func (t *plainTransaction) rollback() error { return t.tx.Rollback() }

// orm is a GORM of a test's own, that knows nothing of CapeBase.
type orm struct{ db *gorm.DB }

func (o *orm) execute(ctx context.Context, s *script) outcome {
	tx := o.db.WithContext(ctx).Begin()
	if tx.Error != nil {
		return outcome{state: rolledBack}
	}
	return runScript(ctx, s, &ormTransaction{tx})
}

type ormTransaction struct{ tx *gorm.DB }

func (t *ormTransaction) command(_ context.Context, query string) error {
	return t.tx.Exec(query).Error
}

func (t *ormTransaction) run(_ context.Context, s *step) (int64, error) {
	if s.orm != nil {
		return s.orm(t.tx)
	}
	done := t.tx.Exec(s.query, s.args...)
	return done.RowsAffected, done.Error
}

func (t *ormTransaction) commit() error   { return t.tx.Commit().Error }
func (t *ormTransaction) rollback() error { return t.tx.Rollback().Error }
