package guard

import (
	"fmt"
	"strings"
)

// dollar takes PostgreSQL's $1 or $tag$…$tag$.
func (l *lexer) dollar(i int) (int, error) {
	if i+1 < len(l.query) && digit(l.query[i+1]) {
		return l.number(placeholder, i, i+1), nil
	}
	end := i + 1
	for end < len(l.query) && nameByte(l.query[end]) {
		end++
	}
	if end == len(l.query) || l.query[end] != '$' {
		return 0, refuse("$ is neither a placeholder nor a quote", "remove it")
	}
	tag := l.query[i : end+1]
	length := strings.Index(l.query[end+1:], tag)
	if length < 0 {
		return 0, unclosed("a string")
	}
	last := end + 1 + length + len(tag)
	l.add(token{kind: text, start: i, end: last})
	return last, nil
}

// number takes the digits behind a placeholder's sign.
func (l *lexer) number(k kind, start, i int) int {
	for i < len(l.query) && digit(l.query[i]) {
		i++
	}
	l.add(token{kind: k, start: start, end: i})
	return i
}

// parameter takes SQLite's :name, @name or $name.
func (l *lexer) parameter(i int) (int, error) {
	end := i + 1
	for end < len(l.query) && (nameByte(l.query[end]) || l.query[end] == '$') {
		end++
	}
	if end == i+1 || l.query[i] == '#' || strings.HasPrefix(l.query[end:], "::") || strings.HasPrefix(l.query[end:], "(") {
		// Tcl's $a::b(c) is one for SQLite, with any of the signs.
		return 0, refuse(fmt.Sprintf("%q is no placeholder", l.query[i:end]), "use ?, ?1, :name, @name or $name")
	}
	l.add(token{kind: placeholder, start: i, end: end, name: l.query[i:end]})
	return end, nil
}

// dot takes a dot. MySQL takes a table's name behind one that nothing stands before, as in FROM .todos, for the table.
func (l *lexer) dot(i int) (int, error) {
	if next := i + 1; next < len(l.query) && (digit(l.query[next]) || l.query[next] == '*') {
		return l.sign(i)
	}
	if n := len(l.tokens); n > 0 {
		before := &l.tokens[n-1]
		if before.end == i && (before.kind == quotedName || before.kind == word && !beforeTable(before.keyword)) {
			return l.sign(i)
		}
	}
	return 0, refuse("a dot has no name right before it", "write names without spaces around the dot, and none that is a keyword without quotes")
}

func unclosed(what string) error { return refuse(what+" is not closed", "close it") }
