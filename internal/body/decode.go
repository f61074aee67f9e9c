package body

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/problem"
)

// decoder walks over one document.
type decoder struct {
	data    []byte
	pos     int
	path    []step
	values  int // that may still come
	invalid []problem.FieldError
}

// step is one level of the way to a value: an element's index, or a member's key where the index is noIndex.
type step struct {
	key   string
	index int
}

const noIndex = -1

func decode(data []byte, maxValues int) (any, error) {
	d := &decoder{data: data, values: maxValues}
	if err := d.checkBytes(); err != nil {
		return nil, err
	}
	v, err := d.document()
	if err != nil {
		return nil, err
	}
	if len(d.invalid) > 0 {
		return nil, problem.Fields(problem.Invalid, d.invalid)
	}
	return v, nil
}

// checkBytes looks for what is wrong whatever the grammar says, so that strings need not be checked one by one.
func (d *decoder) checkBytes() error {
	if bytes.HasPrefix(d.data, []byte("\xef\xbb\xbf")) {
		return d.fail("expected JSON without a byte order mark")
	}
	if utf8.Valid(d.data) {
		return nil
	}
	for {
		r, size := utf8.DecodeRune(d.data[d.pos:])
		if r == utf8.RuneError && size == 1 {
			return d.fail("expected UTF-8")
		}
		d.pos += size
	}
}

func (d *decoder) document() (any, error) {
	d.skipSpace()
	if d.pos == len(d.data) {
		return nil, problem.At(problem.Malformed, "body", "expected a JSON document, and the body is empty")
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	d.skipSpace()
	if d.pos < len(d.data) {
		return nil, d.fail("expected the end of the body")
	}
	return v, nil
}

func (d *decoder) value() (any, error) {
	if d.values--; d.values < 0 {
		return nil, problem.At(problem.TooLarge, d.location(), "expected fewer values in one body")
	}
	switch c := d.peek(); {
	case c == '{':
		return d.object()
	case c == '[':
		return d.array()
	case c == '"':
		return d.text()
	case c == '-' || isDigit(c):
		return d.number()
	case d.word("true"):
		return true, nil
	case d.word("false"):
		return false, nil
	case d.word("null"):
		return nil, nil
	}
	return nil, d.fail("expected a JSON value")
}

func (d *decoder) object() (any, error) {
	object := map[string]any{}
	if err := d.open(); err != nil {
		return nil, err
	}
	if d.eat('}') {
		return object, nil
	}
	for {
		if d.peek() != '"' {
			return nil, d.fail("expected a key in double quotes")
		}
		key, err := d.text()
		if err != nil {
			return nil, err
		}
		d.path = append(d.path, step{key: key, index: noIndex})
		if _, exists := object[key]; exists {
			return nil, d.fail("expected each key once")
		}
		d.skipSpace()
		if !d.eat(':') {
			return nil, d.fail(`expected ":" after a key`)
		}
		d.skipSpace()
		if object[key], err = d.value(); err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
		d.skipSpace()
		if d.eat('}') {
			return object, nil
		}
		if !d.eat(',') {
			return nil, d.fail(`expected "," or "}" after a value`)
		}
		d.skipSpace()
	}
}

func (d *decoder) array() (any, error) {
	list := []any{}
	if err := d.open(); err != nil {
		return nil, err
	}
	if d.eat(']') {
		return list, nil
	}
	for {
		d.path = append(d.path, step{index: len(list)})
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
		list = append(list, v)
		d.skipSpace()
		if d.eat(']') {
			return list, nil
		}
		if !d.eat(',') {
			return nil, d.fail(`expected "," or "]" after a value`)
		}
		d.skipSpace()
	}
}

// open passes a bracket.
func (d *decoder) open() error {
	if len(d.path) >= maxDepth {
		return d.fail(fmt.Sprintf("expected at most %d nested arrays and objects", maxDepth))
	}
	d.pos++
	d.skipSpace()
	return nil
}

// peek returns the next byte, 0 at the end.
func (d *decoder) peek() byte {
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *decoder) eat(c byte) bool {
	if d.pos < len(d.data) && d.data[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

func (d *decoder) word(word string) bool {
	if bytes.HasPrefix(d.data[d.pos:], []byte(word)) {
		d.pos += len(word)
		return true
	}
	return false
}

func (d *decoder) skipSpace() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// fail makes the problem of a syntax error at the present position.
func (d *decoder) fail(expected string) error {
	before := d.data[:d.pos]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return problem.At(problem.Malformed, d.location(), fmt.Sprintf("line %d, column %d: %s", line, column, expected))
}

// location writes the path of the present value. Keys are the client's text: long ones are cut.
func (d *decoder) location() string {
	const longest = 64
	var b strings.Builder
	b.WriteString("body")
	for _, s := range d.path {
		if s.index != noIndex {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		}
		key := []rune(s.key)
		if len(key) > longest {
			key = append(slices.Clip(key[:longest]), '…')
		}
		b.WriteString("." + string(key))
	}
	return b.String()
}
