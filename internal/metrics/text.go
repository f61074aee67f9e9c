package metrics

import "strings"

// other is the label of what has no name of its own.
const other = "other"

// read finds a statement's operation (select, insert, update, delete or other), and the table that it is about, in lower
// case, with its schema where it says one: the first known one that the statement itself names, or else the first in a
// part of it. It understands enough for that, and not more.
func read(query string, known func(name string) bool) (operation, table string) {
	r := scanner{text: query, known: known}
	for r.next() {
		r.take()
	}
	if r.operation == "" {
		r.operation = other
	}
	if r.outer != "" {
		return r.operation, r.outer
	}
	return r.operation, r.inner
}

// scanner walks through a statement's words and signs.
type scanner struct {
	text  string
	known func(name string) bool
	at    int
	depth int // of parentheses

	word   string // in lower case; a sign as it is
	quoted bool   // the word is a name for sure

	began        bool   // a word was seen
	with         bool   // it began with WITH, so that the operation is still to come
	operation    string // "" before it is known
	named        bool   // the last word says that a table follows
	name         string // that is being read
	outer, inner string // the first known tables
}

// take looks at the present word.
func (s *scanner) take() {
	if s.named && s.name == "" && (s.quoted || isWord(s.word)) && !s.modifies() {
		s.readName()
		s.note()
		return
	}
	if s.quoted {
		return
	}
	switch s.word {
	case "(":
		s.depth++
		s.named = false
	case ")":
		s.depth--
	case "from", "into", "join", "update", "table":
		s.named, s.name = true, ""
	default:
		s.named = s.named && s.modifies()
	}
	s.operate()
}

// modifies tells whether the word may stand between INSERT INTO, UPDATE or FROM and the table.
func (s *scanner) modifies() bool {
	if s.quoted {
		return false
	}
	switch s.word {
	case "only", "or", "abort", "fail", "ignore", "replace", "rollback", "low_priority", "if", "not", "exists":
		return true
	}
	return false
}

// operate learns the operation from the statement's first word, or after a WITH from the first that tells.
func (s *scanner) operate() {
	if s.operation != "" || s.depth > 0 || !isWord(s.word) {
		return
	}
	first := !s.began
	s.began = true
	switch {
	case first && s.word == "with":
		s.with = true
	case s.word == "select", s.word == "insert", s.word == "update", s.word == "delete":
		if first || s.with {
			s.operation = s.word
		}
	case s.word == "replace" && first:
		s.operation = "insert"
	case first:
		s.operation = other
	}
}

// readName reads the parts of a name after the present word.
func (s *scanner) readName() {
	s.name = s.word
	for s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		if !s.next() {
			return
		}
		s.name += "." + s.word
	}
}

// note keeps the first names.
func (s *scanner) note() {
	s.named = false
	if !s.known(s.name) {
		s.name = ""
		return
	}
	if s.depth == 0 && s.outer == "" {
		s.outer = s.name
	}
	if s.inner == "" {
		s.inner = s.name
	}
	s.name = ""
}

// next reads a word, a quoted name or a sign, and passes over strings and comments.
func (s *scanner) next() bool {
	for s.at < len(s.text) {
		c := s.text[s.at]
		rest := s.text[s.at:]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			s.at++
		case strings.HasPrefix(rest, "--"):
			s.skip(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			s.skip(rest, "*/")
		case c == '\'':
			s.at++
			s.until('\'')
		case c == '"' || c == '`':
			s.at++
			s.word, s.quoted = strings.ToLower(s.until(c)), true
			return true
		case wordByte(c):
			end := 1
			for end < len(rest) && wordByte(rest[end]) {
				end++
			}
			s.at += end
			s.word, s.quoted = strings.ToLower(rest[:end]), false
			return true
		default:
			s.at++
			s.word, s.quoted = rest[:1], false
			return true
		}
	}
	return false
}

// skip goes behind the end of a comment.
func (s *scanner) skip(rest, end string) {
	i := strings.Index(rest, end)
	if i < 0 {
		s.at = len(s.text)
		return
	}
	s.at += i + len(end)
}

// until returns what stands before a quote. Doubled quotes end it, and begin it again.
func (s *scanner) until(quote byte) string {
	i := strings.IndexByte(s.text[s.at:], quote)
	if i < 0 {
		i = len(s.text) - s.at
	}
	inside := s.text[s.at : s.at+i]
	s.at = min(s.at+i+1, len(s.text))
	return inside
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

func isWord(word string) bool { return word != "" && wordByte(word[0]) }
