package migrate

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// table is what a model wants of its table.
type table struct {
	schema, name string // as DDL names it
	title        string // as the model names it
	columns      []*column
	key          []string
	indexes      []*index
	checks       []check
	references   []*reference
	owner        string // "model.Todo", for messages
}

// column is what the models want of one column.
type column struct {
	name       string
	owner      string // "model.Todo.Task", for messages
	shape      engine.Shape
	declared   string // the type that a tag or the field's type demands; "" leaves it to the dialect
	notNull    bool
	strict     bool            // NOT NULL was asked for by name, or the column is in the key
	increments bool            // the database counts
	fallback   string          // the DEFAULT as SQL; "" for none
	computed   bool            // fallback is evaluated for each row
	zero       predicate.Value // what rows that are there get when the column is added without a DEFAULT
	elsewhere  bool            // somebody else creates it (gorm:"-:migration")
	note       *engine.Column  // what the rest of CapeBase is told about it
}

// index is a wanted index.
type index struct {
	name                         string
	owner                        string
	unique, constraint           bool
	class, method, where, option string
	parts                        []part
}

// part is a column or expression of an index.
type part struct {
	column     string // "" when expression says it all
	expression string
	sort       string
	collate    string
	length     int
}

// check is a wanted CHECK constraint.
type check struct{ name, expression string }

// reference is a wanted foreign key.
type reference struct {
	name               string
	owner              string
	columns            []string
	schema, target     string
	targetColumns      []string
	onUpdate, onDelete string
}

// wish collects what all models want, table by table in the models' order.
type wish struct {
	system  system
	gorm    *gorm.DB
	tables  []*table
	byName  map[string]*table
	problem []error
}

// want describes the tables of the models. The error joins what no database could be given.
func want(s system, g *gorm.DB, models []*model.Model) ([]*table, error) {
	w := &wish{system: s, gorm: g, byName: make(map[string]*table)}
	for _, m := range models {
		w.table(m)
	}
	for _, m := range models {
		w.relations(m)
	}
	for _, t := range w.tables {
		w.keyed(t)
	}
	return w.tables, errors.Join(w.problem...)
}

func (w *wish) refuse(owner, format string, args ...any) {
	w.problem = append(w.problem, fmt.Errorf("%s: %w", owner, fmt.Errorf(format, args...)))
}

func (w *wish) id(schema, name string) string {
	return w.system.fold(schema) + "\x00" + w.system.fold(name)
}

func (w *wish) table(m *model.Model) {
	t := &table{schema: m.Table.Schema, name: m.Table.Name, title: qualified(m.Table.Schema, m.Table.Name), owner: m.Type.String()}
	if other, ok := w.byName[w.id(t.schema, t.name)]; ok {
		w.refuse(t.owner, "table %s is %s's already: give one of them a TableName method", label(t, ""), other.owner)
		return
	}
	if strings.HasPrefix(t.name, ownPrefix) || t.schema == ownSchema {
		w.refuse(t.owner, "table %s has a name that CapeBase keeps for itself (%s…, and the schema %s): give the model another TableName",
			label(t, ""), ownPrefix, ownSchema)
		return
	}
	w.byName[w.id(t.schema, t.name)] = t
	w.tables = append(w.tables, t)
	w.name(t.owner, "table", t.name)
	for _, i := range m.Table.Key {
		t.key = append(t.key, m.Table.Columns[i].Name)
	}
	for i, f := range m.Fields {
		c := w.column(m, f)
		c.note = &m.Table.Columns[i]
		w.name(c.owner, "column", c.name)
		t.columns = append(t.columns, c)
	}
	w.indexes(t, m)
	for name, c := range sorted(m.Schema.ParseCheckConstraints()) {
		t.checks = append(t.checks, check{name, c.Constraint})
	}
}

// name refuses identifiers that the database would cut off.
func (w *wish) name(owner, what, name string) {
	if kept := w.system.cut(name); kept != name {
		w.refuse(owner, "%s %q is too long: %s would make it %q", what, name, w.system.title(), kept)
	}
}

func (w *wish) column(m *model.Model, f *model.Field) *column {
	gf := m.Schema.FieldsByDBName[m.Table.Columns[f.Column].Name]
	c := &column{
		name:  gf.DBName,
		owner: m.Type.String() + "." + f.GoName,
		shape: engine.Shape{Kind: f.Kind, Size: f.Size, Precision: f.Precision, Scale: f.Scale},
		// A column that is never written has no value unless the database gives it one.
		notNull:    !f.Nullable && (gf.Creatable || gf.HasDefaultValue) || gf.NotNull || gf.PrimaryKey,
		strict:     gf.NotNull || gf.PrimaryKey,
		increments: f.Auto == model.Increment,
		elsewhere:  gf.IgnoreMigration,
		zero:       zero(f),
	}
	if gf.AutoIncrement && !gf.PrimaryKey {
		w.refuse(c.owner, "only a key is counted by the database; drop autoIncrement from its gorm tag")
	}
	c.declared = w.declared(f, gf)
	if !c.increments {
		c.fallback, c.computed = w.fallback(f.Kind, gf)
	}
	if c.declared != "" && !c.elsewhere {
		actual := w.system.parseType(c.declared)
		if v := w.system.fit(f.Kind, &actual); v.problem != "" {
			w.refuse(c.owner, "type %s %s", c.declared, v.problem)
		}
	}
	return c
}

// declared returns the type that the field asks for in this database's own words. Names that mean a kind of ours, such
// as decimal(10,2) or uuid, are left to the dialect: each database has its own type for them.
func (w *wish) declared(f *model.Field, gf *schema.Field) string {
	if tag, ok := gf.TagSettings["TYPE"]; ok {
		switch schema.DataType(strings.ToLower(tag)) {
		case schema.Bool, schema.Int, schema.Uint, schema.Float, schema.String, schema.Time, schema.Bytes:
			return ""
		}
		if portable(f.Kind, baseOf(tag)) {
			return ""
		}
		return tag
	}
	if typed, ok := reflect.New(gf.IndirectFieldType).Interface().(migrator.GormDataTypeInterface); ok {
		if name := typed.GormDBDataType(w.gorm, gf); name != "" && !portable(f.Kind, baseOf(name)) {
			return name
		}
	}
	return ""
}

// portable tells whether a type's name says no more than the kind.
func portable(kind predicate.Kind, base string) bool {
	switch kind {
	case predicate.Decimal:
		return base == "decimal" || base == "numeric"
	case predicate.UUID:
		return base == "uuid"
	case predicate.JSON:
		return base == "json" || base == "jsonb"
	default:
		return false
	}
}

func (w *wish) indexes(t *table, m *model.Model) {
	for _, parsed := range m.Schema.ParseIndexes() {
		i := &index{
			name: parsed.Name, unique: strings.EqualFold(parsed.Class, "UNIQUE"), class: parsed.Class,
			method: parsed.Type, where: parsed.Where, option: parsed.Option,
			owner: m.Type.String() + "." + parsed.Fields[0].Name,
		}
		for _, field := range parsed.Fields {
			p := part{column: field.DBName, expression: field.Expression, sort: field.Sort, collate: field.Collate, length: field.Length}
			if p.expression != "" {
				p.column = ""
			}
			i.parts = append(i.parts, p)
		}
		w.index(t, i)
	}
	for name, unique := range sorted(m.Schema.ParseUniqueConstraints()) {
		w.index(t, &index{
			name: name, unique: true, constraint: true, class: "UNIQUE", owner: m.Type.String() + "." + unique.Field.Name,
			parts: []part{{column: unique.Field.DBName}},
		})
	}
}

func (w *wish) index(t *table, i *index) {
	for _, other := range t.indexes {
		if w.system.fold(other.name) == w.system.fold(i.name) {
			return
		}
	}
	if problem := w.system.indexProblem(i); problem != "" {
		w.refuse(i.owner, "index %s: %s", i.name, problem)
		return
	}
	t.indexes = append(t.indexes, i)
}

// keyed marks the columns of keys and indexes, whose type some databases bound.
func (w *wish) keyed(t *table) {
	names := append([]string(nil), t.key...)
	for _, i := range t.indexes {
		for _, p := range i.parts {
			if p.length == 0 && p.column != "" {
				names = append(names, p.column)
			}
		}
	}
	for _, r := range t.references {
		names = append(names, r.columns...)
		if target, ok := w.byName[w.id(r.schema, r.target)]; ok {
			w.mark(target, r.targetColumns)
		}
	}
	w.mark(t, names)
}

func (w *wish) mark(t *table, names []string) {
	for _, name := range names {
		if c := t.column(w.system, name); c != nil {
			c.shape.Keyed = true
		}
	}
}

func (t *table) column(s system, name string) *column {
	for _, c := range t.columns {
		if s.fold(c.name) == s.fold(name) {
			return c
		}
	}
	return nil
}

// label writes a table, or a column of it, for messages.
func label(t *table, column string) string {
	if column == "" {
		return t.title
	}
	return t.title + "." + column
}

func qualified(schema, name string) string {
	if schema == "" {
		return name
	}
	return schema + "." + name
}
