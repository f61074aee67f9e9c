package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/internal/predicate"
)

// decimalPattern is how a decimal is written in JSON.
const decimalPattern = `^-?[0-9]+(\.[0-9]+)?$`

// read is the schema of what AppendRow writes.
func (m *Model) read(r huma.Registry) (*huma.Schema, []error) {
	b := builder{model: m, registry: r, object: newObject()}
	for _, f := range m.Fields {
		if f.Hidden {
			continue
		}
		s := b.property(f, f.tags, f.Nullable, m.Type.String()+"."+f.GoName)
		if s == nil {
			continue
		}
		s.ReadOnly = f.ReadOnly
		if f.Kind == predicate.Time && !f.codec.foreignJSON {
			s.Format = "date-time" // whatever the client may send
		}
		b.object.Required = append(b.object.Required, f.Name)
	}
	return b.finish(), b.errs
}

// builder makes the schema of an object.
type builder struct {
	model    *Model
	registry huma.Registry
	object   *huma.Schema
	nullable []*huma.Schema
	errs     []error
}

func newObject() *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
}

// finish prepares messages, and only then lets null be one of an enum's values, which no message needs to say.
func (b *builder) finish() *huma.Schema {
	b.object.PrecomputeMessages()
	for _, s := range b.nullable {
		if len(s.Enum) > 0 {
			s.Enum = append(s.Enum, nil)
		}
	}
	return b.object
}

// property adds the schema of a field as sf declares it; nil after a mistake.
func (b *builder) property(f *Field, sf reflect.StructField, nullable bool, where string) *huma.Schema {
	s, err := fieldSchema(b.registry, f, sf, nullable)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", where, err))
		return nil
	}
	if nullable {
		b.nullable = append(b.nullable, s)
	}
	b.object.Properties[f.Name] = s
	return s
}

// fieldSchema applies the field's tags to the schema of its kind, or of its Go type where that decides its JSON.
func fieldSchema(r huma.Registry, f *Field, sf reflect.StructField, nullable bool) (s *huma.Schema, err error) {
	defer func() {
		if mistake := recover(); mistake != nil { // how huma reports a bad tag
			err = fmt.Errorf("%v", mistake)
		}
	}()
	free := f.codec.foreignJSON || f.Kind == predicate.JSON
	plain := reflect.StructField{Name: sf.Name, Type: plainType(f), Tag: withoutTag(sf.Tag, "default")} // read by fill
	if free {
		plain.Type = documentType(f, sf)
	}
	s = huma.SchemaFromField(r, plain, f.GoName+"Value")
	if s == nil {
		return nil, fmt.Errorf("huma has no schema for %s; implement huma.SchemaProvider", plain.Type)
	}
	own := *s // huma.SchemaProvider may give the same one to all
	if target := r.SchemaFromRef(s.Ref); s.Ref != "" && target != nil && nullable {
		own = *target // a reference cannot say that null is allowed
		own.Description = s.Description
	}
	s = &own
	if s.UniqueItems && s.Items != nil && (s.Items.Type == "" || s.Items.Type == huma.TypeObject || s.Items.Type == huma.TypeArray) {
		return nil, errors.New("uniqueItems needs items that are strings, numbers or booleans; remove it")
	}
	if !free {
		refine(f, s, sf)
	}
	s.Nullable = nullable && s.Type != ""
	integers(s)
	return s, nil
}

// plainType is the Go type whose schema huma knows to be the kind's.
func plainType(f *Field) reflect.Type {
	switch f.Kind {
	case predicate.Bool:
		return reflect.TypeFor[bool]()
	case predicate.Int:
		switch {
		case f.Bits < 32 && f.Unsigned:
			return reflect.TypeFor[uint16]()
		case f.Bits <= 32 && !f.Unsigned:
			return reflect.TypeFor[int32]()
		case f.Unsigned: // of 32 bits, too, which format int32 has not
			return reflect.TypeFor[uint64]()
		}
		return reflect.TypeFor[int64]()
	case predicate.Float:
		if f.Bits == 32 {
			return reflect.TypeFor[float32]()
		}
		return reflect.TypeFor[float64]()
	default:
		return reflect.TypeFor[string]()
	}
}

// documentType is the Go type that decides a document's JSON; any where its own methods do, unless they make a string.
func documentType(f *Field, sf reflect.StructField) reflect.Type {
	t := f.codec.goType
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case implements[huma.SchemaProvider](t), f.gorm.Serializer != nil && !implements[json.Marshaler](t):
		return t
	case f.Kind == predicate.JSON && !f.codec.foreignJSON:
		return reflect.TypeFor[any]()
	case !implements[json.Marshaler](t):
		return t
	}
	sample, err := json.Marshal(reflect.New(t).Interface())
	if err == nil && len(sample) > 0 && sample[0] == '"' || sf.Tag.Get("enum") != "" {
		return reflect.TypeFor[string]()
	}
	return reflect.TypeFor[any]()
}

// refine adds what the kind knows beyond the Go type.
func refine(f *Field, s *huma.Schema, sf reflect.StructField) {
	switch f.Kind {
	case predicate.Int:
		low, high := f.integers()
		if s.Minimum == nil && s.ExclusiveMinimum == nil && (f.Bits < 32 || f.Unsigned) {
			s.Minimum = number(low)
		}
		if s.Maximum == nil && s.ExclusiveMaximum == nil && (f.Bits < 32 || f.Unsigned && f.Bits < 64) {
			s.Maximum = number(high)
		}
	case predicate.Text:
		if f.Size > 0 && (s.MaxLength == nil || *s.MaxLength > f.Size) {
			size := f.Size
			s.MaxLength = &size
		}
	case predicate.UUID:
		if s.Format == "" {
			s.Format = "uuid"
		}
	case predicate.Time:
		if sf.Tag.Get("format") == "" && sf.Tag.Get("timeFormat") == "" {
			s.Format = "date-time"
		}
	case predicate.Bytes:
		// Not in ContentEncoding, because huma's check of that refuses the empty string.
		s.Extensions = map[string]any{"contentEncoding": "base64"}
	case predicate.Decimal:
		s.Minimum, s.Maximum, s.ExclusiveMinimum, s.ExclusiveMaximum = nil, nil, nil, nil // on a string they say nothing
		if s.Pattern == "" {
			s.Pattern = decimalPattern
		}
		if limits := f.bounds.String(); limits != "" {
			s.Description = strings.TrimSpace(s.Description + " A decimal number " + limits + ".")
		}
	}
}

func number(i int64) *float64 {
	n := float64(i)
	return &n
}

// integers turns the float64 in which huma keeps an enum's integers into what a body decodes to, so that they compare
// equal.
func integers(s *huma.Schema) {
	s.Enum = slices.Clone(s.Enum)
	for i, e := range s.Enum {
		if n, ok := e.(float64); ok && n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			s.Enum[i] = int64(n)
		}
	}
	if s.Items != nil {
		items := *s.Items
		s.Items = &items
		integers(s.Items)
	}
}
