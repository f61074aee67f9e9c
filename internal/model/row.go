package model

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/capebase/capebase/internal/predicate"
)

// ValueError says that a Go value cannot be stored, or that a stored value does not fit the Go type.
type ValueError struct {
	Model *Model
	Field *Field
	Err   error
}

// Error names the type and the field.
func (e *ValueError) Error() string {
	return fmt.Sprintf("%s.%s: %s", e.Model.Type, e.Field.GoName, e.Err)
}

// Unwrap returns what was wrong.
func (e *ValueError) Unwrap() error { return e.Err }

// FromStruct reads a row from v, a struct of the model's type or a pointer to one. Its error joins a *ValueError for each
// field that cannot be stored.
func (m *Model) FromStruct(ctx context.Context, v reflect.Value) ([]predicate.Value, error) {
	in := reflect.Indirect(v)
	row := make([]predicate.Value, len(m.Fields))
	var errs []error
	for i, f := range m.Fields {
		value, err := f.load(ctx, in, in.FieldByIndex(f.tags.Index))
		if err != nil {
			errs = append(errs, &ValueError{m, f, err})
			continue
		}
		row[i] = value
	}
	return row, errors.Join(errs...)
}

// ToStruct writes a row into v, a struct of the model's type that can be changed, or a pointer to one. NULL becomes the
// zero of a Go type that has no NULL, as in GORM. Its error joins a *ValueError for each value that does not fit.
func (m *Model) ToStruct(ctx context.Context, row []predicate.Value, v reflect.Value) error {
	in := reflect.Indirect(v)
	var errs []error
	for i, f := range m.Fields {
		if err := f.store(ctx, in, in.FieldByIndex(f.tags.Index), row[i]); err != nil {
			errs = append(errs, &ValueError{m, f, err})
		}
	}
	return errors.Join(errs...)
}

// Load reads the field from a struct of the model's type.
func (f *Field) Load(ctx context.Context, in reflect.Value) (predicate.Value, error) {
	return f.load(ctx, in, in.FieldByIndex(f.tags.Index))
}

// Store writes the field of a struct of the model's type that can be changed.
func (f *Field) Store(ctx context.Context, in reflect.Value, v predicate.Value) error {
	return f.store(ctx, in, in.FieldByIndex(f.tags.Index), v)
}
