package guard

import (
	"slices"

	"github.com/capebase/capebase/policy"
)

// statement is what the guard knows of a text, whoever runs it. It is not changed once it is made.
type statement struct {
	query  string
	reads  bool // it changes nothing, as far as is known
	passes bool // it touches no published table
	heads  []head
	limits []limit
	spots  []spot
	cuts   []span
	holes  []token // placeholders
	// numbers are those of SQLite's placeholders, arguments the names that these have by number, and misnumbered what is
	// wrong with them.
	numbers     []int
	arguments   []string
	misnumbered error
	locks       bool // it locks rows
	// targets are the published tables that it writes itself.
	targets []int
	// opaque is set where it calls a function that may change any table.
	opaque bool
	// upserts is set where it may change rows that no WHERE can keep it from: MySQL's ON DUPLICATE KEY UPDATE.
	upserts bool
}

// span is a part of a text.
type span struct{ start, end int }

// head is where expressions that shadow tables are put.
type head struct {
	at     int
	merge  bool // into a WITH that is there
	tables []int
	lock   string // that the expressions repeat
}

// limit is where a rule joins the condition of an UPDATE or DELETE.
type limit struct {
	table     int
	action    policy.Action
	qualifier string
	where     int // the end of its WHERE, or -1
	end       int // of its condition, or of what comes before it
}

// spot is a table's name in a FROM clause, where a subquery takes its place.
type spot struct {
	span
	table int
	named bool // an alias follows
}

// parser reads a statement's tokens.
type parser struct {
	*names
	query  string
	tokens []token
	st     *statement
	// taken are the tokens that name what a statement writes to.
	taken map[int]bool
	verbs map[int]bool // the words that begin a statement
	// several is set where MySQL is to write to several tables, or to one that the parser cannot tell.
	several bool
	locks   bool   // rows are locked
	lock    string // how, on MySQL
	main    int    // the verb of the whole
	withs   []int  // those of MySQL's subqueries
}

// parse analyzes a statement.
func (n *names) parse(query string) (*statement, error) {
	tokens, err := n.lex(query)
	if err != nil {
		return nil, err
	}
	p := &parser{names: n, query: query, tokens: tokens, st: &statement{query: query}, taken: map[int]bool{}, verbs: map[int]bool{}}
	for _, t := range tokens {
		if t.kind == placeholder {
			p.st.holes = append(p.st.holes, t)
		}
	}
	if err := p.statement(); err != nil {
		return nil, err
	}
	if p.sqlite() {
		p.st.numbers, p.st.arguments, p.st.misnumbered = p.st.number()
	}
	return p.st, nil
}

// is tells whether the token is this keyword or sign.
func (p *parser) is(i int, keyword string) bool {
	if i < 0 || i >= len(p.tokens) {
		return false
	}
	t := &p.tokens[i]
	return (t.kind == word || t.kind == sign) && t.keyword == keyword
}

func (p *parser) isOne(i int, keywords ...string) bool {
	for _, k := range keywords {
		if p.is(i, k) {
			return true
		}
	}
	return false
}

func (p *parser) named(i int) bool {
	return i >= 0 && i < len(p.tokens) && p.tokens[i].named()
}

// number tells whether the token begins with a digit, as no name without quotes does.
func (p *parser) number(i int) bool {
	name := p.tokens[i].name
	return name != "" && digit(name[0])
}

// closing returns the index of the parenthesis that closes the one at i.
func (p *parser) closing(i int) int {
	for j := i + 1; j < len(p.tokens); j++ {
		if p.is(j, ")") && p.tokens[j].depth == p.tokens[i].depth {
			return j
		}
	}
	return len(p.tokens) // the lexer has counted them
}

// inner returns the index behind the part of a statement that begins at i: of the parenthesis that closes around it, or
// the number of tokens.
func (p *parser) inner(i int) int {
	for j := i; j < len(p.tokens); j++ {
		if p.tokens[j].depth < p.tokens[i].depth {
			return j
		}
	}
	return len(p.tokens)
}

func (p *parser) statement() error {
	start := 0
	switch {
	case len(p.tokens) == 0:
		p.st.reads, p.st.passes = true, true
		return nil
	case p.isOne(0, "SAVEPOINT", "RELEASE", "ROLLBACK"):
		p.st.reads, p.st.passes = true, true
		return p.owned()
	case p.is(0, "SHOW"):
		if slices.ContainsFunc(p.tokens, func(t token) bool { return t.depth > 0 }) {
			return refuse("SHOW has an expression in parentheses", "ask with SELECT")
		}
		p.st.reads, p.st.passes = true, true
		return p.owned()
	case p.is(0, "ANALYZE") && p.is(1, "TABLE"):
		return p.unlimited(0)
	case p.isOne(0, "EXPLAIN", "DESCRIBE", "DESC"), p.is(0, "ANALYZE") && p.mysql():
		var err error
		if start, err = p.explained(); start < 0 {
			p.st.reads, p.st.passes = true, true
			return err
		}
	}
	if err := p.whole(start); err != nil {
		return err
	}
	if err := p.scan(); err != nil {
		return err
	}
	return p.place(start)
}

// explained returns where the statement begins that EXPLAIN speaks of, or -1 where that is a table.
func (p *parser) explained() (int, error) {
	if p.mysql() && len(p.tokens) > 1 && len(p.tokens) <= 4 && p.named(1) && !p.is(0, "ANALYZE") &&
		!p.isOne(1, "TABLE", "SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "REPLACE", "ANALYZE", "EXTENDED", "PARTITIONS", "FORMAT", "FOR", "DROP") {
		return -1, nil // a table, perhaps a column of it
	}
	for i := 1; i < len(p.tokens); i++ {
		switch {
		case p.isOne(i, "SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"):
			return i, nil
		case p.is(i, "TABLE") && !p.sqlite():
			return i, nil
		case p.is(i, "("):
			if i == 1 && p.postgres() && !p.isOne(2, "SELECT", "WITH", "VALUES", "TABLE", "(") {
				i = p.closing(i)
				continue
			}
			return i, nil
		case !p.isOne(i, "ANALYZE", "ANALYSE", "VERBOSE", "QUERY", "PLAN", "EXTENDED", "PARTITIONS", "FORMAT", "=", "JSON", "TREE", "TRADITIONAL"):
			return 0, refuse("what it explains is not understood", "explain a SELECT, INSERT, UPDATE or DELETE")
		}
	}
	return 0, refuse("it explains nothing", "explain a SELECT, INSERT, UPDATE or DELETE")
}

// whole finds out what kind of statement it is. start is where it begins behind EXPLAIN.
func (p *parser) whole(start int) error {
	i := start
	if p.is(i, "WITH") {
		var err error
		if i, err = p.expressions(i); err != nil {
			return err
		}
	}
	p.main = i
	switch {
	case p.isOne(i, "SELECT", "VALUES", "("), p.is(i, "TABLE") && !p.sqlite():
		p.st.reads = true
		return nil
	case p.isOne(i, "INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE"):
		return p.verb(i)
	case i >= len(p.tokens):
		return refuse("it is not complete", "complete it")
	}
	return p.unlimited(i)
}

// unlimited refuses a statement of another kind, whose verb stands at i.
func (p *parser) unlimited(i int) error {
	return refuse("it begins with "+p.query[p.tokens[i].start:p.tokens[i].end], "only SELECT, INSERT, UPDATE and DELETE can be limited; "+privilegedInstead)
}

// owned looks at the names of a statement that has nothing else to look at.
func (p *parser) owned() error {
	for i := range p.tokens {
		if err := p.own(i); p.tokens[i].named() && err != nil {
			return err
		}
	}
	return nil
}

// expressions goes through the list of a WITH and returns where the statement behind it begins.
func (p *parser) expressions(i int) (int, error) {
	unclear := refuse("its WITH is not understood", "write WITH name AS (…) before the statement")
	if i++; p.is(i, "RECURSIVE") {
		i++
	}
	for {
		if !p.named(i) {
			return 0, unclear
		}
		if table, ok := p.table("", &p.tokens[i]); ok {
			return 0, refuse("an expression of its WITH has the name of the table "+p.tables[table].name, "give the expression another name")
		}
		p.taken[i] = true
		if i++; p.is(i, "(") {
			i = p.closing(i) + 1
		}
		if !p.is(i, "AS") {
			return 0, unclear
		}
		for i++; p.isOne(i, "NOT", "MATERIALIZED"); {
			i++
		}
		if !p.is(i, "(") {
			return 0, unclear
		}
		i = p.closing(i) + 1
		// PostgreSQL's SEARCH and CYCLE, MariaDB's CYCLE … RESTRICT
		if p.isOne(i, "SEARCH", "CYCLE") {
			for i < len(p.tokens) && !p.is(i, ",") && !p.isOne(i, "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "(") {
				if i++; p.is(i, ",") && p.named(i+1) && !p.is(i+2, "AS") && !p.is(i+2, "(") {
					i++
				}
			}
		}
		if !p.is(i, ",") {
			return i, nil
		}
		i++
	}
}
