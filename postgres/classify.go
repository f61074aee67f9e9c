package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/capebase/capebase/internal/engine"
)

func (dialect) Classify(err error) engine.Failure {
	if failure := new(pgconn.PgError); errors.As(err, &failure) {
		return classify(failure)
	}
	connect := new(pgconn.ConnectError)
	network := new(net.OpError)
	switch {
	case errors.Is(err, context.Canceled):
		return engine.Failure{Class: engine.Cut}
	case errors.As(err, &connect): // also when connect_timeout ended it
		return engine.Failure{Class: engine.Down}
	case errors.Is(err, context.DeadlineExceeded):
		return engine.Failure{Class: engine.Cut}
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return engine.Failure{Class: engine.Down}
	case pgconn.SafeToRetry(err): // the connection was closed before
		return engine.Failure{Class: engine.Down}
	case err != nil && strings.Contains(err.Error(), "failed to encode args["): // pgx has no type for it
		return engine.Failure{Class: engine.TooLong}
	}
	return engine.Failure{}
}

func classify(failure *pgconn.PgError) engine.Failure {
	result := engine.Failure{Class: classOf(failure.Code), Constraint: failure.ConstraintName}
	switch {
	case failure.Code == "0A000" && failure.Routine == "RevalidateCachedQuery": // cached plan must not change result type
		result.Class = engine.Stale
	case failure.ColumnName != "":
		result.Columns = []string{failure.ColumnName}
	case result.Class == engine.UniqueViolation || result.Class == engine.ForeignKey:
		result.Columns = columnsOf(failure.Detail)
	}
	return result
}

func classOf(code string) engine.Class {
	switch code {
	case "23505", "23P01": // unique, exclusion
		return engine.UniqueViolation
	case "23502":
		return engine.NotNull
	case "23514", "44000": // check constraint, view's check option
		return engine.Check
	case "23503", "23001": // foreign key, restrict
		return engine.ForeignKey
	case "40001", "40P01", "55P03": // serialization, deadlock, lock not available
		return engine.Busy
	case "26000": // no such prepared statement
		return engine.Stale
	case "57014": // statement_timeout, or a cancel request
		return engine.Cut
	case "25006":
		return engine.ReadOnly
	case "57P01", "57P02", "57P03", "57P05", "53300", "28000", "28P01", "3D000", "53100":
		return engine.Down // shut down, starting, too many connections, not let in, no such database, disk full
	case "22001", "22003", "22008", "22021", "22P02", "22P05", "22007", "22023":
		return engine.TooLong
	}
	if strings.HasPrefix(code, "08") { // connection exceptions
		return engine.Down
	}
	return engine.Other
}

// columnsOf reads the columns from a detail such as `Key (a, "b c")=(1, 2) already exists.` in any language. What is
// no list of plain names, such as an index's expression, gives none.
func columnsOf(detail string) []string {
	match := regexp.MustCompile(`\(([^()]+)\)=\(`).FindStringSubmatch(detail)
	if match == nil {
		return nil
	}
	var columns []string
	for _, name := range regexp.MustCompile(`"((?:[^"]|"")+)"|([^", ]+)`).FindAllStringSubmatch(match[1], -1) {
		columns = append(columns, strings.ReplaceAll(name[1], `""`, `"`)+name[2])
	}
	return columns
}
