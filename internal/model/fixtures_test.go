package model_test

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// parse parses a declaration that must be right.
func parse[T any](t *testing.T) *model.Model {
	t.Helper()
	m, err := model.Parse(reflect.TypeFor[T](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return m
}

// mistake parses a declaration that must be wrong.
func mistake[T any](t *testing.T) string {
	t.Helper()
	_, err := model.Parse(reflect.TypeFor[T](), schema.NamingStrategy{}, &sync.Map{})
	if err == nil {
		t.Fatalf("Parse accepts %s", reflect.TypeFor[T]())
	}
	return err.Error()
}

func field(t *testing.T, m *model.Model, name string) *model.Field {
	t.Helper()
	f, ok := m.Field(name)
	if !ok {
		t.Fatalf("%s has no field %q", m.Type, name)
	}
	return f
}

func registry() huma.Registry {
	return huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
}

// Todo is the model of the first ten minutes.
type Todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
}

// Mood is an enum.
type Mood string

// Level is an enum whose column is text and whose JSON is a string.
type Level int

func (l Level) Value() (driver.Value, error) {
	if l < 0 || l > 2 {
		return nil, errors.New("no such level")
	}
	return [...]string{"low", "middle", "high"}[l], nil
}

func (l *Level) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("%T", src)
	}
	return l.UnmarshalText([]byte(text))
}

func (l Level) MarshalText() ([]byte, error) {
	v, err := l.Value()
	text, _ := v.(string)
	return []byte(text), err
}

func (l *Level) UnmarshalText(text []byte) error {
	for i, name := range []string{"low", "middle", "high"} {
		if name == string(text) {
			*l = Level(i)
			return nil
		}
	}
	return errors.New("no such level")
}

// Money is a decimal type as libraries have it.
type Decimal struct{ text string }

func (d Decimal) Value() (driver.Value, error) {
	if d.text == "" {
		return "0", nil
	}
	return d.text, nil
}

func (d *Decimal) Scan(src any) error {
	text, ok := src.(string)
	d.text = text
	if !ok {
		return fmt.Errorf("%T", src)
	}
	return nil
}

// Ticket is 16 bytes that are no UUID: it is written as "t" and hexadecimal digits, and stored as bytes.
type Ticket [16]byte

func (t Ticket) Value() (driver.Value, error) { return t[:], nil }

func (t *Ticket) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != 16 {
		return errors.New("no ticket")
	}
	copy(t[:], b)
	return nil
}

func (t Ticket) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "t%x", t[:]), nil }

func (t *Ticket) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "t")
	var b []byte
	if _, err := fmt.Sscanf(digits, "%x", &b); !ok || err != nil || len(b) != 16 {
		return errors.New("no ticket")
	}
	copy(t[:], b)
	return nil
}

// Bag is a JSON column with Value and Scan, as gorm.io/datatypes has them; Scan takes bytes alone.
type Bag map[string]any

func (b Bag) Value() (driver.Value, error) {
	if b == nil {
		return nil, nil
	}
	return json.Marshal(b)
}

func (b *Bag) Scan(src any) error {
	if src == nil {
		*b = nil
		return nil
	}
	doc, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("%T", src)
	}
	return json.Unmarshal(doc, b)
}

// GormDataType implements GORM's interface.
func (Bag) GormDataType() string { return "json" }

// Point is stored as text and is an object in JSON.
type Point struct {
	X int `json:"x"`
	Y int `json:"y"`
}

func (p Point) Value() (driver.Value, error) { return fmt.Sprintf("%d/%d", p.X, p.Y), nil }

func (p *Point) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("%T", src)
	}
	_, err := fmt.Sscanf(text, "%d/%d", &p.X, &p.Y)
	return err
}

// Address is embedded, and stored as JSON.
type Address struct {
	City   string `json:"city"`
	Street string `json:"street" gorm:"column:road"`
}

// Company is an association.
type Company struct {
	ID   int64
	Name string
}

// Everything has a column of each sort.
type Everything struct {
	ID        uuid.UUID `json:"id"`
	Bool      bool
	Int       int
	Int8      int8
	Int16     int16
	Int32     int32
	Int64     int64
	Uint      uint
	Uint8     uint8
	Uint32    uint32
	Uint64    uint64
	Float32   float32
	Float64   float64
	Text      string
	Mood      Mood   `enum:"glad,sad"`
	Short     string `gorm:"size:5"`
	Varchar   string `gorm:"type:varchar(7)"`
	Time      time.Time
	Bytes     []byte
	Limited   []byte `gorm:"size:4;not null"`
	GUID      uuid.UUID
	UUIDText  string  `gorm:"type:uuid"`
	Price     string  `gorm:"type:decimal(10,2)"`
	Rate      float64 `gorm:"type:numeric(6,3)"`
	Count     int64   `gorm:"type:numeric"`
	Amount    Decimal `gorm:"type:numeric(20,4)" minimum:"-5" exclusiveMaximum:"1000.5"`
	Plain     Decimal
	Raw       json.RawMessage
	Doc       string         `gorm:"type:jsonb"`
	Tags      []string       `gorm:"serializer:json"`
	Labels    map[string]int `gorm:"serializer:json;not null"`
	Any       any            `gorm:"serializer:json"`
	Home      Address        `gorm:"serializer:json"`
	Work      *Address       `gorm:"serializer:json"`
	Bag       Bag
	Level     Level
	Ticket    Ticket
	Point     Point
	PointAt   *Point
	PText     *string
	PInt      *int32
	PTime     *time.Time
	PUUID     *uuid.UUID
	PBool     *bool `gorm:"not null"`
	NText     sql.NullString
	NTime     sql.NullTime
	NInt      sql.NullInt16
	NAny      sql.Null[float64]
	NLevel    sql.Null[Level]
	NUUID     sql.Null[uuid.UUID]
	Null      uuid.NullUUID
	Unix      int64     `gorm:"serializer:unixtime;type:time"`
	Gob       []string  `gorm:"serializer:gob"`
	Created   time.Time `gorm:"autoCreateTime"`
	Milli     int64     `gorm:"autoUpdateTime:milli"`
	DeletedAt gorm.DeletedAt
}

// tester is what testing and rapid have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// decode reads JSON as the body decoder does.
func decode(t tester, doc []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return numbers(t, v)
}

func numbers(t tester, v any) any {
	t.Helper()
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatalf("%s: %v", v, err)
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(t, v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = numbers(t, v[key])
		}
	}
	return v
}

func decimal(s string) predicate.Value {
	v, ok := predicate.DecimalValue(s)
	if !ok {
		panic(s)
	}
	return v
}

func document(s string) predicate.Value {
	v, ok := predicate.JSONValue([]byte(s))
	if !ok {
		panic(s)
	}
	return v
}

func guid(s string) predicate.Value {
	v, ok := predicate.UUIDValue(s)
	if !ok {
		panic(s)
	}
	return v
}
