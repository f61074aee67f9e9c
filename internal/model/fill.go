package model

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/predicate"
)

// Zero is what the field holds when nobody gives a value: NULL where it may, else the zero of its Go type.
func (f *Field) Zero() predicate.Value {
	if f.Nullable {
		return predicate.Value{}
	}
	if !f.codec.native {
		zero := reflect.New(f.codec.goType).Elem()
		if v, err := f.codec.load(context.Background(), reflect.Value{}, zero); err == nil {
			return v
		}
		return predicate.Value{}
	}
	switch f.Kind {
	case predicate.Bool:
		return predicate.BoolValue(false)
	case predicate.Int:
		return predicate.IntValue(0)
	case predicate.Float:
		return predicate.FloatValue(0)
	case predicate.Decimal:
		return predicate.RawDecimal("0")
	case predicate.UUID:
		zero, _ := predicate.UUIDValue("00000000-0000-0000-0000-000000000000")
		return zero
	case predicate.Bytes:
		return predicate.BytesValue(nil)
	case predicate.Time:
		return predicate.TimeValue(time.Time{})
	case predicate.JSON:
		return f.zeroDocument()
	default:
		return predicate.TextValue("")
	}
}

// zeroDocument is the empty document of the Go type; encoding/json's null for a nil slice or map would be one that a
// column without NULL is not meant to hold.
func (f *Field) zeroDocument() predicate.Value {
	t := f.codec.goType
	doc := []byte("null")
	switch {
	case f.gorm.Serializer == nil: // the Go value is a document's text
	case t.Kind() == reflect.Slice:
		doc = []byte("[]")
	case t.Kind() == reflect.Map:
		doc = []byte("{}")
	default:
		if zero, err := json.Marshal(reflect.Zero(t).Interface()); err == nil {
			doc = zero
		}
	}
	v, _ := predicate.JSONValue(doc)
	return v
}

// Stamp is t as an automatic time is stored in the field: a time, or the integer that GORM's tag asks for.
func (f *Field) Stamp(t time.Time) predicate.Value {
	if f.gorm.Serializer != nil {
		return predicate.TimeValue(t.Truncate(time.Second)) // gorm:"serializer:unixtime"
	}
	if f.Kind != predicate.Int {
		return predicate.TimeValue(t)
	}
	unit := f.gorm.AutoCreateTime
	if f.Auto == UpdateTime {
		unit = f.gorm.AutoUpdateTime
	}
	switch unit {
	case schema.UnixNanosecond:
		return predicate.IntValue(t.UnixNano())
	case schema.UnixMillisecond:
		return predicate.IntValue(t.UnixMilli())
	default:
		return predicate.IntValue(t.Unix())
	}
}
