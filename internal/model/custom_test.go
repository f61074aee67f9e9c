package model_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/predicate"
)

// Custom gives and takes one type that drivers have.
type Custom[T any] struct{ V T }

// Value implements driver.Valuer.
func (c Custom[T]) Value() (driver.Value, error) { return c.V, nil }

// Scan implements sql.Scanner.
func (c *Custom[T]) Scan(src any) error {
	v, ok := src.(T)
	if !ok {
		return fmt.Errorf("%T", src)
	}
	c.V = v
	return nil
}

// ByPointer has its methods on the pointer alone.
type ByPointer struct{ text string }

// Value implements driver.Valuer.
func (p *ByPointer) Value() (driver.Value, error) { return p.text, nil }

// Scan implements sql.Scanner.
func (p *ByPointer) Scan(src any) error {
	text, ok := src.(string)
	p.text = text
	if !ok {
		return errors.New("no text")
	}
	return nil
}

// Upper is its own GORM serializer, and decides its JSON and its schema.
type Upper string

// Scan implements GORM's serializer.
func (u *Upper) Scan(_ context.Context, _ *schema.Field, _ reflect.Value, src any) error {
	text, ok := src.(string)
	if !ok && src != nil {
		return fmt.Errorf("%T", src)
	}
	*u = Upper(strings.ToLower(text))
	return nil
}

// Value implements GORM's serializer.
func (u Upper) Value(context.Context, *schema.Field, reflect.Value, any) (any, error) {
	return strings.ToUpper(string(u)), nil
}

// Schema implements huma.SchemaProvider.
func (Upper) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Title: "lower"}
}

type customs struct {
	ID        int64
	Bool      Custom[bool]
	BoolInt   Custom[int64] `gorm:"type:boolean"`
	Int       Custom[int64]
	IntBool   Custom[bool] `gorm:"type:integer"`
	Float     Custom[float64]
	FloatInt  Custom[int64]   `gorm:"type:double precision"`
	Numeric   Custom[int64]   `gorm:"type:numeric"`
	NumericF  Custom[float64] `gorm:"type:numeric"`
	NumericB  Custom[[]byte]  `gorm:"type:numeric"`
	Text      Custom[string]
	TextInt   Custom[int64]   `gorm:"type:text"`
	TextFloat Custom[float64] `gorm:"type:text"`
	Bytes     Custom[[]byte]  `gorm:"type:bytea"`
	BytesText Custom[string]  `gorm:"type:blob"`
	UUID      Custom[string]  `gorm:"type:uuid"`
	Time      Custom[time.Time]
	JSON      Custom[string] `gorm:"type:json"`
	JSONBytes Custom[[]byte] `gorm:"type:jsonb"`
	ByPointer ByPointer
	Upper     Upper
}

func TestCustomTypes(t *testing.T) {
	m := parse[customs](t)
	now := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	x := customs{
		Bool: Custom[bool]{true}, BoolInt: Custom[int64]{1}, Int: Custom[int64]{-7}, IntBool: Custom[bool]{true}, Float: Custom[float64]{1.5},
		FloatInt: Custom[int64]{2}, Numeric: Custom[int64]{3}, NumericF: Custom[float64]{1e21}, NumericB: Custom[[]byte]{[]byte("1.5")},
		Text: Custom[string]{"x"}, TextInt: Custom[int64]{4}, TextFloat: Custom[float64]{0.5}, Bytes: Custom[[]byte]{[]byte{0, 255}},
		BytesText: Custom[string]{"x"}, UUID: Custom[string]{someUUID}, Time: Custom[time.Time]{now}, JSON: Custom[string]{`{"a":1}`},
		JSONBytes: Custom[[]byte]{[]byte("[]")}, ByPointer: ByPointer{"x"}, Upper: "x",
	}
	want := map[string]predicate.Value{
		"Bool": predicate.BoolValue(true), "BoolInt": predicate.BoolValue(true), "Int": predicate.IntValue(-7), "IntBool": predicate.IntValue(1),
		"Float": predicate.FloatValue(1.5), "FloatInt": predicate.FloatValue(2), "Numeric": decimal("3"), "NumericF": decimal("1000000000000000000000"),
		"NumericB": decimal("1.5"), "Text": predicate.TextValue("x"), "TextInt": predicate.TextValue("4"), "TextFloat": predicate.TextValue("0.5"),
		"Bytes": predicate.BytesValue([]byte{0, 255}), "BytesText": predicate.BytesValue([]byte("x")), "UUID": guid(someUUID),
		"Time": predicate.TimeValue(now), "JSON": document(`{"a":1}`), "JSONBytes": document("[]"), "ByPointer": predicate.TextValue("x"),
		"Upper": predicate.TextValue("X"), "ID": predicate.IntValue(0),
	}
	row, err := m.FromStruct(context.Background(), reflect.ValueOf(x))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Fields {
		if row[i] != want[f.GoName] || row[i].Kind() != f.Kind {
			t.Errorf("%s (%s): got %s %q, want %q", f.GoName, f.Kind, row[i].Kind(), row[i], want[f.GoName])
		}
	}
	// What Scan takes in none of the forms that drivers give is an error, which names the field; all others come back.
	var y customs
	err = m.ToStruct(context.Background(), row, reflect.ValueOf(&y))
	if err == nil {
		t.Fatal("Scan takes what is of another type")
	}
	refused := []string{"IntBool", "FloatInt", "Numeric", "NumericF", "TextInt", "TextFloat", "BytesText"}
	for _, f := range m.Fields {
		got, wanted := reflect.ValueOf(y).FieldByName(f.GoName).Interface(), reflect.ValueOf(x).FieldByName(f.GoName).Interface()
		if named := strings.Contains(err.Error(), "customs."+f.GoName+": "); named != slices.Contains(refused, f.GoName) {
			t.Errorf("%s: is refused: %t (%v)", f.GoName, named, err)
		}
		if !slices.Contains(refused, f.GoName) && !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s: got %v, want %v", f.GoName, got, wanted)
		}
	}
}

func TestCustomTypesRefuse(t *testing.T) {
	m := parse[customs](t)
	for name, change := range map[string]func(*customs){
		"Float":    func(x *customs) { x.Float.V = math.Inf(1) },
		"NumericB": func(x *customs) { x.NumericB.V = []byte("x") },
		"Text":     func(x *customs) { x.Text.V = "\x00" },
		"UUID":     func(x *customs) { x.UUID.V = "x" },
		"Time":     func(x *customs) { x.Time.V = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) },
		"JSON":     func(x *customs) { x.JSON.V = "{" },
	} {
		x := customs{UUID: Custom[string]{someUUID}, NumericB: Custom[[]byte]{[]byte("1")}}
		change(&x)
		_, err := m.FromStruct(context.Background(), reflect.ValueOf(x))
		if err == nil || !strings.HasPrefix(err.Error(), "model_test.customs."+name+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	type mismatch struct {
		ID int64
		A  Custom[bool] `gorm:"type:timestamp"`
	}
	_, err := parse[mismatch](t).FromStruct(context.Background(), reflect.ValueOf(mismatch{}))
	if err == nil || !strings.Contains(err.Error(), "model_test.mismatch.A: Value gave a bool, which is no time") {
		t.Error(err)
	}
}

// Opaque writes JSON that only it knows.
type Opaque struct{ Custom[string] }

// MarshalJSON implements json.Marshaler.
func (Opaque) MarshalJSON() ([]byte, error) { return []byte(`{"opaque":true}`), nil }

// Quoted writes its zero as a JSON string.
type Quoted struct{ Custom[string] }

// MarshalJSON implements json.Marshaler.
func (q Quoted) MarshalJSON() ([]byte, error) { return predicate.AppendString(nil, "q"+q.V), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (q *Quoted) UnmarshalJSON(doc []byte) error {
	text, ok := strings.CutPrefix(strings.Trim(string(doc), `"`), "q")
	if !ok {
		return errors.New("no q")
	}
	q.V = text
	return nil
}

// TestSchemasOfCustomTypes: a type with JSON of its own is anything, unless it shows itself to be a string.
func TestSchemasOfCustomTypes(t *testing.T) {
	type owners struct {
		ID     int64
		Opaque Opaque
		Quoted Quoted
		Choice Opaque `enum:"a,b"`
		Upper  Upper
		Point  *Point
	}
	_, read, create, _ := shapes[owners](t)
	for name, want := range map[string]string{
		"opaque": `{}`, "quoted": `{"type":"string"}`, "choice": `{"enum":["a","b"],"type":"string"}`, "upper": `{"title":"lower","type":"string"}`,
	} {
		if got := property(t, read, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := property(t, create.Schema, "point"); !strings.Contains(got, `"type":["object","null"]`) {
		t.Errorf("point: %s", got)
	}
	m := parse[owners](t)
	quoted := field(t, m, "quoted")
	v, err := quoted.FromText("qx")
	if err != nil || v != predicate.TextValue("x") || string(quoted.AppendJSON(nil, v)) != `"qx"` {
		t.Errorf("quoted: %q (%v), %s", v, err, quoted.AppendJSON(nil, v))
	}
	upper := field(t, m, "upper")
	if v, err = upper.FromJSON("x"); err != nil || v != predicate.TextValue("X") || string(upper.AppendJSON(nil, v)) != `"x"` {
		t.Errorf("upper: %q (%v), %s", v, err, upper.AppendJSON(nil, v))
	}
}
