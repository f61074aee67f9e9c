package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// selectAll is a statement's beginning, up to its WHERE.
func selectAll(d engine.Dialect, t *engine.Table) string {
	b := engine.NewBuilder(d)
	b.Write("SELECT ")
	b.Columns(t)
	b.Write(" FROM ")
	b.Table(t)
	return b.String()
}

// each runs a query for all columns of the table, and visits its rows. The row is reused from one to the next.
func (s *Store) each(ctx context.Context, c *sqldriver.Conn, b *engine.Builder, visit func(Row) error) error {
	row := make(Row, len(s.Model.Fields))
	var raw []driver.Value
	return each(ctx, c, b.String(), b.Args, func(rows driver.Rows) error {
		if err := s.next(rows, row, &raw); err != nil {
			return err
		}
		return visit(row)
	})
}

// next reads a row. raw is nil at first, and kept from one to the next.
func (s *Store) next(rows driver.Rows, row Row, raw *[]driver.Value) error {
	read, err := s.readNative(rows, row)
	if read || err != nil {
		return err
	}
	if *raw == nil {
		*raw = make([]driver.Value, len(row))
	}
	if err := rows.Next(*raw); err != nil {
		return err
	}
	return s.scan(*raw, row)
}

// readNative reads a row without the values of database/sql, where the driver can; else read is false.
func (s *Store) readNative(rows driver.Rows, row Row) (read bool, err error) {
	if s.native == nil {
		return false, nil
	}
	var odd error // what a column holds
	err = sqldriver.ReadNative(rows, func(rows driver.Rows) (err error) {
		var failed int
		if read, failed, err = s.native.ReadRow(rows, s.Model.Table.Columns, row); err != nil && failed >= 0 {
			odd, err = s.scanError(failed, err), nil
		}
		return err
	})
	if err == nil {
		err = odd
	}
	return read || err != nil, err
}

// scan converts a row from the driver's values.
func (s *Store) scan(raw []driver.Value, row Row) (err error) {
	for i := range row {
		if row[i], err = s.dialect.Scan(s.Model.Table.Columns[i].Kind, raw[i]); err != nil {
			return s.scanError(i, err)
		}
	}
	return nil
}

func (s *Store) scanError(column int, cause error) error {
	return &scanError{table: s.Model.Table.Name, column: s.Model.Table.Columns[column].Name, cause: cause}
}

// each runs a query and calls next for each row, until that returns io.EOF.
func each(ctx context.Context, c *sqldriver.Conn, text string, args []driver.NamedValue, next func(driver.Rows) error) (err error) {
	rows, err := c.Query(ctx, text, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for err == nil {
		err = next(rows)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
