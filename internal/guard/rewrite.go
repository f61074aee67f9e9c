package guard

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// edit replaces a part of a statement.
type edit struct {
	span
	order int // of edits at one place
	write func(b *engine.Builder)
}

// rewriter puts rules into a statement.
type rewriter struct {
	*folded
	st    *statement
	edits []edit
}

// rewrite returns the statement as the caller may run it.
func (f *folded) rewrite(st *statement, args []driver.NamedValue) (string, []driver.NamedValue, error) {
	r := rewriter{folded: f, st: st}
	for i := range st.heads {
		r.head(&st.heads[i])
	}
	for i := range st.limits {
		r.limit(&st.limits[i])
	}
	for _, s := range st.spots {
		r.spot(s)
	}
	if len(r.edits) == 0 {
		return st.query, args, nil // everything is allowed
	}
	for _, c := range st.cuts {
		r.edits = append(r.edits, edit{span: c, write: func(*engine.Builder) {}})
	}
	if len(r.edits) > 1 {
		slices.SortStableFunc(r.edits, func(a, b edit) int { return cmp.Or(a.start-b.start, a.order-b.order) })
	}
	switch f.guard.dialect.Name() {
	case "postgres":
		return r.numbered(args)
	case "sqlite":
		return r.renumbered(args)
	}
	return r.positional(args)
}

func (r *rewriter) add(at, order int, write func(b *engine.Builder)) {
	r.edits = append(r.edits, edit{span{at, at}, order, write})
}

// head shadows tables with expressions of their names.
func (r *rewriter) head(h *head) {
	if !slices.ContainsFunc(h.tables, r.shadows) {
		return
	}
	r.add(h.at, 0, func(b *engine.Builder) {
		between := "WITH "
		if h.merge {
			between = " "
		}
		for _, table := range h.tables {
			if r.shadows(table) {
				b.Write(between, r.names.tables[table].shadow)
				r.rows(b, table, h.lock)
				between = ", "
			}
		}
		if h.merge {
			b.Write(",")
		} else {
			b.Write(" ")
		}
	})
}

// shadows tells whether a table has to be shadowed.
func (r *rewriter) shadows(table int) bool {
	return !always(r.read(table)) || r.names.tables[table].qualified
}

// always tells whether a folded rule allows everything.
func always(e *predicate.Expr) bool { return e.Op == predicate.True }

// rows writes a subquery of a table's rows that the caller may read.
func (r *rewriter) rows(b *engine.Builder, table int, lock string) {
	b.Write("(SELECT * FROM ", r.names.tables[table].quoted, " WHERE ")
	engine.Where(b, &r.guard.tables[table].Model.Table, r.read(table))
	b.Write(lock, ")")
}

// limit joins a rule to the condition of an UPDATE or DELETE.
func (r *rewriter) limit(l *limit) {
	rule := r.write(l)
	if always(rule) {
		return
	}
	t := &r.guard.tables[l.table].Model.Table
	if l.where >= 0 {
		r.add(l.where, 0, func(b *engine.Builder) { b.Write(" (") })
	}
	r.add(l.end, 1, func(b *engine.Builder) {
		if l.where >= 0 {
			b.Write(") AND (")
		} else {
			b.Write(" WHERE (")
		}
		plain := b.Dialect
		b.Dialect = qualifying{plain, plain.Quote(l.qualifier) + "."}
		engine.Where(b, t, rule)
		b.Dialect = plain
		b.Write(")")
	})
}

// spot puts a subquery in the place of a table's name.
func (r *rewriter) spot(s spot) {
	if always(r.read(s.table)) {
		return
	}
	r.edits = append(r.edits, edit{span: s.span, write: func(b *engine.Builder) {
		r.rows(b, s.table, "")
		if !s.named {
			b.Write(" AS ")
			b.Quote(r.guard.tables[s.table].Model.Table.Name)
		}
	}})
}

// qualifying is a dialect whose names are columns of a table that may be one of several.
type qualifying struct {
	engine.Dialect
	prefix string
}

// Quote implements engine.Dialect.
func (q qualifying) Quote(name string) string { return q.prefix + q.Dialect.Quote(name) }

// explicit is SQLite's dialect with numbers at its placeholders.
type explicit struct{ engine.Dialect }

// Placeholder implements engine.Dialect.
func (explicit) Placeholder(n int) string { return "?" + strconv.Itoa(n) }

// numbered is for PostgreSQL: arguments of rules come behind the statement's own.
func (r *rewriter) numbered(args []driver.NamedValue) (string, []driver.NamedValue, error) {
	b := engine.NewBuilder(r.guard.dialect)
	b.Args = slices.Clone(args)
	r.apply(b, func(b *engine.Builder, from, to int) { b.Write(r.st.query[from:to]) })
	return b.String(), b.Args, nil
}

// positional is for MySQL: arguments stand in the order of their question marks.
func (r *rewriter) positional(args []driver.NamedValue) (string, []driver.NamedValue, error) {
	if len(args) != len(r.st.holes) {
		return "", nil, fmt.Errorf("capebase: the statement has %d placeholders and %d arguments", len(r.st.holes), len(args))
	}
	b := engine.NewBuilder(r.guard.dialect)
	hole := 0
	r.apply(b, func(b *engine.Builder, from, to int) {
		b.Write(r.st.query[from:to])
		for ; hole < len(r.st.holes) && r.st.holes[hole].start < to; hole++ {
			b.Args = append(b.Args, driver.NamedValue{Ordinal: len(b.Args) + 1, Value: args[hole].Value})
		}
	})
	return b.String(), b.Args, nil
}

// renumbered is for SQLite: every placeholder gets the number that SQLite would have given it, and those of rules
// come behind.
func (r *rewriter) renumbered(args []driver.NamedValue) (string, []driver.NamedValue, error) {
	if r.st.misnumbered != nil {
		return "", nil, r.st.misnumbered
	}
	own, err := ordinals(args, r.st.arguments)
	if err != nil {
		return "", nil, err
	}
	b := engine.NewBuilder(explicit{r.guard.dialect})
	b.Args = own
	hole := 0
	r.apply(b, func(b *engine.Builder, from, to int) {
		for ; hole < len(r.st.holes) && r.st.holes[hole].start < to; hole++ {
			h := r.st.holes[hole]
			b.Write(r.st.query[from:h.start], "?", strconv.Itoa(r.st.numbers[hole]))
			from = h.end
		}
		b.Write(r.st.query[from:to])
	})
	return b.String(), b.Args, nil
}

// apply writes the statement with its edits.
func (r *rewriter) apply(b *engine.Builder, pass func(b *engine.Builder, from, to int)) {
	b.Grow(len(r.st.query)+len(r.edits)*200, 0)
	at := 0
	for _, e := range r.edits {
		if e.start < at {
			continue // within what another has replaced
		}
		pass(b, at, e.start)
		e.write(b)
		at = e.end
	}
	pass(b, at, len(r.st.query))
}

// maxParameter is SQLite's highest number of a placeholder.
const maxParameter = 32_766

// numbers returns the number of each of SQLite's placeholders, and by number the names.
func (st *statement) number() (numbers []int, names []string, err error) {
	known := map[string]int{}
	for _, h := range st.holes {
		form := st.query[h.start:h.end]
		n := len(names) + 1
		switch {
		case form == "?":
		case form[0] == '?':
			if n, err = strconv.Atoi(form[1:]); err != nil || n < 1 || n > maxParameter {
				return nil, nil, refuse("it has no placeholder "+form, "number placeholders from ?1")
			}
		case known[form] > 0:
			n = known[form]
		default:
			known[form] = n
		}
		for len(names) < n {
			names = append(names, "")
		}
		if form[0] != '?' {
			names[n-1] = form[1:]
		}
		numbers = append(numbers, n)
	}
	return numbers, names, nil
}

// ordinals brings arguments into the order of their placeholders.
func ordinals(args []driver.NamedValue, names []string) ([]driver.NamedValue, error) {
	own := make([]driver.NamedValue, len(names), len(names)+4)
	for n, name := range names {
		i := slices.IndexFunc(args, func(a driver.NamedValue) bool {
			return a.Name == "" && a.Ordinal == n+1 || a.Name != "" && a.Name == name
		})
		if i < 0 {
			return nil, fmt.Errorf("capebase: argument %d of the statement is missing", n+1)
		}
		own[n] = driver.NamedValue{Ordinal: n + 1, Value: args[i].Value}
	}
	if len(args) > len(names) {
		return nil, fmt.Errorf("capebase: the statement has %d placeholders and %d arguments", len(names), len(args))
	}
	return own, nil
}
