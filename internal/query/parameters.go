package query

import (
	"net/url"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

// split decodes the query string. A semicolon is text like any other.
func (p *parser) split(raw string) []parameter {
	if len(raw) > p.limits.Length {
		p.fatal("query", "expected at most %d bytes", p.limits.Length)
		return nil
	}
	var params []parameter
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, ok := p.decode("query", rawName)
		if !ok {
			continue
		}
		param := parameter{name: name}
		if param.value, ok = p.decode(param.location(), rawValue); ok {
			params = append(params, param)
		}
	}
	return params
}

func (p *parser) decode(location, raw string) (string, bool) {
	text, err := url.QueryUnescape(raw)
	if err != nil {
		p.mistake(location, "expected two hexadecimal digits after each %%")
		return "", false
	}
	if !predicate.ValidText(text) {
		p.mistake(location, "expected UTF-8 without NUL")
		return "", false
	}
	return text, true
}

// writeParameter appends a parameter, encoded but for the punctuation that makes filters readable and means nothing in
// a query string.
func writeParameter(b *strings.Builder, param parameter) {
	if b.Len() > 0 {
		b.WriteByte('&')
	}
	writeEscaped(b, param.name)
	b.WriteByte('=')
	writeEscaped(b, param.value)
}

func writeEscaped(b *strings.Builder, text string) {
	const plain = "-_.~*(),:!$@/"
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&0xF]})
		}
	}
}
