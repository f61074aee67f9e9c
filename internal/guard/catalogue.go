package guard

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Refresh asks the database for the names that the guard has to know: of views over published tables, and of functions.
// It is called at Start, and again when the schema may have changed.
func (g *Guard) Refresh(ctx context.Context) error {
	ctx = caller.WithInternal(sqldriver.Outside(ctx))
	n := &names{flavor: defaultFlavor(g.dialect.Name()), tables: make([]tableName, len(g.tables))}
	for i, t := range g.tables {
		n.tables[i] = tableName{schema: t.Model.Table.Schema, name: t.Model.Table.Name, qualified: t.Model.Table.Schema != ""}
	}
	for _, list := range internals(n.engine) {
		for _, name := range list[1:] {
			n.derived = append(n.derived, derived{list[0], name, name + " shows contents of other tables", !n.mysql()})
		}
	}
	load := map[string]func(context.Context, *sqldriver.Conn, *names) error{
		"sqlite": g.loadSQLite, "postgres": g.loadPostgres, "mysql": g.loadMySQL,
	}[g.dialect.Name()]
	err := g.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return load(ctx, c, n) })
	if err != nil {
		return fmt.Errorf("guard: read the catalogue: %w", err)
	}
	for i := range n.tables {
		t := &n.tables[i]
		t.quoted = g.dialect.Quote(t.schema) + "." + g.dialect.Quote(t.name)
		t.shadow = g.dialect.Quote(t.name) + " AS "
		if !n.mysql() {
			t.shadow += "NOT MATERIALIZED "
		}
	}
	if before := g.known.Load(); before == nil || !reflect.DeepEqual(before.names, n) {
		g.known.Store(newKnown(n)) // and with it no statement that was analyzed before
	}
	return nil
}

func (g *Guard) loadSQLite(ctx context.Context, c *sqldriver.Conn, n *names) error {
	for i := range n.tables {
		t := &n.tables[i]
		if t.schema == "" {
			t.schema = "main"
		}
		t.plain = true
	}
	var views []view
	err := rows(ctx, c, "SELECT type, name, sql FROM sqlite_master WHERE type = 'view' OR name LIKE 'cape\\_%' ESCAPE '\\' "+
		"OR sql LIKE 'CREATE VIRTUAL TABLE%'", nil, func(row []driver.Value) {
		switch name := textOf(row[1]); {
		case len(name) < 5 || !strings.EqualFold(name[:5], "cape_"):
			// A view, or a virtual table, which may show the rows of the table that its text names.
			views = append(views, view{"main", name, textOf(row[2]), true})
		default:
			n.derived = append(n.derived, derived{"main", name, name + " is CapeBase's", true})
		}
	})
	n.addViews(views)
	return err
}

func (g *Guard) loadPostgres(ctx context.Context, c *sqldriver.Conn, n *names) error {
	var published []string
	for i := range n.tables {
		t, name := &n.tables[i], g.dialect.Quote(n.tables[i].name)
		if t.schema != "" {
			name = g.dialect.Quote(t.schema) + "." + name
		}
		err := rows(ctx, c, `SELECT c.oid::text, n.nspname::text, pg_table_is_visible(c.oid) FROM pg_class AS c
			JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`, arguments(name), func(row []driver.Value) {
			published = append(published, textOf(row[0]))
			t.schema, t.plain = textOf(row[1]), row[2] == true
		})
		if err != nil {
			return err
		}
	}
	// Views and materialized views over them, by their rules; partitions, and tables that inherit, in both directions.
	err := rows(ctx, c, `WITH RECURSIVE touched(oid) AS (
			SELECT unnest(string_to_array($1, ','))::oid
			UNION
			SELECT next.oid FROM touched AS t CROSS JOIN LATERAL (
				SELECT r.ev_class AS oid FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
					WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
				UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = t.oid
				UNION ALL SELECT inhparent FROM pg_inherits WHERE inhrelid = t.oid) AS next)
		SELECT n.nspname::text, c.relname::text, c.relkind::text FROM touched AS t JOIN pg_class AS c ON c.oid = t.oid
			JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid <> ALL (string_to_array($1, ',')::oid[]) ORDER BY c.oid`,
		arguments(strings.Join(published, ",")), func(row []driver.Value) {
			what := map[string]string{"v": "the view ", "m": "the materialized view "}[textOf(row[2])]
			if what == "" {
				what = "the table "
			}
			n.derived = append(n.derived, derived{textOf(row[0]), textOf(row[1]), what + textOf(row[1]) + " shows rows of published tables", true})
		})
	if err != nil {
		return err
	}
	n.functions, n.builtin = map[string]bool{}, map[string]bool{}
	err = rows(ctx, c, `SELECT p.proname::text, bool_or(p.provolatile = 'v' AND n.nspname <> 'pg_catalog') FROM pg_proc AS p
		JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'a', 'w') GROUP BY 1`, nil, func(row []driver.Value) {
		n.builtin[textOf(row[0])] = true
		if row[1] == true {
			n.functions[textOf(row[0])] = true
		}
	})
	if err != nil {
		return err
	}
	return rows(ctx, c, "SELECT current_setting('standard_conforming_strings')", nil, func(row []driver.Value) {
		n.backslash = textOf(row[0]) == "off"
	})
}

func (g *Guard) loadMySQL(ctx context.Context, c *sqldriver.Conn, n *names) error {
	var current string
	err := rows(ctx, c, "SELECT DATABASE(), @@SESSION.sql_mode", nil, func(row []driver.Value) {
		current = textOf(row[0])
		modes := textOf(row[1])
		n.ansiQuotes = strings.Contains(modes, "ANSI_QUOTES")
		n.backslash = !strings.Contains(modes, "NO_BACKSLASH_ESCAPES")
	})
	if err != nil {
		return err
	}
	for i := range n.tables {
		t := &n.tables[i]
		t.plain = t.schema == "" || n.same(t.schema, current)
		if t.schema == "" {
			t.schema = current
		}
	}
	const others = "NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"
	var views []view
	err = rows(ctx, c, "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA "+others+" ORDER BY 1, 2", nil, func(row []driver.Value) {
		v := view{textOf(row[0]), textOf(row[1]), textOf(row[2]), n.same(textOf(row[0]), current)}
		if v.text == "" {
			v.text = "'" // not shown to this user: it may read anything
		}
		views = append(views, v)
	})
	if err != nil {
		return err
	}
	// Definitions are printed in the server's own form, whatever the session's modes are.
	printed := *n
	printed.flavor = defaultFlavor("mysql")
	printed.addViews(views)
	n.derived = printed.derived
	n.functions = map[string]bool{}
	return rows(ctx, c, "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA "+others+
		" AND SQL_DATA_ACCESS NOT IN ('NO SQL', 'READS SQL DATA')", nil, func(row []driver.Value) {
		n.functions[strings.ToLower(textOf(row[0]))] = true
	})
}

func arguments(texts ...string) []driver.NamedValue {
	args := make([]driver.NamedValue, len(texts))
	for i, t := range texts {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: t}
	}
	return args
}

func textOf(v driver.Value) string {
	text, _ := engine.TextOf(v)
	return text
}

// rows calls fn with each row of a query.
func rows(ctx context.Context, c *sqldriver.Conn, query string, args []driver.NamedValue, fn func(row []driver.Value)) (err error) {
	found, err := c.Query(ctx, query, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	row := make([]driver.Value, len(found.Columns()))
	for {
		if err := found.Next(row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		fn(row)
	}
}
