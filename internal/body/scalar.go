package body

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/problem"
)

// number reads a number by JSON's grammar. One that is out of range is noted and reading goes on: it is a mistake in a
// value, not in the document.
func (d *decoder) number() (any, error) {
	start := d.pos
	integer := true
	d.eat('-')
	if !d.eat('0') && !d.digits() {
		return nil, d.fail("expected a digit")
	}
	if isDigit(d.peek()) {
		return nil, d.fail("expected a number without leading zeros")
	}
	if d.eat('.') {
		integer = false
		if !d.digits() {
			return nil, d.fail("expected a digit after the decimal point")
		}
	}
	if d.eat('e') || d.eat('E') {
		integer = false
		if !d.eat('+') {
			d.eat('-')
		}
		if !d.digits() {
			return nil, d.fail("expected a digit in the exponent")
		}
	}
	text := string(d.data[start:d.pos])
	if integer {
		return d.integer(text), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		d.outOfRange("expected a number within 64-bit floating point")
	}
	return f, nil
}

func (d *decoder) integer(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		d.outOfRange("expected an integer within 64 bits")
	}
	return u
}

func (d *decoder) outOfRange(expected string) {
	if len(d.invalid) < maxInvalid {
		d.invalid = append(d.invalid, problem.FieldError{Location: d.location(), Message: expected})
	}
}

// digits passes one digit or more.
func (d *decoder) digits() bool {
	start := d.pos
	for isDigit(d.peek()) {
		d.pos++
	}
	return d.pos > start
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// text reads a string from its opening quote. The bytes are known to be UTF-8.
func (d *decoder) text() (string, error) {
	d.pos++
	start := d.pos
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			s := string(d.data[start:d.pos])
			d.pos++
			return s, nil
		case c == '\\':
			return d.escapedText(start)
		case c < ' ':
			return "", d.fail("expected control characters in text to be escaped")
		}
		d.pos++
	}
	return "", d.fail("expected a closing double quote")
}

// escapedText goes on where text met the first escape.
func (d *decoder) escapedText(start int) (string, error) {
	decoded := bytes.Clone(d.data[start:d.pos])
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		switch {
		case c == '"':
			d.pos++
			return string(decoded), nil
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			decoded = utf8.AppendRune(decoded, r)
			continue
		case c < ' ':
			return "", d.fail("expected control characters in text to be escaped")
		}
		decoded = append(decoded, c)
		d.pos++
	}
	return "", d.fail("expected a closing double quote")
}

// escape reads one escape sequence, or the two of a surrogate pair.
func (d *decoder) escape() (rune, error) {
	rest := d.data[d.pos+1:]
	if len(rest) == 0 {
		return 0, d.fail("expected a closing double quote")
	}
	if at := bytes.IndexByte([]byte(`"\/bfnrt`), rest[0]); at >= 0 {
		d.pos += 2
		return rune("\"\\/\b\f\n\r\t"[at]), nil
	}
	r, ok := hexEscape(d.data[d.pos:])
	if !ok {
		return 0, d.fail(`expected one of \" \\ \/ \b \f \n \r \t \uXXXX`)
	}
	size := len(`\uXXXX`)
	if utf16.IsSurrogate(r) {
		second, _ := hexEscape(d.data[d.pos+size:])
		if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
			return 0, d.fail("expected both halves of a surrogate pair")
		}
		size *= 2
	}
	d.pos += size
	return r, nil
}

// hexEscape reads \uXXXX at the beginning of data.
func hexEscape(data []byte) (rune, bool) {
	if len(data) < len(`\uXXXX`) || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	r := rune(0)
	for _, c := range data[2:6] {
		switch {
		case isDigit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
