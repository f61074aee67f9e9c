package sqldriver

import "strings"

// class is what a statement does to data, as far as its words tell.
type class uint8

const (
	// other statements are neither: definitions, settings, maintenance. Some of them cannot run in a transaction.
	other class = iota
	// reading statements change nothing.
	reading
	// changing statements may change rows.
	changing
)

// control tells whether a text begins or ends transactions.
type control uint8

const (
	uncontrolled control = iota
	savepoint            // only within one
	whole
)

// text is what is known of a statement's text without asking the database.
type text struct {
	class   class
	control control
	star    bool // it returns all columns of something
	many    bool // it is several statements
	returns bool // it has the word RETURNING
	empty   bool // it has no statement
}

// lexicon is how a database's texts differ from standard SQL.
type lexicon struct {
	backslash bool // escapes in strings, # comments, /*! code */
	dollar    bool // $tag$ strings, E'' strings, nested comments
	brackets  bool // [names]
}

func lexiconOf(dialect string) lexicon {
	return lexicon{backslash: dialect == "mysql", dollar: dialect == "postgres", brackets: dialect == "sqlite"}
}

// reader walks through a text. What it does not understand counts as changing.
type reader struct {
	text
	first    string // of the whole text
	leading  string // of the present statement
	previous string // word or sign
	changes  bool
	ended    bool // a semicolon was seen
	routine  bool // what follows is the body of a trigger or function

	wholes     int // statements that begin or end a transaction
	savepoints bool
}

// inspect reads a statement's words.
func (l lexicon) inspect(query string) text {
	var r reader
	for i := 0; i < len(query); {
		c := query[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
		case wordByte(c):
			end := i + 1
			for end < len(query) && wordByte(query[end]) {
				end++
			}
			if l.dollar && end < len(query) && query[end] == '\'' && (query[i:end] == "e" || query[i:end] == "E") {
				i = r.skip(query, quoted(query, end+1, '\'', true))
				continue
			}
			r.word(query[i:end], query[end:])
			i = end
		default:
			i = l.sign(&r, query, i)
		}
	}
	return r.result()
}

// sign reads what is no word, and returns where to go on.
func (l lexicon) sign(r *reader, query string, i int) int {
	rest := query[i:]
	switch {
	case strings.HasPrefix(rest, "--") && (!l.backslash || len(rest) == 2 || rest[2] <= ' '), l.backslash && rest[0] == '#':
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return i + n
		}
		return len(query)
	case strings.HasPrefix(rest, "/*"):
		if l.backslash && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")) {
			code := strings.TrimLeft(rest[strings.IndexByte(rest, '!')+1:], "0123456789")
			return len(query) - len(code)
		}
		return r.skip(query, l.comment(query, i+2))
	case rest[0] == '\'', rest[0] == '"', rest[0] == '`':
		r.token(rest[:1])
		return r.skip(query, quoted(query, i+1, rest[0], l.backslash && rest[0] != '`'))
	case l.brackets && rest[0] == '[':
		r.token("[")
		return r.skip(query, quoted(query, i+1, ']', false))
	case l.dollar && rest[0] == '$':
		if tag, ok := dollarTag(rest); ok {
			r.token("'")
			end := strings.Index(rest[len(tag):], tag)
			if end < 0 {
				return r.skip(query, -1)
			}
			return i + len(tag) + end + len(tag)
		}
	}
	r.token(rest[:1])
	return i + 1
}

// comment returns the end of a comment, or -1.
func (l lexicon) comment(query string, i int) int {
	for depth := 1; i+1 < len(query); i++ {
		switch {
		case query[i] == '*' && query[i+1] == '/':
			if depth--; depth == 0 {
				return i + 2
			}
			i++
		case l.dollar && query[i] == '/' && query[i+1] == '*':
			depth++
			i++
		}
	}
	return -1
}

// quoted returns the end of what was opened before i, or -1. A doubled quote reads as two strings side by side.
func quoted(query string, i int, quote byte, backslash bool) int {
	for ; i < len(query); i++ {
		switch {
		case backslash && query[i] == '\\':
			i++
		case query[i] == quote:
			return i + 1
		}
	}
	return -1
}

// dollarTag returns $tag$ when s begins with one.
func dollarTag(s string) (string, bool) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '$':
			return s[:i+1], true
		case !wordByte(s[i]) || i == 1 && s[i] >= '0' && s[i] <= '9':
			return "", false
		}
	}
	return "", false
}

// wordByte tells whether c is part of a name or number. All of UTF-8 beyond ASCII is.
func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// skip goes to end, or to the end of a text in which something was never closed.
func (r *reader) skip(query string, end int) int {
	if end < 0 {
		r.changes = true
		return len(query)
	}
	return end
}

// token takes a sign, or the opening quote of a name or string.
func (r *reader) token(sign string) {
	switch sign {
	case ";":
		r.ended, r.leading = r.first != "", ""
	case "*":
		switch r.previous {
		case "SELECT", "DISTINCT", "ALL", "RETURNING", ",", ".":
			r.star = true
		}
	}
	if sign != ";" {
		r.begin(sign)
	}
	r.previous = sign
}

// begin notes the first token of a statement.
func (r *reader) begin(token string) {
	if r.leading != "" {
		return
	}
	r.leading = token
	r.many = r.many || r.ended
	if r.first == "" {
		r.first = token
	}
}

// word takes a word and what follows it.
func (r *reader) word(word, rest string) {
	upper := keyword(word)
	leads := r.leading == ""
	r.begin(upper)
	if leads && !r.routine {
		r.lead(upper)
	}
	switch upper {
	case "INSERT", "REPLACE":
		function := strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), "(")
		r.changes = r.changes || !function
	case "UPDATE", "DELETE", "MERGE", "INTO":
		r.changes = true
	case "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE":
		r.routine = r.routine || r.leading == "CREATE"
	case "TO":
		if r.leading == "ROLLBACK" && (r.previous == "ROLLBACK" || r.previous == "WORK" || r.previous == "TRANSACTION") {
			r.wholes, r.savepoints = r.wholes-1, true
		}
	case "RETURNING":
		r.returns = true
	case "AUTOCOMMIT":
		if r.leading == "SET" {
			r.wholes++
		}
	case "TRANSACTION":
		if r.leading == "PREPARE" && r.previous == "PREPARE" {
			r.wholes++
		}
	}
	r.previous = upper
}

// lead takes the first word of a statement.
func (r *reader) lead(word string) {
	switch word {
	case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "XA":
		r.wholes++
	case "SAVEPOINT", "RELEASE":
		r.savepoints = true
	}
}

func (r *reader) result() text {
	r.empty = r.first == ""
	switch r.first {
	case "SELECT", "WITH", "VALUES", "EXPLAIN":
		r.class = reading
		if r.changes || r.many {
			r.class = changing
		}
	case "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "TRUNCATE", "CALL", "DO", "EXECUTE", "LOAD", "COPY", "TABLE", "(":
		r.class = changing
	}
	switch {
	case r.wholes > 0:
		r.control = whole
	case r.savepoints:
		r.control = savepoint
	}
	return r.text
}

// keyword returns the word in upper case when it is one that matters, else "?".
func keyword(word string) string {
	var buffer [11]byte
	if len(word) > len(buffer) {
		return "?"
	}
	for i := range len(word) {
		buffer[i] = word[i]
		if c := word[i]; c >= 'a' && c <= 'z' {
			buffer[i] = c - 'a' + 'A'
		}
	}
	upper := buffer[:len(word)]
	for _, group := range keywords[len(word)] {
		if string(upper) == group {
			return group
		}
	}
	return "?"
}

// keywords lists the words that matter by their length.
var keywords = [12][]string{ //nolint:gochecknoglobals // a table
	2:  {"DO", "TO", "XA"},
	3:  {"ALL", "END", "SET"},
	4:  {"CALL", "COPY", "INTO", "LOAD", "WITH", "WORK"},
	5:  {"ABORT", "BEGIN", "EVENT", "MERGE", "START", "TABLE"},
	6:  {"COMMIT", "CREATE", "DELETE", "INSERT", "SELECT", "UPDATE", "VALUES"},
	7:  {"EXECUTE", "EXPLAIN", "PACKAGE", "PREPARE", "RELEASE", "REPLACE", "TRIGGER"},
	8:  {"DISTINCT", "FUNCTION", "ROLLBACK", "TRUNCATE"},
	9:  {"PROCEDURE", "RETURNING", "SAVEPOINT"},
	10: {"AUTOCOMMIT"},
	11: {"TRANSACTION"},
}
