package guard

import (
	"slices"
	"strings"
)

// names is what the guard knows of a database's names. It is not changed once it is made.
type names struct {
	flavor
	tables  []tableName // as the guard's
	derived []derived
	// functions are the user's own that may change rows, in lower case; on PostgreSQL builtin are the database's, and a
	// function that is neither may change rows too.
	functions, builtin map[string]bool
}

// tableName is how a published table is named.
type tableName struct {
	schema, name string
	qualified    bool // its model names the schema
	plain        bool // the name alone means this table
	// quoted is the name with its schema, and shadow what an expression that takes its place begins with.
	quoted, shadow string
}

// derived is what shows rows of published tables under another name.
type derived struct {
	schema, name, why string
	plain             bool // the name alone may mean it
}

// same tells whether two names mean the same table. Where a database might take them for one, they are.
func (n *names) same(a, b string) bool {
	if n.postgres() {
		return a == b
	}
	return strings.EqualFold(a, b)
}

// table finds the published table that a token names behind a qualifier, which may be "".
func (n *names) table(qualifier string, t *token) (table int, ok bool) {
	if t.name == "" || !t.named() {
		return 0, false
	}
	for i := range n.tables {
		name := &n.tables[i]
		if !n.same(name.name, t.name) {
			continue
		}
		if qualifier == "" && name.plain || qualifier != "" && n.same(name.schema, qualifier) {
			return i, true
		}
	}
	return 0, false
}

// derivedFrom tells what a token shows, where that is rows of published tables.
func (n *names) derivedFrom(qualifier string, t *token) (why string, ok bool) {
	i := slices.IndexFunc(n.derived, func(d derived) bool {
		return n.same(d.name, t.name) && (qualifier == "" && d.plain || qualifier != "" && n.same(d.schema, qualifier))
	})
	if i < 0 {
		return "", false
	}
	return n.derived[i].why, true
}

func (n *names) refuseQualified(table int) error {
	t := &n.tables[table]
	return refuse("it names "+t.schema+"."+t.name+" with its schema", "write "+t.name+" alone")
}

// mayChange tells whether a function might change rows.
func (n *names) mayChange(function string) bool {
	return n.functions[function] || n.builtin != nil && !n.builtin[function]
}

// reads finds out whether the text of a view reads something of which known tells, by its name.
func (n *names) reads(query string, known func(qualifier string, t *token) bool) bool {
	tokens, err := n.lex(query)
	if err != nil {
		return true // what is not understood may read anything
	}
	for i := range tokens {
		t := &tokens[i]
		if !t.named() || t.name == "" {
			continue
		}
		qualifier := ""
		if i >= 2 && tokens[i-1].keyword == "." && tokens[i-1].kind == sign && tokens[i-2].named() {
			qualifier = tokens[i-2].name
		}
		if known(qualifier, t) {
			return true
		}
	}
	return false
}

// view is a view's text.
type view struct {
	schema, name, text string
	plain              bool // the name alone means it
}

// addViews adds the views that read published tables, be it through others.
func (n *names) addViews(views []view) {
	for added := true; added; {
		added = false
		views = slices.DeleteFunc(views, func(v view) bool {
			reads := n.reads(v.text, func(qualifier string, t *token) bool {
				if _, ok := n.table(qualifier, t); ok {
					return true
				}
				_, ok := n.derivedFrom(qualifier, t)
				return ok
			})
			if reads {
				n.derived = append(n.derived, derived{v.schema, v.name, "the view " + v.name + " reads published tables", v.plain})
				added = true
			}
			return reads
		})
	}
}
