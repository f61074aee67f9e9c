package model_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

type textKey struct{ ID string }

type uuidKey struct{ ID uuid.UUID }

type ticketKey struct{ ID Ticket }

type triple struct {
	Name string    `gorm:"primaryKey"`
	N    int64     `gorm:"primaryKey"`
	At   time.Time `gorm:"primaryKey"`
}

func TestParseKey(t *testing.T) {
	number, text, id, ticket, many := parse[Todo](t), parse[textKey](t), parse[uuidKey](t), parse[ticketKey](t), parse[triple](t)
	for _, c := range []struct {
		model   *model.Model
		segment string
		want    string // the values' texts
	}{
		{number, "7", "7"}, {number, "-7", "-7"}, {number, "9223372036854775807", "9223372036854775807"}, {number, "%37", "7"},
		{text, "a", "a"}, {text, "a,b", "a,b"}, {text, "a%2Fb%2Cc", "a/b,c"}, {text, "%2E%2E", ".."}, {text, "%C3%A9", "é"}, {text, "é", "é"}, {text, "a+b", "a+b"},
		{id, someUUID, someUUID},
		{ticket, "t30313233343536373839616263646566", "MDEyMzQ1Njc4OWFiY2RlZg=="},
		{many, "a%2Cb,7,2026-01-31T12:00:00Z", "a,b|7|2026-01-31T12:00:00Z"},
	} {
		key, err := c.model.ParseKey(c.segment)
		var texts []string
		for _, v := range key {
			texts = append(texts, v.String())
		}
		if got := strings.Join(texts, "|"); err != nil || got != c.want {
			t.Errorf("%s %q: got %q (%v), want %q", c.model.Name, c.segment, got, err, c.want)
		}
	}
	for _, c := range []struct {
		model         *model.Model
		segment, want string
	}{
		{number, "", "id: expected a key that is not empty"}, {number, "007", "id: expected integer in its shortest form"},
		{number, "-0", "id: expected integer in its shortest form"},
		{number, "+7", "id: expected integer within 64 bits"}, {number, " 7", "id: expected integer"}, {number, "7.0", "id: expected integer"},
		{number, "9223372036854775808", "id: expected integer within 64 bits"}, {number, "7,8", "id: expected integer"},
		{text, "%", "expected percent-escapes"}, {text, "%zz", "expected percent-escapes"}, {text, "%00", "id: expected string"}, {text, "%ff", "id: expected string"},
		{id, strings.ToUpper(someUUID), "id: expected uuid in its shortest form"}, {id, "x", "id: expected UUID"},
		{ticket, "x", "id: expected value that model_test.Ticket can hold"},
		{ticket, "t3031323334353637383961626364656F", "id: expected bytes in its shortest form"},
		{many, "a,7", "expected 3 values, name, n, at, separated by commas"}, {many, "a,7,2026-01-31T12:00:00Z,", "expected 3 values"},
		{many, "a,7,2026-01-31T12:00:00.0Z", "at: expected time in its shortest form"}, {many, ",7,2026-01-31T12:00:00Z", "name: expected a key that is not empty"},
	} {
		if key, err := c.model.ParseKey(c.segment); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s %q: got %v and error %v, want %q", c.model.Name, c.segment, key, err, c.want)
		}
	}
}

// TestKeysTravel formats keys, sends them through net/http's router and parses what arrives.
func TestKeysTravel(t *testing.T) {
	var segment string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rows/{id}", func(_ http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		segment = path[strings.LastIndexByte(path, '/')+1:]
	})
	text, many := parse[textKey](t), parse[triple](t)
	rapid.Check(t, func(t *rapid.T) {
		m := text
		name := texts().Filter(func(s string) bool { return s != "" && s != "/" }).Draw(t, "name") // net/http takes %2F alone for no segment
		row := []predicate.Value{predicate.TextValue(name)}
		if rapid.Bool().Draw(t, "composite") {
			m = many
			row = append(row, predicate.IntValue(rapid.Int64().Draw(t, "n")), predicate.TimeValue(times().Draw(t, "at")))
		}
		segment = ""
		written := m.FormatKey(row)
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/rows/"+written, nil))
		key, err := m.ParseKey(segment)
		if err != nil {
			t.Fatalf("%q arrives as %q: %v", written, segment, err)
		}
		for i, v := range key {
			if v != row[i] {
				t.Fatalf("%q arrives as %q: %q, want %q", written, segment, v, row[i])
			}
		}
	})
	for _, name := range []string{".", ".."} {
		if got := text.FormatKey([]predicate.Value{predicate.TextValue(name)}); strings.Contains(got, ".") {
			t.Errorf("the key %q is written as %q, a step in a path", name, got)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	models := make([]*model.Model, 0, 5)
	f.Add("7", uint8(0))
	f.Add("a%2Cb,7,2026-01-31T12:00:00Z", uint8(4))
	f.Add(someUUID, uint8(2))
	f.Add("t30313233343536373839616263646566", uint8(3))
	f.Add("%ff%00,%", uint8(1))
	f.Fuzz(func(t *testing.T, segment string, which uint8) {
		if len(models) == 0 {
			models = append(models, parse[Todo](t), parse[textKey](t), parse[uuidKey](t), parse[ticketKey](t), parse[triple](t))
		}
		m := models[int(which)%len(models)]
		key, err := m.ParseKey(segment)
		if err != nil {
			if key != nil || err.Error() == "" {
				t.Fatalf("key %v with error %v", key, err)
			}
			return
		}
		row := make([]predicate.Value, len(m.Fields))
		for i, column := range m.Table.Key {
			row[column] = key[i]
		}
		again, err := m.ParseKey(m.FormatKey(row))
		if err != nil {
			t.Fatalf("%q is written as %q: %v", segment, m.FormatKey(row), err)
		}
		for i := range key {
			if again[i] != key[i] {
				t.Fatalf("%q is written as %q", segment, m.FormatKey(row))
			}
		}
	})
}
