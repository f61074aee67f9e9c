package migrate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// existing compares a table with what is there.
func (c *comparison) existing(t *table, r *relation) {
	switch {
	case r.kind != "":
		c.refuse(t.owner, "%s is %s: only tables can be published", label(t, ""), r.kind)
		return
	case !r.readable:
		grant := "GRANT SELECT, INSERT, UPDATE, DELETE ON " + c.ddl.table(t.schema, t.name) + " TO <user>"
		if t.schema != "" && c.ddl.dialect.Name() == "postgres" {
			grant = "GRANT USAGE ON SCHEMA " + c.ddl.dialect.Quote(t.schema) + " TO <user>; " + grant
		}
		c.refuse(t.owner, "table %s exists, but this user may not read it: %s", label(t, ""), grant)
		return
	}
	remarks := &remarks{}
	var added []string
	for _, column := range t.columns {
		actual := r.column(c.system, column.name)
		if actual == nil {
			if c.missing(t, r, column) {
				added = append(added, column.name)
			}
			continue
		}
		c.column(t, column, actual, remarks)
	}
	for i := range r.columns {
		actual := &r.columns[i]
		if t.column(c.system, actual.name) == nil && !actual.nullable && !actual.fallback && !actual.generated && !actual.increments {
			remarks.add("is NOT NULL without a default and no field of the model: rows cannot be created here", label(t, actual.name))
		}
	}
	c.keys(t, r)
	for _, i := range t.indexes {
		c.existingIndex(t, i, r)
	}
	c.references(t, r, added)
	for _, check := range t.checks {
		c.existingCheck(t, check, r)
	}
	c.warnings = append(c.warnings, remarks.lines()...)
}

// remarks groups columns by what there is to say of them.
type remarks struct {
	texts   []string
	columns map[string][]string
}

func (r *remarks) add(text, column string) {
	if r.columns == nil {
		r.columns = make(map[string][]string)
	}
	if _, ok := r.columns[text]; !ok {
		r.texts = append(r.texts, text)
	}
	r.columns[text] = append(r.columns[text], column)
}

func (r *remarks) lines() []string {
	lines := make([]string, len(r.texts))
	for i, text := range r.texts {
		lines[i] = strings.Join(r.columns[text], ", ") + ": " + text
	}
	return lines
}

// missing plans a column that the table lacks, and tells whether it can be added.
func (c *comparison) missing(t *table, r *relation, column *column) bool {
	statement := c.ddl.add(t, column, c.inlineReference(t, column))
	switch {
	case slices.Contains(t.key, column.name):
		c.refuse(column.owner, "table %s has no column %s, and a key cannot be added to a table that exists; it has to be made anew:\n%s",
			label(t, ""), column.name, c.ddl.create(t, t.references))
		return false
	case column.elsewhere:
		c.refuse(column.owner, "table %s has no column %s, and gorm:\"-:migration\" forbids to add it:\n%s", label(t, ""), column.name, statement)
		return false
	}
	if column.computed && r.filled {
		c.refuse(column.owner, "%s cannot add column %s to a table with rows while its default is computed: give a constant default, or "+
			"let CapeBase fill a time with autoCreateTime", c.system.title(), label(t, column.name))
		return false
	}
	c.adds = append(c.adds, statement)
	column.note.Nullable = !column.notNull
	return true
}

// column compares one column.
func (c *comparison) column(t *table, column *column, actual *actualColumn, remarks *remarks) {
	where := label(t, column.name)
	v := c.system.fit(column.shape.Kind, actual)
	switch {
	case v.problem != "":
		c.refuse(column.owner, "column %s is %s, which %s; to change it:\n%s", where, actual.declared, v.problem, c.system.retype(&c.ddl, t, column))
		return
	case actual.unstable && column.shape.Kind == predicate.Text:
		c.refuse(column.owner, "column %s has the collation %s, which is not deterministic: texts that differ are equal there, and no rule could be held; "+
			"to change it:\n%s", where, actual.collation, c.system.retype(&c.ddl, t, column))
		return
	case column.strict && actual.nullable:
		c.refuse(column.owner, "column %s can be NULL, but the field is NOT NULL; once no row has NULL there:\n%s", where, c.system.retype(&c.ddl, t, column))
		return
	case column.increments && !actual.increments:
		c.refuse(column.owner, "the database does not count column %s; to change it, or add autoIncrement:false to the gorm tag and give values:\n%s",
			where, c.system.retype(&c.ddl, t, column))
		return
	case slices.Contains(t.key, column.name) && actual.computed && !actual.increments && !c.ddl.dialect.Returning():
		c.refuse(column.owner, "the database computes the default of key %s, and %s cannot tell what it made: drop the default; CapeBase fills text and UUID keys",
			where, c.system.title())
		return
	}
	// A UUID in a text compares alike in every collation.
	column.note.Foreign = actual.foreign && (column.shape.Kind == predicate.Text || actual.base == "uuid")
	if column.note.Foreign {
		column.note.Charset = actual.charset
	}
	column.note.Nullable = actual.nullable
	if column.note.Foreign && actual.collation != "" {
		remarks.add(fmt.Sprintf("the collation is %s: CapeBase compares bytes there, and its ranges and orders do not use the column's index; %s",
			actual.collation, "a new column would have "+c.system.collation()), where)
	}
	if v.remark != "" {
		remarks.add(v.remark, where)
	}
	if remark := narrower(column.shape, actual); remark != "" {
		remarks.add(remark, where)
	}
	switch {
	case actual.nullable && column.notNull:
		remarks.add("can be NULL, but the field of the model cannot: rows of other programs may read as null", where)
	case !actual.nullable && !column.notNull && !actual.fallback && !actual.increments && !actual.generated:
		remarks.add("is NOT NULL, but the field of the model can be null: writing null will fail", where)
	}
}

// narrower remarks on a column that holds less than the model lets through.
func narrower(wanted engine.Shape, actual *actualColumn) string {
	inner, _, ok := cutParentheses(actual.declared)
	if !ok {
		return ""
	}
	length, scale, _ := strings.Cut(inner, ",")
	number := func(text string) int {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return 0
		}
		return n
	}
	switch {
	case wanted.Kind == predicate.Decimal && number(scale) < wanted.Scale:
		return fmt.Sprintf("the type %s rounds the decimals of the model to %d places", actual.declared, number(scale))
	case wanted.Kind == predicate.Text && strings.Contains(actual.base, "char") && number(length) < wanted.Size:
		return fmt.Sprintf("the type %s is shorter than the model's %d: longer texts are refused", actual.declared, wanted.Size)
	}
	return ""
}

// keys compares the primary key. A unique index on the same columns, none of which can be NULL, serves as well.
func (c *comparison) keys(t *table, r *relation) {
	if c.sameColumns(t.key, r.key) {
		return
	}
	for _, have := range r.indexes {
		if !have.unique || have.partial {
			continue
		}
		var columns []string
		for _, p := range have.parts {
			actual := r.column(c.system, p.column)
			if actual == nil || actual.nullable || p.length > 0 {
				columns = nil
				break
			}
			columns = append(columns, p.column)
		}
		if c.sameColumns(t.key, columns) {
			return
		}
	}
	key := "no primary key"
	if len(r.key) > 0 {
		key = "the primary key (" + strings.Join(r.key, ", ") + ")"
	}
	c.refuse(t.owner, "table %s has %s, but the model's is (%s): mark the model's key fields with gorm:\"primaryKey\", or let the rows be unique:\n%s",
		label(t, ""), key, strings.Join(t.key, ", "),
		c.ddl.index(t, &index{name: "idx_" + t.name + "_key", unique: true, class: "UNIQUE", parts: columnParts(t.key)}, r))
}

func columnParts(names []string) []part {
	parts := make([]part, len(names))
	for i, name := range names {
		parts[i] = part{column: name}
	}
	return parts
}

// sameColumns compares without regard to order, and takes an empty list for none.
func (c *comparison) sameColumns(a, b []string) bool {
	if len(a) == 0 || len(a) != len(b) {
		return false
	}
	for _, name := range a {
		if !slices.ContainsFunc(b, func(other string) bool { return c.system.fold(other) == c.system.fold(name) }) {
			return false
		}
	}
	return true
}

// existingIndex plans an index that the table lacks. One of another name on the same columns will do.
func (c *comparison) existingIndex(t *table, i *index, r *relation) {
	special := i.where != "" || i.class != "" && !i.unique ||
		slices.ContainsFunc(i.parts, func(p part) bool { return p.expression != "" })
	for _, have := range r.indexes {
		if c.system.fold(have.name) != c.system.fold(c.system.cut(i.name)) {
			if !special && c.serves(i, have) {
				return
			}
			continue
		}
		if i.unique != have.unique || !special && !c.serves(i, have) {
			c.refuse(i.owner, "index %s on table %s is another one; once it is not needed any more, drop it and run:\n%s",
				i.name, label(t, ""), c.ddl.index(t, i, r))
		}
		return
	}
	if !special && i.unique && len(i.parts) == len(r.key) && c.sameColumns(partNames(i), r.key) {
		return
	}
	c.indexes = append(c.indexes, c.ddl.index(t, i, r))
}

// serves tells whether an index does what a wanted one without conditions or expressions would.
func (c *comparison) serves(i *index, have actualIndex) bool {
	if have.partial || i.unique && !have.unique || len(i.parts) != len(have.parts) {
		return false
	}
	for n, p := range i.parts {
		if c.system.fold(have.parts[n].column) != c.system.fold(p.column) || i.unique && have.parts[n].length > 0 && p.length == 0 {
			return false
		}
	}
	return true
}

func partNames(i *index) []string {
	names := make([]string, len(i.parts))
	for n, p := range i.parts {
		names[n] = p.column
	}
	return names
}

func (c *comparison) existingCheck(t *table, wanted check, r *relation) {
	same := func(have string) bool { return c.system.fold(have) == c.system.fold(c.system.cut(wanted.name)) }
	if slices.ContainsFunc(r.checks, same) {
		return
	}
	if !c.system.addsConstraints() {
		c.warn("table %s has no check %s (%s), and %s cannot add one to a table that exists", label(t, ""), wanted.name, wanted.expression, c.system.title())
		return
	}
	c.constraints = append(c.constraints, c.ddl.constraint(t, c.ddl.check(wanted)))
}

// inlineReference writes the foreign key of a column that is being added, where it can be added in no other way.
func (c *comparison) inlineReference(t *table, column *column) string {
	if c.system.addsConstraints() || column.notNull || column.fallback != "" {
		return ""
	}
	for _, r := range t.references {
		if len(r.columns) == 1 && r.columns[0] == column.name && c.reachable(r) {
			return c.ddl.target(r)
		}
	}
	return ""
}

// references plans foreign keys that the table lacks.
func (c *comparison) references(t *table, r *relation, added []string) {
	for _, wanted := range t.references {
		have := slices.IndexFunc(r.references, func(have actualReference) bool {
			return c.sameColumns(wanted.columns, have.columns) && c.system.fold(have.target) == c.system.fold(wanted.target)
		})
		columns := strings.Join(wanted.columns, ",")
		switch {
		case have >= 0:
			actual := r.references[have]
			if effect(actual.onDelete) != effect(wanted.onDelete) || effect(actual.onUpdate) != effect(wanted.onUpdate) {
				c.warn("%s: the foreign key to %s is ON DELETE %s ON UPDATE %s, but the model says ON DELETE %s ON UPDATE %s: the database decides",
					label(t, columns), wanted.target, word(actual.onDelete), word(actual.onUpdate), word(wanted.onDelete), word(wanted.onUpdate))
			}
		case !c.reachable(wanted):
			c.warn("%s: no foreign key to %s: that table does not exist, and no published model makes it", label(t, columns), wanted.target)
		case c.system.addsConstraints():
			c.constraints = append(c.constraints, c.ddl.constraint(t, c.ddl.reference(wanted)))
		case len(wanted.columns) == 1 && slices.Contains(added, wanted.columns[0]) && c.inlineReference(t, t.column(c.system, wanted.columns[0])) != "":
			// It comes with its column.
		default:
			c.warn("%s: no foreign key to %s: %s cannot add one to a table that exists", label(t, columns), wanted.target, c.system.title())
		}
	}
}

// effect takes RESTRICT and NO ACTION for one: MySQL does, and elsewhere they differ for deferred constraints only.
func effect(action string) string {
	if action == "RESTRICT" {
		return ""
	}
	return action
}

func word(action string) string {
	if action == "" {
		return "NO ACTION"
	}
	return action
}
