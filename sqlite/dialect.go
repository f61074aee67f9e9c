package sqlite

import (
	"database/sql/driver"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

type dialect struct{}

func (dialect) Name() string { return "sqlite" }

func (dialect) Quote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}

func (dialect) Placeholder(int) string { return "?" }

func (dialect) Unknown() string { return "NULL" }

// Lock is empty: a transaction that writes holds the whole database.
func (dialect) Lock() string { return "" }

func (dialect) Returning() bool { return true }

func (dialect) Bind(v predicate.Value) driver.Value {
	switch v.Kind() {
	case predicate.Bool:
		if v.Bool() {
			return int64(1)
		}
		return int64(0)
	case predicate.Int:
		return v.Int()
	case predicate.Float:
		return v.Float()
	case predicate.Time:
		return engine.FormatTime(v.Time())
	case predicate.Bytes:
		return []byte(v.Content())
	case predicate.Null:
		return nil
	default:
		return v.Content()
	}
}

// Scan leaves a decimal as it stands: it is text here, and compares as text.
func (dialect) Scan(kind predicate.Kind, v driver.Value) (predicate.Value, error) {
	switch kind {
	case predicate.Decimal:
		if text, ok := engine.TextOf(v); ok {
			return predicate.RawDecimal(text), nil
		}
	case predicate.Time:
		switch v.(type) {
		case int64, float64: // seconds, milliseconds or a Julian day, by the size of the number
			t, err := sqlite3.TimeFormatAuto.Decode(v)
			if err != nil {
				return predicate.Value{}, engine.ScanError(kind, v)
			}
			return predicate.TimeValue(t), nil
		}
	}
	return engine.Scan(kind, v)
}

func (d dialect) Compare(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	switch {
	case column.Kind == predicate.Decimal && op != predicate.Eq && op != predicate.Ne:
		compareDecimal(b, column, op, v)
	case !column.Foreign:
		engine.Comparison(b, column, op, v)
	case op == predicate.Eq:
		b.Write("(")
		engine.Comparison(b, column, op, v)
		b.Write(" AND ")
		exact(b, column)
		b.Write(" = ")
		b.Arg(v)
		b.Write(")")
	default:
		exact(b, column)
		b.Write(engine.Operator(op))
		b.Arg(v)
	}
}

func (d dialect) In(b *engine.Builder, column engine.Column, values []predicate.Value) {
	if !column.Foreign {
		b.Quote(column.Name)
		b.Write(" IN ")
		engine.List(b, column, values, "")
		return
	}
	b.Write("(")
	b.Quote(column.Name)
	b.Write(" IN ")
	engine.List(b, column, values, "")
	b.Write(" AND ")
	exact(b, column)
	b.Write(" IN ")
	engine.List(b, column, values, "")
	b.Write(")")
}

// exact writes a column so that it compares by bytes, whatever its collation.
func exact(b *engine.Builder, column engine.Column) {
	b.Quote(column.Name)
	if column.Foreign {
		b.Write(" COLLATE BINARY")
	}
}

// Pattern writes GLOB, which knows case, or LIKE, which folds A to Z and nothing else. Neither looks at collations.
func (dialect) Pattern(b *engine.Builder, column engine.Column, pattern []predicate.Token, fold bool) {
	b.Quote(column.Name)
	if fold {
		b.Write(" LIKE ")
		b.Raw(engine.LikePattern(pattern, '\\'))
		b.Write(` ESCAPE '\'`)
		return
	}
	b.Write(" GLOB ")
	b.Raw(globPattern(pattern))
}

func globPattern(pattern []predicate.Token) string {
	var s strings.Builder
	for _, token := range pattern {
		switch {
		case token.Wild == predicate.AnyText:
			s.WriteByte('*')
		case token.Wild == predicate.AnyRune:
			s.WriteByte('?')
		case token.Rune == '*' || token.Rune == '?' || token.Rune == '[':
			s.WriteByte('[')
			s.WriteRune(token.Rune)
			s.WriteByte(']')
		default:
			s.WriteRune(token.Rune)
		}
	}
	return s.String()
}

func (dialect) Order(b *engine.Builder, column engine.Column, descending, nullsFirst bool) {
	if column.Kind == predicate.Decimal {
		orderDecimal(b, column, descending, nullsFirst)
		return
	}
	exact(b, column)
	direction(b, descending)
	nulls(b, column, nullsFirst)
}

func direction(b *engine.Builder, descending bool) {
	if descending {
		b.Write(" DESC")
	}
}

func nulls(b *engine.Builder, column engine.Column, first bool) {
	switch {
	case !column.Nullable:
	case first:
		b.Write(" NULLS FIRST")
	default:
		b.Write(" NULLS LAST")
	}
}

// ColumnType gives times and booleans the names by which GORM and the driver know them. Decimals, UUIDs and JSON are
// TEXT, so that SQLite turns none of them into a number.
func (dialect) ColumnType(shape engine.Shape) string {
	switch shape.Kind {
	case predicate.Bool:
		return "BOOLEAN"
	case predicate.Int:
		return "INTEGER"
	case predicate.Float:
		return "REAL"
	case predicate.Time:
		return "DATETIME"
	case predicate.Bytes:
		return "BLOB"
	default:
		return "TEXT"
	}
}

func (dialect) DefaultValues() string { return " DEFAULT VALUES" }

func (d dialect) ForeignTriggers(t *engine.Table) (query string, args []driver.NamedValue) {
	b := engine.NewBuilder(d)
	b.Write("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name NOT GLOB 'cape_*'")
	if t != nil {
		b.Write(" AND tbl_name = ")
		b.Raw(t.Name)
		b.Write(" COLLATE NOCASE")
	}
	b.Write(" ORDER BY name")
	return b.String(), b.Args
}
