package engine_test

import (
	"math"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

// edge is a value at which databases, or a database and memory, like to disagree.
type edge struct {
	name  string
	value predicate.Value
}

// pool returns the edge values of a kind. They are easily confused, so that random pairs are often equal or nearly so.
func pool(kind predicate.Kind) []predicate.Value {
	var values []predicate.Value
	for _, e := range edges(kind) {
		values = append(values, e.value)
	}
	return values
}

func edges(kind predicate.Kind) []edge {
	switch kind {
	case predicate.Bool:
		return []edge{{"false", predicate.BoolValue(false)}, {"true", predicate.BoolValue(true)}}
	case predicate.Int:
		return intEdges()
	case predicate.Float:
		return floatEdges()
	case predicate.Decimal:
		return decimalEdges()
	case predicate.Text:
		return textEdges()
	case predicate.UUID:
		return uuidEdges()
	case predicate.Bytes:
		return bytesEdges()
	case predicate.Time:
		return timeEdges()
	default:
		return []edge{{"null", document(`null`)}, {"number", document(`2.50`)}, {"text", document(`"é"`)},
			{"object", document(`{"b":[1,true,{}],"a":1e2}`)}, {"large number", document(`12345678901234567890.123`)}}
	}
}

func intEdges() []edge {
	v := predicate.IntValue
	return []edge{
		{"zero", v(0)}, {"one", v(1)}, {"minus one", v(-1)}, {"seven", v(7)}, {"42", v(42)}, {"2^15-1", v(math.MaxInt16)}, {"2^15", v(math.MaxInt16 + 1)},
		{"2^31-1", v(math.MaxInt32)}, {"2^31", v(math.MaxInt32 + 1)}, {"-2^31", v(math.MinInt32)}, {"-2^31-1", v(math.MinInt32 - 1)},
		{"2^53", v(1 << 53)}, {"2^53+1", v(1<<53 + 1)}, {"-2^53-1", v(-1<<53 - 1)},
		{"2^63-1", v(math.MaxInt64)}, {"2^63-2", v(math.MaxInt64 - 1)}, {"-2^63", v(math.MinInt64)}, {"-2^63+1", v(math.MinInt64 + 1)},
	}
}

func floatEdges() []edge {
	v := predicate.FloatValue
	return []edge{
		{"zero", v(0)}, {"negative zero", v(math.Copysign(0, -1))}, {"one", v(1)}, {"0.1", v(0.1)}, {"0.3", v(0.3)}, {"0.1+0.2", v(math.Nextafter(0.3, 1))},
		{"1.5", v(1.5)}, {"-1.5", v(-1.5)}, {"largest", v(math.MaxFloat64)}, {"most negative", v(-math.MaxFloat64)},
		{"smallest", v(math.SmallestNonzeroFloat64)}, {"smallest normal", v(math.Float64frombits(1 << 52))},
		{"2^53", v(1 << 53)}, {"2^53+2", v(1<<53 + 2)}, {"2^63", v(1 << 63)}, {"1e-7", v(1e-7)}, {"123456789.125", v(123456789.125)},
		{"near one", v(math.Nextafter(1, 2))}, {"single 0.1", v(float64(float32(0.1)))},
	}
}

func decimalEdges() []edge {
	list := []edge{
		{"zero", decimal("0")}, {"negative zero", decimal("-0.00")}, {"one", decimal("1.0")}, {"minus one", decimal("-1")}, {"1.1", decimal("1.10")},
		{"-1.1", decimal("-1.1")}, {"-1.10001", decimal("-1.10001")}, {"nine", decimal("9")}, {"ten", decimal("10")}, {"minus nine", decimal("-9")},
		{"minus ten", decimal("-10")}, {"0.1", decimal("0.1")}, {"0.09", decimal("0.09")}, {"-0.5", decimal("-0.5")}, {"-0.05", decimal("-0.05")},
		{"2^63", decimal("9223372036854775808")}, {"2^53+1", decimal("9007199254740993")}, {"exponent", decimal("1e2")},
		{"29 digits", decimal("12345678901234567890.123456789")}, {"29 digits less one", decimal("12345678901234567890.123456788")},
		{"35 digits", decimal(strings.Repeat("9", 35))}, {"30 places", decimal("0." + strings.Repeat("0", 29) + "1")},
	}
	return list
}

// hugeDecimals are compared with, but fit no column of MySQL.
func hugeDecimals() []edge {
	return []edge{
		{"66 digits", decimal(strings.Repeat("9", 66))}, {"minus 66 digits", decimal("-" + strings.Repeat("9", 66))},
		{"60 places", decimal("0." + strings.Repeat("0", 59) + "1")}, {"minus 60 places", decimal("-0." + strings.Repeat("0", 59) + "1")},
		{"1.1 and 60 places", decimal("1.1" + strings.Repeat("0", 58) + "1")}, {"40 digits and 40 places", decimal(strings.Repeat("1", 40) + "." + strings.Repeat("1", 40))},
		{"-1.1 and 60 places", decimal("-1.1" + strings.Repeat("0", 58) + "1")},
	}
}

func textEdges() []edge {
	v := predicate.TextValue
	return []edge{
		{"empty", v("")}, {"space", v(" ")}, {"lower", v("a")}, {"upper", v("A")}, {"trailing space", v("a ")}, {"two trailing spaces", v("a  ")},
		{"leading space", v(" a")}, {"trailing tab", v("a\t")}, {"trailing no-break space", v("a\u00a0")}, {"b", v("b")}, {"lower pair", v("ab")},
		{"upper pair", v("AB")}, {"mixed pair", v("aB")}, {"triple", v("abc")}, {"é", v("é")}, {"É", v("É")}, {"decomposed é", v("e\u0301")}, {"e", v("e")},
		{"ß", v("ß")}, {"ss", v("ss")}, {"long s", v("ſ")}, {"s", v("s")}, {"K", v("K")}, {"k", v("k")}, {"Kelvin", v("\u212a")}, {"i", v("i")}, {"I", v("I")},
		{"dotted I", v("İ")}, {"dotless i", v("ı")}, {"z", v("z")}, {"Z", v("Z")}, {"tilde", v("~")}, {"ligature fi", v("ﬁ")}, {"fi", v("fi")}, {"Greek sigma", v("Σς")},
		{"CJK", v("日本")}, {"private use", v("\ue000")}, {"replacement character", v("\ufffd")}, {"noncharacter", v("\uffff")}, {"emoji", v("😀")},
		{"emoji with modifier", v("👍🏽")}, {"last code point", v("\U0010ffff")}, {"zero-width space", v("a\u200b")}, {"soft hyphen", v("a\u00adb")},
		{"percent", v("%")}, {"underscore", v("_")}, {"asterisk", v("*")}, {"question mark", v("?")}, {"opening bracket", v("[")}, {"closing bracket", v("]")},
		{"class", v("[a]")}, {"inverted class", v("[^a]")}, {"a%b", v("a%b")}, {"a_b", v("a_b")}, {"a*b", v("a*b")}, {"a backslash b", v(`a\b`)},
		{"backslash", v(`\`)}, {"bar", v("|")}, {"quote", v("'")}, {"double quote", v(`"`)}, {"backquote", v("`")}, {"a'b", v("a'b")}, {"dollar", v("$1")},
		{"newline", v("\n")}, {"a newline b", v("a\nb")}, {"CR LF", v("a\r\nb")}, {"control", v("\x01")}, {"delete", v("\x7f")}, {"seven", v("7")}, {"007", v("007")},
		{"1.0", v("1.0")}, {"1e3", v("1e3")}, {"true", v("true")}, {"null", v("null")}, {"NULL", v("NULL")}, {"RFC 3339", v("2024-02-29T12:00:00Z")},
		{"stored time", v("2024-02-29T12:00:00.000001Z")}, {"date", v("2024-02-29")}, {"UUID", v("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")},
		{"300 letters", v(strings.Repeat("a", 300))}, {"300 letters and one", v(strings.Repeat("a", 300) + "b")}, {"120 é and x", v(strings.Repeat("é", 120) + "x")},
	}
}

// longText does not fit a column of a bounded length.
func longText() []edge {
	return []edge{
		{"70,000 letters", predicate.TextValue(strings.Repeat("x", 70_000))},
		{"70,000 letters and one", predicate.TextValue(strings.Repeat("x", 70_000) + "y")},
	}
}

func uuidEdges() []edge {
	return []edge{
		{"nil", uuid("00000000-0000-0000-0000-000000000000")}, {"max", uuid("ffffffff-ffff-ffff-ffff-ffffffffffff")},
		{"v7", uuid("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")}, {"v7 and one", uuid("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c")},
		{"upper case", uuid("A190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B")}, {"digits", uuid("12345678-1234-1234-1234-123456789012")},
	}
}

func bytesEdges() []edge {
	return []edge{
		{"empty", bytes("")}, {"zero", bytes("\x00")}, {"two zeros", bytes("\x00\x00")}, {"255", bytes("\xff")}, {"zero and 255", bytes("\x00\xff")},
		{"lower", bytes("a")}, {"upper", bytes("A")}, {"trailing space", bytes("a ")}, {"trailing zero", bytes("a\x00")}, {"UTF-8", bytes("é")},
		{"half of UTF-8", bytes("\xc3")}, {"backslash", bytes(`\`)}, {"octal escape", bytes(`\303`)}, {"hexadecimal escape", bytes(`\xff`)},
		{"percent", bytes("%")}, {"quote", bytes("'")}, {"text of a time", bytes("2024-02-29T12:00:00Z")},
	}
}

func timeEdges() []edge {
	v := predicate.TimeValue
	leap := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	return []edge{
		{"year 1", v(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))}, {"year 1 and 1 µs", v(time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC))},
		{"year 999", v(time.Date(999, 12, 31, 23, 59, 59, 0, time.UTC))}, {"before the calendar's change", v(time.Date(1582, 10, 4, 0, 0, 0, 0, time.UTC))},
		{"before 1970", v(time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC))}, {"1970", v(time.Unix(0, 0))}, {"1971", v(time.Date(1971, 1, 1, 0, 0, 0, 1000, time.UTC))},
		{"leap day", v(leap)}, {"leap day and 1 µs", v(leap.Add(time.Microsecond))}, {"leap day less 1 µs", v(leap.Add(-time.Microsecond))},
		{"leap day and 999 ns", v(leap.Add(999))}, {"leap day and 120 ms", v(leap.Add(120 * time.Millisecond))}, {"leap day and 500 ms", v(leap.Add(500 * time.Millisecond))},
		{"another zone", v(time.Date(2024, 2, 29, 14, 30, 0, 0, time.FixedZone("", 9000)))}, {"midnight", v(time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC))},
		{"hour that summer time leaves out", v(time.Date(2024, 3, 31, 2, 30, 0, 0, time.UTC))}, {"hour that comes twice", v(time.Date(2024, 10, 27, 2, 30, 0, 0, time.UTC))},
		{"2038", v(time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC))}, {"year 9999", v(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))},
	}
}

// The following are for constants; what is not one would show as NULL in the first comparison.
func decimal(s string) predicate.Value { v, _ := predicate.DecimalValue(s); return v }
func uuid(s string) predicate.Value    { v, _ := predicate.UUIDValue(s); return v }
func bytes(s string) predicate.Value   { return predicate.BytesValue([]byte(s)) }
func document(s string) predicate.Value {
	v, _ := predicate.JSONValue([]byte(s))
	return v
}
