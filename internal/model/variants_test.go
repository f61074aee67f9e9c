package model_test

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// Day is a time under another name.
type Day time.Time

// RawUUID is 16 bytes that are stored as they are, in a column that is a UUID.
type RawUUID [16]byte

// Value implements driver.Valuer.
func (u RawUUID) Value() (driver.Value, error) { return u[:], nil }

// Scan implements sql.Scanner.
func (u *RawUUID) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return errors.New("no text")
	}
	parsed, err := uuid.Parse(text)
	*u = RawUUID(parsed)
	return err
}

// Absent is NULL unless it says otherwise, and so tells nothing of its kind.
type Absent struct {
	Number int64
	Valid  bool
}

// Value implements driver.Valuer.
func (a Absent) Value() (driver.Value, error) {
	if !a.Valid {
		return nil, nil
	}
	return a.Number, nil
}

// Scan implements sql.Scanner.
func (a *Absent) Scan(src any) error {
	a.Number, a.Valid = src.(int64)
	return nil
}

// Tree is recursive.
type Tree struct {
	Name     string          `json:"name"`
	Children []Tree          `json:"children,omitempty"`
	Extra    json.RawMessage `json:"extra,omitempty"`
}

// Loose holds anything beside what it names.
type Loose struct {
	Name string `json:"name"`
	More any    `json:"more"`
}

type variants struct {
	ID      int64
	Day     Day
	Raw     RawUUID `gorm:"type:uuid"`
	Absent  Absent
	Small   uint8   `gorm:"type:numeric(3)"`
	Single  float32 `gorm:"type:numeric"`
	Empty   string  `gorm:"type:numeric"`
	Tree    Tree    `gorm:"serializer:json"`
	Loose   Loose   `gorm:"serializer:json"`
	Strict  []int   `gorm:"serializer:json;not null"`
	Between string  `gorm:"type:numeric" exclusiveMinimum:"1" maximum:"2"`
}

func TestVariants(t *testing.T) {
	m := parse[variants](t)
	x := variants{
		Day: Day(at("2026-01-31T12:00:00Z").Time()), Raw: RawUUID(uuid.MustParse(someUUID)), Absent: Absent{7, true}, Small: 255, Single: 0.1,
		Empty: "0", Tree: Tree{Name: "a", Children: []Tree{{Name: "b", Extra: json.RawMessage("1")}}}, Loose: Loose{Name: "x", More: 1.5}, Strict: []int{1}, Between: "2",
	}
	row, err := m.FromStruct(context.Background(), reflect.ValueOf(x))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]predicate.Value{
		"day": at("2026-01-31T12:00:00Z"), "raw": guid(someUUID), "absent": predicate.IntValue(7), "small": decimal("255"), "single": decimal("0.1"),
		"empty": decimal("0"), "tree": document(`{"name":"a","children":[{"name":"b","extra":1}]}`), "loose": document(`{"name":"x","more":1.5}`),
	} {
		f := field(t, m, name)
		if got := row[f.Column]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if got, err := f.FromJSON(decode(t, f.AppendJSON(nil, want))); err != nil || got != want {
			t.Errorf("%s from its own JSON: got %q (%v), want %q", name, got, err, want)
		}
	}
	var y variants
	if err := m.ToStruct(context.Background(), row, reflect.ValueOf(&y)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(x, y, cmp.Comparer(func(a, b Day) bool { return time.Time(a).Equal(time.Time(b)) })); diff != "" {
		t.Error(diff)
	}
	row[field(t, m, "small").Column] = decimal("256")
	if err := m.ToStruct(context.Background(), row, reflect.ValueOf(&y)); err == nil || !strings.Contains(err.Error(), "variants.Small: 256 does not fit a uint8") {
		t.Error(err)
	}
	if f := field(t, m, "absent"); !f.Nullable || f.Zero() != (predicate.Value{}) || f.Kind != predicate.Int {
		t.Errorf("absent: %+v", f)
	}
	if got := field(t, m, "strict").Zero(); got != document("[]") {
		t.Errorf("strict: %s", got)
	}
}

func TestVariantsFromJSON(t *testing.T) {
	m := parse[variants](t)
	big := map[string]any{"name": "x", "more": int64(9007199254740993)}
	if v, err := field(t, m, "loose").FromJSON(big); err != nil || v != document(`{"name":"x","more":9007199254740993}`) {
		t.Errorf("an integer passes through float64: %s (%v)", v, err)
	}
	for _, c := range []struct {
		field string
		given any
		want  string
	}{
		{"loose", map[string]any{"name": int64(1)}, "expected value that model_test.Loose can hold"},
		{"tree", map[string]any{"children": "x"}, "expected value that model_test.Tree can hold"},
		{"between", "1", "expected number > 1"}, {"between", "2.1", "expected number <= 2"},
		{"absent", "x", "expected value that model_test.Absent can hold"},
		{"absent", map[string]any{"Number": int64(1), "Valid": true}, ""}, {"between", "1.5", ""},
	} {
		_, err := field(t, m, c.field).FromJSON(c.given)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s from %v: %v, want %q", c.field, c.given, err, c.want)
		}
	}
}

func TestDefaultsOfEveryKind(t *testing.T) {
	type defaults struct {
		ID     int64
		Bool   bool           `default:"true"`
		Int    int64          `default:"9007199254740993"`
		Float  float64        `default:"1.5"`
		UUID   uuid.UUID      `default:"0198c0de-0000-7000-8000-00000000000a"`
		Bytes  []byte         `default:"AA=="`
		Ints   []int          `gorm:"serializer:json" default:"[1,2]"`
		Level  Level          `default:"high"`
		GormB  bool           `gorm:"default:true"`
		GormU  uint           `gorm:"default:0x10"`
		GormF  float32        `gorm:"default:1.5"`
		GormX  time.Time      `gorm:"default:(now())"`
		Object map[string]int `gorm:"serializer:json;default:'{}'"`
	}
	m := parse[defaults](t)
	_, create, _, err := m.Shapes(registry())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"bool": true, "int": int64(9007199254740993), "float": 1.5, "uuid": someUUID, "bytes": "AA==", "ints": []any{int64(1), int64(2)}, "level": "high"}
	if diff := cmp.Diff(want, create.Defaults); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"gorm_b", "gorm_u", "gorm_f", "gorm_x", "object"} {
		if f := field(t, m, name); !f.Default || f.Required {
			t.Errorf("%s: %+v", name, f)
		}
	}
	type wrong struct {
		ID int64
		A  bool    `gorm:"default:maybe"`
		B  uint    `gorm:"default:-1"`
		C  float64 `gorm:"default:much"`
	}
	got := mistake[wrong](t)
	for _, part := range []string{"wrong.A: ", "wrong.B: ", "wrong.C: "} {
		if !strings.Contains(got, part) {
			t.Errorf("%q does not say %q", got, part)
		}
	}
}

// Inner is embedded where JSON does not see it.
type Inner struct {
	Title string `json:"title"`
}

func TestStandInTypes(t *testing.T) {
	type stored struct {
		ID     int64
		Title  string
		At     time.Time
		Blob   []byte
		GUID   uuid.UUID
		Level  Level
		Amount Decimal
		N      int32
		Any    any `gorm:"serializer:json"`
	}
	type same struct {
		Inner  `json:"-"`
		Title  string  `json:"title"`
		At     *Day    `json:"at"`
		Blob   *[]byte `json:"blob"`
		GUID   string  `json:"guid"`
		Level  *Level  `json:"level"`
		Amount string  `json:"amount"`
		N      *int64  `json:"n"`
		Any    any     `json:"any"`
	}
	m := parse[stored](t)
	shape, err := m.Shape(reflect.TypeFor[same](), registry())
	if err != nil {
		t.Fatal(err)
	}
	if len(shape.Fields) != 8 {
		t.Errorf("fields %v", names(shape.Fields))
	}
	type level struct {
		Level int `json:"level"`
	}
	type guidAsBytes struct {
		GUID []byte `json:"guid"`
	}
	type timeAsInt struct {
		At int64 `json:"at"`
	}
	type valuer struct {
		N Level `json:"n"`
	}
	for _, c := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[level](), "a int is not compatible with model_test.stored.Level"},
		{reflect.TypeFor[guidAsBytes](), "a []uint8 is not compatible with model_test.stored.GUID"},
		{reflect.TypeFor[timeAsInt](), "a int64 is not compatible with model_test.stored.At"},
		{reflect.TypeFor[valuer](), "a model_test.Level is not compatible with model_test.stored.N"},
	} {
		if _, err := m.Shape(c.t, registry()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// TestModelsAreShared reads and writes through one model from many goroutines, for the race detector.
func TestModelsAreShared(t *testing.T) {
	m := parse[Everything](t)
	ctx := context.Background()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			var x Everything
			row, err := m.FromStruct(ctx, reflect.ValueOf(x))
			if err == nil {
				m.AppendRow(nil, row)
				err = m.ToStruct(ctx, row, reflect.ValueOf(&x))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	var wrong *model.ValueError
	err := error(&model.ValueError{Model: m, Field: m.Fields[0], Err: context.Canceled})
	if !errors.As(err, &wrong) || !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost in %v", err)
	}
}
