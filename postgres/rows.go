package postgres

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// reader reads results without the values of database/sql in between.
type reader struct{ formats pgx.QueryResultFormatsByOID }

// newReader asks for the types in binary for which cells knows how to read it, and for all others as text.
func newReader() *reader {
	return &reader{pgx.QueryResultFormatsByOID{
		pgtype.BoolOID: 1, pgtype.Int2OID: 1, pgtype.Int4OID: 1, pgtype.Int8OID: 1, pgtype.Float4OID: 1, pgtype.Float8OID: 1,
		pgtype.ByteaOID: 1, pgtype.DateOID: 1, pgtype.TimestampOID: 1, pgtype.TimestamptzOID: 1,
		pgtype.OIDOID: 1, pgtype.XIDOID: 1, pgtype.CIDOID: 1,
	}}
}

// describes tells whether the driver knows a result's columns before it asks for rows, so that formats can be chosen.
func describes(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeCacheStatement || mode == pgx.QueryExecModeCacheDescribe || mode == pgx.QueryExecModeDescribeExec
}

// query implements engine.Backend's Query. Errors are as those of the driver's QueryContext.
func (r *reader) query(ctx context.Context, c driver.Conn, query string, args []driver.NamedValue) (driver.Rows, error) {
	conn, ok := c.(*stdlib.Conn)
	if !ok {
		return nil, driver.ErrSkip
	}
	if conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	values := make([]any, 1, 1+len(args))
	values[0] = r.formats
	for _, arg := range args {
		values = append(values, arg.Value)
	}
	inner, err := conn.Conn().Query(ctx, query, values...)
	if err != nil {
		if pgconn.SafeToRetry(err) {
			return nil, driver.ErrBadConn
		}
		return nil, err
	}
	// What the server says against the statement comes with the first row.
	more := inner.Next()
	if err := inner.Err(); err != nil {
		inner.Close()
		return nil, err
	}
	return &rows{inner: inner, fields: inner.FieldDescriptions(), types: conn.Conn().TypeMap(), ahead: true, more: more}, nil
}

// rows is a result.
type rows struct {
	inner  pgx.Rows
	fields []pgconn.FieldDescription
	types  *pgtype.Map
	ahead  bool // the next row is read already, if there is more
	more   bool
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string {
	names := make([]string, len(r.fields))
	for i := range names {
		names[i] = r.fields[i].Name
	}
	return names
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	r.inner.Close()
	return r.inner.Err()
}

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	raw, err := r.next()
	for i := range raw {
		if dest[i], err = r.value(i, raw[i]); err != nil {
			return fmt.Errorf("column %s: %w", r.fields[i].Name, err)
		}
	}
	return err
}

func (r *rows) next() ([][]byte, error) {
	if !r.ahead {
		r.more = r.inner.Next()
	}
	r.ahead = false
	if r.more {
		return r.inner.RawValues(), nil
	}
	if err := r.inner.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// value is what the driver's rows would give.
func (r *rows) value(column int, raw []byte) (driver.Value, error) {
	if raw == nil {
		return nil, nil
	}
	field := &r.fields[column]
	if field.Format == pgtype.TextFormatCode {
		return string(raw), nil
	}
	var err error
	switch field.DataTypeOID {
	case pgtype.DateOID:
		var d pgtype.Date
		if err = r.types.Scan(field.DataTypeOID, field.Format, raw, &d); err == nil {
			return d.Value()
		}
	case pgtype.TimestampOID:
		var t pgtype.Timestamp
		if err = r.types.Scan(field.DataTypeOID, field.Format, raw, &t); err == nil {
			return t.Value()
		}
	case pgtype.TimestamptzOID:
		var t pgtype.Timestamptz
		if err = r.types.Scan(field.DataTypeOID, field.Format, raw, &t); err == nil {
			return t.Value()
		}
	case pgtype.ByteaOID:
		return append([]byte{}, raw...), nil
	default:
		return number(raw, field.DataTypeOID)
	}
	return nil, err
}

func number(raw []byte, oid uint32) (driver.Value, error) {
	switch {
	case oid == pgtype.BoolOID && len(raw) == 1:
		return raw[0] != 0, nil
	case oid == pgtype.Int2OID && len(raw) == 2:
		return int64(int16(binary.BigEndian.Uint16(raw))), nil //nolint:gosec // as it is sent
	case oid == pgtype.Int4OID && len(raw) == 4:
		return int64(int32(binary.BigEndian.Uint32(raw))), nil //nolint:gosec // as it is sent
	case oid == pgtype.Int8OID && len(raw) == 8:
		return int64(binary.BigEndian.Uint64(raw)), nil //nolint:gosec // as it is sent
	case oid == pgtype.Float4OID && len(raw) == 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(raw))), nil
	case oid == pgtype.Float8OID && len(raw) == 8:
		return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
	case (oid == pgtype.OIDOID || oid == pgtype.XIDOID || oid == pgtype.CIDOID) && len(raw) == 4:
		return int64(binary.BigEndian.Uint32(raw)), nil
	}
	return nil, fmt.Errorf("%d bytes of type %d are not understood", len(raw), oid)
}

// ReadRow implements engine.RowReader.
func (d dialect) ReadRow(from driver.Rows, columns []engine.Column, row []predicate.Value) (read bool, failed int, err error) {
	r, ok := from.(*rows)
	if !ok {
		return false, 0, nil
	}
	raw, err := r.next()
	if err != nil {
		return true, -1, err
	}
	for i := range row {
		if row[i], err = d.cell(r, i, raw[i], columns[i].Kind); err != nil {
			return true, i, err
		}
	}
	return true, -1, nil
}

func (d dialect) cell(r *rows, column int, raw []byte, kind predicate.Kind) (predicate.Value, error) {
	field := &r.fields[column]
	switch {
	case raw == nil:
		return predicate.Value{}, nil
	case kind == predicate.Text && field.Format == pgtype.TextFormatCode:
		return predicate.TextValue(string(raw)), nil
	case kind == predicate.Int && field.DataTypeOID == pgtype.Int8OID && len(raw) == 8:
		return predicate.IntValue(int64(binary.BigEndian.Uint64(raw))), nil //nolint:gosec // as it is sent
	case kind == predicate.Time && field.DataTypeOID == pgtype.TimestamptzOID && len(raw) == 8:
		if t, ok := timestamp(int64(binary.BigEndian.Uint64(raw))); ok { //nolint:gosec // as it is sent
			return predicate.TimeValue(t), nil
		}
	}
	v, err := r.value(column, raw)
	if err != nil {
		return predicate.Value{}, err
	}
	return d.Scan(kind, v)
}

// timestamp reads microseconds since the year 2000; the infinite ones are not ok.
func timestamp(micros int64) (t time.Time, ok bool) {
	const epoch = 946_684_800 // seconds from 1970
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		return t, false
	}
	seconds, rest := micros/1e6, micros%1e6
	return time.Unix(epoch+seconds, rest*1000).UTC(), true
}
