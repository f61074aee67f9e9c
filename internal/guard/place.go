package guard

import (
	"errors"
	"slices"
)

// place decides where expressions go that shadow the tables it reads.
func (p *parser) place(start int) error {
	mentions, err := p.mentions(0, len(p.tokens))
	if err != nil {
		return err
	}
	p.st.locks = p.locks
	p.st.passes = len(mentions) == 0 && len(p.st.targets) == 0 && len(p.st.spots) == 0 && !p.st.opaque
	if p.several && (len(mentions) > 0 || len(p.st.targets) > 0) {
		return refuse("it writes to several tables, or its target is not clear", "write to one table, named right behind UPDATE, INTO or DELETE FROM, and read others in subqueries")
	}
	if len(mentions) == 0 {
		return nil
	}
	if p.mysql() && !p.st.reads {
		err = p.regions(start)
	} else {
		p.head(start, mentions)
	}
	for _, i := range p.withs {
		mentions, nested := p.mentions(i, p.inner(i))
		if err = errors.Join(err, nested); len(mentions) > 0 {
			p.head(i, mentions)
		}
	}
	return err
}

// head puts expressions before the statement at i.
func (p *parser) head(i int, tables []int) {
	h := head{at: p.tokens[i].start, tables: tables}
	if p.is(i, "WITH") {
		h.merge = true
		h.at = p.tokens[i].end
		if p.is(i+1, "RECURSIVE") {
			h.at = p.tokens[i+1].end
		}
	}
	if p.locks && p.mysql() {
		h.lock = p.lock
	}
	if !slices.ContainsFunc(p.st.heads, func(other head) bool { return other.at == h.at }) {
		p.st.heads = append(p.st.heads, h)
	}
}

// upsert returns where ON DUPLICATE KEY begins, whose subqueries do not see the expressions of the SELECT before it.
func (p *parser) upsert(i int) int {
	for depth := p.tokens[i].depth; i < len(p.tokens); i++ {
		if p.tokens[i].depth == depth && p.is(i, "DUPLICATE") && p.is(i+1, "KEY") {
			return i
		}
	}
	return len(p.tokens)
}

// regions finds the outermost subqueries of what changes rows, before which MariaDB takes no WITH.
func (p *parser) regions(start int) error {
	rows := p.isOne(p.main, "INSERT", "REPLACE") // the rows to insert are still to come
	for i := start; i < len(p.tokens); i++ {
		begins, end := i, 0
		top := i > p.main && p.tokens[i].depth == p.tokens[p.main].depth
		if top && p.isOne(i, "VALUES", "VALUE", "SET", "DUPLICATE") {
			rows = false
		}
		switch {
		case rows && top && p.is(i, "(") && p.isOne(i+1, "SELECT", "WITH", "TABLE", "("):
			rows, end = false, p.upsert(i)
		case p.is(i, "(") && p.isOne(i+1, "SELECT", "WITH", "VALUES", "TABLE"):
			begins, end = i+1, p.closing(i)
		case top && p.isOne(i, "SELECT", "TABLE", "WITH"):
			rows, end = false, p.upsert(i)
		default:
			continue
		}
		mentions, err := p.mentions(begins, end)
		if err != nil {
			return err
		}
		if len(mentions) > 0 {
			p.head(begins, mentions)
		}
		i = end
	}
	return nil
}
