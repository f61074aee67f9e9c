package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

func (s sqliteSystem) relation(ctx context.Context, q *session, schema, name string) (*relation, error) {
	if schema != "" && schema != "main" {
		_, err := s.schemaExists(ctx, q, schema)
		return nil, err
	}
	found, err := s.defined(ctx, q, name)
	if err != nil || found == nil {
		return nil, err
	}
	r := &relation{schema: schema, name: found.text(1), readable: true}
	definition := parseCreateTable(found.text(2))
	switch {
	case found.text(0) == "view":
		r.kind = "a view"
	case definition.virtual:
		r.kind = "a virtual table"
	}
	r.checks = definition.checks
	if r.kind == "" {
		rows, err := q.rows(ctx, "SELECT 1 FROM "+q.dialect.Quote(r.name)+" LIMIT 1")
		if err != nil {
			return nil, err
		}
		r.filled = len(rows) > 0
	}
	if err := s.columns(ctx, q, r, definition); err != nil {
		return nil, err
	}
	if err := s.indexes(ctx, q, r); err != nil {
		return nil, err
	}
	return r, s.references(ctx, q, r)
}

// defined returns type, name and statement of a table or a view; nil where there is none. SQLite has no index on its schema,
// and reads much where there are many triggers: all are read at once, and again when the schema has changed.
func (s sqliteSystem) defined(ctx context.Context, q *session, name string) (row, error) {
	version, err := q.rows(ctx, "PRAGMA schema_version")
	if err != nil {
		return nil, err
	}
	if q.defined == nil || q.version != version[0].text(0) {
		all, err := q.rows(ctx, "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'view')")
		if err != nil {
			return nil, err
		}
		q.defined, q.version = make(map[string]row, len(all)), version[0].text(0)
		for _, found := range all {
			q.defined[s.fold(found.text(1))] = found
		}
	}
	return q.defined[s.fold(name)], nil
}

func (s sqliteSystem) columns(ctx context.Context, q *session, r *relation, definition createTable) error {
	rows, err := q.rows(ctx, "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid", r.name)
	if err != nil {
		return err
	}
	type keyPart struct {
		name  string
		place int
	}
	var key []keyPart
	for _, row := range rows {
		c := s.parseType(row.text(1))
		c.name = row.text(0)
		c.fallback = !row.null(3)
		c.computed = strings.Contains(row.text(3), "(") || strings.HasPrefix(strings.ToUpper(row.text(3)), "CURRENT_")
		c.generated = row.int(5) >= 2
		c.collation = cmp.Or(definition.collations[s.fold(c.name)], "BINARY")
		c.foreign = !strings.EqualFold(c.collation, "BINARY")
		c.nullable = !row.is(2)
		if place := row.int(4); place > 0 {
			key = append(key, keyPart{c.name, place})
		}
		r.columns = append(r.columns, c)
	}
	slices.SortFunc(key, func(a, b keyPart) int { return a.place - b.place })
	for _, part := range key {
		r.key = append(r.key, part.name)
		c := r.column(s, part.name)
		// A column declared exactly so is the row's number.
		c.increments = len(key) == 1 && strings.EqualFold(c.declared, "INTEGER") && !definition.withoutRowID
		// SQLite would take NULL in a key that does not say NOT NULL; a row with such a key cannot be addressed anyway.
		c.nullable = false
	}
	return nil
}

func (s sqliteSystem) indexes(ctx context.Context, q *session, r *relation) error {
	rows, err := q.rows(ctx, "SELECT l.name, l.\"unique\", l.partial, x.name FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x "+
		"WHERE x.key = 1 ORDER BY l.seq, x.seqno", r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		last := len(r.indexes) - 1
		if last < 0 || r.indexes[last].name != row.text(0) {
			r.indexes = append(r.indexes, actualIndex{name: row.text(0), unique: row.is(1), partial: row.is(2)})
			last++
		}
		r.indexes[last].parts = append(r.indexes[last].parts, actualPart{column: row.text(3)})
	}
	return nil
}

func (s sqliteSystem) references(ctx context.Context, q *session, r *relation) error {
	rows, err := q.rows(ctx, "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq", r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		last := len(r.references) - 1
		if last < 0 || r.references[last].name != row.text(0) {
			r.references = append(r.references, actualReference{
				name: row.text(0), target: row.text(1), onUpdate: action(row.text(4)), onDelete: action(row.text(5)),
			})
			last++
		}
		r.references[last].columns = append(r.references[last].columns, row.text(2))
		r.references[last].targetColumns = append(r.references[last].targetColumns, row.text(3))
	}
	return nil
}

// timePattern is the form of engine.TimeLayout for GLOB.
const timePattern = "'????-??-??T??:??:??.??????Z'"

// contents looks at the oldest rows: times that another program wrote in its own form are read well, but compare and sort
// as texts. A long table is not searched through at each start.
func (s sqliteSystem) contents(ctx context.Context, q *session, w *writer, t *table) ([]string, error) {
	const rows = 1000
	var warnings []string
	table := w.table(t.schema, t.name)
	for _, c := range t.columns {
		if c.shape.Kind != predicate.Time {
			continue
		}
		name := w.dialect.Quote(c.name)
		found, err := q.rows(ctx, fmt.Sprintf("SELECT 1 FROM (SELECT %s AS t FROM %s LIMIT %d) WHERE t NOT GLOB %s LIMIT 1", name, table, rows, timePattern))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: holds times that another program wrote in another form; they compare and sort wrongly until:\n"+
				"UPDATE %s SET %s = strftime('%%Y-%%m-%%dT%%H:%%M:%%f000Z', %s) WHERE %s NOT GLOB %s",
				label(t, c.name), table, name, name, name, timePattern))
		}
	}
	return warnings, nil
}
