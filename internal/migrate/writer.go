package migrate

import (
	"strings"

	"github.com/capebase/capebase/internal/engine"
)

// writer writes DDL for one database.
type writer struct {
	system  system
	dialect engine.Dialect
}

// typeOf is a column's type with its collation.
func (w *writer) typeOf(c *column) string {
	if c.declared != "" {
		return w.system.declare(c.shape.Kind, c.declared)
	}
	return w.dialect.ColumnType(c.shape)
}

// definition writes a column for CREATE TABLE; inKey tells that the definition makes it the primary key.
func (w *writer) definition(c *column) (definition string, inKey bool) {
	if c.increments {
		counter, inKey := w.system.counter(w.typeOf(c))
		return w.dialect.Quote(c.name) + " " + counter, inKey
	}
	definition = w.dialect.Quote(c.name) + " " + w.typeOf(c)
	if c.notNull {
		definition += " NOT NULL"
	}
	if c.fallback != "" {
		definition += " DEFAULT " + w.system.wrap(w.typeOf(c), c.fallback)
	}
	return definition, false
}

// create writes CREATE TABLE with those of the table's foreign keys that can be made now.
func (w *writer) create(t *table, references []*reference) string {
	var lines []string
	inKey := false
	for _, c := range t.columns {
		definition, is := w.definition(c)
		inKey = inKey || is
		lines = append(lines, definition)
	}
	if !inKey {
		lines = append(lines, "PRIMARY KEY ("+w.names(t.key)+")")
	}
	for _, i := range t.indexes {
		if i.constraint {
			lines = append(lines, "CONSTRAINT "+w.dialect.Quote(i.name)+" UNIQUE ("+w.names([]string{i.parts[0].column})+")")
		}
	}
	for _, r := range references {
		lines = append(lines, w.reference(r))
	}
	for _, c := range t.checks {
		lines = append(lines, w.check(c))
	}
	return "CREATE TABLE " + w.table(t.schema, t.name) + " (\n\t" + strings.Join(lines, ",\n\t") + "\n)" + w.system.options()
}

// add writes ALTER TABLE … ADD COLUMN. Rows that are there get the column's default, or the zero of its kind.
func (w *writer) add(t *table, c *column, suffix string) string {
	definition, _ := w.definition(c)
	if c.notNull && c.fallback == "" && !c.increments {
		definition += " DEFAULT " + w.system.wrap(w.typeOf(c), w.system.literal(c.zero))
	}
	return "ALTER TABLE " + w.table(t.schema, t.name) + " ADD COLUMN " + definition + suffix
}

// index writes CREATE INDEX; existing holds the columns that are there already.
func (w *writer) index(t *table, i *index, existing *relation) string {
	parts := make([]string, len(i.parts))
	for n, p := range i.parts {
		var actual *actualColumn
		if existing != nil && p.column != "" {
			actual = existing.column(w.system, p.column)
		}
		quoted := ""
		if p.column != "" {
			quoted = w.dialect.Quote(p.column)
		}
		parts[n] = w.system.indexPart(i, quoted, p, actual)
	}
	class := ""
	if i.class != "" {
		class = strings.ToUpper(i.class) + " "
	}
	return "CREATE " + class + "INDEX " + w.system.indexHead(w.dialect.Quote(i.name), w.table(t.schema, t.name), i.method) +
		" (" + strings.Join(parts, ", ") + ")" + w.system.indexTail(i)
}

func (w *writer) reference(r *reference) string {
	return "CONSTRAINT " + w.dialect.Quote(r.name) + " FOREIGN KEY (" + w.names(r.columns) + ")" + w.target(r)
}

// target writes what follows a column, or FOREIGN KEY.
func (w *writer) target(r *reference) string {
	text := " REFERENCES " + w.table(r.schema, r.target) + " (" + w.names(r.targetColumns) + ")"
	if r.onDelete != "" {
		text += " ON DELETE " + r.onDelete
	}
	if r.onUpdate != "" {
		text += " ON UPDATE " + r.onUpdate
	}
	return text
}

func (w *writer) check(c check) string {
	return "CONSTRAINT " + w.dialect.Quote(c.name) + " CHECK (" + c.expression + ")"
}

// constraint writes ALTER TABLE … ADD for a foreign key or a check.
func (w *writer) constraint(t *table, definition string) string {
	return "ALTER TABLE " + w.table(t.schema, t.name) + " ADD " + definition
}

func (w *writer) table(schema, name string) string {
	b := engine.NewBuilder(w.dialect)
	b.Table(&engine.Table{Schema: schema, Name: name})
	return b.String()
}

func (w *writer) names(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = w.dialect.Quote(name)
	}
	return strings.Join(quoted, ", ")
}
