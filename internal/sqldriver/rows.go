package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
)

// result is the rows that a statement returned, while they are read.
type result struct {
	conn      *Conn
	rows      driver.Rows
	statement *statement // to be released
	observed  observation
	ctx       context.Context
	level     int   // of the savepoint it was opened in
	closed    error // why Next has nothing more to give; nil while open
	count     int64
	borrowed  bool // the connection is given back with the rows
	leaves    bool // its errors are SQL's
	asked     bool // for the columns' names
	// undeclared makes times of texts in our layout where the database names no type: the results of expressions.
	undeclared bool
	types      []string // the columns' declared types, once they were needed
}

var errRowsClosed = errors.New("the rows are closed")

// Columns implements driver.Rows.
func (r *result) Columns() []string {
	if !r.enter() {
		return nil
	}
	defer r.conn.exit()
	r.asked = true
	return r.rows.Columns()
}

// Next implements driver.Rows.
func (r *result) Next(dest []driver.Value) error {
	return r.read(func(rows driver.Rows) error {
		r.named()
		if err := rows.Next(dest); err != nil {
			return err
		}
		r.normalize(dest)
		return nil
	})
}

// ReadNative reads a row of a Conn's rows by what the driver offers beyond database/sql. The error of next is the driver's.
func ReadNative(rows driver.Rows, next func(rows driver.Rows) error) error {
	r, ok := rows.(*result)
	if !ok {
		return fmt.Errorf("%T are not a Conn's rows", rows)
	}
	return r.read(next)
}

// read reads a row while it has the connection's turn.
func (r *result) read(next func(rows driver.Rows) error) error {
	if r.conn.ended.Load() {
		return errRowsClosed
	}
	if err := r.conn.physical.take(r.ctx); err != nil {
		return err
	}
	defer r.conn.exit()
	if r.closed != nil {
		return r.closed
	}
	if err := next(r.rows); err != nil {
		if !errors.Is(err, io.EOF) {
			err = r.conn.note(r.ctx, err)
			r.observed.fail(err)
			if r.leaves {
				err = r.conn.db.report(r.ctx, err)
			}
		}
		return err
	}
	r.count++
	return nil
}

// named asks for the columns' names, as database/sql does before the first row: drivers rely on it.
func (r *result) named() {
	if !r.asked {
		r.asked = true
		r.rows.Columns()
	}
}

// normalize gives times our form.
func (r *result) normalize(dest []driver.Value) {
	for i := range dest {
		switch v := dest[i].(type) {
		case time.Time:
			if v.Location() != time.UTC && r.timely(i) {
				dest[i] = v.UTC()
			}
		case string:
			if r.undeclared && len(v) == len(engine.TimeLayout) && v[10] == 'T' && r.declared(i) == "" {
				if t, err := time.Parse(engine.TimeLayout, v); err == nil {
					dest[i] = t
				}
			}
		}
	}
}

// timely tells whether a column holds times, and not texts that look like one: those keep their zone, and so come back
// as they were written.
func (r *result) timely(i int) bool {
	if !r.conn.db.textTimes {
		return true
	}
	switch r.declared(i) {
	case "DATE", "TIME", "DATETIME", "TIMESTAMP":
		return true
	}
	return false
}

func (r *result) declared(i int) string {
	if r.types == nil {
		r.types = make([]string, len(r.rows.Columns()))
		if named, ok := r.rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
			for i := range r.types {
				r.types[i] = strings.ToUpper(named.ColumnTypeDatabaseTypeName(i))
			}
		}
	}
	return r.types[i]
}

// Close implements driver.Rows. It may be called twice.
func (r *result) Close() error {
	if !r.enter() {
		return nil
	}
	err := r.finish(errRowsClosed)
	if r.leaves {
		err = r.conn.db.report(r.ctx, err)
	}
	r.conn.exit()
	if r.borrowed {
		r.conn.rollback()
	}
	return err
}

// enter takes the connection's turn, unless the rows are closed.
func (r *result) enter() bool {
	// A Conn that has ended has closed its rows: its connection is someone else's.
	if r.conn.ended.Load() {
		return false
	}
	if r.conn.physical.take(context.Background()) != nil {
		return false
	}
	if r.closed != nil {
		r.conn.exit()
		return false
	}
	return true
}

// finish closes the result; the caller has the turn.
func (r *result) finish(reason error) error {
	r.closed = reason
	err := r.rows.Close()
	r.conn.doubt(r.ctx)
	if r.statement != nil {
		err = errors.Join(err, r.conn.physical.cache.release(r.statement))
	}
	if i := slices.Index(r.conn.open, r); i >= 0 {
		r.conn.open = slices.Delete(r.conn.open, i, i+1)
	}
	if err != nil {
		err = r.conn.note(r.ctx, err)
	}
	r.observed.done(r.ctx, r.conn.db, r.count, err)
	return err
}

// The following are what database/sql asks of a result beyond its rows.

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *result) HasNextResultSet() bool {
	if !r.enter() {
		return false
	}
	defer r.conn.exit()
	next, ok := r.rows.(driver.RowsNextResultSet)
	return ok && next.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet.
func (r *result) NextResultSet() error {
	if !r.enter() {
		return io.EOF
	}
	defer r.conn.exit()
	r.types, r.asked = nil, false
	if next, ok := r.rows.(driver.RowsNextResultSet); ok {
		return next.NextResultSet()
	}
	return io.EOF
}

// column is what is known of a column's type.
type column struct {
	typeName                string
	scanType                reflect.Type
	nullable, nullableKnown bool
	length                  int64
	lengthKnown             bool
	precision, scale        int64
	decimalKnown            bool
}

func (r *result) column(i int) column {
	c := column{scanType: reflect.TypeFor[any]()}
	if !r.enter() {
		return c
	}
	defer r.conn.exit()
	if t, ok := r.rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
		c.typeName = t.ColumnTypeDatabaseTypeName(i)
	}
	if t, ok := r.rows.(driver.RowsColumnTypeScanType); ok {
		c.scanType = t.ColumnTypeScanType(i)
	}
	if t, ok := r.rows.(driver.RowsColumnTypeNullable); ok {
		c.nullable, c.nullableKnown = t.ColumnTypeNullable(i)
	}
	if t, ok := r.rows.(driver.RowsColumnTypeLength); ok {
		c.length, c.lengthKnown = t.ColumnTypeLength(i)
	}
	if t, ok := r.rows.(driver.RowsColumnTypePrecisionScale); ok {
		c.precision, c.scale, c.decimalKnown = t.ColumnTypePrecisionScale(i)
	}
	return c
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *result) ColumnTypeDatabaseTypeName(i int) string { return r.column(i).typeName }

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *result) ColumnTypeScanType(i int) reflect.Type { return r.column(i).scanType }

// ColumnTypeNullable implements driver.RowsColumnTypeNullable.
func (r *result) ColumnTypeNullable(i int) (nullable, ok bool) {
	c := r.column(i)
	return c.nullable, c.nullableKnown
}

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *result) ColumnTypeLength(i int) (length int64, ok bool) {
	c := r.column(i)
	return c.length, c.lengthKnown
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *result) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	c := r.column(i)
	return c.precision, c.scale, c.decimalKnown
}
