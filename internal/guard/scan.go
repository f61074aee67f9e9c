package guard

import (
	"slices"
	"strings"
)

// scan goes through all tokens: statements within the statement, and what is refused wherever it stands.
func (p *parser) scan() error {
	for i := range p.tokens {
		t := &p.tokens[i]
		var err error
		if p.mysql() && p.is(i-1, "@") && t.kind == text {
			err = refuse("a variable has its name in a string", "write the name without quotes")
		}
		if t.kind == word && !p.is(i-1, ".") {
			err = p.keyword(i)
		}
		if err == nil && t.named() {
			err = p.own(i)
		}
		if err == nil && p.is(i, "(") && p.named(i-1) && p.tokens[i-1].kind != text {
			err = p.function(i - 1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyword looks at a word that is no part of a qualified name.
func (p *parser) keyword(i int) error {
	switch p.tokens[i].keyword {
	case "INTO":
		if !p.taken[i] {
			return refuse("its INTO makes a table, a file or a variable", "read the rows, or quote the name where it is one")
		}
	case "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE":
		return p.nested(i)
	case "FOR":
		if p.isOne(i+1, "UPDATE", "SHARE", "NO", "KEY") {
			p.locks = true
			p.lock = p.lockOf(i + 1)
		}
	case "LOCK":
		if p.is(i+1, "IN") && p.is(i+2, "SHARE") {
			p.locks, p.lock = true, p.lockOf(i+2)
		}
	case "WITH":
		// MariaDB does not see the expressions of the whole from those of a subquery: they are repeated there.
		if p.mysql() && p.is(i-1, "(") {
			p.withs = append(p.withs, i)
			_, err := p.expressions(i)
			return err
		}
	case "OUTFILE", "DUMPFILE":
		if p.mysql() {
			return refuse("it writes a file", privilegedInstead)
		}
	}
	return nil
}

// lockOf is the lock whose kind stands at i, as MySQL and MariaDB both take it.
func (p *parser) lockOf(i int) string {
	lock := " FOR UPDATE"
	if p.is(i, "SHARE") {
		lock = " LOCK IN SHARE MODE"
	}
	for ; i < len(p.tokens); i++ {
		switch {
		case p.is(i, "NOWAIT"):
			lock += " NOWAIT"
		case p.is(i, "SKIP"):
			lock += " SKIP LOCKED"
		}
	}
	return lock
}

// nested reads a statement within the statement, which PostgreSQL has in a WITH.
func (p *parser) nested(i int) error {
	switch {
	case p.verbs[i], p.is(i-1, "AS"), p.taken[i]:
		return nil
	case p.isOne(i, "INSERT", "REPLACE") && p.is(i+1, "("): // functions
		return nil
	case p.is(i, "UPDATE") && p.isOne(i-1, "FOR", "KEY", "DO"):
		return nil
	case p.isOne(i-1, "THEN"): // of a MERGE, or a column in a CASE
		return nil
	case p.is(i, "REPLACE") && p.is(i-1, "OR"):
		return nil
	}
	if !p.postgres() || !p.isOne(i-1, "(", ")") || p.is(i, "REPLACE") {
		return refuse(p.tokens[i].keyword+" stands where no statement begins", "quote the name where it is one")
	}
	p.st.reads = false
	return p.verb(i)
}

// own refuses what belongs to CapeBase, and whatever shows the rows of published tables under another name.
func (p *parser) own(i int) error {
	t := &p.tokens[i]
	if t.kind != text && statistics(p.engine, t.name) {
		return refuse(t.name+" may hold values of any table", privilegedInstead)
	}
	if p.postgres() && t.name == "cape" && p.is(i+1, ".") {
		return refuse("it names CapeBase's schema", privilegedInstead)
	}
	if t.kind != text && len(t.name) >= 5 && strings.EqualFold(t.name[:5], "cape_") && !p.is(i+1, ".") {
		return refuse("it names "+t.name+", which is CapeBase's", privilegedInstead)
	}
	if p.taken[i] {
		return nil
	}
	qualifier := ""
	if p.is(i-1, ".") && p.named(i-2) {
		qualifier = p.tokens[i-2].name
	}
	if why, ok := p.derivedFrom(qualifier, t); ok && !p.is(i+1, ".") && !(t.kind == text && !p.stands(i)) {
		return refuse(why, "read the tables themselves; or "+privilegedInstead)
	}
	return nil
}

// stands tells whether a string is where SQLite would take it for a table's name.
func (p *parser) stands(i int) bool {
	return p.isOne(i-1, "FROM", "JOIN", "INTO", "UPDATE", ".", "IN") || p.isOne(i-1, ",", "(")
}

// function looks at a name before a parenthesis.
func (p *parser) function(i int) error {
	t := &p.tokens[i]
	if p.taken[i] || p.is(i-1, "AS") || p.is(i-1, ")") { // what a table, an expression or a type is called
		return nil
	}
	name := strings.ToLower(t.name)
	if t.kind == word && notFunction(t.keyword) && !p.functions[name] {
		return nil
	}
	if forbidden(p.engine, name) {
		return refuse("the function "+name+" gets round the limits", privilegedInstead)
	}
	if p.mayChange(name) {
		p.st.opaque = true
	}
	return nil
}

// mentions returns the published tables that are read between two tokens, and notes what has to go before their names.
func (p *parser) mentions(start, end int) ([]int, error) {
	var found []int
	for i := start; i < end; i++ {
		t := &p.tokens[i]
		if !t.named() || p.taken[i] {
			continue
		}
		qualifier, at := "", t.start
		if p.is(i-1, ".") && p.named(i-2) {
			qualifier, at = p.tokens[i-2].name, p.tokens[i-2].start
		}
		table, ok := p.table(qualifier, t)
		if !ok {
			continue
		}
		if qualifier != "" {
			if !p.tables[table].qualified || p.is(i-3, ".") {
				return nil, p.refuseQualified(table)
			}
			if cut := (span{at, t.start}); !slices.Contains(p.st.cuts, cut) {
				p.st.cuts = append(p.st.cuts, cut)
			}
		}
		if p.is(i+1, ".") && (p.named(i+2) && !p.number(i+2) || p.is(i+2, "*")) {
			continue // it says whose column follows
		}
		if p.postgres() && p.locks {
			placed, err := p.spot(i, at, table)
			if err != nil {
				return nil, err
			}
			if placed {
				continue
			}
		}
		if !slices.Contains(found, table) {
			found = append(found, table)
		}
	}
	return found, p.ambiguous(found)
}

// ambiguous refuses two tables of one name, which one expression would have.
func (p *parser) ambiguous(found []int) error {
	for i, a := range found {
		for _, b := range found[i+1:] {
			if p.same(p.tables[a].name, p.tables[b].name) {
				return refuse("it reads two tables with the name "+p.tables[a].name, "read one of them at a time")
			}
		}
	}
	return nil
}

// spot notes a name that a subquery replaces: PostgreSQL locks the rows of a subquery in FROM, but of no WITH. A name that
// stands elsewhere is shadowed like any other.
func (p *parser) spot(i, at, table int) (placed bool, err error) {
	before := i - 1
	if at != p.tokens[i].start {
		before = i - 3
	}
	if !p.isOne(before, "FROM", "JOIN") {
		if p.isOne(before, ",", "(", "ONLY", "TABLE", "USING") {
			return false, refuse("it locks rows, and does not read "+p.tables[table].name+" with FROM or JOIN", "write JOIN instead of commas, and SELECT * FROM instead of TABLE")
		}
		return false, nil
	}
	s := spot{span: span{at, p.tokens[i].end}, table: table}
	s.named = p.is(i+1, "AS") || i+1 < len(p.tokens) && (p.tokens[i+1].kind == quotedName || p.tokens[i+1].kind == word && !afterTable(p.tokens[i+1].keyword))
	p.st.spots = append(p.st.spots, s)
	p.st.cuts = slices.DeleteFunc(p.st.cuts, func(c span) bool { return c.start == at })
	return true, nil
}
