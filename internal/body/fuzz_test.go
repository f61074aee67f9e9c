package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// FuzzDecode holds Decode against encoding/json: what we accept it accepts, with the same values, and what we alone
// refuse breaks one of our stricter rules.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"task":"milk","is_complete":false,"n":[1,-2.5e3,18446744073709551615,null]}`, `[]`, `""`, ` 0 `, `-0`, `1e999`,
		`99999999999999999999`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `"\ud83d"`, "\xff", "\ufeff1", `"\u0000"`, `{"a":{"b":[{}]}}`,
		strings.Repeat("[", 40) + strings.Repeat("]", 40), `tru`, `1 2`, "\"\x01\"", "\"\x7f\u2028\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(bytes.NewReader(data), testMax)
		if err != nil {
			checkRefusal(t, data, err)
			return
		}
		want, ok := oracle(data)
		if !ok {
			t.Fatalf("accepted %q", data)
		}
		if diff := cmp.Diff(want, v); diff != "" {
			t.Fatalf("%q:\n%s", data, diff)
		}
		again, err := Decode(bytes.NewReader(write(nil, v)), 2*testMax)
		if err != nil {
			t.Fatalf("%q: its own text: %v", data, err)
		}
		if diff := cmp.Diff(v, again); diff != "" {
			t.Fatalf("%q:\n%s", data, diff)
		}
	})
}

func checkRefusal(t *testing.T, data []byte, err error) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Status < 400 || p.Status >= 500 || len(p.Errors) == 0 {
		t.Fatalf("%q: %v", data, err)
	}
	for _, field := range p.Errors {
		if !strings.HasPrefix(field.Location, "body") || !utf8.ValidString(field.Message) || !utf8.ValidString(field.Location) {
			t.Fatalf("%q: %+v", data, field)
		}
	}
	if !json.Valid(data) {
		return
	}
	message := p.Errors[0].Message
	surrogate := regexp.MustCompile(`\\u[dD][89a-fA-F]`)
	switch {
	case strings.Contains(message, "UTF-8") && !utf8.Valid(data):
	case strings.Contains(message, "surrogate") && surrogate.Match(data):
	case strings.Contains(message, "each key once") && repeatsKey(json.NewDecoder(bytes.NewReader(data))):
	case strings.Contains(message, "nested") && bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxDepth:
	case p.Code == problem.Invalid:
		if _, ok := oracle(data); ok {
			t.Fatalf("%q: %v", data, err)
		}
	case p.Code == problem.TooLarge && bytes.Count(data, []byte(",")) > minValues:
	default:
		t.Fatalf("encoding/json accepts %q: %v", data, err)
	}
}

// oracle decodes by encoding/json.
func oracle(data []byte) (v any, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return nil, false
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return numbers(v)
}

// numbers turns json.Numbers to what Decode promises.
func numbers(v any) (any, bool) {
	ok := true
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			return f, err == nil
		}
		if i, err := v.Int64(); err == nil {
			return i, true
		}
		u, err := strconv.ParseUint(v.String(), 10, 64)
		return u, err == nil
	case []any:
		for i := range v {
			var valid bool
			v[i], valid = numbers(v[i])
			ok = ok && valid
		}
	case map[string]any:
		for key := range v {
			var valid bool
			v[key], valid = numbers(v[key])
			ok = ok && valid
		}
	}
	return v, ok
}

// repeatsKey walks over one valid value.
func repeatsKey(decoder *json.Decoder) bool {
	token, err := decoder.Token()
	if err != nil {
		return false
	}
	delimiter, nested := token.(json.Delim)
	if !nested {
		return false
	}
	var seen []string
	repeats := false
	for decoder.More() {
		if delimiter == '{' {
			key, err := decoder.Token()
			if err != nil {
				return false
			}
			repeats = repeats || slices.Contains(seen, key.(string))
			seen = append(seen, key.(string))
		}
		if repeatsKey(decoder) {
			repeats = true
		}
	}
	if _, err := decoder.Token(); err != nil {
		return false
	}
	return repeats
}

// write is the reverse of Decode: a float64 always has an exponent, so that it is not read as an integer.
func write(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	case string:
		return predicate.AppendString(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = write(dst, element)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		first := true
		for key, member := range v {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(predicate.AppendString(dst, key), ':')
			dst = write(dst, member)
		}
		return append(dst, '}')
	}
	panic("not a value of Decode")
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	text := rapid.String()
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), text.AsAny(),
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).AsAny(), rapid.Uint64Min(1<<63).AsAny(),
	)
	values := scalar
	for range 4 {
		inner := values
		values = rapid.OneOf(scalar, rapid.SliceOfN(inner, 0, 4).AsAny(), rapid.MapOfN(text, inner, 0, 4).AsAny())
	}
	rapid.Check(t, func(t *rapid.T) {
		want := values.Draw(t, "value")
		doc := write(nil, want)
		got, err := Decode(bytes.NewReader(doc), testMax)
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s:\n%s", doc, diff)
		}
	})
}
