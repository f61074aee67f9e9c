package query

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// scanner walks over the text of a group, list or order.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) rest() string { return s.text[s.pos:] }

func (s *scanner) end() bool { return s.pos == len(s.text) }

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.end() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) eat(c byte) bool {
	if s.peek() != c || s.end() {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) space() {
	for s.eat(' ') {
	}
}

// until takes the text before the first of the stop bytes, or all of it.
func (s *scanner) until(stops string) string {
	rest := s.rest()
	if i := strings.IndexAny(rest, stops); i >= 0 {
		rest = rest[:i]
	}
	s.pos += len(rest)
	return rest
}

// expected is the error of a syntax mistake at the present position.
func (s *scanner) expected(what string) error {
	return fmt.Errorf("character %d: expected %s", s.character(s.pos), what)
}

// character counts from 1.
func (s *scanner) character(pos int) int { return utf8.RuneCountInString(s.text[:pos]) + 1 }

// name reads the name of a field: in double quotes, or up to a delimiter and the spaces before it.
func (s *scanner) name() (name string, quoted bool, err error) {
	if s.peek() == '"' {
		name, err = s.quoted()
		return name, true, err
	}
	if name = strings.TrimRight(s.until(".,()"), " "); name == "" {
		return "", false, s.expected("the name of a field")
	}
	return name, false, nil
}

// value reads a value of a group or list: in double quotes, with spaces around them or not, or as it stands up to a
// comma or parenthesis.
func (s *scanner) value() (string, error) {
	start := s.pos
	s.space()
	if s.peek() != '"' {
		s.pos = start
		return s.until(",)"), nil
	}
	value, err := s.quoted()
	if err != nil {
		return "", err
	}
	s.space()
	if c := s.peek(); c != ',' && c != ')' {
		return "", s.expected(`"," or ")" after a quoted value`)
	}
	return value, nil
}

// quoted reads text in double quotes, in which a backslash takes the next character as it is.
func (s *scanner) quoted() (string, error) {
	s.pos++
	var b strings.Builder
	for {
		b.WriteString(s.until(`"\`))
		if s.eat('"') {
			return b.String(), nil
		}
		s.pos = min(s.pos+1, len(s.text)) // the backslash
		if s.end() {
			return "", s.expected("a closing double quote")
		}
		_, size := utf8.DecodeRuneInString(s.rest())
		b.WriteString(s.text[s.pos : s.pos+size])
		s.pos += size
	}
}

// list reads the parenthesis of in. Nothing between its brackets is the list without values; in.("") has one.
func (s *scanner) list(most int) ([]string, error) {
	if !s.eat('(') {
		return nil, s.expected(`"(" before the values`)
	}
	if s.eat(')') {
		return nil, nil
	}
	var values []string
	for {
		if len(values) == most {
			return nil, s.expected(fmt.Sprintf("at most %d values", most))
		}
		value, err := s.value()
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if s.eat(')') {
			return values, nil
		}
		if !s.eat(',') {
			return nil, s.expected(`"," or ")" after a value`)
		}
	}
}
