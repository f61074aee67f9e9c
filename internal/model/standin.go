package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

// members matches the fields of a struct that stands in for the model's, by JSON name. Structs embedded without a JSON
// name are part of it, as in encoding/json.
func (m *Model) members(t reflect.Type) ([]member, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is no struct", t)
	}
	var members []member
	var errs []error
	for _, sf := range reflect.VisibleFields(t) {
		tag, err := parseJSON(sf.Tag)
		embedded := sf.Anonymous && tag.name == "" && sf.Type.Kind() == reflect.Struct && !isTime(sf.Type)
		if !sf.IsExported() || tag.hidden || embedded || hiddenAbove(t, sf.Index) {
			continue
		}
		where := t.String() + "." + sf.Name
		name := tag.name
		if name == "" {
			name = m.namer.ColumnName(m.Schema.Table, sf.Name)
		}
		if err == nil {
			err = m.accepts(name, sf)
		}
		f := m.byName[name]
		if slices.ContainsFunc(members, func(other member) bool { return other.field == f }) {
			err = errors.Join(err, fmt.Errorf("two fields have the JSON name %q", name))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
			continue
		}
		nullable := f.Nullable && nilable(sf.Type)
		members = append(members, member{f, sf, nullable, nullable || sf.Type.Kind() == reflect.Pointer || isNull(sf.Type), where})
	}
	if len(members) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s has no fields", t))
	}
	return members, errors.Join(errs...)
}

// hiddenAbove tells whether a struct around the field is json:"-", or a pointer, or has a name of its own in JSON.
func hiddenAbove(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		container := t.Field(i)
		if container.Tag.Get("json") != "" || container.Type.Kind() != reflect.Struct {
			return true
		}
		t = container.Type
	}
	return false
}

func (m *Model) accepts(name string, sf reflect.StructField) error {
	f, ok := m.byName[name]
	if !ok {
		names := make([]string, 0, len(m.byName))
		for _, f := range m.Fields {
			if m.byName[f.Name] == f && !f.ReadOnly {
				names = append(names, f.Name)
			}
		}
		return fmt.Errorf("%s has no field with the JSON name %q; it has %s", m.Type, name, strings.Join(names, ", "))
	}
	switch {
	case f.ReadOnly:
		return fmt.Errorf("%s.%s is readonly; remove it here or the readonly there", m.Type, f.GoName)
	case !compatible(f, sf.Type):
		return fmt.Errorf("a %s is not compatible with %s.%s, a %s; use the same type", sf.Type, m.Type, f.GoName, f.Type)
	case f.Kind == predicate.Decimal:
		b, err := parseBounds(sf.Tag)
		if err == nil && b != (bounds{}) {
			err = fmt.Errorf("the bounds of a decimal belong on %s.%s", m.Type, f.GoName)
		}
		return err
	}
	return nil
}

// compatible tells whether a struct's field stands for JSON that the model's field takes: the same type, or another of
// the same kind, pointers and sql.Null left aside. Any string may stand for what JSON has as a string.
func compatible(f *Field, t reflect.Type) bool {
	t = bare(t)
	if t == bare(f.Type) || t == f.codec.goType {
		return true
	}
	if f.codec.foreignJSON || f.Kind == predicate.JSON {
		return t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface && t.NumMethod() == 0
	}
	kind := kindOfGo(t.Kind())
	switch {
	case isTime(t):
		kind = predicate.Time
	case isBytes(t) && t != reflect.TypeFor[json.RawMessage]():
		kind = predicate.Bytes
	case isUUID(t):
		kind = predicate.UUID
	case isValuer(t):
		return false
	}
	switch f.Kind {
	case predicate.UUID, predicate.Decimal, predicate.Bytes, predicate.Time:
		return kind == f.Kind || kind == predicate.Text
	}
	return kind == f.Kind
}

func bare(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if isNull(t) {
		t = t.Field(0).Type
	}
	return t
}

// nilable tells whether a stand-in's type has a null of its own.
func nilable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	}
	return isNull(t)
}
