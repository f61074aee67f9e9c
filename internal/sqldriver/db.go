// Package sqldriver is the one place that touches database connections: a database/sql driver over the engine's own.
//
// Every call says in its context which transaction it belongs to. On SQLite reads go to connections that can only read,
// and everything else to the single writer. [DB.View] and [DB.Update] hand a [Conn] to code that speaks the driver's
// language; [DB.SQL] gives the same connections to everything written for database/sql: its connections are shells that
// own nothing, and each call borrows a real one, or joins the transaction of its context.
//
// All times that pass are UTC and whole microseconds.
package sqldriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

var (
	// ErrBusy says that a lock, a connection or the writer was not to be had in time. To try again may help.
	ErrBusy = errors.New("database busy")
	// ErrDown says that the database cannot be reached, or that the connection to it broke.
	ErrDown = errors.New("database unreachable")
	// ErrClosed is the error of all calls after Close.
	ErrClosed = errors.New("database closed")
)

// Options configures Open; the zero value is ready for use. The functions are called by several goroutines at once.
type Options struct {
	// Logger hears of connections that had to be given up; default slog.Default(). Values of arguments are never logged.
	Logger *slog.Logger
	// WriteWait bounds the wait for SQLite's writer, and for a connection where all are in use; default 5 s.
	WriteWait time.Duration
	// Snapshots makes each View one REPEATABLE READ transaction on engines where it would be plain statements.
	Snapshots bool

	// Frame, where it is set, is asked for the statements that begin and end a transaction that may write and wants no
	// isolation level of its own. What Begin and Commit would take round trips for can go along with them.
	Frame func(ctx context.Context) (Frame, error)
	// Variables, where it is set, is asked for what a transaction that is a single statement sets instead of what Begin and
	// Commit would do: see UpdateWhole. Where it returns none, there are no such transactions.
	Variables func(ctx context.Context) ([]engine.Variable, error)
	// Begin is called in each new transaction that may write, right after its BEGIN; an error rolls it back. With Begin,
	// Commit or a Guarded.Check set, a single changing statement through SQL gets a transaction of its own. The context
	// is the call's, and joins the transaction.
	Begin func(ctx context.Context, c *Conn) error
	// Commit is called right before COMMIT in the same transactions; an error rolls them back.
	Commit func(ctx context.Context, c *Conn) error
	// After is called once a transaction that may write, or a single writing statement, has been committed.
	After func(ctx context.Context)
	// Admit is asked before each call through SQL that would run, prepare or begin something; an error refuses the call.
	Admit func(ctx context.Context) error
	// Guard sees each statement that comes through SQL.
	Guard Guard
	// Report turns an error that is about to leave SQL into what callers get. It has to keep what errors.Is finds in it.
	Report func(ctx context.Context, err error) error
	// Observe is told of each statement once it is done and its rows are read.
	Observe func(ctx context.Context, s Statement)
	// Waited is told how long each wait for SQLite's one writer was, also one that was in vain.
	Waited func(d time.Duration)
}

// Frame is the statements that begin and end a transaction, without arguments. After Commit, and after the statements
// of Rollback, the connection must be as it was before Begin. The zero Frame stands for the driver's own.
type Frame struct {
	Begin, Commit string
	Rollback      []string
}

// Guard limits a statement that came through SQL to what the context's caller may do, or refuses it with an error.
// inTx tells whether the statement runs in a transaction that was there before it.
type Guard func(ctx context.Context, query string, args []driver.NamedValue, inTx bool) (Guarded, error)

// Guarded is how a statement is to run.
type Guarded struct {
	Query string
	Args  []driver.NamedValue
	// Kind is what the statement does. Where it is said, Query returns all columns of something, or is several
	// statements, just where the text did that came to the guard, and is not looked at again.
	Kind Kind
	// Check, where it is set, is called before the statement, in its transaction: one of its own where it had none. The
	// function it returns, if any, is called when the statement has run; rows that it returned are held back until then.
	// It is called too for a statement that failed, except on PostgreSQL, where nothing of such a one remains. An error
	// of either fails the transaction for good.
	Check func(ctx context.Context, c *Conn) (after func(ctx context.Context, o Outcome) error, err error)
	// MaxRows bounds the rows that are held back for Check; 0 is 10,000. A statement that returns more fails the
	// transaction.
	MaxRows int
}

// Kind is what a statement does to data.
type Kind uint8

const (
	// Unsaid leaves it to the statement's words: a SELECT without words that change something reads.
	Unsaid Kind = iota
	// Reads is a statement that changes nothing, and runs where nothing can be changed.
	Reads
	// Changes is a statement that may change rows, be it by a function that a SELECT calls.
	Changes
)

// Outcome is what a statement came to.
type Outcome struct {
	Affected int64 // rows, as the database counts them; -1 where it does not say, and for a statement that failed
	Rows     int   // returned, and held back
	Failed   bool
}

// DB is an opened database. Its methods may be called by several goroutines.
type DB struct {
	backend *engine.Backend
	options Options
	writer  *pool
	reader  *pool // the writer's where one kind serves both
	apart   *pool // of connections that are not used twice
	sql     *sql.DB
	// textTimes is set where times are stored as text.
	textTimes bool
	// aborts is set where a transaction is of no use after a statement failed, but for going back to a savepoint.
	aborts bool
	// drains is set where the driver's Exec of a prepared statement must not be given one that returns rows.
	drains   bool
	lexicon  lexicon
	prepared known
	group    group
	close    func() error
}

// Open wraps an engine's connections. Nothing is dialled yet.
func Open(b *engine.Backend, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.WriteWait == 0 {
		o.WriteWait = 5 * time.Second
	}
	if o.WriteWait < 0 {
		return nil, fmt.Errorf("WriteWait is %v: want a positive duration", o.WriteWait)
	}
	db := &DB{backend: b, options: o, lexicon: lexiconOf(b.Dialect.Name())}
	db.aborts = b.Dialect.Name() == "postgres"
	db.drains = b.Dialect.Name() == "mysql"
	_, db.textTimes = b.Dialect.Bind(predicate.TimeValue(time.Unix(0, 0))).(string)
	var err error
	if db.writer, err = newPool(db, b.Writer, b.Writers); err != nil {
		return nil, fmt.Errorf("writers: %w", err)
	}
	db.reader = db.writer
	if b.Reader != nil {
		db.writer.only = b.Writers == 1
		if db.reader, err = newPool(db, b.Reader, b.Readers); err != nil {
			return nil, fmt.Errorf("readers: %w", err)
		}
	}
	beside := b.Writer
	if b.Reader != nil {
		beside = b.Reader
	}
	if db.apart, err = newPool(db, beside, maxApart); err != nil {
		return nil, fmt.Errorf("connections apart: %w", err)
	}
	db.sql = sql.OpenDB(connector{db})
	// Shells cost nothing; to make one anew for each call would.
	db.sql.SetMaxIdleConns(maxIdleShells)
	db.close = sync.OnceValue(db.closeAll)
	return db, nil
}

const maxIdleShells = 256

// Close waits for the calls in progress, at most 10 s, and closes all connections. It may be called twice.
func (db *DB) Close() error { return db.close() }

func (db *DB) closeAll() error {
	err := db.sql.Close()
	err = errors.Join(err, db.apart.close(), db.writer.close())
	if db.reader != db.writer {
		err = errors.Join(err, db.reader.close())
	}
	if db.backend.Close != nil {
		err = errors.Join(err, db.backend.Close())
	}
	return err
}

// Dialect is the engine's.
func (db *DB) Dialect() engine.Dialect { return db.backend.Dialect }

// SQL is a pool for everything that is written for database/sql. Each call joins the transaction of its context, or
// borrows a connection. There is no session that lasts longer than a call or a transaction: settings, temporary tables
// and advisory locks belong into a transaction, [sql.Conn] pins nothing, and BEGIN or COMMIT as text is refused.
func (db *DB) SQL() *sql.DB { return db.sql }

// Ping asks a connection that reads for a sign of life: a busy writer is no reason to call the database dead.
func (db *DB) Ping(ctx context.Context) error {
	c, err := db.lease(ctx, db.reader)
	if err != nil {
		return err
	}
	defer c.end()
	return c.ping(ctx)
}
