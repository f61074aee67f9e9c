package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/internal/predicate"
)

// Shape is what a body may have: the model's own fields, or those of a struct that stands in for it.
type Shape struct {
	Schema   *huma.Schema
	Fields   []*Field       // the model's, in the order of their declaration
	Defaults map[string]any // by JSON name, as FromJSON takes them; empty for changes
}

// Unknown returns the names of members that the shape does not have, sorted. JSON names differ by case, also where
// huma's validation does not mind.
func (s *Shape) Unknown(members map[string]any) []string {
	var unknown []string
	for name := range members {
		if _, ok := s.Schema.Properties[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Shapes returns the schema of the rows that are read, and what may be created and changed. Types inside of JSON columns
// are filed in the registry; the returned schemas are not.
func (m *Model) Shapes(r huma.Registry) (read *huma.Schema, create, update *Shape, err error) {
	read, errs := m.read(r)
	create, createErr := m.shape(m.own(), r, false)
	update, updateErr := m.shape(m.own(), r, true)
	if len(errs) > 0 || createErr != nil || updateErr != nil {
		return nil, nil, nil, unique(errors.Join(append(errs, createErr, updateErr)...))
	}
	return read, create, update, nil
}

// unique drops mistakes that more than one schema has.
func unique(err error) error {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// member is a field of a shape's struct.
type member struct {
	field    *Field
	tags     reflect.StructField
	nullable bool // null is a value of its own
	optional bool // its type says that it may be left out
	where    string
}

// own are the model's fields that clients may set.
func (m *Model) own() []member {
	var members []member
	for _, f := range m.Fields {
		if !f.Hidden && !f.ReadOnly {
			members = append(members, member{f, f.tags, f.Nullable, f.Nullable, m.Type.String() + "." + f.GoName})
		}
	}
	return members
}

// Shape checks a struct for CreateAs against the model: each of its fields has the JSON name and a type of one of the
// model's that clients may set, or that is hidden. The tags of the struct count, not those of the model.
func (m *Model) Shape(t reflect.Type, r huma.Registry) (*Shape, error) {
	members, err := m.members(t)
	shape, schemaErr := m.shape(members, r, false)
	if err := errors.Join(err, schemaErr); err != nil {
		return nil, err
	}
	return shape, nil
}

// UpdateShape is Shape for UpdateAs: no field is required or has a default, and none is immutable.
func (m *Model) UpdateShape(t reflect.Type, r huma.Registry) (*Shape, error) {
	members, err := m.members(t)
	errs := []error{err}
	for _, member := range members {
		if member.field.Immutable {
			errs = append(errs, fmt.Errorf("%s: %s.%s cannot be changed after it is created; remove it here", member.where, m.Type, member.field.GoName))
		}
	}
	shape, schemaErr := m.shape(members, r, true)
	if err := errors.Join(append(errs, schemaErr)...); err != nil {
		return nil, err
	}
	return shape, nil
}

func (m *Model) shape(members []member, r huma.Registry, update bool) (*Shape, error) {
	s := &Shape{Defaults: map[string]any{}}
	b := builder{model: m, registry: r, object: newObject()}
	for _, member := range members {
		f := member.field
		if update && f.Immutable {
			continue
		}
		property := b.property(f, member.tags, member.nullable, member.where)
		if property == nil {
			continue
		}
		s.Fields = append(s.Fields, f)
		if update {
			continue
		}
		required, err := member.required()
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: %w", member.where, err))
		}
		if required {
			b.object.Required = append(b.object.Required, f.Name)
		}
		if err := s.fill(member, property); err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: %w", member.where, err))
		}
	}
	b.dependencies(members)
	slices.SortFunc(s.Fields, func(a, b *Field) int { return a.Column - b.Column })
	s.Schema = b.finish()
	return s, errors.Join(b.errs...)
}

func (m member) required() (bool, error) {
	f := m.field
	if m.tags.Name == f.tags.Name && m.tags.Tag == f.tags.Tag && m.nullable == f.Nullable {
		return f.Required, nil
	}
	required, explicit, err := requiredBy(m.tags, m.optional)
	if f.Managed.Source != FromBody || f.Auto != NoAuto {
		return false, err
	}
	return required && (explicit || f.Kind != predicate.Bool && !f.Default), err
}

// fill reads the default tag.
func (s *Shape) fill(m member, property *huma.Schema) error {
	text := m.tags.Tag.Get("default")
	if text == "" {
		return nil
	}
	value, err := m.defaultValue(text, property)
	if err == nil {
		_, err = m.field.FromJSON(value)
	}
	if err != nil {
		return fmt.Errorf("default:%q: %w", text, err)
	}
	s.Defaults[m.field.Name] = value
	property.Default = value
	return nil
}

// defaultValue reads a tag as huma does: strings stand without quotes, also in a list with commas, and all else is JSON.
func (m member) defaultValue(text string, property *huma.Schema) (any, error) {
	f := m.field
	switch {
	case property.Type == huma.TypeString:
		return text, nil
	case property.Type == huma.TypeArray && property.Items != nil && property.Items.Type == huma.TypeString && text[0] != '[':
		var list []any
		for element := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(element))
		}
		return list, nil
	}
	v, err := decodeAny([]byte(text))
	if err != nil && !f.codec.foreignJSON {
		return nil, f.expectation()
	}
	return v, err
}

// decodeAny decodes a document as bodies are decoded: integers stay integers.
func decodeAny(doc []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the document")
	}
	return numbers(v)
}

func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = numbers(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// dependencies reads dependentRequired tags, which huma itself reads only from whole structs.
func (b *builder) dependencies(members []member) {
	for _, m := range members {
		text := strings.TrimSpace(m.tags.Tag.Get("dependentRequired"))
		if text == "" || b.object.Properties[m.field.Name] == nil {
			continue
		}
		for name := range strings.SplitSeq(text, ",") {
			if b.object.Properties[name] == nil {
				b.errs = append(b.errs, fmt.Errorf("%s: dependentRequired:%q: there is no field %q", m.where, text, name))
				continue
			}
			if b.object.DependentRequired == nil {
				b.object.DependentRequired = map[string][]string{}
			}
			b.object.DependentRequired[m.field.Name] = append(b.object.DependentRequired[m.field.Name], name)
		}
	}
}
