package sqlite

import (
	"bytes"
	"database/sql/driver"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// nativeRows is what the driver's rows offer beyond database/sql: SQLite's own cells.
type nativeRows interface {
	NextRow() error
	ColumnType(column int) sqlite3.Datatype
	ColumnInt64(column int) int64
	ColumnFloat(column int) float64
	ColumnRawText(column int) []byte
	ColumnRawBlob(column int) []byte
}

// ReadRow implements engine.RowReader. Cells are read as they are stored, which is what SQL compares and the journal's images
// have: the driver would make other values of some, by the columns' declared types.
func (d dialect) ReadRow(rows driver.Rows, columns []engine.Column, row []predicate.Value) (read bool, failed int, err error) {
	native, ok := rows.(nativeRows)
	if !ok {
		return false, 0, nil
	}
	if err := native.NextRow(); err != nil {
		return true, -1, err
	}
	for i := range row {
		if row[i], err = d.cell(native, i, columns[i].Kind); err != nil {
			return true, i, err
		}
	}
	return true, -1, nil
}

func (d dialect) cell(native nativeRows, column int, kind predicate.Kind) (predicate.Value, error) {
	switch native.ColumnType(column) {
	case sqlite3.INTEGER:
		i := native.ColumnInt64(column)
		if kind == predicate.Int {
			return predicate.IntValue(i), nil
		}
		return d.Scan(kind, i)
	case sqlite3.FLOAT:
		return d.Scan(kind, native.ColumnFloat(column)+0) // there is no negative zero, as in images
	case sqlite3.TEXT:
		return d.textCell(native.ColumnRawText(column), kind)
	case sqlite3.BLOB:
		return d.Scan(kind, bytes.Clone(native.ColumnRawBlob(column)))
	default:
		return predicate.Value{}, nil
	}
}

func (d dialect) textCell(text []byte, kind predicate.Kind) (predicate.Value, error) {
	switch kind {
	case predicate.Text:
		return predicate.TextValue(string(text)), nil
	case predicate.Time:
		if t, ok := parseTime(text); ok {
			return predicate.TimeValue(t), nil
		}
	}
	return d.Scan(kind, string(text))
}

// parseTime reads engine.TimeLayout.
func parseTime(text []byte) (t time.Time, ok bool) {
	const layout = engine.TimeLayout
	if len(text) != len(layout) {
		return t, false
	}
	var parts [7]int
	part := 0
	for i, c := range text {
		switch {
		case layout[i] >= '0' && layout[i] <= '9':
			if c < '0' || c > '9' {
				return t, false
			}
			parts[part] = 10*parts[part] + int(c-'0')
		case c != layout[i]:
			return t, false
		default:
			part++
		}
	}
	year, month, day, hour, minute, second, micro := parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[6]
	t = time.Date(year, time.Month(month), day, hour, minute, second, micro*int(time.Microsecond), time.UTC)
	// What is no date, such as the 30th of February, becomes another one.
	_, m, dd := t.Date()
	return t, int(m) == month && dd == day && hour < 24 && minute < 60 && second < 60
}
