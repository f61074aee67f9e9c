package predicate

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is the type of a column and of the values in it. It is what the databases, the memory and JSON agree on.
type Kind uint8

// The kinds. Null is the kind of NULL alone and of no column.
const (
	Null    Kind = iota
	Bool         // false sorts before true
	Int          // 64 bits, signed
	Float        // 64 bits, never NaN or infinite when it came through CapeBase
	Decimal      // text of digits; JSON has it as a string
	Text         // valid UTF-8 without NUL; equal by bytes, sorted by code point
	UUID         // lower-case text
	Bytes        // JSON has it in base64
	Time         // UTC, microseconds
	JSON         // canonical text
)

// String returns the kind's name as documents and messages use it.
func (k Kind) String() string {
	names := [...]string{"null", "boolean", "integer", "number", "decimal", "text", "uuid", "bytes", "time", "json"}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one column's content. The zero Value is NULL. Values of one kind are comparable with ==, but for decimals,
// which [Compare] orders by number.
type Value struct {
	kind Kind
	num  int64  // Bool, Int, Time (microseconds since 1970), the bits of Float
	text string // Decimal, Text, UUID, Bytes, JSON
}

// BoolValue returns b as a Value.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// IntValue returns i as a Value.
func IntValue(i int64) Value { return Value{kind: Int, num: i} }

// FloatValue returns f as a Value; negative zero becomes zero, and each NaN the same one.
func FloatValue(f float64) Value {
	switch {
	case f == 0:
		f = 0
	case math.IsNaN(f):
		f = math.NaN()
	}
	return Value{kind: Float, num: int64(math.Float64bits(f))} //nolint:gosec // the bits, not the number
}

// TextValue returns s as a Value of kind Text.
func TextValue(s string) Value { return Value{kind: Text, text: s} }

// BytesValue returns a copy of b as a Value.
func BytesValue(b []byte) Value { return Value{kind: Bytes, text: string(b)} }

// TimeValue returns t in UTC, truncated to microseconds.
func TimeValue(t time.Time) Value { return Value{kind: Time, num: t.UnixMicro()} }

// UUIDValue returns the UUID in lower case; ok tells whether s is one.
func UUIDValue(s string) (v Value, ok bool) {
	if len(s) != 36 {
		return Value{}, false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return Value{}, false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return Value{}, false
		}
	}
	return Value{kind: UUID, text: strings.ToLower(s)}, true
}

// DecimalValue returns the number in s in canonical form: no sign on zero, no leading or trailing zeros, no exponent.
func DecimalValue(s string) (v Value, ok bool) {
	c, ok := canonicalDecimal(s)
	return Value{kind: Decimal, text: c}, ok
}

// RawDecimal returns s as it stands, for databases that keep decimals as text and compare them so.
func RawDecimal(s string) Value { return Value{kind: Decimal, text: s} }

// JSONValue returns the document in canonical form: sorted keys, no white space, numbers without needless digits.
func JSONValue(doc []byte) (v Value, ok bool) {
	c, err := canonicalJSON(doc)
	return Value{kind: JSON, text: c}, err == nil
}

// Kind returns the kind, Null for NULL.
func (v Value) Kind() Kind { return v.kind }

// IsNull tells whether v is NULL.
func (v Value) IsNull() bool { return v.kind == Null }

// Bool returns the content of a Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Int returns the content of an Int.
func (v Value) Int() int64 { return v.num }

// Float returns the content of a Float.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.num)) } //nolint:gosec // the bits, not the number

// Time returns the content of a Time, in UTC.
func (v Value) Time() time.Time { return time.UnixMicro(v.num).UTC() }

// Content returns the text of a Decimal, Text, UUID, Bytes or JSON.
func (v Value) Content() string { return v.text }

// Compare orders two values of one kind; ok is false when either is NULL or the kinds differ.
func Compare(a, b Value) (order int, ok bool) {
	if a.kind == Null || a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case Bool, Int, Time:
		return cmp.Compare(a.num, b.num), true
	case Float:
		return compareFloat(a.Float(), b.Float()), true
	case Decimal:
		return compareDecimal(a.text, b.text), true
	default:
		return cmp.Compare(a.text, b.text), true
	}
}

// compareFloat orders NaN last and equal to itself, as PostgreSQL does, the one engine whose tables may hold it.
func compareFloat(a, b float64) int {
	switch aNaN, bNaN := math.IsNaN(a), math.IsNaN(b); {
	case aNaN && bNaN:
		return 0
	case aNaN:
		return 1
	case bNaN:
		return -1
	}
	return cmp.Compare(a, b)
}

// String returns v as the text that [Parse] reads back; "" for NULL.
func (v Value) String() string {
	switch v.kind {
	case Bool:
		return strconv.FormatBool(v.num != 0)
	case Int:
		return strconv.FormatInt(v.num, 10)
	case Float:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case Time:
		return v.Time().Format(time.RFC3339Nano)
	case Bytes:
		return base64.StdEncoding.EncodeToString([]byte(v.text))
	default:
		return v.text
	}
}

// maxYear bounds times on both sides: every engine and RFC 3339 have years 1 to 9999.
const (
	minMicros = -62135596800 * 1e6
	maxMicros = 253402300800*1e6 - 1
)

// ValidTime tells whether t is within the years that every engine can store.
func ValidTime(t time.Time) bool {
	micros := t.UnixMicro()
	return t.Year() > 0 && t.Year() < 10000 && micros >= minMicros && micros <= maxMicros
}

// ValidText tells whether s may be stored: valid UTF-8 without NUL.
func ValidText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// Parse reads the text of a value, as in a URL: integers in decimal, times in RFC 3339 (or a date, which is its first
// moment in UTC), bytes in base64 with either alphabet.
func Parse(kind Kind, s string) (Value, bool) {
	switch kind {
	case Bool:
		switch s {
		case "true":
			return BoolValue(true), true
		case "false":
			return BoolValue(false), true
		}
		return Value{}, false
	case Int:
		i, err := strconv.ParseInt(s, 10, 64)
		return IntValue(i), err == nil && s[0] != '+'
	case Float:
		return parseFloat(s)
	case Decimal:
		return DecimalValue(s)
	case Text:
		return TextValue(s), ValidText(s)
	case UUID:
		return UUIDValue(s)
	case Bytes:
		b, ok := ParseBase64(s)
		return BytesValue(b), ok
	case Time:
		return parseTime(s)
	case JSON:
		return JSONValue([]byte(s))
	default:
		return Value{}, false
	}
}

// ParseExact reads s and accepts it only when it is what the value is written as: "007" is not the integer 7. It is how
// an identity's text becomes a column's value.
func ParseExact(kind Kind, s string) (Value, bool) {
	if s == "" {
		return Value{}, false
	}
	v, ok := Parse(kind, s)
	return v, ok && v.String() == s
}

func parseFloat(s string) (Value, bool) {
	if s == "" || strings.ContainsAny(s, "xX_pPnN") || s[0] == '+' {
		return Value{}, false // hexadecimal, NaN, Inf
	}
	f, err := strconv.ParseFloat(s, 64)
	return FloatValue(f), err == nil
}

func parseTime(s string) (Value, bool) {
	for _, layout := range [...]string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return TimeValue(t), ValidTime(t.UTC())
		}
	}
	return Value{}, false
}

// ParseBase64 reads the standard or the URL alphabet, padded or not.
func ParseBase64(s string) ([]byte, bool) {
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	b, err := encoding.Strict().DecodeString(strings.TrimRight(s, "="))
	return b, err == nil && !bytes.ContainsAny([]byte(s), "\r\n")
}
