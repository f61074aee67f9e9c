package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
)

// QueryRow runs a query without arguments on a driver's connection and returns its first row, or io.EOF. It serves what
// comes before the driver wrapper.
func QueryRow(ctx context.Context, conn driver.Conn, query string) (_ []driver.Value, err error) {
	rows, err := queryDriver(ctx, conn, query)
	if err != nil {
		return nil, err
	}
	row := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(row)
	for i, v := range row { // the driver may use its buffer again
		if b, ok := v.([]byte); ok {
			row[i] = slices.Clone(b)
		}
	}
	return row, errors.Join(err, rows.Close())
}

func queryDriver(ctx context.Context, conn driver.Conn, query string) (driver.Rows, error) {
	if direct, ok := conn.(driver.QueryerContext); ok {
		rows, err := direct.QueryContext(ctx, query, nil)
		if !errors.Is(err, driver.ErrSkip) {
			return rows, err
		}
	}
	statement, err := prepareDriver(ctx, conn, query)
	if err != nil {
		return nil, err
	}
	var rows driver.Rows
	if direct, ok := statement.(driver.StmtQueryContext); ok {
		rows, err = direct.QueryContext(ctx, nil)
	} else {
		rows, err = statement.Query(nil) //nolint:staticcheck // what old drivers have
	}
	if err != nil {
		return nil, errors.Join(err, statement.Close())
	}
	return &ownedRows{rows, statement}, nil
}

func prepareDriver(ctx context.Context, conn driver.Conn, query string) (driver.Stmt, error) {
	if direct, ok := conn.(driver.ConnPrepareContext); ok {
		return direct.PrepareContext(ctx, query)
	}
	return conn.Prepare(query)
}

// ownedRows closes its statement with itself.
type ownedRows struct {
	driver.Rows
	statement io.Closer
}

func (r *ownedRows) Close() error { return errors.Join(r.Rows.Close(), r.statement.Close()) }

// Exec runs a statement without arguments on a driver's connection.
func Exec(ctx context.Context, conn driver.Conn, query string) (err error) {
	if direct, ok := conn.(driver.ExecerContext); ok {
		_, err := direct.ExecContext(ctx, query, nil)
		if !errors.Is(err, driver.ErrSkip) {
			return err
		}
	}
	statement, err := prepareDriver(ctx, conn, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	if direct, ok := statement.(driver.StmtExecContext); ok {
		_, err = direct.ExecContext(ctx, nil)
		return err
	}
	_, err = statement.Exec(nil) //nolint:staticcheck // what old drivers have
	return err
}
