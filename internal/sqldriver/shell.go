package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// connector gives database/sql its shells.
type connector struct{ db *DB }

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return &shell{db: c.db}, nil }

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c }

// Open implements driver.Driver.
func (c connector) Open(string) (driver.Conn, error) { return c.Connect(context.Background()) }

// shell is what database/sql takes for a connection. It owns none: each call borrows one.
type shell struct {
	db *DB
	tx *Conn // while a *sql.Tx is open on the shell
}

var (
	_ driver.ConnBeginTx        = (*shell)(nil)
	_ driver.ConnPrepareContext = (*shell)(nil)
	_ driver.ExecerContext      = (*shell)(nil)
	_ driver.QueryerContext     = (*shell)(nil)
	_ driver.Pinger             = (*shell)(nil)
	_ driver.NamedValueChecker  = (*shell)(nil)
)

// Close implements driver.Conn. database/sql ends the transaction of a connection before that is closed.
func (s *shell) Close() error { return nil }

// Prepare implements driver.Conn.
func (s *shell) Prepare(query string) (driver.Stmt, error) {
	return s.PrepareContext(context.Background(), query)
}

// Begin implements driver.Conn.
func (s *shell) Begin() (driver.Tx, error) {
	return s.BeginTx(context.Background(), driver.TxOptions{})
}

// Ping implements driver.Pinger.
func (s *shell) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// CheckNamedValue implements driver.NamedValueChecker.
func (s *shell) CheckNamedValue(arg *driver.NamedValue) error { return s.db.resolve(arg) }

// ExecContext implements driver.ExecerContext.
func (s *shell) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return s.exec(ctx, query, s.db.lexicon.inspect(query), args)
}

// QueryContext implements driver.QueryerContext.
func (s *shell) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return s.query(ctx, query, s.db.lexicon.inspect(query), args)
}

func (s *shell) exec(ctx context.Context, query string, known text, args []driver.NamedValue) (driver.Result, error) {
	if err := s.db.admit(ctx); err != nil {
		return nil, err
	}
	result, err := s.db.exec(ctx, s.tx, query, known, args)
	if err != nil {
		return nil, s.db.report(ctx, err)
	}
	return result, nil
}

func (s *shell) query(ctx context.Context, query string, known text, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.db.admit(ctx); err != nil {
		return nil, err
	}
	rows, err := s.db.query(ctx, s.tx, query, known, args)
	if err != nil {
		return nil, s.db.report(ctx, err)
	}
	return rows, nil
}

func (db *DB) admit(ctx context.Context) error {
	if db.options.Admit == nil {
		return nil
	}
	return db.options.Admit(ctx)
}

func (db *DB) report(ctx context.Context, err error) error {
	if err == nil || db.options.Report == nil {
		return err
	}
	return db.options.Report(ctx, err)
}

// PrepareContext implements driver.ConnPrepareContext. The database is asked about a text once; it is prepared again
// wherever it runs.
func (s *shell) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := s.db.admit(ctx); err != nil {
		return nil, err
	}
	known := s.db.lexicon.inspect(query)
	// SQLite runs some PRAGMAs while it prepares them, and the guard is only asked about what is run.
	acts := s.db.backend.Embedded && strings.Contains(strings.ToUpper(query), "PRAGMA")
	if known.control == uncontrolled && !acts && !s.db.prepared.has(query) {
		if err := s.db.check(ctx, s.db.transactionOf(ctx, s.tx, known), query); err != nil {
			return nil, s.db.report(ctx, err)
		}
		s.db.prepared.add(query)
	}
	return &shellStatement{shell: s, query: query, text: known}, nil
}

// check asks the database whether it takes a statement, on a connection that holds up no one.
func (db *DB) check(ctx context.Context, joined *Conn, query string) error {
	if joined != nil {
		return joined.check(ctx, query)
	}
	c, err := db.lease(ctx, db.reader)
	if err != nil {
		return err
	}
	defer c.end()
	return c.check(ctx, query)
}

// BeginTx implements driver.ConnBeginTx. In a transaction of the context it is a savepoint.
func (s *shell) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if s.tx != nil {
		return nil, errors.New("a transaction is open on this connection")
	}
	if err := s.db.admit(ctx); err != nil {
		return nil, err
	}
	if joined := s.db.joined(ctx); joined != nil && joined.writes {
		if o.Isolation != 0 {
			return nil, fmt.Errorf("a nested transaction cannot have an isolation level of its own")
		}
		level, err := joined.savepoint(ctx)
		if err != nil {
			return nil, s.db.report(ctx, err)
		}
		s.tx = joined
		return &shellTransaction{shell: s, conn: joined, ctx: ctx, level: level}, nil
	}
	c, err := s.db.begin(ctx, o)
	if err != nil {
		return nil, s.db.report(ctx, err)
	}
	s.tx = c
	return &shellTransaction{shell: s, conn: c, ctx: ctx}, nil
}

// shellTransaction is what database/sql takes for a transaction.
type shellTransaction struct {
	shell *shell
	conn  *Conn
	ctx   context.Context
	level int // of its savepoint, 0 for a whole transaction
}

// Commit implements driver.Tx.
func (t *shellTransaction) Commit() error {
	t.shell.tx = nil
	if t.level == 0 {
		return t.conn.db.report(t.ctx, t.conn.commit(t.ctx))
	}
	err := t.conn.releaseSavepoint(t.ctx, t.level)
	if err != nil {
		t.conn.undo(t.ctx, t.level, err)
	}
	return t.conn.db.report(t.ctx, err)
}

// Rollback implements driver.Tx.
func (t *shellTransaction) Rollback() error {
	t.shell.tx = nil
	if t.level == 0 {
		t.conn.rollback()
		return nil
	}
	t.conn.undo(t.ctx, t.level, errors.New("a nested transaction could not be rolled back"))
	return nil
}

// shellStatement is what database/sql takes for a prepared statement: its text.
type shellStatement struct {
	shell *shell
	query string
	text  text
}

var (
	_ driver.StmtExecContext   = (*shellStatement)(nil)
	_ driver.StmtQueryContext  = (*shellStatement)(nil)
	_ driver.NamedValueChecker = (*shellStatement)(nil)
)

// Close implements driver.Stmt.
func (s *shellStatement) Close() error { return nil }

// NumInput implements driver.Stmt: the number is checked where the statement runs.
func (s *shellStatement) NumInput() int { return -1 }

// CheckNamedValue implements driver.NamedValueChecker.
func (s *shellStatement) CheckNamedValue(arg *driver.NamedValue) error {
	return s.shell.db.resolve(arg)
}

var errContext = errors.New("a statement needs a context: use ExecContext or QueryContext")

// Exec implements driver.Stmt; database/sql calls ExecContext.
func (s *shellStatement) Exec([]driver.Value) (driver.Result, error) { return nil, errContext }

// Query implements driver.Stmt; database/sql calls QueryContext.
func (s *shellStatement) Query([]driver.Value) (driver.Rows, error) { return nil, errContext }

// ExecContext implements driver.StmtExecContext.
func (s *shellStatement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.shell.exec(ctx, s.query, s.text, args)
}

// QueryContext implements driver.StmtQueryContext.
func (s *shellStatement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.shell.query(ctx, s.query, s.text, args)
}
