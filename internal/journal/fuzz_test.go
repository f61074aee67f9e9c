package journal

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
)

// FuzzToken gives Resume what clients may send: it is OK for the cursors that were handed out, and for nothing else.
func FuzzToken(f *testing.F) {
	b := open(f, dbtest.New(f, dbtest.SQLite), Options{}, parse[Item](f)).start()
	b.insert(1, 5)
	const set = 0xfedcba9876543210
	good := make(map[string]Mark)
	marks := []Mark{{}}
	for _, e := range b.all() {
		marks = append(marks, e.Mark)
	}
	for _, at := range marks {
		token := b.Token(at, set)
		good[token] = at
		f.Add(token)
		f.Add(b.Token(at, set+1))
		f.Add(b.Token(Mark{at.Position + 1, at.Nonce}, set))
		f.Add(b.Token(Mark{-at.Position, at.Nonce}, set))
		f.Add(token + "=")
		f.Add(token[1:])
	}
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("v1." + b.Epoch() + ".+0.0." + strconv.FormatUint(set, 36))))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("v1." + b.Epoch() + ".0.00." + strconv.FormatUint(set, 36))))
	f.Add("")
	f.Add(strings.Repeat("A", 257))
	f.Fuzz(func(t *testing.T, token string) {
		at, state, err := b.Resume(t.Context(), token, set)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := good[token]
		if ok != (state == OK) || at != want {
			t.Errorf("%q: %+v, state %d", token, at, state)
		}
	})
}

// FuzzImage reads images with what may be in them. What is JSON is read as encoding/json reads it.
func FuzzImage(f *testing.F) {
	for _, doc := range []string{
		`{}`, `[]`, `[{},{}]`, `{"a": 1, "b": "x\u00e9\ud83d\ude00\n", "c": null, "d": true, "e": 1.5e3}`, `[{"id":1},{"name":"\u0000"}]`,
		`{"data": {"$blob": "00FF"}, "double": {"$real": "Inf"}, "doc": "{}", "at": "2020-01-02T03:04:05.000000Z"}`,
		`{"a"`, `{"a":}`, `{"a":"\u12"}`, `{"a":"\ud800"}`, `{"id": 99999999999999999999}`, `{"double": 1e999}`, `{"data": "AA=="}`, `{"number":-}`, `{"flag": 1}`,
		`{"price": 12.50, "uuid": "00000000-0000-0000-0000-000000000000", "text": ""}`, `{"a": [1, {"b": "]"}]}`, "{\"a\":\"\x00\"}",
	} {
		f.Add(doc)
	}
	b := open(f, dbtest.New(f, dbtest.SQLite), Options{}, parse[Everything](f))
	f.Fuzz(func(t *testing.T, doc string) {
		row, err := b.tables[0].image(b.db.Dialect(), b.source.convert, doc)
		if err == nil && doc != "" && len(row) != len(b.models[0].Fields) {
			t.Errorf("%d values", len(row))
		}
		compareWithStandard(t, doc)
	})
}

// compareWithStandard reads a JSON object in both ways.
func compareWithStandard(t *testing.T, doc string) {
	t.Helper()
	if !json.Valid([]byte(doc)) || !utf8.ValidString(doc) || !strings.HasPrefix(strings.TrimLeft(doc, " \t\r\n"), "{") {
		return
	}
	var want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]token)
	if err := members(doc, func(name string, value token) error {
		got[name] = value
		return nil
	}); err != nil {
		t.Errorf("%q is JSON: %v", doc, err)
	}
	if len(got) != len(want) {
		t.Errorf("%q has %d members, and not %d", doc, len(want), len(got))
	}
	for name, raw := range want {
		value, ok := got[name]
		text := string(raw)
		if value.kind == tokenString {
			if err := json.Unmarshal(raw, &text); err != nil {
				t.Fatal(err)
			}
		}
		if !ok || value.text != text || (value.kind == tokenNull) != (text == "null") && value.kind != tokenString {
			t.Errorf("%q: member %q is %+v, want %q", doc, name, value, text)
		}
	}
}

// FuzzLetter reads what a dead letter may hold.
func FuzzLetter(f *testing.F) {
	doc, err := storeRecord(&record{op: 'U', table: "items", key: "[1]", before: `{"id":1}`, after: `{"id":1,"name":"x"}`, format: format})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add(`{"op":"G"}`)
	f.Add(`{"op":"I","tbl":"ITEMS","v":9}`)
	f.Add(`{}`)
	b := open(f, dbtest.New(f, dbtest.SQLite), Options{}, parse[Item](f))
	f.Fuzz(func(t *testing.T, doc string) {
		r, err := loadRecord(Mark{1, 2}, doc)
		if err != nil {
			return
		}
		var e Entry
		b.decode(t.Context(), &r, &e)
		images := func(row []predicate.Value) bool { return row != nil }
		switch e.Op {
		case Insert, Update, Delete, Secret:
			if e.Table >= 0 && (images(e.Before) == (e.Op == Insert) || images(e.After) == (e.Op == Delete)) {
				t.Errorf("%s with images %v and %v", e.Op, e.Before, e.After)
			}
		case Gap:
			if e.Before != nil || e.After != nil {
				t.Errorf("a gap with images %v and %v", e.Before, e.After)
			}
		default:
			t.Errorf("operation %d", e.Op)
		}
	})
}
