package model

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

// codec carries a field's content between Go and a Value. Its functions see the Go value without the pointer or sql.Null
// around it, but those of a GORM serializer the field itself and the struct it stands in, which is not valid when there
// is none.
type codec struct {
	goType      reflect.Type
	null        bool // sql.Null, sql.NullX or gorm.DeletedAt is around goType
	native      bool // Go's own type, without methods of its own for databases
	foreignJSON bool // JSON is what encoding/json makes of the Go value

	load  func(ctx context.Context, in, v reflect.Value) (predicate.Value, error)
	store func(ctx context.Context, in, v reflect.Value, value predicate.Value) error
}

// load reads the field's Go value; in is its struct.
func (f *Field) load(ctx context.Context, in, v reflect.Value) (predicate.Value, error) {
	if f.Type != f.codec.goType {
		if f.Type.Kind() == reflect.Pointer {
			if v.IsNil() {
				return predicate.Value{}, nil
			}
			v = v.Elem()
		}
		if f.codec.null {
			if !v.Field(1).Bool() {
				return predicate.Value{}, nil
			}
			v = v.Field(0)
		}
	}
	return f.codec.load(ctx, in, v)
}

// store writes the field's Go value; in is its struct.
func (f *Field) store(ctx context.Context, in, v reflect.Value, value predicate.Value) error {
	if value.IsNull() && f.codec.native {
		v.SetZero()
		return nil
	}
	if f.Type != f.codec.goType {
		if value.IsNull() {
			v.SetZero()
			return nil
		}
		if f.Type.Kind() == reflect.Pointer {
			v.Set(reflect.New(f.Type.Elem()))
			v = v.Elem()
		}
		if f.codec.null {
			v.Field(1).SetBool(true)
			v = v.Field(0)
		}
	}
	if !value.IsNull() && value.Kind() != f.Kind {
		return fmt.Errorf("a value of kind %s for a column of kind %s", value.Kind(), f.Kind)
	}
	return f.codec.store(ctx, in, v, value)
}

var (
	errText   = errors.New("text that is not UTF-8, or has a NUL character")
	errTime   = errors.New("a time before year 1 or after year 9999")
	errNumber = errors.New("a number that is not finite")
)

type (
	loader func(v reflect.Value) (predicate.Value, error)
	storer func(v reflect.Value, value predicate.Value) error
)

func (c *codec) set(load loader, store storer) {
	c.native = true
	c.load = func(_ context.Context, _, v reflect.Value) (predicate.Value, error) { return load(v) }
	c.store = func(_ context.Context, _, v reflect.Value, value predicate.Value) error { return store(v, value) }
}

// nativeValue is the codec of Go's own types.
func (c *codec) nativeValue(f *Field) {
	switch f.Kind {
	case predicate.Bool:
		c.set(func(v reflect.Value) (predicate.Value, error) { return predicate.BoolValue(v.Bool()), nil },
			func(v reflect.Value, value predicate.Value) error { v.SetBool(value.Bool()); return nil })
	case predicate.Int:
		c.set(loadInt, storeInt)
	case predicate.Float:
		c.set(func(v reflect.Value) (predicate.Value, error) { return finite(v.Float()) }, storeFloat)
	case predicate.Decimal:
		c.set(loadDecimal, storeDecimal)
	case predicate.Text:
		c.set(loadText, func(v reflect.Value, value predicate.Value) error { v.SetString(value.Content()); return nil })
	case predicate.UUID:
		c.set(loadUUID, func(v reflect.Value, value predicate.Value) error { v.SetString(value.Content()); return nil })
	case predicate.Bytes:
		c.set(func(v reflect.Value) (predicate.Value, error) {
			if v.IsNil() && f.Nullable {
				return predicate.Value{}, nil
			}
			return predicate.BytesValue(v.Bytes()), nil
		}, func(v reflect.Value, value predicate.Value) error { v.SetBytes([]byte(value.Content())); return nil })
	case predicate.Time:
		c.set(loadTime, func(v reflect.Value, value predicate.Value) error {
			v.Set(reflect.ValueOf(value.Time()).Convert(v.Type()))
			return nil
		})
	}
}

func loadInt(v reflect.Value) (predicate.Value, error) {
	if !v.CanUint() {
		return predicate.IntValue(v.Int()), nil
	}
	u := v.Uint()
	if u > math.MaxInt64 {
		return predicate.Value{}, errors.New("an integer above 9223372036854775807")
	}
	return predicate.IntValue(int64(u)), nil
}

func storeInt(v reflect.Value, value predicate.Value) error {
	i := value.Int()
	if v.CanUint() {
		if i < 0 || v.OverflowUint(uint64(i)) {
			return fmt.Errorf("%d does not fit a %s", i, v.Type())
		}
		v.SetUint(uint64(i))
		return nil
	}
	if v.OverflowInt(i) {
		return fmt.Errorf("%d does not fit a %s", i, v.Type())
	}
	v.SetInt(i)
	return nil
}

func finite(f float64) (predicate.Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return predicate.Value{}, errNumber
	}
	return predicate.FloatValue(f), nil
}

func storeFloat(v reflect.Value, value predicate.Value) error {
	f := value.Float()
	if !math.IsInf(f, 0) && v.OverflowFloat(f) {
		return fmt.Errorf("%g does not fit a %s", f, v.Type())
	}
	v.SetFloat(f)
	return nil
}

func loadDecimal(v reflect.Value) (predicate.Value, error) {
	var text string
	switch {
	case v.CanInt():
		text = strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		text = strconv.FormatUint(v.Uint(), 10)
	case v.CanFloat():
		text = strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits())
	case v.String() == "":
		text = "0"
	default:
		text = v.String()
	}
	value, ok := predicate.DecimalValue(text)
	if !ok {
		return predicate.Value{}, errors.New("text that is no decimal number")
	}
	return value, nil
}

func storeDecimal(v reflect.Value, value predicate.Value) error {
	text := value.Content()
	var err error
	switch {
	case v.CanInt():
		var i int64
		if i, err = strconv.ParseInt(text, 10, v.Type().Bits()); err == nil {
			v.SetInt(i)
		}
	case v.CanUint():
		var u uint64
		if u, err = strconv.ParseUint(text, 10, v.Type().Bits()); err == nil {
			v.SetUint(u)
		}
	case v.CanFloat():
		var f float64
		if f, err = strconv.ParseFloat(text, v.Type().Bits()); err == nil {
			v.SetFloat(f)
		}
	default:
		v.SetString(text)
	}
	if err != nil {
		return fmt.Errorf("%s does not fit a %s", text, v.Type())
	}
	return nil
}

func loadText(v reflect.Value) (predicate.Value, error) {
	s := v.String()
	if !predicate.ValidText(s) {
		return predicate.Value{}, errText
	}
	return predicate.TextValue(s), nil
}

// loadUUID takes the empty string, the zero of its type, for a UUID that is yet to be made.
func loadUUID(v reflect.Value) (predicate.Value, error) {
	s := v.String()
	if s == "" {
		return predicate.Value{}, nil
	}
	value, ok := predicate.UUIDValue(s)
	if !ok {
		return predicate.Value{}, errors.New("text that is no UUID")
	}
	return value, nil
}

func loadTime(v reflect.Value) (predicate.Value, error) {
	t, ok := v.Interface().(time.Time)
	if !ok {
		t, _ = v.Convert(reflect.TypeFor[time.Time]()).Interface().(time.Time)
	}
	if !predicate.ValidTime(t.UTC()) {
		return predicate.Value{}, errTime
	}
	return predicate.TimeValue(t), nil
}

// formatUUID writes 16 bytes as a UUID.
func formatUUID(b []byte) string {
	digits := hex.EncodeToString(b)
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
}

// jsonDocument is the codec of JSON columns: Go's own text of a document, or what encoding/json makes of the type.
func (c *codec) jsonDocument(f *Field) {
	t := c.goType
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Interface:
		f.Nullable = true
	}
	if f.gorm.Serializer == nil {
		c.set(f.loadDocument, func(v reflect.Value, value predicate.Value) error {
			if v.Kind() == reflect.String {
				v.SetString(value.Content())
			} else {
				v.SetBytes([]byte(value.Content()))
			}
			return nil
		})
		return
	}
	c.set(func(v reflect.Value) (predicate.Value, error) { return f.marshal(v) },
		func(v reflect.Value, value predicate.Value) error {
			v.SetZero()
			if err := json.Unmarshal([]byte(value.Content()), v.Addr().Interface()); err != nil {
				return fmt.Errorf("the document does not fit a %s: %w", t, err)
			}
			return nil
		})
}

func (f *Field) loadDocument(v reflect.Value) (predicate.Value, error) {
	var doc []byte
	if v.Kind() == reflect.String {
		doc = []byte(v.String())
	} else {
		doc = v.Bytes()
	}
	if len(doc) == 0 {
		return f.Zero(), nil
	}
	return document(doc)
}

func (f *Field) marshal(v reflect.Value) (predicate.Value, error) {
	doc, err := json.Marshal(v.Interface())
	if err != nil {
		return predicate.Value{}, err
	}
	if string(doc) == "null" {
		return f.Zero(), nil
	}
	return document(doc)
}

func document(doc []byte) (predicate.Value, error) {
	value, ok := predicate.JSONValue(doc)
	if !ok {
		return predicate.Value{}, errors.New("text that is no JSON document")
	}
	if hasNUL(value.Content()) {
		return predicate.Value{}, errText
	}
	return value, nil
}

// hasNUL looks for the escape of a NUL character in a canonical document.
func hasNUL(doc string) bool {
	for {
		i := strings.Index(doc, `\u0000`)
		if i < 0 {
			return false
		}
		backslashes := len(doc[:i]) - len(strings.TrimRight(doc[:i], `\`))
		if backslashes%2 == 0 {
			return true
		}
		doc = doc[i+1:]
	}
}
