package engine

import (
	"database/sql/driver"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

// Scan converts what a driver gave, in whichever of its forms. Dialects call it for all that is not their own. What does
// not fit the kind is an error: guessing would give SQL and memory different answers.
func Scan(kind predicate.Kind, v driver.Value) (predicate.Value, error) {
	if v == nil {
		return predicate.Value{}, nil
	}
	var value predicate.Value
	var ok bool
	switch kind {
	case predicate.Bool:
		value, ok = scanBool(v)
	case predicate.Int:
		value, ok = scanInt(v)
	case predicate.Float:
		value, ok = scanFloat(v)
	case predicate.Time:
		value, ok = scanTime(v)
	case predicate.Bytes:
		value, ok = scanBytes(v)
	default:
		value, ok = scanText(kind, v)
	}
	if !ok {
		return predicate.Value{}, ScanError(kind, v)
	}
	return value, nil
}

// ScanError says that the database holds what its column's kind cannot be. The content itself stays out of the text.
func ScanError(kind predicate.Kind, v driver.Value) error {
	return fmt.Errorf("the database holds a %T that is no %s", v, kind)
}

func scanBool(v driver.Value) (predicate.Value, bool) {
	switch v := v.(type) {
	case bool:
		return predicate.BoolValue(v), true
	case int64:
		return predicate.BoolValue(v != 0), v == 0 || v == 1
	case []byte:
		return scanBoolText(string(v))
	case string:
		return scanBoolText(v)
	}
	return predicate.Value{}, false
}

// scanBoolText knows digits, and MySQL's BIT(1), which is a byte.
func scanBoolText(s string) (predicate.Value, bool) {
	switch s {
	case "1", "\x01":
		return predicate.BoolValue(true), true
	case "0", "\x00":
		return predicate.BoolValue(false), true
	}
	return predicate.Value{}, false
}

func scanInt(v driver.Value) (predicate.Value, bool) {
	switch v := v.(type) {
	case int64:
		return predicate.IntValue(v), true
	case uint64:
		return predicate.IntValue(int64(v)), v <= math.MaxInt64 //nolint:gosec // told by the second result
	case bool:
		if v {
			return predicate.IntValue(1), true
		}
		return predicate.IntValue(0), true
	case float64:
		return predicate.IntValue(int64(v)), v == math.Trunc(v) && v >= math.MinInt64 && v < math.MaxInt64
	case []byte:
		return predicate.Parse(predicate.Int, string(v))
	case string:
		return predicate.Parse(predicate.Int, v)
	}
	return predicate.Value{}, false
}

func scanFloat(v driver.Value) (predicate.Value, bool) {
	switch v := v.(type) {
	case float64:
		return predicate.FloatValue(v), true
	case float32:
		return predicate.FloatValue(float64(v)), true
	case int64:
		return predicate.FloatValue(float64(v)), true
	case uint64:
		return predicate.FloatValue(float64(v)), true
	case []byte:
		return scanFloatText(string(v))
	case string:
		return scanFloatText(v)
	}
	return predicate.Value{}, false
}

// scanFloatText also reads PostgreSQL's NaN and Infinity.
func scanFloatText(s string) (predicate.Value, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return predicate.FloatValue(f), err == nil
}

// timeLayouts are the forms in which databases and their drivers write times; all are in UTC where they do not say.
func timeLayouts() [7]string {
	return [...]string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
		"2006-01-02T15:04:05.999999999", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	}
}

func scanTime(v driver.Value) (predicate.Value, bool) {
	var text string
	switch v := v.(type) {
	case time.Time:
		return predicate.TimeValue(v), true
	case []byte:
		text = string(v)
	case string:
		text = v
	default:
		return predicate.Value{}, false
	}
	for _, layout := range timeLayouts() {
		if t, err := time.Parse(layout, text); err == nil {
			return predicate.TimeValue(t), true
		}
	}
	return predicate.Value{}, false
}

func scanBytes(v driver.Value) (predicate.Value, bool) {
	switch v := v.(type) {
	case []byte:
		return predicate.BytesValue(v), true
	case string:
		return predicate.BytesValue([]byte(v)), true
	}
	return predicate.Value{}, false
}

func scanText(kind predicate.Kind, v driver.Value) (predicate.Value, bool) {
	text, ok := TextOf(v)
	if !ok {
		return predicate.Value{}, false
	}
	switch kind {
	case predicate.Text:
		return predicate.TextValue(text), true
	case predicate.UUID:
		return predicate.UUIDValue(text)
	case predicate.JSON:
		return predicate.JSONValue([]byte(text))
	case predicate.Decimal:
		if value, ok := predicate.DecimalValue(text); ok {
			return value, true
		}
		return predicate.RawDecimal(text), true // NaN and Infinity, which other programs can store
	default:
		return predicate.Value{}, false
	}
}

// TextOf returns the text that a driver gave, or that of a number or time into which it had turned the text.
func TextOf(v driver.Value) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	case time.Time:
		return v.Format(time.RFC3339Nano), true
	}
	return "", false
}
