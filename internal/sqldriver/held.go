package sqldriver

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// heldRows is a result that was read to its end before the caller sees it.
type heldRows struct {
	names   []string
	columns []column
	rows    [][]driver.Value
}

const defaultHeld = 10_000

// holdRows reads and closes rows.
func holdRows(rows *result, guard Guarded) (_ *heldRows, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	h := &heldRows{names: rows.Columns()}
	h.columns = make([]column, len(h.names))
	for i := range h.columns {
		h.columns[i] = rows.column(i)
	}
	limit := guard.MaxRows
	if limit == 0 {
		limit = defaultHeld
	}
	for {
		row := make([]driver.Value, len(h.names))
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return h, nil
			}
			return nil, err
		}
		if guard.Check != nil && len(h.rows) == limit {
			err := fmt.Errorf("a checked statement returned more than %d rows: change fewer at once, or return none", limit)
			rows.conn.Fail(err)
			return nil, err
		}
		for i := range row {
			if b, ok := row[i].([]byte); ok {
				row[i] = bytes.Clone(b)
			}
		}
		h.rows = append(h.rows, row)
	}
}

// Columns implements driver.Rows.
func (h *heldRows) Columns() []string { return h.names }

// Close implements driver.Rows.
func (h *heldRows) Close() error { return nil }

// Next implements driver.Rows.
func (h *heldRows) Next(dest []driver.Value) error {
	if len(h.rows) == 0 {
		return io.EOF
	}
	copy(dest, h.rows[0])
	h.rows = h.rows[1:]
	return nil
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (h *heldRows) ColumnTypeDatabaseTypeName(i int) string { return h.columns[i].typeName }

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (h *heldRows) ColumnTypeScanType(i int) reflect.Type { return h.columns[i].scanType }

// ColumnTypeNullable implements driver.RowsColumnTypeNullable.
func (h *heldRows) ColumnTypeNullable(i int) (nullable, ok bool) {
	return h.columns[i].nullable, h.columns[i].nullableKnown
}

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (h *heldRows) ColumnTypeLength(i int) (length int64, ok bool) {
	return h.columns[i].length, h.columns[i].lengthKnown
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (h *heldRows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	return h.columns[i].precision, h.columns[i].scale, h.columns[i].decimalKnown
}
