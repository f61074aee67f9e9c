package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/predicate"
)

// expected is an error that says what a client should have sent.
type expected string

func (e expected) Error() string { return "expected " + string(e) }

// FromJSON converts a member of a decoded body: nil, bool, int64, uint64, float64, string, []any or map[string]any. The
// error's text says what was expected.
func (f *Field) FromJSON(v any) (predicate.Value, error) {
	if v == nil {
		if !f.Nullable {
			return predicate.Value{}, expected("a value, not null")
		}
		return predicate.Value{}, nil
	}
	if f.codec.foreignJSON || f.Kind == predicate.JSON {
		return f.fromDocument(v)
	}
	switch f.Kind {
	case predicate.Bool:
		if b, ok := v.(bool); ok {
			return predicate.BoolValue(b), nil
		}
		return predicate.Value{}, expected("boolean")
	case predicate.Int:
		return f.fromInteger(v)
	case predicate.Float:
		return f.fromNumber(v)
	}
	s, ok := v.(string)
	if !ok {
		return predicate.Value{}, f.expectation()
	}
	return f.fromString(s)
}

// fromInteger also takes 1.0 and 1e3, which are integers to JSON Schema, while a float64 holds them exactly.
func (f *Field) fromInteger(v any) (predicate.Value, error) {
	var i int64
	ok := false
	switch v := v.(type) {
	case int64:
		i, ok = v, true
	case float64:
		i, ok = int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	low, high := f.integers()
	if !ok || i < low || i > high {
		return predicate.Value{}, f.expectation()
	}
	return predicate.IntValue(i), nil
}

// integers is the range of an Int field. No engine holds more than a signed 64-bit integer.
func (f *Field) integers() (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if f.Bits < 64 {
		low, high = -1<<(f.Bits-1), 1<<(f.Bits-1)-1
	}
	if f.Unsigned {
		low = 0
		if f.Bits < 64 {
			high = 1<<f.Bits - 1
		}
	}
	return low, high
}

func (f *Field) fromNumber(v any) (predicate.Value, error) {
	var number float64
	switch v := v.(type) {
	case int64:
		number = float64(v)
	case uint64:
		number = float64(v)
	case float64:
		number = v
	default:
		return predicate.Value{}, expected("number")
	}
	if f.Bits == 32 {
		number = float64(float32(number))
	}
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return predicate.Value{}, expected(fmt.Sprintf("number of %d bits", f.Bits))
	}
	return predicate.FloatValue(number), nil
}

func (f *Field) fromString(s string) (predicate.Value, error) {
	v, ok := predicate.Parse(f.Kind, s)
	if !ok {
		return predicate.Value{}, f.expectation()
	}
	switch f.Kind {
	case predicate.Text:
		if f.Size > 0 && len(s) > f.Size && utf8.RuneCountInString(s) > f.Size {
			return predicate.Value{}, expected(fmt.Sprintf("length <= %d", f.Size))
		}
	case predicate.Bytes:
		if f.Size > 0 && len(v.Content()) > f.Size {
			return predicate.Value{}, expected(fmt.Sprintf("at most %d bytes", f.Size))
		}
	case predicate.Decimal:
		return v, f.checkDecimal(v)
	}
	return v, nil
}

func (f *Field) checkDecimal(v predicate.Value) error {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(v.Content(), "-"), ".")
	if whole == "0" {
		whole = ""
	}
	if f.Precision > 0 && (len(whole) > f.Precision-f.Scale || len(fraction) > f.Scale) {
		return expected(fmt.Sprintf("decimal number with at most %d digits before the point and %d after it", f.Precision-f.Scale, f.Scale))
	}
	return f.bounds.check(v)
}

// expectation says what the field takes.
func (f *Field) expectation() error {
	switch f.Kind {
	case predicate.Bool:
		return expected("true or false")
	case predicate.Int:
		low, high := f.integers()
		return expected(fmt.Sprintf("integer from %d to %d", low, high))
	case predicate.Float:
		return expected("number")
	case predicate.Decimal:
		return expected(`decimal number in a string, such as "12.50"`)
	case predicate.Text:
		return expected("string of UTF-8 without NUL characters")
	case predicate.UUID:
		return expected(`UUID, such as "0198c0de-0000-7000-8000-000000000001"`)
	case predicate.Bytes:
		return expected("string of base64")
	case predicate.Time:
		return expected(`RFC 3339 date-time of year 1 to 9999, such as "2026-01-31T12:00:00Z"`)
	default:
		return expected("JSON document without NUL characters")
	}
}

// fromDocument converts JSON of any shape. A document that a Go type is to hold passes through the type, which then
// has the last word; one that holds any JSON does not, because integers would pass through float64.
func (f *Field) fromDocument(v any) (predicate.Value, error) {
	doc, ok := appendAny(nil, v)
	if !ok {
		return predicate.Value{}, expected("strings of UTF-8 without NUL characters")
	}
	if f.codec.foreignJSON {
		return f.fromForeignJSON(doc)
	}
	if f.gorm.Serializer == nil || holdsAny(f.codec.goType, nil) {
		value, ok := predicate.JSONValue(doc)
		if !ok {
			return predicate.Value{}, f.expectation()
		}
		if f.gorm.Serializer == nil {
			return value, nil
		}
		if err := json.Unmarshal(doc, reflect.New(f.codec.goType).Interface()); err != nil {
			return predicate.Value{}, expected("value that " + f.codec.goType.String() + " can hold")
		}
		return value, nil
	}
	return f.fromForeignJSON(doc)
}

// holdsAny tells whether a value of the type can hold JSON of any shape.
func holdsAny(t reflect.Type, seen []reflect.Type) bool {
	if slices.Contains(seen, t) {
		return false
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holdsAny(t.Elem(), append(seen, t))
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsAny(t.Field(i).Type, append(seen, t)) {
				return true
			}
		}
	}
	return false
}

// appendAny writes what the body decoder gave; ok is false when a string may not be stored.
func appendAny(dst []byte, v any) (out []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), true
	case bool:
		return strconv.AppendBool(dst, v), true
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case uint64:
		return strconv.AppendUint(dst, v, 10), true
	case float64:
		return strconv.AppendFloat(dst, v, 'g', -1, 64), !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		return predicate.AppendString(dst, v), predicate.ValidText(v)
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, ok = appendAny(dst, element); !ok {
				return dst, false
			}
		}
		return append(dst, ']'), true
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(predicate.AppendString(dst, key), ':')
			if !predicate.ValidText(key) {
				return dst, false
			}
			if dst, ok = appendAny(dst, v[key]); !ok {
				return dst, false
			}
		}
		return append(dst, '}'), true
	}
	return dst, false
}

// FromText converts a value in a URL: of a filter, or in a key. The error's text says what was expected.
func (f *Field) FromText(s string) (predicate.Value, error) {
	if f.codec.foreignJSON {
		if !predicate.ValidText(s) {
			return predicate.Value{}, expected("string of UTF-8 without NUL characters")
		}
		v, err := f.fromForeignJSON(predicate.AppendString(nil, s))
		if err != nil && json.Valid([]byte(s)) {
			v, err = f.fromForeignJSON([]byte(s))
		}
		return v, err
	}
	v, ok := predicate.Parse(f.Kind, s)
	switch {
	case !ok && f.Kind == predicate.Int:
		return predicate.Value{}, expected("integer within 64 bits")
	case !ok:
		return predicate.Value{}, f.expectation()
	case f.Kind == predicate.Float && f.Bits == 32:
		return f.fromNumber(v.Float())
	}
	return v, nil
}

// text writes a value as FromText reads it.
func (f *Field) text(v predicate.Value) string {
	if !f.codec.foreignJSON {
		return v.String()
	}
	doc := f.appendForeignJSON(nil, v)
	var s string
	if json.Unmarshal(doc, &s) == nil {
		return s
	}
	return string(doc)
}

// AppendJSON appends the value as the field is written in JSON.
func (f *Field) AppendJSON(dst []byte, v predicate.Value) []byte {
	switch {
	case v.IsNull():
		return append(dst, "null"...)
	case f.codec.foreignJSON:
		return f.appendForeignJSON(dst, v)
	case f.Bits == 32 && f.Kind == predicate.Float:
		return appendFloat32(dst, v)
	}
	return v.AppendJSON(dst)
}

// appendFloat32 writes the shortest number that is the same float32.
func appendFloat32(dst []byte, v predicate.Value) []byte {
	single := float32(v.Float())
	if float64(single) != v.Float() {
		return v.AppendJSON(dst) // the column holds more than the Go type
	}
	shortest, err := strconv.ParseFloat(strconv.FormatFloat(float64(single), 'g', -1, 32), 64)
	if err != nil {
		return v.AppendJSON(dst)
	}
	return predicate.FloatValue(shortest).AppendJSON(dst)
}

// AppendRow appends the row as a JSON object of the fields that HTTP clients may see, in the order of their declaration.
func (m *Model) AppendRow(dst []byte, row []predicate.Value) []byte {
	for i := range m.visible {
		v := &m.visible[i]
		dst = append(dst, v.key...)
		dst = v.field.AppendJSON(dst, row[v.field.Column])
	}
	if len(m.visible) == 0 {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}
