package migrate

import (
	"strings"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// fallback writes the DEFAULT that a gorm tag asks for; computed tells that the database evaluates it for each row.
func (w *wish) fallback(kind predicate.Kind, gf *schema.Field) (expression string, computed bool) {
	text := gf.DefaultValue
	switch lower := strings.ToLower(text); {
	case !gf.HasDefaultValue, text == "" && gf.DefaultValueInterface == nil, text == "(-)", lower == "null":
		return "", false
	case kind == predicate.Time && isNow(lower):
		return w.system.now(), true
	}
	if v, ok := constant(kind, gf); ok {
		return w.system.literal(v), false
	}
	return text, strings.Contains(text, "(") || strings.HasPrefix(strings.ToLower(text), "current_")
}

// isNow recognises the databases' words for the present, whose forms and zones differ.
func isNow(lower string) bool {
	lower, _, _ = strings.Cut(lower, "(")
	switch lower {
	case "now", "current_timestamp", "localtimestamp", "utc_timestamp", "clock_timestamp", "transaction_timestamp", "statement_timestamp":
		return true
	}
	return false
}

// constant returns the value that GORM has read from a default tag.
func constant(kind predicate.Kind, gf *schema.Field) (predicate.Value, bool) {
	switch v := gf.DefaultValueInterface.(type) {
	case bool:
		return predicate.BoolValue(v), true
	case int64:
		if kind == predicate.Bool {
			return predicate.BoolValue(v != 0), true
		}
		if kind != predicate.Decimal {
			return predicate.IntValue(v), true
		}
	case uint64:
		if kind != predicate.Decimal {
			return predicate.IntValue(int64(v)), true //nolint:gosec // the model refuses what is larger
		}
	case float64:
		if kind != predicate.Decimal {
			return predicate.FloatValue(v), true
		}
	case string:
		if kind != predicate.Decimal {
			return predicate.TextValue(v), true
		}
	case time.Time:
		return predicate.TimeValue(wallClock(gf.DefaultValue, v)), true
	}
	if kind == predicate.Decimal {
		return predicate.DecimalValue(strings.Trim(gf.DefaultValue, `'"`))
	}
	return predicate.Value{}, false
}

// wallClock takes a default that names no zone as UTC; GORM has read it in the machine's.
func wallClock(text string, t time.Time) time.Time {
	if zoned, err := time.Parse(time.RFC3339, text); err == nil {
		return zoned
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// zero is what the rows of a table get in a new NOT NULL column that has no default of its own.
func zero(f *model.Field) predicate.Value {
	plain := *f
	plain.Nullable = false
	if v := plain.Zero(); !v.IsNull() {
		return v
	}
	// The zero of a type of the user's is NULL.
	switch f.Kind {
	case predicate.Bool:
		return predicate.BoolValue(false)
	case predicate.Int:
		return predicate.IntValue(0)
	case predicate.Float:
		return predicate.FloatValue(0)
	case predicate.Decimal:
		return predicate.RawDecimal("0")
	case predicate.Time:
		return predicate.TimeValue(time.Time{})
	case predicate.Bytes:
		return predicate.BytesValue(nil)
	case predicate.JSON:
		null, _ := predicate.JSONValue([]byte("null"))
		return null
	default:
		return predicate.TextValue("")
	}
}
