package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/predicate"
)

// classify finds the field's kind, its limits and its codec.
func (p *parser) classify(f *Field) error {
	gf := f.gorm
	column := parseColumnType(gf.TagSettings["TYPE"])
	f.codec = codec{goType: f.Type}
	var err error
	switch {
	case gf.Serializer != nil && reflect.TypeOf(gf.Serializer) != reflect.TypeFor[schema.JSONSerializer]():
		f.Nullable = nilable(f.Type)
		err = p.serialized(f, column)
	case gf.Serializer != nil:
		f.unwrap()
		f.Kind = predicate.JSON
		f.codec.jsonDocument(f)
	default:
		f.unwrap()
		if isValuer(f.codec.goType) {
			f.valued(column)
		} else {
			err = f.plain(column)
		}
	}
	f.Nullable = f.Nullable && !gf.NotNull && !gf.PrimaryKey
	if err != nil {
		return err
	}
	return f.limits(column)
}

// unwrap takes off the pointer, and the struct of database/sql that adds NULL.
func (f *Field) unwrap() {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		f.Nullable = true
		t = t.Elem()
	}
	if isNull(t) {
		f.Nullable, f.codec.null = true, true
		t = t.Field(0).Type
	}
	f.codec.goType = t
}

// isNull tells whether t is sql.Null[T], one of the sql.NullX, or gorm.DeletedAt: a value and whether it is valid.
func isNull(t reflect.Type) bool {
	return t == reflect.TypeFor[gorm.DeletedAt]() ||
		t.Kind() == reflect.Struct && t.PkgPath() == "database/sql" && strings.HasPrefix(t.Name(), "Null") && t.NumField() == 2
}

func (f *Field) softDeletes() bool { return f.Type == reflect.TypeFor[gorm.DeletedAt]() }

// mayBeNil tells whether the Go type has NULL, whatever the column says.
func (f *Field) mayBeNil() bool {
	return f.Type.Kind() == reflect.Pointer || f.codec.null
}

// plain classifies types that database/sql takes as they are.
func (f *Field) plain(column columnType) error {
	t := f.codec.goType
	switch {
	case isTime(t):
		f.Kind = predicate.Time
	case t == reflect.TypeFor[json.RawMessage](), column.kind == predicate.JSON && (isBytes(t) || t.Kind() == reflect.String):
		f.Kind = predicate.JSON
		f.codec.jsonDocument(f)
		return nil
	case column.kind == predicate.JSON:
		return fmt.Errorf(`GORM cannot bind a %s to a %s column; add gorm:"serializer:json"`, t, column.name)
	case isBytes(t):
		f.Kind = predicate.Bytes
		f.Nullable = true
	default:
		f.Kind = kindOfGo(t.Kind())
	}
	switch column.kind {
	case predicate.Null, f.Kind:
	case predicate.UUID:
		if f.Kind != predicate.Text {
			return fmt.Errorf("a %s is no UUID; use a string or a type with Value and Scan such as google/uuid.UUID", t)
		}
		f.Kind = predicate.UUID
	case predicate.Decimal:
		if f.Kind != predicate.Text && f.Kind != predicate.Int && f.Kind != predicate.Float {
			return fmt.Errorf("a %s is no decimal; use a string, a number or a type with Value and Scan", t)
		}
		f.Kind = predicate.Decimal
	default:
		if !fits(f.Kind, column.kind) {
			return fmt.Errorf("a %s does not fit a %s column; change one of them", t, column.name)
		}
	}
	if f.Kind == predicate.Null {
		return errors.New("it has no column type; " + serializerFix)
	}
	f.codec.nativeValue(f)
	return nil
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

func kindOfGo(k reflect.Kind) predicate.Kind {
	switch k {
	case reflect.Bool:
		return predicate.Bool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return predicate.Int
	case reflect.Float32, reflect.Float64:
		return predicate.Float
	case reflect.String:
		return predicate.Text
	}
	return predicate.Null
}

// fits tells whether a column of another kind still holds and compares values as the field's kind does: MySQL's booleans
// are integers.
func fits(field, column predicate.Kind) bool {
	return field == predicate.Bool && column == predicate.Int
}

// limits reads sizes, and the range of numbers.
func (f *Field) limits(column columnType) error {
	gf := f.gorm
	t := f.codec.goType
	argument := func(i int) int {
		if i < len(column.arguments) {
			return column.arguments[i]
		}
		return 0
	}
	switch f.Kind {
	case predicate.Int, predicate.Float:
		f.Bits = 64
		if k := t.Kind(); kindOfGo(k) == f.Kind && f.codec.native {
			f.Bits = t.Bits()
			f.Unsigned = k >= reflect.Uint && k <= reflect.Uint64
		}
		if size := gf.Size; f.Kind == predicate.Int && (size == 8 || size == 16 || size == 32) {
			f.Bits = min(f.Bits, size)
		}
	case predicate.Text, predicate.Bytes:
		f.Size = max(gf.Size, 0)
		if _, given := gf.TagSettings["SIZE"]; !given {
			f.Size = argument(0)
		}
	case predicate.Decimal:
		f.Precision, f.Scale = argument(0), argument(1)
		if gf.Precision > 0 {
			f.Precision, f.Scale = gf.Precision, gf.Scale
		}
		if f.Scale > f.Precision || f.Scale < 0 {
			return fmt.Errorf("a decimal of %d digits cannot have %d after the point", f.Precision, f.Scale)
		}
		var err error
		f.bounds, err = parseBounds(gf.Tag)
		return err
	}
	return nil
}

// finish derives what depends on all else.
func (p *parser) finish(f *Field) {
	required, explicit, err := requiredBy(f.tags, f.Nullable)
	p.add(f.GoName, err)
	switch {
	case f.ReadOnly || f.Hidden || f.Managed.Source != FromBody || f.Auto != NoAuto:
	case explicit:
		f.Required = required
	default:
		f.Required = required && f.Kind != predicate.Bool && !f.Default
	}
}

// requiredBy is huma's rule, but that what may be NULL may be left out.
func requiredBy(sf reflect.StructField, nullable bool) (required, explicit bool, err error) {
	if required, explicit, err = boolTag(sf.Tag, "required"); explicit || err != nil {
		return required, true, err
	}
	tag, err := parseJSON(sf.Tag)
	return !tag.omit && !nullable && sf.Tag.Get("default") == "", false, err
}
