package postgres

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

type dialect struct{}

func (dialect) Name() string { return "postgres" }

func (dialect) Quote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}

func (dialect) Placeholder(n int) string {
	const few = "$1$2$3$4$5$6$7$8$9"
	if n < 10 {
		return few[2*(n-1) : 2*n] // without a copy
	}
	return "$" + strconv.Itoa(n)
}

func (dialect) Unknown() string { return "NULL::boolean" }

func (dialect) Lock() string { return " FOR UPDATE" }

func (dialect) Returning() bool { return true }

func (dialect) DefaultValues() string { return " DEFAULT VALUES" }

func (dialect) Bind(v predicate.Value) driver.Value {
	switch v.Kind() {
	case predicate.Bool:
		return v.Bool()
	case predicate.Int:
		return v.Int()
	case predicate.Float:
		return v.Float()
	case predicate.Time:
		return v.Time()
	case predicate.Bytes:
		return []byte(v.Content())
	case predicate.Null:
		return nil
	default:
		return v.Content()
	}
}

// Scan makes the infinite times of other programs the first and the last that CapeBase knows.
func (dialect) Scan(kind predicate.Kind, v driver.Value) (predicate.Value, error) {
	if kind == predicate.Time {
		switch text, _ := v.(string); text {
		case "infinity":
			return predicate.TimeValue(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)), nil
		case "-infinity":
			return predicate.TimeValue(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)), nil
		}
	}
	return engine.Scan(kind, v)
}

// cast follows each argument of a comparison. Left to itself PostgreSQL gives an argument the column's type: it would
// refuse what an int4 cannot hold, cut times to the day for a date, and pad text for a character(n). The types named here
// have operators with all of their family, which use the family's indexes.
func cast(column engine.Column) string {
	switch column.Kind {
	case predicate.Bool:
		return "::boolean"
	case predicate.Int:
		return "::bigint"
	case predicate.Float:
		return "::double precision"
	case predicate.Decimal:
		return "::numeric"
	case predicate.Time:
		return "::timestamptz"
	case predicate.Bytes:
		return "::bytea"
	case predicate.Text:
		return "::text"
	default: // a UUID may lie in a uuid or in a text
		return ""
	}
}

// Compare names no collation for = and <>: all that are deterministic agree with bytes, and naming one would forsake the
// index.
func (dialect) Compare(b *engine.Builder, column engine.Column, op predicate.Op, v predicate.Value) {
	if op == predicate.Eq || op == predicate.Ne {
		b.Quote(column.Name)
	} else {
		exact(b, column)
	}
	b.Write(engine.Operator(op))
	b.Arg(v)
	b.Write(cast(column))
}

func (dialect) In(b *engine.Builder, column engine.Column, values []predicate.Value) {
	b.Quote(column.Name)
	b.Write(" IN ")
	engine.List(b, column, values, cast(column))
}

// exact writes a column so that it sorts by code point, whatever its collation.
func exact(b *engine.Builder, column engine.Column) {
	b.Quote(column.Name)
	if column.Foreign {
		b.Write(`::text COLLATE "C"`)
	}
}

func (dialect) Pattern(b *engine.Builder, column engine.Column, pattern []predicate.Token, fold bool) {
	if !fold {
		exact(b, column)
		b.Write(" LIKE ")
		b.Raw(engine.LikePattern(pattern, '\\'))
		b.Write("::text")
		return
	}
	b.Write("lower(")
	b.Quote(column.Name)
	b.Write(`::text COLLATE "C") LIKE `) // "C" folds A to Z alone
	b.Raw(engine.LikePattern(engine.FoldPattern(pattern), '\\'))
	b.Write("::text")
}

// Order names the place of NULLs only where it is not PostgreSQL's own, and the index's.
func (dialect) Order(b *engine.Builder, column engine.Column, descending, nullsFirst bool) {
	exact(b, column)
	if descending {
		b.Write(" DESC")
	}
	switch {
	case !column.Nullable || nullsFirst == descending:
	case nullsFirst:
		b.Write(" NULLS FIRST")
	default:
		b.Write(" NULLS LAST")
	}
}

func (dialect) ColumnType(shape engine.Shape) string {
	switch shape.Kind {
	case predicate.Bool:
		return "boolean"
	case predicate.Int:
		return "bigint"
	case predicate.Float:
		return "double precision"
	case predicate.Decimal:
		if shape.Precision > 0 {
			return fmt.Sprintf("numeric(%d,%d)", shape.Precision, shape.Scale)
		}
		return "numeric"
	case predicate.UUID:
		return "uuid"
	case predicate.Bytes:
		return "bytea"
	case predicate.Time:
		return "timestamptz"
	case predicate.JSON:
		return "jsonb"
	default:
		if shape.Size > 0 {
			return fmt.Sprintf(`varchar(%d) COLLATE "C"`, shape.Size)
		}
		return `text COLLATE "C"`
	}
}

func (d dialect) ForeignTriggers(t *engine.Table) (query string, args []driver.NamedValue) {
	b := engine.NewBuilder(d)
	b.Write(`SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE '!capebase%'`)
	if t != nil {
		name := engine.NewBuilder(d)
		name.Table(t)
		b.Write(" AND tgrelid = to_regclass(")
		b.Raw(name.String())
		b.Write(")")
	}
	b.Write(" ORDER BY tgname")
	return b.String(), b.Args
}
