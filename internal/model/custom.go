package model

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/predicate"
)

// valued classifies a type with Value and Scan. Its kind is what the column is said to be, else what Value gives.
func (f *Field) valued(column columnType) {
	t := f.codec.goType
	sample := reflect.New(t)
	zero, valueErr := driverValue(sample.Elem())
	if zero == nil && valueErr == nil {
		f.Nullable = true
	}
	f.Kind = column.kind
	if dataType, ok := sample.Interface().(schema.GormDataTypeInterface); ok && f.Kind == predicate.Null {
		f.Kind = kindOfType(strings.ToLower(dataType.GormDataType()))
	}
	if f.Kind == predicate.Null {
		f.Kind = kindOfValue(t, zero, f.gorm.GORMDataType)
	}
	f.codec.load = func(_ context.Context, _, v reflect.Value) (predicate.Value, error) {
		raw, err := driverValue(v)
		if err != nil {
			return predicate.Value{}, err
		}
		return fromDriver(f.Kind, raw)
	}
	f.codec.store = func(_ context.Context, _, v reflect.Value, value predicate.Value) error {
		p := reflect.New(t)
		if err := scan(p.Interface(), value); err != nil {
			return err
		}
		v.Set(p.Elem())
		return nil
	}
	// Decimals are text of digits whatever the type; UUIDs likewise, where they are not another text of 16 bytes.
	f.codec.foreignJSON = f.Kind != predicate.Decimal && (f.Kind != predicate.UUID || !isUUID(t) && !isNullUUID(t))
}

// kindOfValue guesses by the type's name, by its zero value, and by the first field that GORM looks at.
func kindOfValue(t reflect.Type, zero driver.Value, guess schema.DataType) predicate.Kind {
	if isUUID(t) || isNullUUID(t) {
		return predicate.UUID
	}
	if name := strings.ToLower(t.Name()); name == "decimal" || name == "nulldecimal" {
		return predicate.Decimal
	}
	switch zero.(type) {
	case bool:
		return predicate.Bool
	case int64:
		return predicate.Int
	case float64:
		return predicate.Float
	case []byte:
		return predicate.Bytes
	case time.Time:
		return predicate.Time
	case string:
		return predicate.Text
	}
	if kind := kindOfType(string(guess)); kind != predicate.Null {
		return kind
	}
	return predicate.Text
}

// isUUID tells whether t is 16 bytes whose Value is the text of a UUID.
func isUUID(t reflect.Type) bool {
	if t.Kind() != reflect.Array || t.Len() != 16 || t.Elem().Kind() != reflect.Uint8 || !isValuer(t) {
		return false
	}
	sample := reflect.New(t).Elem()
	for i := range 16 {
		sample.Index(i).SetUint(uint64(0x11 * i))
	}
	raw, err := driverValue(sample)
	text, ok := raw.(string)
	return err == nil && ok && strings.EqualFold(text, "00112233-4455-6677-8899-aabbccddeeff")
}

// isNullUUID tells whether t is a UUID and whether it is valid, such as google/uuid.NullUUID.
func isNullUUID(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() == 2 && isUUID(t.Field(0).Type) && t.Field(1).Name == "Valid"
}

// driverValue calls Value and brings what it gives to the types that drivers take.
func driverValue(v reflect.Value) (driver.Value, error) {
	valuer, ok := v.Interface().(driver.Valuer)
	if !ok {
		if !v.CanAddr() {
			addressable := reflect.New(v.Type()).Elem()
			addressable.Set(v)
			v = addressable
		}
		if valuer, ok = v.Addr().Interface().(driver.Valuer); !ok {
			return nil, fmt.Errorf("%s has no Value", v.Type())
		}
	}
	raw, err := valuer.Value()
	if err != nil {
		return nil, err
	}
	return driver.DefaultParameterConverter.ConvertValue(raw)
}

// fromDriver converts what Value gave.
func fromDriver(kind predicate.Kind, raw driver.Value) (predicate.Value, error) {
	switch raw := raw.(type) {
	case nil:
		return predicate.Value{}, nil
	case bool:
		switch kind {
		case predicate.Bool:
			return predicate.BoolValue(raw), nil
		case predicate.Int:
			if raw {
				return predicate.IntValue(1), nil
			}
			return predicate.IntValue(0), nil
		}
	case int64:
		switch kind {
		case predicate.Int:
			return predicate.IntValue(raw), nil
		case predicate.Bool:
			return predicate.BoolValue(raw != 0), nil
		case predicate.Float:
			return predicate.FloatValue(float64(raw)), nil
		case predicate.Decimal, predicate.Text:
			return fromText(kind, strconv.FormatInt(raw, 10))
		}
	case float64:
		switch kind {
		case predicate.Float:
			return finite(raw)
		case predicate.Decimal, predicate.Text:
			return fromText(kind, strconv.FormatFloat(raw, 'f', -1, 64))
		}
	case time.Time:
		if kind == predicate.Time {
			return loadTime(reflect.ValueOf(raw))
		}
	case []byte:
		return fromBytes(kind, raw)
	case string:
		return fromText(kind, raw)
	}
	return predicate.Value{}, fmt.Errorf("Value gave a %T, which is no %s", raw, kind)
}

func fromBytes(kind predicate.Kind, raw []byte) (predicate.Value, error) {
	switch {
	case kind == predicate.Bytes:
		return predicate.BytesValue(raw), nil
	case kind == predicate.UUID && len(raw) == 16:
		return fromText(kind, formatUUID(raw))
	}
	return fromText(kind, string(raw))
}

func fromText(kind predicate.Kind, text string) (predicate.Value, error) {
	switch kind {
	case predicate.Bytes:
		return predicate.BytesValue([]byte(text)), nil
	case predicate.JSON:
		if text == "" {
			return predicate.Value{}, nil
		}
		return document([]byte(text))
	}
	v, ok := predicate.Parse(kind, text)
	if !ok {
		return predicate.Value{}, fmt.Errorf("Value gave text that is no %s", kind)
	}
	return v, nil
}

// scan hands a value to a type's Scan in the forms that the drivers use, until one is taken.
func scan(target any, value predicate.Value) error {
	scanner, ok := target.(sql.Scanner)
	if !ok {
		return fmt.Errorf("%T has no Scan", target)
	}
	var err error
	for _, form := range forms(value) {
		if err = scanner.Scan(form); err == nil {
			return nil
		}
	}
	return err
}

func forms(v predicate.Value) []any {
	switch v.Kind() {
	case predicate.Bool:
		if v.Bool() {
			return []any{true, int64(1)}
		}
		return []any{false, int64(0)}
	case predicate.Int:
		return []any{v.Int()}
	case predicate.Float:
		return []any{v.Float()}
	case predicate.Time:
		return []any{v.Time()}
	case predicate.Bytes:
		return []any{[]byte(v.Content())}
	case predicate.JSON:
		return []any{[]byte(v.Content()), v.Content()}
	case predicate.Text, predicate.UUID, predicate.Decimal:
		return []any{v.Content(), []byte(v.Content())}
	default:
		return []any{nil}
	}
}

// serialized classifies a field with a GORM serializer other than json, which needs the struct and GORM's own field.
func (p *parser) serialized(f *Field, column columnType) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("its serializer panics on a zero %s: %v", f.Type, r)
		}
	}()
	gf, model := f.gorm, p.Type
	f.codec.foreignJSON = true
	serialize := func(ctx context.Context, in reflect.Value) (driver.Value, error) {
		value, _ := gf.ValueOf(ctx, in)
		return driver.DefaultParameterConverter.ConvertValue(value)
	}
	f.codec.load = func(ctx context.Context, in, v reflect.Value) (predicate.Value, error) {
		if !in.IsValid() {
			in = reflect.New(model).Elem()
			in.FieldByIndex(gf.StructField.Index).Set(v)
		}
		raw, err := serialize(ctx, in)
		if err != nil {
			return predicate.Value{}, err
		}
		return fromDriver(f.Kind, raw)
	}
	f.codec.store = func(ctx context.Context, in, v reflect.Value, value predicate.Value) error {
		if !in.IsValid() {
			in = reflect.New(model).Elem()
		}
		err := f.deserialize(ctx, in, value)
		if err == nil {
			v.Set(in.FieldByIndex(gf.StructField.Index))
		}
		return err
	}
	f.Kind = column.kind
	if _, ok := gf.Serializer.(schema.UnixSecondSerializer); ok {
		f.Kind = predicate.Time
	}
	if f.Kind == predicate.Null {
		zero, _ := serialize(context.Background(), reflect.New(model).Elem()) // an error leaves text, the serializers' usual
		f.Kind = kindOfValue(reflect.TypeFor[string](), zero, "")
	}
	return nil
}

func (f *Field) deserialize(ctx context.Context, in reflect.Value, value predicate.Value) error {
	var err error
	for _, form := range forms(value) {
		carrier := f.gorm.NewValuePool.Get()
		scanner, ok := carrier.(sql.Scanner)
		if !ok {
			return errors.New("its serializer cannot be read")
		}
		if err = scanner.Scan(form); err == nil {
			err = f.gorm.Set(ctx, in, carrier)
		}
		f.gorm.NewValuePool.Put(carrier)
		if err == nil {
			return nil
		}
	}
	return err
}

// fromForeignJSON reads what the body decoder gave by way of the Go type's own JSON.
func (f *Field) fromForeignJSON(doc []byte) (predicate.Value, error) {
	target := reflect.New(f.codec.goType)
	mistake := expected("value that " + f.codec.goType.String() + " can hold")
	if err := json.Unmarshal(doc, target.Interface()); err != nil {
		return predicate.Value{}, mistake
	}
	v, err := f.codec.load(context.Background(), reflect.Value{}, target.Elem())
	if err != nil || v.IsNull() && !f.Nullable {
		return predicate.Value{}, mistake
	}
	return v, nil
}

// appendForeignJSON writes the Go type's own JSON, or the column's when the database holds what the type refuses.
func (f *Field) appendForeignJSON(dst []byte, v predicate.Value) []byte {
	target := reflect.New(f.codec.goType)
	if err := f.codec.store(context.Background(), reflect.Value{}, target.Elem(), v); err != nil {
		return v.AppendJSON(dst)
	}
	var doc bytes.Buffer
	encoder := json.NewEncoder(&doc)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(target.Interface()); err != nil {
		return v.AppendJSON(dst)
	}
	return append(dst, bytes.TrimSuffix(doc.Bytes(), []byte{'\n'})...)
}
