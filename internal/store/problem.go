package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
)

// scanError is a stored value that its column's kind cannot hold: only other programs can have written it.
type scanError struct {
	table, column string
	cause         error
}

func (e *scanError) Error() string { return fmt.Sprintf("%s.%s: %v", e.table, e.column, e.cause) }
func (e *scanError) Unwrap() error { return e.cause }

// Problem turns what a database refused, or could not do, into a problem that unwraps to it: Conflict or Invalid for a
// constraint, Unavailable for a database that is busy or away. Any other error stays as it is: a problem, the end of a
// context or a transaction, and what nobody but the developer can make sense of.
func Problem(d engine.Dialect, err error) error {
	var known *problem.Error
	if err == nil || errors.As(err, &known) || cut(err) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if e := explain(d.Classify(err), err); e != nil {
		return e
	}
	return err
}

// cut tells whether it was the end of a context that ended a call.
func cut(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// explain makes a problem of a failure that is the caller's to know; nil of any other.
func explain(failure engine.Failure, err error) *problem.Error {
	invalid := func(expected string) *problem.Error { return problem.Wrap(problem.Invalid, "expected "+expected, err) }
	switch failure.Class {
	case engine.UniqueViolation:
		return problem.Wrap(problem.Conflict, "another row has this value already", err)
	case engine.NotNull:
		return invalid("a value that is not null")
	case engine.Check:
		return invalid("a value that the table's constraints allow")
	case engine.ForeignKey:
		return invalid("the key of an existing row, or a row that no other refers to")
	case engine.TooLong:
		return invalid("a value that the column can hold")
	case engine.Busy, engine.Stale:
		return problem.Wrap(problem.Unavailable, "the database is busy; try again", err)
	case engine.Down:
		return problem.Wrap(problem.Unavailable, "the database cannot be reached; try again", err)
	case engine.Cut:
		return problem.Wrap(problem.Unavailable, "the request was cut short", err)
	}
	if errors.Is(err, sqldriver.ErrBusy) {
		return problem.Wrap(problem.Unavailable, "the database is busy; try again", err)
	}
	if errors.Is(err, sqldriver.ErrClosed) {
		return problem.Wrap(problem.Unavailable, "the backend is shutting down", err)
	}
	return nil
}

// problem turns a database's failure into the problem that the client gets. What is one already stays as it is.
func (s *Store) problem(err error) error {
	if err == nil {
		return nil
	}
	var known *problem.Error
	if errors.As(err, &known) {
		return err
	}
	failure := s.dialect.Classify(err)
	e := explain(failure, err)
	switch {
	case e == nil && cut(err):
		return problem.Wrap(problem.Unavailable, "the request was cut short", err)
	case e == nil:
		return problem.Wrap(problem.Internal, "something went wrong; the log has the request's id", err)
	case e.Code == problem.Conflict:
		e.Errors = s.fieldErrors(failure, "a value that no other row has")
	case e.Code == problem.Invalid:
		e.Errors = s.fieldErrors(failure, e.Detail)
	}
	return e
}

// constrained tells whether it was a constraint of the database that refused a row.
func (s *Store) constrained(err error) bool {
	switch s.dialect.Classify(err).Class {
	case engine.UniqueViolation, engine.NotNull, engine.Check, engine.ForeignKey, engine.TooLong:
		return true
	default:
		return false
	}
}

// fieldErrors names the fields that clients know: a hidden column stays hidden in errors too.
func (s *Store) fieldErrors(failure engine.Failure, message string) []problem.FieldError {
	var errs []problem.FieldError
	columns := s.failedColumns(failure)
	for _, f := range s.Model.Fields {
		column := s.Model.Table.Columns[f.Column].Name
		named := slices.ContainsFunc(columns, func(name string) bool { return strings.EqualFold(name, column) })
		if named && !f.Hidden {
			errs = append(errs, problem.FieldError{Location: "body." + f.Name, Message: message})
		}
	}
	return errs
}

// failedColumns are those that the database named, or those of the index that it named instead, as MySQL does.
func (s *Store) failedColumns(failure engine.Failure) []string {
	if failure.Columns != nil || failure.Constraint == "" {
		return failure.Columns
	}
	var columns []string
	if failure.Constraint == "PRIMARY" {
		for _, column := range s.Model.Table.Key {
			columns = append(columns, s.Model.Table.Columns[column].Name)
		}
		return columns
	}
	for _, index := range s.Model.Schema.ParseIndexes() {
		if index.Name == failure.Constraint {
			for _, option := range index.Fields {
				columns = append(columns, option.DBName)
			}
		}
	}
	return columns
}
