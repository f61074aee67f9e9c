package journal

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// An image is a row as a flat JSON object, written by the database: column names to values. Its values become what the
// driver would have given for the column, so that one codec (Dialect.Scan) reads rows and images.

// tokenKind is the kind of a JSON value.
type tokenKind uint8

const (
	tokenNull tokenKind = iota
	tokenBool
	tokenNumber
	tokenString
	tokenNested // an object or array
)

// token is a JSON value: of a string its content, of everything else its text.
type token struct {
	kind tokenKind
	text string
}

var errImage = errors.New("the journal holds an image that is no JSON object")

// members calls fn for each member of a JSON object, or of the objects in an array. It takes what databases write, and is
// not a validator.
func members(doc string, fn func(name string, t token) error) error {
	s := scanner{doc: doc}
	if !s.sign('[') {
		return s.object(fn)
	}
	for {
		if err := s.object(fn); err != nil {
			return err
		}
		if !s.sign(',') {
			break
		}
	}
	if !s.sign(']') {
		return errImage
	}
	return nil
}

func (s *scanner) object(fn func(name string, t token) error) error {
	if !s.sign('{') {
		return errImage
	}
	if s.sign('}') {
		return nil
	}
	for {
		name, ok := s.value()
		if !ok || name.kind != tokenString || !s.sign(':') {
			return errImage
		}
		value, ok := s.value()
		if !ok {
			return errImage
		}
		if err := fn(name.text, value); err != nil {
			return err
		}
		if !s.sign(',') {
			break
		}
	}
	if !s.sign('}') {
		return errImage
	}
	return nil
}

// scanner reads JSON.
type scanner struct {
	doc string
	at  int
}

func (s *scanner) space() {
	for s.at < len(s.doc) && strings.IndexByte(" \t\r\n", s.doc[s.at]) >= 0 {
		s.at++
	}
}

// sign reads one character, if it is next.
func (s *scanner) sign(c byte) bool {
	s.space()
	if s.at < len(s.doc) && s.doc[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) value() (token, bool) {
	s.space()
	if s.at >= len(s.doc) {
		return token{}, false
	}
	switch s.doc[s.at] {
	case '"':
		text, ok := s.text()
		return token{tokenString, text}, ok
	case '{', '[':
		text, ok := s.nested()
		return token{tokenNested, text}, ok
	}
	start := s.at
	for s.at < len(s.doc) && strings.IndexByte(",}] \t\r\n", s.doc[s.at]) < 0 {
		s.at++
	}
	switch word := s.doc[start:s.at]; word {
	case "null":
		return token{tokenNull, word}, true
	case "true", "false":
		return token{tokenBool, word}, true
	default:
		return token{tokenNumber, word}, word != "" && (word[0] == '-' || word[0] >= '0' && word[0] <= '9')
	}
}

// nested skips an object or array and returns its text.
func (s *scanner) nested() (string, bool) {
	start, depth := s.at, 0
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case '"':
			if !s.skipText() {
				return "", false
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return s.doc[start:s.at], true
		}
	}
	return "", false
}

// skipText moves behind a string.
func (s *scanner) skipText() bool {
	for s.at++; s.at < len(s.doc); s.at++ {
		switch s.doc[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return true
		}
	}
	return false
}

func (s *scanner) text() (string, bool) {
	start := s.at + 1
	if !s.skipText() {
		return "", false
	}
	raw := s.doc[start : s.at-1]
	if strings.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	return unescape(raw)
}

// unescape reads the inside of a JSON string.
func unescape(raw string) (string, bool) {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			i++
			continue
		}
		if i+1 >= len(raw) {
			return "", false
		}
		c := raw[i+1]
		i += 2
		if c != 'u' {
			plain := strings.IndexByte(`"\/bfnrt`, c)
			if plain < 0 {
				return "", false
			}
			b = append(b, "\"\\/\b\f\n\r\t"[plain])
			continue
		}
		r, ok := unit(raw, i)
		if !ok {
			return "", false
		}
		i += 4
		if utf16.IsSurrogate(r) && strings.HasPrefix(raw[i:], `\u`) {
			if low, ok := unit(raw, i+2); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b), true
}

func unit(raw string, at int) (rune, bool) {
	if at+4 > len(raw) {
		return 0, false
	}
	u, err := strconv.ParseUint(raw[at:at+4], 16, 16)
	return rune(u), err == nil
}

// table is a model as the journal sees it.
type table struct {
	index   int
	model   *model.Model
	columns map[string]int // by name, without the secret ones
	history bool           // the versions of its rows are read
}

func newTable(index int, m *model.Model) *table {
	t := &table{index: index, model: m, columns: make(map[string]int, len(m.Fields))}
	for i, f := range m.Fields {
		if !f.Secret {
			t.columns[m.Table.Columns[i].Name] = i
		}
	}
	return t
}

// signature is what the triggers of the table should have in their images.
func (t *table) signature() signature {
	var s signature
	for i, f := range t.model.Fields {
		if name := t.model.Table.Columns[i].Name; f.Secret {
			s.Secret = append(s.Secret, name)
		} else {
			s.Columns = append(s.Columns, name)
		}
	}
	return s
}

// key lists the names of the key's columns.
func (t *table) key() []string {
	names := make([]string, len(t.model.Table.Key))
	for i, column := range t.model.Table.Key {
		names[i] = t.model.Table.Columns[column].Name
	}
	return names
}

// image decodes an image: "" is no row. Columns that the model lacks are left out.
func (t *table) image(d engine.Dialect, convert converter, doc string) ([]predicate.Value, error) {
	if doc == "" {
		return nil, nil
	}
	row := make([]predicate.Value, len(t.model.Fields))
	err := members(doc, func(name string, value token) error {
		i, ok := t.columns[name]
		if !ok || value.kind == tokenNull {
			return nil
		}
		kind := t.model.Table.Columns[i].Kind
		raw, err := convert(kind, value)
		if err == nil {
			row[i], err = d.Scan(kind, raw)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		return nil
	})
	return row, err
}

// converter turns a value of an image, which is not null, into what the driver gives for a column of the kind.
type converter func(kind predicate.Kind, t token) (driver.Value, error)
