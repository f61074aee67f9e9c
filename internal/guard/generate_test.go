package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/dbtest"
)

// generator makes statements over the tables of a bed out of bytes.
type generator struct {
	data   []byte
	engine string
	names  int // of aliases so far
}

// kindOf is what an expression is.
type kindOf byte

const (
	number kindOf = 'n'
	chars  kindOf = 'c'
	truth  kindOf = 't'
)

// source is what a FROM names, and its columns.
type source struct {
	alias   string
	columns map[kindOf][]string
}

func (g *generator) pick(n int) int {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b) % n
}

func (g *generator) among(options ...string) string { return options[g.pick(len(options))] }

func (g *generator) quote(name string) string { return quoteNames(g.engine, "{"+name+"}") }

// statement makes a read or a write.
func (g *generator) statement() entry {
	switch g.pick(8) {
	case 0:
		return entry{sql: g.insert()}
	case 1:
		return entry{sql: g.update()}
	case 2:
		return entry{sql: g.remove()}
	}
	return entry{sql: g.whole()}
}

// columnsOf are the columns of the tables, "user_id" and the like first.
func (g *generator) columnsOf(table string) map[kindOf][]string {
	rank := g.quote("rank")
	return map[string]map[kindOf][]string{
		"todos":     {number: {"id", "list_id", rank}, chars: {"user_id", "task", "note"}, truth: {"done", "public"}},
		"lists":     {number: {"id"}, chars: {"owner", "name", "org"}},
		"MixedCase": {number: {"id", "list"}, chars: {"user_id"}},
		"pages":     {number: {"id"}, chars: {"user_id", "title"}},
		"colors":    {number: {"id", "lists"}, chars: {"name", "todos"}},
	}[table]
}

func (g *generator) table() string {
	return g.among("todos", "todos", "todos", "lists", "MixedCase", "pages", "colors")
}

// whole makes a SELECT, perhaps with expressions before it.
func (g *generator) whole() string {
	if g.pick(3) > 0 {
		return g.query(2, nil, g.kinds())
	}
	name := g.among("mine", "todo", "x")
	inner := g.query(1, nil, []kindOf{number, chars})
	named := source{alias: name, columns: map[kindOf][]string{number: {"a"}, chars: {"b"}}}
	return fmt.Sprintf("WITH %s(a, b) AS (%s) SELECT %s.a, %s.b, (%s) FROM %s WHERE %s",
		name, inner, name, name, g.query(1, []source{named}, nil), name, g.condition(1, []source{named}))
}

func (g *generator) kinds() []kindOf {
	var kinds []kindOf
	for range g.pick(3) + 1 {
		kinds = append(kinds, []kindOf{number, chars, number}[g.pick(3)])
	}
	return kinds
}

// query makes a SELECT of expressions of the kinds; of a count where there are none.
func (g *generator) query(depth int, outer []source, kinds []kindOf) string {
	from, scope := g.from(depth)
	scope = append(scope, outer...)
	var list []string
	for _, k := range kinds {
		list = append(list, g.expression(depth, scope, k))
	}
	where := ""
	if g.pick(3) > 0 {
		where = " WHERE " + g.condition(depth, scope)
	}
	if kinds == nil {
		return "SELECT " + g.among("count(*)", "max("+g.column(scope[:1], number)+")", "min("+g.column(scope[:1], number)+")") + " FROM " + from + where
	}
	query := "SELECT " + g.among("", "", "DISTINCT ") + strings.Join(list, ", ") + " FROM " + from + where
	if depth > 0 && g.pick(6) == 0 {
		query += g.among(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ") + g.query(depth-1, outer, kinds)
	}
	return query
}

// from makes a list of tables and subqueries.
func (g *generator) from(depth int) (string, []source) {
	first, s := g.source(depth)
	scope, text := []source{s}, first
	for range g.pick(3) {
		if len(scope) == 3 {
			break
		}
		next, s := g.source(depth - 1)
		on := fmt.Sprintf(" ON %s = %s", g.column([]source{s}, number), g.column(scope, number))
		scope = append(scope, s)
		text += g.among(" JOIN ", " LEFT JOIN ", " INNER JOIN ") + next + on
	}
	return text, scope
}

func (g *generator) source(depth int) (string, source) {
	g.names++
	alias := g.among("t", "todos", "lists", "colors", "x") + fmt.Sprint(g.names)
	if depth > 0 && g.pick(5) == 0 {
		columns := map[kindOf][]string{number: {"a"}, chars: {"b"}}
		inner := g.query(depth-1, nil, []kindOf{number, chars})
		if g.engine != dbtest.SQLite && g.pick(2) == 0 {
			inner = "WITH w(a, b) AS (" + inner + ") SELECT a, b FROM w"
		}
		from, s := g.among("q", "todo")+alias, columns
		// A derived table names its columns by an expression, as SQLite cannot do it behind the alias.
		return "(WITH d(a, b) AS (" + inner + ") SELECT a, b FROM d) AS " + from, source{from, s}
	}
	table := g.table()
	return g.quote(table) + g.among(" AS ", " ") + alias, source{alias, g.columnsOf(table)}
}

func (g *generator) column(scope []source, k kindOf) string {
	for range 4 {
		s := scope[g.pick(len(scope))]
		if columns := s.columns[k]; len(columns) > 0 {
			return s.alias + "." + columns[g.pick(len(columns))]
		}
	}
	return map[kindOf]string{number: "1", chars: "'todos'", truth: "1 = 1"}[k]
}

func (g *generator) expression(depth int, scope []source, k kindOf) string {
	switch k {
	case number:
		switch g.pick(6) {
		case 0:
			return fmt.Sprint(g.pick(25))
		case 1:
			if depth > 0 {
				return "(" + g.query(depth-1, scope, nil) + ")"
			}
		case 2:
			return "(" + g.column(scope, number) + g.among(" + ", " - ", " * ") + "1)"
		}
	case chars:
		switch g.pick(5) {
		case 0:
			return g.among("'alice'", "'bob'", "'carol'", "'red'", "'FROM todos'", "''", "'it''s'")
		case 1:
			return "coalesce(" + g.column(scope, chars) + ", 'none')"
		}
	default:
		return g.condition(depth, scope)
	}
	return g.column(scope, k)
}

func (g *generator) condition(depth int, scope []source) string {
	switch g.pick(10) {
	case 0, 1:
		return g.expression(depth, scope, number) + g.among(" = ", " < ", " > ", " <> ") + g.expression(depth, scope, number)
	case 2, 3:
		return g.expression(depth, scope, chars) + g.among(" = ", " <> ") + g.expression(depth, scope, chars)
	case 4:
		return "(" + g.condition(depth-1, scope) + g.among(" OR ", " AND ") + g.condition(depth-1, scope) + ")"
	case 5:
		return "NOT (" + g.condition(depth-1, scope) + ")"
	case 6:
		return g.column(scope, chars) + g.among(" IS NULL", " IS NOT NULL", " LIKE 'task%'")
	case 7:
		if depth > 0 {
			return g.among("", "NOT ") + "EXISTS (" + g.query(depth-1, scope, []kindOf{number}) + ")"
		}
	case 8:
		if depth > 0 {
			return g.column(scope, number) + g.among(" IN (", " NOT IN (") + g.query(depth-1, scope, []kindOf{number}) + ")"
		}
	}
	return g.column(scope, truth)
}

// owners are the values that are written to columns of rules.
func (g *generator) value(column string, scope []source) string {
	switch column {
	case "user_id", "owner":
		return g.among("'alice'", "'bob'", "'alice'", "'root'", "'carol'")
	case "org":
		return g.among("'red'", "'blue'")
	}
	if slices.Contains([]string{"done", "public"}, column) {
		return g.among("TRUE", "FALSE")
	}
	if strings.Contains("id list_id list lists"+g.quote("rank"), column) {
		return "coalesce(" + g.expression(1, scope, number) + ", 3)"
	}
	return "coalesce(" + g.expression(0, scope, chars) + ", 'x')"
}

func (g *generator) insert() string {
	table := g.among("todos", "lists", "MixedCase", "pages")
	columns := map[string][]string{
		"todos": {"user_id", "task", "done", "public", g.quote("rank")}, "lists": {"org", "name", "owner"},
		"MixedCase": {"user_id", "list"}, "pages": {"user_id", "title"},
	}[table]
	into := "INSERT INTO " + g.quote(table)
	if g.pick(2) == 0 {
		from, scope := g.from(0)
		list, values := g.row(table, columns, scope)
		return into + " (" + list + ") SELECT " + values + " FROM " + from + " WHERE " + g.condition(1, scope)
	}
	literal := []source{{alias: "nothing"}}
	list, values := g.row(table, columns, literal)
	if g.pick(2) > 0 {
		return into + " (" + list + ") VALUES (" + values + ")" + g.returning(table)
	}
	conflict := g.among("", "", " ON CONFLICT DO NOTHING", " ON CONFLICT (id) DO UPDATE SET id = excluded.id",
		" ON CONFLICT (id) DO UPDATE SET "+columns[1]+" = excluded."+columns[1]+g.among("", " WHERE 1 = 1 OR 1 = 0"))
	if g.engine == dbtest.MariaDB || g.engine == dbtest.MySQL {
		return into + " (id, " + list + ") VALUES (" + fmt.Sprint(g.pick(30)+1) + ", " + values + ")"
	}
	return into + " (id, " + list + ") VALUES (" + fmt.Sprint(g.pick(30)+1) + ", " + values + ")" + conflict + g.returning(table)
}

// row makes the columns and values of a new row.
func (g *generator) row(table string, columns []string, scope []source) (list, values string) {
	var parts []string
	for _, c := range columns {
		parts = append(parts, g.value(c, scope))
	}
	if table == "todos" {
		columns, parts = append(columns, "at"), append(parts, "'2024-05-01 00:00:00'")
	}
	return strings.Join(columns, ", "), strings.Join(parts, ", ")
}

func (g *generator) returning(table string) string {
	if g.engine == dbtest.MariaDB || g.engine == dbtest.MySQL {
		return ""
	}
	// Of the table itself SQLite would count what is there in the midst of the statement, which depends on the plan.
	other := map[bool]string{true: "todos", false: "lists"}[table == "lists"]
	return g.among("", " RETURNING *", " RETURNING id", " RETURNING (SELECT count(*) FROM "+other+")",
		" RETURNING "+g.quote(table)+"."+g.columnsOf(table)[chars][0])
}

func (g *generator) update() string {
	table := g.table()
	columns := g.columnsOf(table)
	target := source{g.quote(table), columns}
	sets := append(slices.Clone(columns[chars]), columns[truth]...)
	sets = append(sets, columns[number][1:]...)
	set := sets[g.pick(len(sets))]
	value := g.value(set, []source{target})
	if g.pick(3) == 0 {
		value = set
	}
	return "UPDATE " + target.alias + " SET " + set + " = " + value + g.where(target) + g.returning(table)
}

func (g *generator) remove() string {
	table := g.table()
	target := source{g.quote(table), g.columnsOf(table)}
	return "DELETE FROM " + target.alias + g.where(target) + g.returning(table)
}

func (g *generator) where(target source) string {
	own := target.columns[chars][0] + " = " + g.among("'alice'", "'bob'")
	switch g.pick(4) {
	case 0:
		return ""
	case 1:
		return " WHERE " + own
	case 2:
		return " WHERE " + g.condition(1, []source{target}) + g.among(" AND ", " OR ") + own
	}
	return " WHERE " + g.condition(2, []source{target})
}
