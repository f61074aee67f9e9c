package body

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/internal/problem"
)

const testMax = 1 << 20

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`null`:                       nil,
		`true`:                       true,
		` false `:                    false,
		`0`:                          int64(0),
		`-0`:                         int64(0),
		`-0.0`:                       math.Copysign(0, -1),
		`1.0`:                        1.0,
		`1e2`:                        100.0,
		`1E-2`:                       0.01,
		`2.5e+3`:                     2500.0,
		`1e-400`:                     0.0,
		`9223372036854775807`:        int64(math.MaxInt64),
		`-9223372036854775808`:       int64(math.MinInt64),
		`9223372036854775808`:        uint64(1 << 63),
		`18446744073709551615`:       uint64(math.MaxUint64),
		`9007199254740993`:           int64(9007199254740993),
		`""`:                         "",
		`"a b"`:                      "a b",
		`"\"\\\/\b\f\n\r\t"`:         "\"\\/\b\f\n\r\t",
		`"\u00e9\u00E9é"`:            "ééé",
		`"\ud83d\ude00"`:             "😀",
		`"😀"`:                        "😀",
		`"a\u0000b"`:                 "a\x00b",
		`"\ufffd"`:                   "\ufffd",
		"\"\x7f\"":                   "\x7f",
		`[]`:                         []any{},
		"[\t]":                       []any{},
		`[1, "a",null ,[true]]`:      []any{int64(1), "a", nil, []any{true}},
		`{}`:                         map[string]any{},
		"{ \r\n}":                    map[string]any{},
		` {"a" : 1,"b":{"a":[ 2 ]}}`: map[string]any{"a": int64(1), "b": map[string]any{"a": []any{int64(2)}}},
		`{"":""}`:                    map[string]any{"": ""},
		`{"A":1,"a":2}`:              map[string]any{"A": int64(1), "a": int64(2)},
	} {
		got, err := Decode(strings.NewReader(text), testMax)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
	if got, _ := Decode(strings.NewReader(`-0.0`), testMax); !math.Signbit(got.(float64)) {
		t.Error("-0.0 lost its sign")
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 100)
	for _, c := range []struct{ text, code, location, message string }{
		{"", problem.Malformed, "body", "expected a JSON document, and the body is empty"},
		{" \n", problem.Malformed, "body", "expected a JSON document, and the body is empty"},
		{"\ufeff{}", problem.Malformed, "body", "byte order mark"},
		{"{\n \"a\":\"\xff\"}", problem.Malformed, "body", "line 2, column 7: expected UTF-8"},
		{"nul", problem.Malformed, "body", "line 1, column 1: expected a JSON value"},
		{"True", problem.Malformed, "body", "expected a JSON value"},
		{"NaN", problem.Malformed, "body", "expected a JSON value"},
		{"Infinity", problem.Malformed, "body", "expected a JSON value"},
		{"truefalse", problem.Malformed, "body", "expected the end of the body"},
		{"{} {}", problem.Malformed, "body", "line 1, column 4: expected the end of the body"},
		{"\x00", problem.Malformed, "body", "expected a JSON value"},
		{"{}\x00", problem.Malformed, "body", "expected the end of the body"},
		{"{} // c", problem.Malformed, "body", "expected the end of the body"},
		{"'a'", problem.Malformed, "body", "expected a JSON value"},
		{"{a:1}", problem.Malformed, "body", "expected a key in double quotes"},
		{`{"a" 1}`, problem.Malformed, "body.a", `expected ":"`},
		{`{"a":}`, problem.Malformed, "body.a", "expected a JSON value"},
		{`{"a":1,}`, problem.Malformed, "body", "expected a key"},
		{`{"a":1 "b":2}`, problem.Malformed, "body", `expected "," or "}"`},
		{`{"a":1`, problem.Malformed, "body", `expected "," or "}"`},
		{`{`, problem.Malformed, "body", "expected a key"},
		{`[1,]`, problem.Malformed, "body[1]", "expected a JSON value"},
		{`[1 2]`, problem.Malformed, "body", `expected "," or "]"`},
		{`[`, problem.Malformed, "body[0]", "expected a JSON value"},
		{`{"a":1,"a":1}`, problem.Malformed, "body.a", "expected each key once"},
		{`{"a":1,"\u0061":1}`, problem.Malformed, "body.a", "expected each key once"},
		{`[0,{"a":{"b":1,"c":2,"b":3}}]`, problem.Malformed, "body[1].a.b", "expected each key once"},
		{`{"` + key + `":x}`, problem.Malformed, "body." + key[:64] + "…", "expected a JSON value"},
		{`01`, problem.Malformed, "body", "leading zeros"},
		{`-01`, problem.Malformed, "body", "leading zeros"},
		{`-`, problem.Malformed, "body", "expected a digit"},
		{`+1`, problem.Malformed, "body", "expected a JSON value"},
		{`.5`, problem.Malformed, "body", "expected a JSON value"},
		{`1.`, problem.Malformed, "body", "expected a digit after the decimal point"},
		{`1.e3`, problem.Malformed, "body", "expected a digit after the decimal point"},
		{`1e`, problem.Malformed, "body", "expected a digit in the exponent"},
		{`1e+-1`, problem.Malformed, "body", "expected a digit in the exponent"},
		{`0x10`, problem.Malformed, "body", "expected the end"},
		{`"a`, problem.Malformed, "body", "expected a closing double quote"},
		{`"a\`, problem.Malformed, "body", "expected a closing double quote"},
		{`"\n`, problem.Malformed, "body", "expected a closing double quote"},
		{"\"a\nb\"", problem.Malformed, "body", "control characters"},
		{"\"\\ta\nb\"", problem.Malformed, "body", "control characters"},
		{`"\x41"`, problem.Malformed, "body", "expected one of"},
		{`"\u00g0"`, problem.Malformed, "body", "expected one of"},
		{`"\u00e"`, problem.Malformed, "body", "expected one of"},
		{`{"a":["\ud83d"]}`, problem.Malformed, "body.a[0]", "both halves of a surrogate pair"},
		{`"\ude00"`, problem.Malformed, "body", "both halves of a surrogate pair"},
		{`"\ud83dx"`, problem.Malformed, "body", "both halves of a surrogate pair"},
		{`"\ud83d\u0041"`, problem.Malformed, "body", "both halves of a surrogate pair"},
		{`"\ude00\ud83d"`, problem.Malformed, "body", "both halves of a surrogate pair"},
		{`{"a":{"n":18446744073709551616}}`, problem.Invalid, "body.a.n", "expected an integer within 64 bits"},
		{`-9223372036854775809`, problem.Invalid, "body", "expected an integer within 64 bits"},
		{`[1e400]`, problem.Invalid, "body[0]", "expected a number within 64-bit floating point"},
		{`[-1e400]`, problem.Invalid, "body[0]", "expected a number within 64-bit floating point"},
		{`[1e400`, problem.Malformed, "body", `expected "," or "]"`},
		{strings.Repeat("[", 33), problem.Malformed, "body" + strings.Repeat("[0]", 32), "expected at most 32 nested"},
		{strings.Repeat(`{"a":`, 1e5), problem.Malformed, "body" + strings.Repeat(".a", 32), "expected at most 32 nested"},
	} {
		v, err := Decode(strings.NewReader(c.text), testMax)
		p := check(t, c.text, err)
		if v != nil {
			t.Errorf("%.40s: %v beside an error", c.text, v)
		}
		if p.Code != c.code || p.Errors[0].Location != c.location || !strings.Contains(p.Errors[0].Message, c.message) {
			t.Errorf("%.40s: got %s, %+v; want %s, %s, %s", c.text, p.Code, p.Errors, c.code, c.location, c.message)
		}
	}
}

// check requires a problem that names a place.
func check(t *testing.T, text string, err error) *problem.Error {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Errors) == 0 {
		t.Fatalf("%.40s: %v is not a problem of fields", text, err)
	}
	return p
}

func TestDecodeTellsEveryNumberOutOfRange(t *testing.T) {
	t.Parallel()
	_, err := Decode(strings.NewReader(`{"a":1e999,"b":1,"c":[99999999999999999999]}`), testMax)
	p := check(t, "two", err)
	if len(p.Errors) != 2 || p.Errors[0].Location != "body.a" || p.Errors[1].Location != "body.c[0]" {
		t.Errorf("%+v", p.Errors)
	}
	_, err = Decode(strings.NewReader("["+strings.Repeat("1e999,", 500)+"0]"), testMax)
	if p = check(t, "many", err); len(p.Errors) != maxInvalid {
		t.Errorf("%d errors, want %d", len(p.Errors), maxInvalid)
	}
}

func TestDecodeDepth(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	if _, err := Decode(strings.NewReader(text), testMax); err != nil {
		t.Error(err)
	}
}

func TestDecodeSize(t *testing.T) {
	t.Parallel()
	text := `"` + strings.Repeat("a", 98) + `"`
	if _, err := Decode(strings.NewReader(text), 100); err != nil {
		t.Error(err)
	}
	if _, err := Decode(strings.NewReader(text), math.MaxInt64); err != nil {
		t.Error(err)
	}
	_, err := Decode(strings.NewReader(text), 99)
	if p := check(t, text, err); p.Code != problem.TooLarge || !strings.Contains(p.Detail, "99 bytes") {
		t.Error(err)
	}
	_, err = Decode(http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(text)), 50), 99)
	if p := check(t, text, err); p.Code != problem.TooLarge || !strings.Contains(p.Detail, "50 bytes") {
		t.Error(err)
	}
	many := "[" + strings.Repeat("[],", 10_000) + "[]]"
	_, err = Decode(strings.NewReader(many), int64(len(many)))
	if p := check(t, many, err); p.Code != problem.TooLarge || p.Errors[0].Location != fmt.Sprintf("body[%d]", len(many)/bytesPerValue+minValues-1) {
		t.Error(err)
	}
}

func TestDecodeReadErrors(t *testing.T) {
	t.Parallel()
	for code, cause := range map[string]error{
		problem.Malformed: io.ErrUnexpectedEOF,
		problem.Timeout:   os.ErrDeadlineExceeded,
	} {
		_, err := Decode(iotest.ErrReader(cause), testMax)
		if p := check(t, code, err); p.Code != code || !errors.Is(err, cause) || p.Errors[0].Location != "body" {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	good := []string{
		"application/json", "Application/JSON", "application/json; charset=utf-8", `application/json;charset="UTF-8"`,
		"application/merge-patch+json", "application/vnd.example+json; version=1",
	}
	for _, contentType := range good {
		if err := CheckHeader(http.Header{"Content-Type": {contentType}, "Content-Encoding": {"identity"}}); err != nil {
			t.Errorf("%s: %v", contentType, err)
		}
	}
	bad := []http.Header{
		{},
		{"Content-Type": {"application/json", "application/json"}},
		{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
		{"Content-Type": {"application/json"}, "Content-Encoding": {"identity", "br"}},
	}
	for _, contentType := range []string{
		"", "json", "text/json", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/+json",
		"application/json; charset=latin1", "application/json; charset=utf-16", "application/json; charset", "application/json, text/plain",
		"application/json; charset=utf-8; charset=latin1", "text/plain; a=application/json", "application/json\x00",
	} {
		bad = append(bad, http.Header{"Content-Type": {contentType}})
	}
	for _, h := range bad {
		err := CheckHeader(h)
		if p := check(t, fmt.Sprint(h), err); p.Code != problem.UnsupportedMediaType || p.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%v: %v", h, err)
		}
	}
}
