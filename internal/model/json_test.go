package model_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

const someUUID = "0198c0de-0000-7000-8000-00000000000a"

func at(text string) predicate.Value {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return predicate.TimeValue(t)
}

func TestFromJSON(t *testing.T) {
	m := parse[Everything](t)
	null := predicate.Value{}
	integer, number, text := predicate.IntValue, predicate.FloatValue, predicate.TextValue
	ticket := []byte("0123456789abcdef")
	for _, c := range []struct {
		field string
		given any
		want  predicate.Value
	}{
		{"bool", true, predicate.BoolValue(true)},
		{"bool", false, predicate.BoolValue(false)},
		{"int", int64(math.MaxInt64), integer(math.MaxInt64)},
		{"int", int64(math.MinInt64), integer(math.MinInt64)},
		{"int", 1e3, integer(1000)},
		{"int", math.Copysign(0, -1), integer(0)},
		{"int", float64(1<<53 - 1), integer(1<<53 - 1)},
		{"int8", int64(-128), integer(-128)},
		{"int8", int64(127), integer(127)},
		{"uint8", int64(255), integer(255)},
		{"uint32", int64(math.MaxUint32), integer(math.MaxUint32)},
		{"uint64", int64(math.MaxInt64), integer(math.MaxInt64)},
		{"uint64", int64(0), integer(0)},
		{"float64", int64(3), number(3)},
		{"float64", uint64(math.MaxUint64), number(math.MaxUint64)},
		{"float64", math.Copysign(0, -1), number(0)},
		{"float64", math.SmallestNonzeroFloat64, number(math.SmallestNonzeroFloat64)},
		{"float32", 0.1, number(float64(float32(0.1)))},
		{"text", "", text("")},
		{"text", " é\u0301😀\u2028", text(" é\u0301😀\u2028")},
		{"short", "ééééé", text("ééééé")},
		{"time", "2026-01-31T12:00:00.123456789+02:00", at("2026-01-31T10:00:00.123456Z")},
		{"time", "0001-01-01T00:00:00Z", at("0001-01-01T00:00:00Z")},
		{"time", "9999-12-31T23:59:59.9999999Z", at("9999-12-31T23:59:59.999999Z")},
		{"bytes", "", predicate.BytesValue(nil)},
		{"bytes", nil, null},
		{"bytes", "+/8=", predicate.BytesValue([]byte{0xfb, 0xff})},
		{"bytes", "-_8", predicate.BytesValue([]byte{0xfb, 0xff})},
		{"limited", "AAAAAA==", predicate.BytesValue(make([]byte, 4))},
		{"guid", strings.ToUpper(someUUID), guid(someUUID)},
		{"uuid_text", someUUID, guid(someUUID)},
		{"price", "12345678.90", decimal("12345678.9")},
		{"price", "-0.00", decimal("0")},
		{"count", "123456789012345678901234567890.5", decimal("123456789012345678901234567890.5")},
		{"amount", "-5", decimal("-5")},
		{"amount", "1000.4999", decimal("1000.4999")},
		{"raw", map[string]any{"b": []any{int64(1), uint64(math.MaxUint64), 1.50, nil, true}, "a": "x"}, document(`{"a":"x","b":[1,18446744073709551615,1.5,null,true]}`)},
		{"raw", nil, null},
		{"doc", "text", document(`"text"`)},
		{"tags", []any{"a", "b"}, document(`["a","b"]`)},
		{"labels", map[string]any{"a": int64(1)}, document(`{"a":1}`)},
		{"any", map[string]any{"n": int64(math.MaxInt64)}, document(`{"n":9223372036854775807}`)},
		{"home", map[string]any{"city": "Bern", "street": "x"}, document(`{"city":"Bern","street":"x"}`)},
		{"home", map[string]any{"city": "Bern"}, document(`{"city":"Bern","street":""}`)},
		{"work", nil, null},
		{"bag", map[string]any{"a": int64(1)}, document(`{"a":1}`)},
		{"level", "middle", text("middle")},
		{"ticket", "t30313233343536373839616263646566", predicate.BytesValue(ticket)},
		{"point", map[string]any{"x": int64(1), "y": int64(-2)}, text("1/-2")},
		{"point_at", nil, null},
		{"p_text", "x", text("x")},
		{"p_text", nil, null},
		{"n_int", int64(7), integer(7)},
		{"n_level", "high", text("high")},
		{"n_level", nil, null},
		{"n_uuid", someUUID, guid(someUUID)},
		{"null", someUUID, guid(someUUID)},
		{"null", nil, null},
		{"unix", int64(60), at("1970-01-01T00:01:00Z")},
	} {
		got, err := field(t, m, c.field).FromJSON(c.given)
		if err != nil || got != c.want {
			t.Errorf("%s from %v: got %s %q (%v), want %q", c.field, c.given, got.Kind(), got, err, c.want)
		}
	}
}

func TestFromJSONRefuses(t *testing.T) {
	m := parse[Everything](t)
	for _, c := range []struct {
		field string
		given any
		want  string
	}{
		{"bool", nil, "expected a value, not null"},
		{"bool", int64(1), "expected boolean"},
		{"int", "1", "expected integer from -9223372036854775808 to 9223372036854775807"},
		{"int", uint64(1 << 63), "expected integer from -9223372036854775808 to 9223372036854775807"},
		{"int", 1.5, "expected integer"},
		{"int", float64(1 << 53), "expected integer"},
		{"int", math.Inf(1), "expected integer"},
		{"int8", int64(128), "expected integer from -128 to 127"},
		{"int8", int64(-129), "expected integer from -128 to 127"},
		{"uint8", int64(256), "expected integer from 0 to 255"},
		{"uint", int64(-1), "expected integer from 0 to 9223372036854775807"},
		{"uint64", uint64(1 << 63), "expected integer from 0 to 9223372036854775807"},
		{"n_int", int64(1 << 15), "expected integer from -32768 to 32767"},
		{"float64", "1", "expected number"},
		{"float64", math.NaN(), "expected number"},
		{"float64", math.Inf(-1), "expected number"},
		{"float32", 1e39, "expected number of 32 bits"},
		{"text", int64(1), "expected string"},
		{"text", "a\x00b", "expected string of UTF-8 without NUL characters"},
		{"text", "a\xffb", "expected string of UTF-8 without NUL characters"},
		{"text", nil, "expected a value, not null"},
		{"short", "éééééé", "expected length <= 5"},
		{"varchar", "12345678", "expected length <= 7"},
		{"time", "2026-01-31", ""},
		{"time", "2026-01-31 12:00:00", "expected RFC 3339"},
		{"time", "2026-02-30T12:00:00Z", "expected RFC 3339"},
		{"time", "0000-12-31T23:59:59Z", "expected RFC 3339"},
		{"time", "9999-12-31T23:59:59-01:00", "expected RFC 3339"},
		{"time", int64(0), "expected RFC 3339"},
		{"bytes", "*", "expected string of base64"},
		{"bytes", "AB==", "expected string of base64"},
		{"limited", "AAAAAAA=", "expected at most 4 bytes"},
		{"limited", nil, "expected a value, not null"},
		{"guid", "{" + someUUID + "}", "expected UUID"},
		{"guid", strings.ReplaceAll(someUUID, "-", ""), "expected UUID"},
		{"guid", "urn:uuid:" + someUUID, "expected UUID"},
		{"price", "123456789", "expected decimal number with at most 8 digits before the point and 2 after it"},
		{"price", "0.001", "expected decimal number with at most 8 digits"},
		{"price", 1.5, `expected decimal number in a string, such as "12.50"`},
		{"price", "1,5", "expected decimal number in a string"},
		{"price", "NaN", "expected decimal number in a string"},
		{"amount", "-5.0001", "expected number >= -5"},
		{"amount", "1000.5", "expected number < 1000.5"},
		{"raw", map[string]any{"a": "\x00"}, "expected strings of UTF-8 without NUL characters"},
		{"raw", map[string]any{"\x00": "a"}, "expected strings of UTF-8 without NUL characters"},
		{"raw", []any{"\xff"}, "expected strings of UTF-8 without NUL characters"},
		{"doc", nil, "expected a value, not null"},
		{"tags", []any{int64(1)}, "expected value that []string can hold"},
		{"labels", map[string]any{"a": 1.5}, "expected value that map[string]int can hold"},
		{"home", "Bern", "expected value that model_test.Address can hold"},
		{"level", "huge", "expected value that model_test.Level can hold"},
		{"level", int64(1), "expected value that model_test.Level can hold"},
		{"ticket", "x", "expected value that model_test.Ticket can hold"},
		{"unix", "x", "expected value that int64 can hold"},
	} {
		got, err := field(t, m, c.field).FromJSON(c.given)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s from %v: %v", c.field, c.given, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s from %v: got %q and error %v, want %q", c.field, c.given, got, err, c.want)
		}
	}
}

func TestFromText(t *testing.T) {
	m := parse[Everything](t)
	for _, c := range []struct {
		field, given string
		want         predicate.Value
	}{
		{"bool", "true", predicate.BoolValue(true)},
		{"int", "007", predicate.IntValue(7)},
		{"int8", "300", predicate.IntValue(300)}, // no row has it, but the comparison has an answer
		{"float32", "0.1", predicate.FloatValue(float64(float32(0.1)))},
		{"float64", "-0", predicate.FloatValue(0)},
		{"time", "2026-01-31", at("2026-01-31T00:00:00Z")},
		{"price", "1.50", decimal("1.5")},
		{"guid", strings.ToUpper(someUUID), guid(someUUID)},
		{"level", "low", predicate.TextValue("low")},
		{"point", `{"x":1,"y":2}`, predicate.TextValue("1/2")},
		{"unix", "60", at("1970-01-01T00:01:00Z")},
		{"bytes", "-_8", predicate.BytesValue([]byte{0xfb, 0xff})},
	} {
		got, err := field(t, m, c.field).FromText(c.given)
		if err != nil || got != c.want {
			t.Errorf("%s from %q: got %q (%v), want %q", c.field, c.given, got, err, c.want)
		}
	}
	for _, c := range []struct{ field, given, want string }{
		{"bool", "1", "expected true or false"},
		{"int", "9223372036854775808", "expected integer within 64 bits"},
		{"int", "+1", "expected integer within 64 bits"},
		{"int", "", "expected integer within 64 bits"},
		{"float64", "NaN", "expected number"},
		{"float64", "0x1p3", "expected number"},
		{"float64", "1e999", "expected number"},
		{"float32", "1e39", "expected number of 32 bits"},
		{"text", "\x00", "expected string of UTF-8"},
		{"time", "yesterday", "expected RFC 3339"},
		{"guid", "x", "expected UUID"},
		{"price", "1e", "expected decimal"},
		{"level", "huge", "expected value that model_test.Level can hold"},
		{"level", "\xff", "expected string of UTF-8"},
	} {
		got, err := field(t, m, c.field).FromText(c.given)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s from %q: got %q and error %v, want %q", c.field, c.given, got, err, c.want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	m := parse[Everything](t)
	for _, c := range []struct {
		field string
		value predicate.Value
		want  string
	}{
		{"text", predicate.Value{}, "null"},
		{"bool", predicate.BoolValue(true), "true"},
		{"int64", predicate.IntValue(math.MinInt64), "-9223372036854775808"},
		{"float32", predicate.FloatValue(float64(float32(0.1))), "0.1"},
		{"float32", predicate.FloatValue(0.1), "0.1"}, // other programs can store more
		{"float32", predicate.FloatValue(float64(float32(1e-9))), "1e-9"},
		{"float32", predicate.FloatValue(math.NaN()), `"NaN"`},
		{"float64", predicate.FloatValue(float64(float32(0.1))), "0.10000000149011612"},
		{"text", predicate.TextValue("<a>&\"\u2028"), `"<a>&\"\u2028"`},
		{"price", decimal("1.50"), `"1.5"`},
		{"guid", guid(someUUID), `"` + someUUID + `"`},
		{"bytes", predicate.BytesValue([]byte{0xfb, 0xff}), `"+/8="`},
		{"time", at("2026-01-31T12:00:00.100000Z"), `"2026-01-31T12:00:00.1Z"`},
		{"home", document(`{"city":"<"}`), `{"city":"<"}`},
		{"bag", document(`{"a":"<"}`), `{"a":"<"}`},
		{"level", predicate.TextValue("low"), `"low"`},
		{"level", predicate.TextValue("huge"), `"huge"`}, // what the type refuses, other programs can store
		{"point_at", predicate.TextValue("1/2"), `{"x":1,"y":2}`},
		{"null", guid(someUUID), `"` + someUUID + `"`},
		{"unix", at("1970-01-01T00:01:00Z"), "60"},
		{"deleted_at", at("2026-01-31T12:00:00Z"), `"2026-01-31T12:00:00Z"`},
	} {
		if got := string(field(t, m, c.field).AppendJSON([]byte("x"), c.value)); got != "x"+c.want {
			t.Errorf("%s of %s: got %s, want %s", c.field, c.value, got[1:], c.want)
		}
	}
}

func TestAppendRow(t *testing.T) {
	type account struct {
		ID     int64
		Email  string `json:"email"`
		Hash   string `json:"-" cape:"secret"`
		Hidden string `cape:"hidden"`
		Age    *int
	}
	m := parse[account](t)
	row := []predicate.Value{predicate.IntValue(1), predicate.TextValue(`"`), predicate.TextValue("hash"), predicate.TextValue("hidden"), {}}
	if got, want := string(m.AppendRow([]byte("x"), row)), `x{"id":1,"email":"\"","age":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	allocations := testing.AllocsPerRun(100, func() {
		var buffer [256]byte
		m.AppendRow(buffer[:0], row)
	})
	if allocations > 1 { // the buffer itself
		t.Errorf("%v allocations for a row of plain kinds", allocations)
	}
}
