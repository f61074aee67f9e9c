package model

import (
	"context"
	"fmt"
	"reflect"

	"github.com/capebase/capebase/internal/predicate"
)

// Resolver finds columns by the addresses of fields in fields, a pointer to a struct of the model's type.
func (m *Model) Resolver(fields reflect.Value) predicate.Resolver {
	r := &resolver{model: m, fields: fields, columns: map[place]*Field{}}
	for _, f := range m.Fields {
		address := fields.Elem().FieldByIndex(f.tags.Index).Addr().Pointer()
		r.columns[place{address, f.Type}] = f
	}
	return r
}

// place tells a struct from its first field, which has the same address.
type place struct {
	address uintptr
	field   reflect.Type
}

type resolver struct {
	model   *Model
	fields  reflect.Value
	columns map[place]*Field
}

// Column implements predicate.Resolver.
func (r *resolver) Column(field any) (column int, kind predicate.Kind, err error) {
	v := reflect.ValueOf(field)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return 0, predicate.Null, fmt.Errorf("a nil pointer names no field of %s; %s", r.model.Type, r.fix())
	}
	f, ok := r.columns[place{v.Pointer(), v.Type().Elem()}]
	switch {
	case !ok:
		return 0, predicate.Null, r.explain(v)
	case f.Secret:
		return 0, predicate.Null, fmt.Errorf(`%s.%s: a secret column cannot be part of a rule; tag it cape:"hidden" instead`, r.model.Type, f.GoName)
	}
	return f.Column, f.Kind, nil
}

func (r *resolver) fix() string {
	for _, f := range r.model.Fields {
		if !f.Secret {
			return fmt.Sprintf("take the address of a field of the resource's Fields, such as &resource.Fields.%s", f.GoName)
		}
	}
	return "take the address of a field of the resource's Fields"
}

// explain says what is at an address that is not a column's.
func (r *resolver) explain(v reflect.Value) error {
	base := r.fields.Pointer()
	if v.Pointer() < base || v.Pointer() >= base+r.model.Type.Size() {
		return fmt.Errorf("a %s that points to no field of %s; %s", v.Type(), r.model.Type, r.fix())
	}
	path, sf := at(r.model.Type, v.Pointer()-base, v.Type().Elem())
	name := r.model.Type.String() + path
	switch {
	case sf == nil:
		return fmt.Errorf("%s: a %s inside of it is no column; take the address of the whole field", name, v.Type().Elem())
	case sf.Type.Kind() == reflect.Struct && r.hasColumns(sf, v):
		return fmt.Errorf("%s: it is an embedded struct; take the address of one of its fields", name)
	}
	return fmt.Errorf("%s: it has no column; take the address of a field that has one, such as that of a foreign key", name)
}

func (r *resolver) hasColumns(sf *reflect.StructField, v reflect.Value) bool {
	for place := range r.columns {
		if place.address >= v.Pointer() && place.address < v.Pointer()+sf.Type.Size() {
			return true
		}
	}
	return false
}

// at finds the field of type want at the offset; without one, path is the innermost field there and sf is nil.
func at(t reflect.Type, offset uintptr, want reflect.Type) (path string, sf *reflect.StructField) {
	for i := range t.NumField() {
		field := t.Field(i)
		if offset < field.Offset || offset >= field.Offset+max(field.Type.Size(), 1) {
			continue
		}
		if offset == field.Offset && field.Type == want {
			return "." + field.Name, &field
		}
		if field.Type.Kind() == reflect.Struct {
			rest, found := at(field.Type, offset-field.Offset, want)
			if found != nil {
				return "." + field.Name + rest, found
			}
		}
		path = "." + field.Name
	}
	return path, nil
}

// Value implements predicate.Resolver.
func (r *resolver) Value(column int, v any) (predicate.Value, error) {
	f := r.model.Fields[column]
	value := reflect.ValueOf(v)
	if !value.IsValid() || value.Type() != f.Type {
		return predicate.Value{}, &ValueError{r.model, f, fmt.Errorf("a %T, expected a %s", v, f.Type)}
	}
	loaded, err := f.load(context.Background(), reflect.Value{}, value)
	if err != nil {
		return predicate.Value{}, &ValueError{r.model, f, err}
	}
	return loaded, nil
}
