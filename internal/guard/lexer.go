package guard

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	word        kind = iota // a keyword, a name without quotes, or a number
	quotedName              // a name in quotes
	text                    // a string
	placeholder             // of an argument
	sign                    // one character of an operator, or punctuation
)

// token is a piece of a statement.
type token struct {
	kind       kind
	start, end int // in the text
	// name is what the database takes the token for where it is a name: without quotes, and folded on PostgreSQL.
	name    string
	keyword string // a word in upper case; a sign as it is
	depth   int    // of the parentheses around it; they belong to the outer depth
}

// named tells whether the token may stand for a table, a column or the like.
func (t *token) named() bool {
	return t.kind == word || t.kind == quotedName || t.kind == text && t.name != ""
}

// flavor is how the texts of a database differ from standard SQL.
type flavor struct {
	engine string
	// backslash makes a backslash escape in strings; ansiQuotes makes "x" a name.
	backslash, ansiQuotes bool
}

func (f flavor) mysql() bool    { return f.engine == "mysql" }
func (f flavor) postgres() bool { return f.engine == "postgres" }
func (f flavor) sqlite() bool   { return f.engine == "sqlite" }

// defaultFlavor is the engine's as long as nobody has asked the database.
func defaultFlavor(engine string) flavor {
	return flavor{engine: engine, backslash: engine == "mysql", ansiQuotes: engine != "mysql"}
}

// lexer splits a statement into tokens. It is not cleverer than it must be: what a database might read differently is
// refused.
type lexer struct {
	flavor
	query  string
	tokens []token
	depth  int
}

// maxStatement bounds the bytes of a statement that is analyzed.
const maxStatement = 1 << 20

// lex returns the tokens of a statement, without a semicolon at its end.
func (f flavor) lex(query string) ([]token, error) {
	if len(query) > maxStatement {
		return nil, refuse("it is longer than 1 MiB", "pass its values as arguments")
	}
	if !utf8.ValidString(query) || strings.IndexByte(query, 0) >= 0 {
		return nil, refuse("it is not valid UTF-8, or holds NUL", "pass values as arguments")
	}
	l := lexer{flavor: f, query: query}
	ended := false
	for i := 0; i < len(query); {
		next, err := l.space(i)
		if err != nil {
			return nil, err
		}
		if next > i {
			i = next
			continue
		}
		if ended {
			return nil, refuse("it is several statements", "run them one after the other, within cape.Transaction where they belong together")
		}
		if query[i] == ';' {
			ended = true
			i++
			continue
		}
		if i, err = l.next(i); err != nil {
			return nil, err
		}
	}
	if l.depth != 0 {
		return nil, refuse("a parenthesis is not closed", "close it")
	}
	return l.tokens, nil
}

// space returns the end of the white space or comment at i, or i.
func (l *lexer) space(i int) (int, error) {
	rest := l.query[i:]
	switch c := rest[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f', c == '\v' && !l.sqlite():
		return i + 1, nil
	case strings.HasPrefix(rest, "--") && l.dashes(rest):
		return i + l.line(rest), nil
	case c == '#' && l.mysql():
		return i + l.line(rest), nil
	case strings.HasPrefix(rest, "/*"):
		return l.comment(i)
	}
	return i, nil
}

// dashes tells whether -- begins a comment: on MySQL only with white space behind it.
func (l *lexer) dashes(rest string) bool { return !l.mysql() || len(rest) == 2 || rest[2] <= ' ' }

// line returns the length of a comment up to the end of its line.
func (l *lexer) line(rest string) int {
	ends := "\n"
	if l.postgres() {
		ends = "\n\r"
	}
	if n := strings.IndexAny(rest, ends); n >= 0 {
		return n
	}
	return len(rest)
}

func (l *lexer) comment(i int) (int, error) {
	if l.mysql() && (strings.HasPrefix(l.query[i:], "/*!") || strings.HasPrefix(l.query[i:], "/*M!")) {
		return 0, refuse("a comment holds code", "write the code without /*! */")
	}
	depth := 1
	for j := i + 2; j+1 < len(l.query); j++ {
		switch {
		case l.query[j] == '*' && l.query[j+1] == '/':
			if depth--; depth == 0 {
				return j + 2, nil
			}
			j++
		case l.query[j] == '/' && l.query[j+1] == '*':
			// PostgreSQL nests comments. The others do not, and a reader would not expect it.
			if !l.postgres() {
				return 0, refuse("a comment holds /*", "remove that")
			}
			depth++
			j++
		}
	}
	return 0, refuse("a comment is not closed", "close it")
}

// next takes the token at i and returns its end.
func (l *lexer) next(i int) (int, error) {
	c := l.query[i]
	switch {
	case nameByte(c):
		return l.word(i)
	case c == '\'':
		return l.quoted(i, i, text, l.backslash)
	case c == '"':
		if l.ansiQuotes {
			return l.quoted(i, i, quotedName, false)
		}
		return l.quoted(i, i, text, l.backslash)
	case c == '`' && !l.postgres():
		return l.quoted(i, i, quotedName, false)
	case c == '[' && l.sqlite():
		end := strings.IndexByte(l.query[i:], ']')
		if end < 0 {
			return 0, unclosed("a name")
		}
		l.add(token{kind: quotedName, start: i, end: i + end + 1, name: l.query[i+1 : i+end]})
		return i + end + 1, nil
	case c == '.' && l.mysql():
		return l.dot(i)
	case c == '$' && l.postgres():
		return l.dollar(i)
	case c == '?' && !l.postgres():
		return l.number(placeholder, i, i+1), nil
	case (c == ':' || c == '@' || c == '$' || c == '#') && l.sqlite():
		return l.parameter(i)
	case c == '@' && l.mysql() && i+1 < len(l.query) && (l.query[i+1] == '\'' || l.query[i+1] == '"'):
		return 0, refuse("a variable's name is a string", "write @name")
	case c < ' ' || c == 0x7f || c == '\\':
		return 0, refuse(fmt.Sprintf("character %q stands outside of a string", c), "remove it, or pass the value as an argument")
	}
	return l.sign(i)
}

func (l *lexer) add(t token) {
	t.depth = l.depth
	l.tokens = append(l.tokens, t)
}

func (l *lexer) sign(i int) (int, error) {
	switch l.query[i] {
	case ')':
		if l.depth--; l.depth < 0 {
			return 0, refuse("a parenthesis is closed that was not opened", "remove it")
		}
		l.add(token{kind: sign, start: i, end: i + 1, keyword: ")"})
	case '(':
		l.add(token{kind: sign, start: i, end: i + 1, keyword: "("})
		l.depth++
	default:
		l.add(token{kind: sign, start: i, end: i + 1, keyword: l.query[i : i+1]})
	}
	return i + 1, nil
}

// nameByte tells whether c may be in a name. All of UTF-8 beyond ASCII may, which is how the databases have it too.
func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80 || digit(c)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// word takes a name, keyword or number, or the string that follows a prefix such as E or X.
func (l *lexer) word(i int) (int, error) {
	if strings.HasPrefix(l.query[i:], "\ufeff") {
		return 0, refuse("it holds a byte order mark", "remove it")
	}
	end := i + 1
	for end < len(l.query) && (nameByte(l.query[end]) || l.query[end] == '$' && !digit(l.query[i])) {
		end++
	}
	content := l.query[i:end]
	if digit(content[0]) {
		if !numeric(content) {
			return 0, refuse(fmt.Sprintf("%q is neither a name nor a number", content), "quote the name, or put a space behind the number")
		}
		l.add(token{kind: word, start: i, end: end, name: content, keyword: content})
		return end, nil
	}
	if end < len(l.query) && (l.query[end] == '\'' || l.query[end] == '"') {
		if next, taken, err := l.prefixed(i, end, content); taken || err != nil {
			return next, err
		}
	}
	l.add(token{kind: word, start: i, end: end, name: l.fold(content), keyword: strings.ToUpper(content)})
	return end, nil
}

// numeric tells whether every database takes all of the text for a number, or for the beginning of one.
func numeric(s string) bool {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		return strings.Trim(s[2:], "0123456789abcdefABCDEF") == ""
	}
	s = strings.TrimLeft(s, "0123456789")
	return s == "" || (s[0] == 'e' || s[0] == 'E') && strings.Trim(s[1:], "0123456789") == ""
}

// prefixed takes a string with a prefix.
func (l *lexer) prefixed(start, quote int, prefix string) (end int, taken bool, err error) {
	escapes := l.backslash
	if l.query[quote] == '"' {
		// PostgreSQL writes names in escapes after U&. Elsewhere a quote behind a word is a token of its own.
		return 0, false, nil
	}
	switch strings.ToUpper(prefix) {
	case "E":
		if !l.postgres() {
			return 0, false, nil
		}
		escapes = true
	case "X":
	case "B", "N":
		if l.sqlite() {
			return 0, false, nil
		}
	default:
		// MySQL's character sets (_utf8'x') and other databases' types (DATE '2024-01-01') are words of their own.
		return 0, false, nil
	}
	end, err = l.quoted(start, quote, text, escapes)
	if err == nil && escapes && l.postgres() {
		err = l.noContinuation(end)
	}
	return end, true, err
}

// noContinuation refuses a string on the next line, which PostgreSQL would take for the rest of an E string.
func (l *lexer) noContinuation(i int) error {
	for i < len(l.query) {
		next, err := l.space(i)
		if err != nil || next == i {
			break
		}
		i = next
	}
	if i < len(l.query) && l.query[i] == '\'' {
		return refuse("a string goes on after white space", "write it as one, or pass it as an argument")
	}
	return nil
}

// fold is how the database reads a name without quotes.
func (l *lexer) fold(name string) string {
	if !l.postgres() {
		return name
	}
	return truncate(strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name))
}

// maxName is where PostgreSQL cuts names.
const maxName = 63

func truncate(name string) string {
	if len(name) <= maxName {
		return name
	}
	name = name[:maxName]
	for name != "" && !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	return name
}

// quoted takes what is in quotes, which begins at the quote; a doubled quote stands for itself.
func (l *lexer) quoted(start, quote int, k kind, escapes bool) (int, error) {
	mark := l.query[quote]
	if k == quotedName && l.postgres() && quote >= 2 && l.query[quote-1] == '&' && (l.query[quote-2]|0x20) == 'u' {
		return 0, refuse(`U&"…" writes a name in escapes`, "write the name as it is")
	}
	if k == text && l.postgres() && quote >= 2 && l.query[quote-1] == '&' && (l.query[quote-2]|0x20) == 'u' {
		return 0, refuse("U&'…' writes a string in escapes", "pass the string as an argument")
	}
	var content strings.Builder
	for i := quote + 1; i < len(l.query); i++ {
		c := l.query[i]
		switch {
		case escapes && c == '\\':
			i++
		case c != mark:
			content.WriteByte(c)
		case i+1 < len(l.query) && l.query[i+1] == mark:
			content.WriteByte(c)
			i++
		default:
			l.add(token{kind: k, start: start, end: i + 1, name: l.nameOf(k, start == quote, content.String())})
			return i + 1, nil
		}
	}
	return 0, unclosed("a string or name")
}

// nameOf is what a quoted token means where it is a name. SQLite takes strings for names where a name is expected.
func (l *lexer) nameOf(k kind, plain bool, content string) string {
	switch {
	case k == quotedName && l.postgres():
		return truncate(content)
	case k == quotedName || l.sqlite() && plain:
		return content
	}
	return ""
}
