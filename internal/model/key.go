package model

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

// key checks the primary key and says how it is filled. Keys never change.
func (p *parser) key() {
	if len(p.Schema.PrimaryFields) == 0 {
		p.fail("", `no primary key; add ID int64, or tag a field gorm:"primaryKey"`)
	}
	for _, gf := range p.Schema.PrimaryFields {
		f, ok := p.byGo[gf]
		if !ok {
			p.fail(gf.BindName(), "it is in the primary key, but has no column")
			continue
		}
		p.Table.Key = append(p.Table.Key, f.Column)
		p.add(f.GoName, f.checkKey())
		f.Immutable = true
		single := len(p.Schema.PrimaryFields) == 1
		switch {
		case f.Managed.Source != FromBody, f.Auto != NoAuto:
		case gf.AutoIncrement && single:
			f.Auto, f.ReadOnly = Increment, true
		case gf.AutoIncrement:
			p.fail(f.GoName, `a part of a composite key cannot count by itself; tag it gorm:"primaryKey;autoIncrement:false"`)
		case single && f.takesUUID():
			f.Auto, f.Default = NewUUID, false
		}
	}
}

func (f *Field) checkKey() error {
	switch {
	case f.Kind == predicate.JSON || f.Kind == predicate.Float:
		return fmt.Errorf("a column of kind %s cannot be a key; use an integer, a string or a UUID", f.Kind)
	case f.mayBeNil():
		return fmt.Errorf("a key is never NULL; declare it without pointer and sql.Null")
	case f.Hidden:
		return errors.New("a key is in every URL and cannot be hidden; hide another column, or choose another key")
	}
	return nil
}

// takesUUID tells whether a new UUID fits.
func (f *Field) takesUUID() bool {
	return f.Kind == predicate.UUID && !f.codec.foreignJSON ||
		f.Kind == predicate.Text && f.codec.native && (f.Size == 0 || f.Size >= 36)
}

// ParseKey reads a row's key from an escaped URL path segment; a composite key is the values with commas between. Each
// value must be written as it would be written by FormatKey, so that a row has one URL.
func (m *Model) ParseKey(segment string) ([]predicate.Value, error) {
	parts := []string{segment}
	if len(m.Table.Key) > 1 {
		if parts = strings.Split(segment, ","); len(parts) != len(m.Table.Key) {
			names := make([]string, len(m.Table.Key))
			for i, column := range m.Table.Key {
				names[i] = m.Fields[column].Name
			}
			return nil, expected(fmt.Sprintf("%d values, %s, separated by commas", len(names), strings.Join(names, ", ")))
		}
	}
	key := make([]predicate.Value, len(parts))
	for i, part := range parts {
		f := m.Fields[m.Table.Key[i]]
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, expected("percent-escapes of two hexadecimal digits")
		}
		if text == "" {
			return nil, fmt.Errorf("%s: %w", f.Name, expected("a key that is not empty"))
		}
		if key[i], err = f.FromText(text); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if written := f.text(key[i]); written != text {
			return nil, fmt.Errorf("%s: %w", f.Name, expected(f.Kind.String()+" in its shortest form"))
		}
	}
	return key, nil
}

// FormatKey writes a row's key as a URL path segment.
func (m *Model) FormatKey(row []predicate.Value) string {
	var segment strings.Builder
	for i, column := range m.Table.Key {
		if i > 0 {
			segment.WriteByte(',')
		}
		part := url.PathEscape(m.Fields[column].text(row[column]))
		if len(m.Table.Key) == 1 && (part == "." || part == "..") {
			part = strings.ReplaceAll(part, ".", "%2E") // not a step in the path
		}
		segment.WriteString(part)
	}
	return segment.String()
}
