package mysql

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

type dialect struct {
	collation string // utf8mb4 by code points, without padding
	maxScale  int    // most digits after the point of a decimal
	compound  bool   // several statements can be prepared as one
}

func (dialect) Name() string { return "mysql" }

func (dialect) Quote(identifier string) string {
	return "`" + strings.ReplaceAll(identifier, "`", "``") + "`"
}

func (dialect) Placeholder(int) string { return "?" }

func (dialect) Unknown() string { return "NULL" }

func (dialect) Lock() string { return " FOR UPDATE" }

func (dialect) Returning() bool { return false }

func (dialect) DefaultValues() string { return " () VALUES ()" }

// timeLayout is what the servers read. The driver's own form of a time.Time makes the first moment of year 1 a zero date.
const timeLayout = "2006-01-02 15:04:05.000000"

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
		return v.Time().Format(timeLayout)
	case predicate.Bytes:
		return []byte(v.Content())
	case predicate.Null:
		return nil
	default:
		return v.Content()
	}
}

func (dialect) Scan(kind predicate.Kind, v driver.Value) (predicate.Value, error) {
	return engine.Scan(kind, v)
}

// Compare gives a Foreign column's index a chance by the column's own comparison, and decides by the exact one.
func (d dialect) Compare(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	switch {
	case column.Kind == predicate.Decimal:
		d.compareDecimal(b, column, op, v)
		return
	case !column.Foreign:
		engine.Comparison(b, column, op, v)
		return
	}
	indexed := op == predicate.Eq && has(column.Charset, v)
	if indexed {
		b.Write("(")
		engine.Comparison(b, column, op, v)
		b.Write(" AND ")
	}
	d.exact(b, column)
	b.Write(engine.Operator(op))
	b.Arg(v)
	if indexed {
		b.Write(")")
	}
}

func (d dialect) In(b *engine.Builder, column engine.Column, values []predicate.Value) {
	switch {
	case column.Kind == predicate.Decimal:
		d.inDecimal(b, column, values)
		return
	case !column.Foreign:
		b.Quote(column.Name)
		b.Write(" IN ")
		engine.List(b, column, values, "")
		return
	}
	indexed := !slices.ContainsFunc(values, func(v predicate.Value) bool { return !has(column.Charset, v) })
	if indexed {
		b.Write("(")
		b.Quote(column.Name)
		b.Write(" IN ")
		engine.List(b, column, values, "")
		b.Write(" AND ")
	}
	d.exact(b, column)
	b.Write(" IN ")
	engine.List(b, column, values, "")
	if indexed {
		b.Write(")")
	}
}

// has tells whether a character set has all of a text. The servers refuse to compare a column with a text that it has
// not: "illegal mix of collations".
func has(charset string, v predicate.Value) bool {
	last := unicode.MaxRune
	switch charset {
	case "utf8mb4":
	case "utf8mb3", "utf8":
		last = 0xffff
	default:
		last = unicode.MaxASCII
	}
	return !strings.ContainsFunc(v.Content(), func(r rune) bool { return r > last })
}

// exact writes a column so that it compares by code points, whatever its character set and collation.
func (d dialect) exact(b *engine.Builder, column engine.Column) {
	if !column.Foreign {
		b.Quote(column.Name)
		return
	}
	b.Write("CONVERT(")
	b.Quote(column.Name)
	b.Write(" USING utf8mb4) COLLATE ", d.collation)
}

// Pattern folds case by replacing the letters that the pattern has: LOWER would fold é too, and a regular expression has
// limits that a pattern can reach.
func (d dialect) Pattern(b *engine.Builder, column engine.Column, pattern []predicate.Token, fold bool) {
	if fold {
		pattern = engine.FoldPattern(pattern)
		letters := lettersOf(pattern)
		b.Write(strings.Repeat("REPLACE(", len(letters)))
		d.exact(b, column)
		for _, letter := range letters {
			lower := string(letter)
			b.Write(", '", strings.ToUpper(lower), "', '", lower, "')")
		}
	} else {
		d.exact(b, column)
	}
	b.Write(" LIKE ")
	b.Raw(engine.LikePattern(pattern, '|'))
	b.Write(" ESCAPE '|'") // a backslash would mean another thing in another sql_mode
}

func lettersOf(pattern []predicate.Token) []rune {
	var letters []rune
	for _, token := range pattern {
		if token.Wild == predicate.Literal && token.Rune >= 'a' && token.Rune <= 'z' {
			letters = append(letters, token.Rune)
		}
	}
	slices.Sort(letters)
	return slices.Compact(letters)
}

// Order sorts by a test for NULL first, where NULLs would not fall where they should by themselves.
func (d dialect) Order(b *engine.Builder, column engine.Column, descending, nullsFirst bool) {
	direction := ""
	if descending {
		direction = " DESC"
	}
	if column.Nullable && nullsFirst == descending {
		b.Quote(column.Name)
		b.Write(" IS NULL", direction, ", ")
	}
	d.exact(b, column)
	b.Write(direction)
}

// The longest keys that InnoDB takes are 3,072 bytes.
const (
	keyedText  = 191 // the default; an index of an old row format takes it, too
	maxText    = 768
	keyedBytes = 255
	maxBytes   = 3072
	// What a decimal without a declared precision holds: 35 digits before the point and 30 after.
	scaleByDefault = 30
	inRow          = 1024 // longer ones lie outside the row, whose length is bounded
)

// ColumnType keeps JSON as text: MySQL's own type turns numbers into doubles.
func (d dialect) ColumnType(shape engine.Shape) string {
	text := " CHARACTER SET utf8mb4 COLLATE " + d.collation
	switch shape.Kind {
	case predicate.Bool:
		return "tinyint(1)"
	case predicate.Int:
		return "bigint"
	case predicate.Float:
		return "double"
	case predicate.Decimal:
		if shape.Precision > 0 {
			return fmt.Sprintf("decimal(%d,%d)", shape.Precision, shape.Scale)
		}
		return fmt.Sprintf("decimal(%d,%d)", maxDigits, scaleByDefault)
	case predicate.UUID:
		return "char(36)" + text
	case predicate.Bytes:
		return sized("varbinary", "longblob", shape, keyedBytes, maxBytes)
	case predicate.Time:
		return "datetime(6)"
	case predicate.JSON:
		return "longtext" + text
	default:
		return sized("varchar", "longtext", shape, keyedText, maxText) + text
	}
}

func sized(short, long string, shape engine.Shape, keyed, longest int) string {
	switch {
	case shape.Keyed && shape.Size == 0:
		return fmt.Sprintf("%s(%d)", short, keyed)
	case shape.Keyed:
		return fmt.Sprintf("%s(%d)", short, min(shape.Size, longest))
	case shape.Size > 0 && shape.Size <= inRow:
		return fmt.Sprintf("%s(%d)", short, shape.Size)
	default:
		return long
	}
}

func (d dialect) ForeignTriggers(t *engine.Table) (query string, args []driver.NamedValue) {
	b := engine.NewBuilder(d)
	b.Write("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE()")
	b.Write(" AND TRIGGER_NAME NOT LIKE 'cape|_%' ESCAPE '|'")
	if t != nil {
		b.Write(" AND EVENT_OBJECT_TABLE = ")
		b.Raw(t.Name)
	}
	b.Write(" ORDER BY TRIGGER_NAME")
	return b.String(), b.Args
}
