package migrate

import "strings"

// createTable is what SQLite tells of a table only by the statement that made it.
type createTable struct {
	virtual      bool
	withoutRowID bool
	collations   map[string]string // by folded column name, where one was named
	checks       []string          // the names of those that have one
}

// parseCreateTable reads a statement that SQLite has accepted before.
func parseCreateTable(statement string) createTable {
	parsed := createTable{collations: make(map[string]string)}
	depth := 0
	var item []token
	for _, t := range tokens(statement) {
		switch {
		case depth == 0 && t.is("VIRTUAL"):
			parsed.virtual = true
			return parsed
		case depth == 0 && t.is("ROWID"):
			parsed.withoutRowID = true
		case t.is("("):
			depth++
			continue
		case t.is(")"):
			if depth--; depth == 0 {
				parsed.item(item)
			}
			continue
		case depth == 1 && t.is(","):
			parsed.item(item)
			item = nil
			continue
		}
		if depth == 1 {
			item = append(item, t)
		}
	}
	return parsed
}

// item reads a column or a constraint, without what is in parentheses.
func (c *createTable) item(item []token) {
	if len(item) == 0 {
		return
	}
	for i := 1; i+1 < len(item); i++ {
		switch {
		case item[i].is("COLLATE"):
			c.collations[sqliteSystem{}.fold(item[0].text)] = item[i+1].text
		case item[i-1].is("CONSTRAINT") && item[i+1].is("CHECK"):
			c.checks = append(c.checks, item[i].text)
		}
	}
}

// token is a word, a name, a string or a sign of SQL.
type token struct {
	text   string
	quoted bool
}

func (t token) is(word string) bool { return !t.quoted && strings.EqualFold(t.text, word) }

// tokens splits SQLite's SQL.
func tokens(text string) []token {
	var all []token
	for text != "" {
		length, t := nextToken(text)
		if t.text != "" || t.quoted {
			all = append(all, t)
		}
		text = text[length:]
	}
	return all
}

// nextToken reads one token, or a space or comment, for which the token is empty.
func nextToken(text string) (length int, t token) {
	switch c := text[0]; {
	case c == '"' || c == '`' || c == '\'':
		return quotedToken(text, text[:1])
	case c == '[':
		inner, _, _ := strings.Cut(text[1:], "]")
		return min(len(inner)+2, len(text)), token{inner, true}
	case strings.HasPrefix(text, "--"):
		line, _, _ := strings.Cut(text, "\n")
		return len(line), token{}
	case strings.HasPrefix(text, "/*"):
		inner, _, _ := strings.Cut(text[2:], "*/")
		return min(len(inner)+4, len(text)), token{}
	case strings.IndexByte(" \t\n\r\f", c) >= 0:
		return 1, token{}
	case isWord(c):
		for length < len(text) && isWord(text[length]) {
			length++
		}
		return length, token{text[:length], false}
	default:
		return 1, token{text[:1], false}
	}
}

// isWord tells whether a byte belongs to a word, as all do that are not ASCII.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

func quotedToken(text, quote string) (length int, t token) {
	var inner strings.Builder
	rest := text[1:]
	for {
		before, after, closed := strings.Cut(rest, quote)
		inner.WriteString(before)
		if !closed || !strings.HasPrefix(after, quote) {
			return len(text) - len(after), token{inner.String(), true}
		}
		inner.WriteString(quote)
		rest = after[1:]
	}
}
