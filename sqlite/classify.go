package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/capebase/capebase/internal/engine"
)

func (dialect) Classify(err error) engine.Failure {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return engine.Failure{Class: engine.Cut}
	}
	if failure := new(sqlite3.Error); errors.As(err, &failure) {
		return classify(failure.Code(), failure.ExtendedCode(), failure.Error())
	}
	var code sqlite3.ErrorCode
	if errors.As(err, &code) {
		return classify(code, code.ExtendedCode(), "")
	}
	if errors.Is(err, driver.ErrBadConn) {
		return engine.Failure{Class: engine.Down}
	}
	return engine.Failure{}
}

func classify(code sqlite3.ErrorCode, extended sqlite3.ExtendedErrorCode, message string) engine.Failure {
	switch code {
	case sqlite3.CONSTRAINT:
		return classifyConstraint(extended, message)
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.PROTOCOL:
		return engine.Failure{Class: engine.Busy}
	case sqlite3.SCHEMA:
		return engine.Failure{Class: engine.Stale}
	case sqlite3.INTERRUPT:
		return engine.Failure{Class: engine.Cut}
	case sqlite3.READONLY:
		return engine.Failure{Class: engine.ReadOnly}
	case sqlite3.TOOBIG, sqlite3.MISMATCH:
		return engine.Failure{Class: engine.TooLong}
	case sqlite3.IOERR, sqlite3.CANTOPEN, sqlite3.FULL:
		return engine.Failure{Class: engine.Down}
	}
	return engine.Failure{}
}

func classifyConstraint(extended sqlite3.ExtendedErrorCode, message string) engine.Failure {
	// sqlite3: constraint failed: UNIQUE constraint failed: table.a, table.b
	_, text, _ := strings.Cut(message, "constraint failed: ")
	_, subject, _ := strings.Cut(text, "constraint failed: ")
	switch extended {
	case sqlite3.CONSTRAINT_UNIQUE, sqlite3.CONSTRAINT_PRIMARYKEY, sqlite3.CONSTRAINT_ROWID:
		if index, ok := strings.CutPrefix(subject, "index '"); ok { // on an expression
			return engine.Failure{Class: engine.UniqueViolation, Constraint: strings.TrimSuffix(index, "'")}
		}
		return engine.Failure{Class: engine.UniqueViolation, Columns: columnsOf(subject)}
	case sqlite3.CONSTRAINT_NOTNULL:
		return engine.Failure{Class: engine.NotNull, Columns: columnsOf(subject)}
	case sqlite3.CONSTRAINT_FOREIGNKEY:
		return engine.Failure{Class: engine.ForeignKey}
	case sqlite3.CONSTRAINT_CHECK:
		return engine.Failure{Class: engine.Check, Constraint: subject}
	case sqlite3.CONSTRAINT_DATATYPE:
		return engine.Failure{Class: engine.TooLong}
	default: // a trigger's RAISE, a virtual table
		return engine.Failure{Class: engine.Check}
	}
}

// columnsOf reads "table.a, table.b".
func columnsOf(subject string) []string {
	if subject == "" {
		return nil
	}
	columns := strings.Split(subject, ", ")
	for i, column := range columns {
		if _, name, ok := strings.Cut(column, "."); ok {
			columns[i] = name
		}
	}
	return columns
}
