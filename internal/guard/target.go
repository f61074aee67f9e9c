package guard

import (
	"strings"

	"github.com/capebase/capebase/policy"
)

// verb reads the INSERT, REPLACE, UPDATE, DELETE or MERGE at i: what it writes to, and where its condition is.
func (p *parser) verb(i int) error {
	p.verbs[i] = true
	switch p.tokens[i].keyword {
	case "INSERT", "REPLACE":
		return p.insert(i)
	case "UPDATE":
		return p.update(i)
	case "DELETE":
		return p.remove(i)
	}
	return p.merge(i)
}

// skip returns the index of the first token from i on that is none of the keywords.
func (p *parser) skip(i int, keywords ...string) int {
	for p.isOne(i, keywords...) {
		i++
	}
	return i
}

// target reads the name of what is written to at i.
func (p *parser) target(i int) (table, next int, published bool, err error) {
	if !p.named(i) {
		return 0, 0, false, refuse("what it writes to is not understood", "name a table right behind the verb")
	}
	last, qualifier := i, ""
	if p.is(i+1, ".") && p.named(i+2) {
		last, qualifier = i+2, p.tokens[i].name
	}
	if p.is(last+1, ".") {
		return 0, 0, false, refuse("what it writes to has three names", "leave out the first")
	}
	table, published = p.table(qualifier, &p.tokens[last])
	if published {
		if qualifier != "" && !p.tables[table].qualified {
			return 0, 0, false, p.refuseQualified(table)
		}
		p.taken[i], p.taken[last] = true, true
		return table, last + 1, true, nil
	}
	if why, ok := p.derivedFrom(qualifier, &p.tokens[last]); ok {
		return 0, 0, false, refuse(why, "write to the tables themselves; or "+privilegedInstead)
	}
	p.taken[last] = true // what follows in parentheses are its columns
	if p.sqlite() && strings.HasPrefix(strings.ToLower(p.tokens[last].name), "sqlite_") {
		return 0, 0, false, refuse("it writes to SQLite's own tables", privilegedInstead)
	}
	return 0, last + 1, false, nil
}

func (p *parser) insert(i int) error {
	next := i + 1
	if p.sqlite() && p.is(next, "OR") {
		next += 2
	}
	if p.mysql() {
		next = p.skip(next, "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE")
	}
	if p.is(next, "INTO") {
		p.taken[next] = true
		next++
	}
	table, next, published, err := p.target(next)
	if err != nil {
		return err
	}
	qualifier := p.tokens[next-1].name
	if p.is(next, "AS") && p.named(next+1) && !p.mysql() {
		qualifier = p.tokens[next+1].name
	}
	end := p.inner(i)
	for j := next; j < end; j++ {
		if p.tokens[j].depth != p.tokens[i].depth {
			continue
		}
		switch {
		case published && p.is(j, "DO") && p.is(j+1, "UPDATE") && !p.mysql():
			if err := p.limit(limit{table: table, action: policy.Update, qualifier: qualifier}, j+2, p.tokens[i].depth); err != nil {
				return err
			}
		case published && p.is(j, "DUPLICATE") && p.is(j+1, "KEY"):
			p.st.upserts = true
		}
	}
	if published {
		p.st.targets = append(p.st.targets, table)
	}
	return nil
}

func (p *parser) update(i int) error {
	next := i + 1
	switch {
	case p.sqlite() && p.is(next, "OR"):
		next += 2
	case p.mysql():
		next = p.skip(next, "LOW_PRIORITY", "IGNORE")
	case p.postgres():
		next = p.skip(next, "ONLY")
	}
	table, next, published, err := p.target(next)
	if err != nil {
		return err
	}
	if published {
		p.st.targets = append(p.st.targets, table)
	}
	qualifier, next := p.alias(next, "SET")
	if !p.is(next, "SET") {
		if p.mysql() {
			p.several = true
			return nil
		}
		if published {
			return refuse("its UPDATE is not understood", "write UPDATE table AS alias SET … WHERE …")
		}
		return nil
	}
	if !published {
		return nil
	}
	return p.limit(limit{table: table, action: policy.Update, qualifier: qualifier}, next, p.tokens[i].depth)
}

// alias reads what may stand between a table's name and what comes next.
func (p *parser) alias(i int, ends ...string) (qualifier string, next int) {
	qualifier = p.tokens[i-1].name
	if p.postgres() {
		i = p.skip(i, "*")
	}
	switch {
	case p.is(i, "AS") && p.named(i+1):
		qualifier = p.tokens[i+1].name
		i += 2
	case p.named(i) && !p.isOne(i, ends...) && !p.isOne(i, "INDEXED", "NOT"):
		qualifier = p.tokens[i].name
		i++
	}
	if p.sqlite() {
		switch {
		case p.is(i, "INDEXED") && p.is(i+1, "BY") && p.named(i+2):
			i += 3
		case p.is(i, "NOT") && p.is(i+1, "INDEXED"):
			i += 2
		}
	}
	return qualifier, i
}

func (p *parser) remove(i int) error {
	next := i + 1
	if p.mysql() {
		next = p.skip(next, "LOW_PRIORITY", "QUICK", "IGNORE")
	}
	if !p.is(next, "FROM") {
		if p.mysql() {
			p.several = true
			return nil
		}
		return refuse("its DELETE is not understood", "write DELETE FROM table WHERE …")
	}
	next++
	if p.postgres() {
		next = p.skip(next, "ONLY")
	}
	table, next, published, err := p.target(next)
	if err != nil {
		return err
	}
	follows := []string{"WHERE", "RETURNING", "ORDER", "LIMIT", ")"}
	if p.postgres() {
		follows = append(follows, "USING")
	}
	if published {
		p.st.targets = append(p.st.targets, table)
	}
	qualifier, next := p.alias(next, follows...)
	if next < len(p.tokens) && !p.isOne(next, follows...) {
		if p.mysql() {
			p.several = true
			return nil
		}
		if published {
			return refuse("its DELETE is not understood", "write DELETE FROM table AS alias WHERE …")
		}
	}
	if !published {
		return nil
	}
	return p.limit(limit{table: table, action: policy.Delete, qualifier: qualifier}, next, p.tokens[i].depth)
}

// merge lets MERGE write to tables that are not published.
func (p *parser) merge(i int) error {
	next := i + 1
	if p.is(next, "INTO") {
		p.taken[next] = true
		next++
	}
	table, _, published, err := p.target(p.skip(next, "ONLY"))
	if err != nil {
		return err
	}
	if published {
		return refuse("it merges into "+p.tables[table].name, "write INSERT … ON CONFLICT, or UPDATE and INSERT")
	}
	return nil
}

// limit finds the condition of a statement from token i on, at a depth, and notes where a rule joins it.
func (p *parser) limit(l limit, i, depth int) error {
	l.where = -1
	j := i
	for ; j < len(p.tokens) && p.tokens[j].depth >= depth; j++ {
		if p.tokens[j].depth > depth {
			continue
		}
		if p.isOne(j, "RETURNING", "ORDER", "LIMIT") || p.is(j, "ON") && p.is(j+1, "CONFLICT") {
			break
		}
		if p.is(j, "WHERE") && l.where < 0 {
			if p.is(j+1, "CURRENT") {
				return refuse("WHERE CURRENT OF names a cursor", "name the row by its key")
			}
			l.where = p.tokens[j].end
		}
	}
	l.end = p.tokens[j-1].end
	if l.where == l.end {
		return refuse("its WHERE is empty", "write a condition")
	}
	p.st.limits = append(p.st.limits, l)
	return nil
}
