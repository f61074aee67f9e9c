package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// comparison collects what one look at the database showed.
type comparison struct {
	ddl       writer
	system    system
	tables    []*table
	relations map[string]*relation // by folded name; nil for one that is not there

	schemas, creates, adds, indexes, constraints []string
	warnings                                     []string
	problems                                     []error
}

func (c *comparison) refuse(owner, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s: %w", owner, fmt.Errorf(format, args...)))
}

func (c *comparison) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// steps returns the statements in the order in which they can run.
func (c *comparison) steps(own bool) []Step {
	var steps []Step
	for _, statement := range slices.Concat(c.schemas, c.creates, c.adds, c.indexes) {
		steps = append(steps, Step{SQL: statement, Own: own})
	}
	for _, statement := range c.constraints {
		steps = append(steps, Step{SQL: statement, Own: own, hint: constraintHint})
	}
	return steps
}

// constraintHint is for the rows, or the types, of a table that was made without the constraint.
const constraintHint = `change what stands against it first, or take the check or the foreign key (constraint:-) out of the gorm tag`

// run compares every table, and leaves its notes on the models' columns.
func (c *comparison) run() {
	c.follow()
	missing := slices.DeleteFunc(slices.Clone(c.tables), func(t *table) bool { return c.relation(t.schema, t.name) != nil })
	c.create(inOrder(missing, c.key))
	for _, t := range c.tables {
		if r := c.relation(t.schema, t.name); r != nil {
			c.existing(t, r)
		}
	}
}

func (c *comparison) relation(schema, name string) *relation { return c.relations[c.key(schema, name)] }

func (c *comparison) wanted(schema, name string) *table {
	for _, t := range c.tables {
		if c.key(t.schema, t.name) == c.key(schema, name) {
			return t
		}
	}
	return nil
}

// follow gives the columns of foreign keys the type of what they refer to, where the database insists on it.
func (c *comparison) follow() {
	for _, t := range c.tables {
		for _, r := range t.references {
			for i, name := range r.columns {
				column := t.column(c.system, name)
				if column == nil || column.declared != "" || column.increments {
					continue
				}
				target := c.target(r, i)
				if target == nil {
					continue
				}
				if declared, ok := c.system.follow(column.shape.Kind, target); ok && c.system.fit(column.shape.Kind, target).problem == "" {
					column.declared = declared
				}
			}
		}
	}
}

// target is the column that a foreign key's ith column refers to, where its type is not simply the dialect's.
func (c *comparison) target(r *reference, i int) *actualColumn {
	if relation := c.relation(r.schema, r.target); relation != nil {
		return relation.column(c.system, r.targetColumns[i])
	}
	if t := c.wanted(r.schema, r.target); t != nil {
		if column := t.column(c.system, r.targetColumns[i]); column != nil && column.declared != "" {
			actual := c.system.parseType(c.system.declare(column.shape.Kind, column.declared))
			return &actual
		}
	}
	return nil
}

// create plans tables that are not there, and their indexes and foreign keys.
func (c *comparison) create(missing []*table) {
	made := make(map[string]bool)
	for _, t := range missing {
		made[c.key(t.schema, t.name)] = true // it may refer to itself
		var inline []*reference
		for _, r := range t.references {
			switch {
			case !c.reachable(r):
				c.warn("%s: no foreign key from %s to %s: that table does not exist, and no published model makes it",
					r.owner, label(t, strings.Join(r.columns, ",")), r.target)
			case made[c.key(r.schema, r.target)], c.relation(r.schema, r.target) != nil, !c.system.addsConstraints():
				inline = append(inline, r)
			default:
				c.constraints = append(c.constraints, c.ddl.constraint(t, c.ddl.reference(r)))
			}
		}
		c.creates = append(c.creates, c.ddl.create(t, inline))
		for _, i := range t.indexes {
			if !i.constraint {
				c.indexes = append(c.indexes, c.ddl.index(t, i, nil))
			}
		}
		for _, column := range t.columns {
			if column.elsewhere {
				c.refuse(column.owner, "table %s does not exist, and a column that GORM is told not to migrate cannot be part of a new one", label(t, ""))
			}
			if slices.Contains(t.key, column.name) && column.computed && !c.ddl.dialect.Returning() {
				c.refuse(column.owner, "%s cannot tell what it made as the default of a key: drop the default from the tag; CapeBase fills text and UUID keys",
					c.system.title())
			}
			column.note.Nullable = !column.notNull && !column.increments
		}
	}
}

func (c *comparison) reachable(r *reference) bool {
	return c.relation(r.schema, r.target) != nil || c.wanted(r.schema, r.target) != nil
}

// inOrder sorts tables so that each comes after those that its foreign keys refer to, as far as there are no circles.
func inOrder(tables []*table, key func(schema, name string) string) []*table {
	byKey := make(map[string]*table)
	for _, t := range tables {
		byKey[key(t.schema, t.name)] = t
	}
	var sorted []*table
	seen := make(map[*table]bool)
	var visit func(t *table)
	visit = func(t *table) {
		if t == nil || seen[t] {
			return
		}
		seen[t] = true
		for _, r := range t.references {
			visit(byKey[key(r.schema, r.target)])
		}
		sorted = append(sorted, t)
	}
	for _, t := range tables {
		visit(t)
	}
	return sorted
}
