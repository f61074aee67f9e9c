package migrate

import (
	"context"
	"errors"
	"fmt"
)

// compare looks up the tables, and those that they refer to, and compares them.
func (p *planner) compare(ctx context.Context, s *session, tables []*table) (*comparison, error) {
	c := &comparison{ddl: p.ddl, system: p.system, tables: tables, relations: make(map[string]*relation)}
	home, err := p.system.home(ctx, s)
	if err != nil {
		return nil, err
	}
	schemas := make(map[string]bool)
	for _, t := range tables {
		if t.schema != "" && !schemas[t.schema] {
			schemas[t.schema] = true
			there, err := p.system.schemaExists(ctx, s, t.schema)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.owner, err)
			}
			if !there {
				c.schemas = append(c.schemas, "CREATE SCHEMA "+s.dialect.Quote(t.schema))
			}
		}
		if t.schema, err = p.lookUp(ctx, s, c, t.schema, t.name, home); err != nil {
			return nil, fmt.Errorf("%s: %w", t.owner, err)
		}
		for _, r := range t.references {
			if r.schema, err = p.lookUp(ctx, s, c, r.schema, r.target, home); err != nil {
				return nil, fmt.Errorf("%s: %w", r.owner, err)
			}
		}
	}
	c.run()
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	return c, p.contents(ctx, s, c)
}

// contents looks into the tables that are there and whole.
func (p *planner) contents(ctx context.Context, s *session, c *comparison) error {
	if len(c.adds) > 0 {
		return nil
	}
	for _, t := range c.tables {
		if c.relation(t.schema, t.name) == nil {
			continue
		}
		warnings, err := p.system.contents(ctx, s, &p.ddl, t)
		if err != nil {
			return fmt.Errorf("look into table %s: %w", label(t, ""), err)
		}
		c.warnings = append(c.warnings, warnings...)
	}
	return nil
}

// lookUp puts a table's relation, or its absence, into the comparison, and returns the schema by which DDL names it.
func (p *planner) lookUp(ctx context.Context, s *session, c *comparison, schema, name, home string) (string, error) {
	named := schema
	if named == "" {
		named = home
	}
	if _, done := c.relations[c.key(named, name)]; done {
		return named, nil
	}
	found, err := p.system.relation(ctx, s, schema, name)
	if err != nil {
		return "", fmt.Errorf("look at table %s: %w", qualified(schema, name), err)
	}
	if found != nil && schema == "" && home != "" {
		if named = found.schema; named == ownSchema && name == metaTable(s.dialect).name {
			return "", fmt.Errorf("statements would find CapeBase's own table %s.%s: add search_path=public to the URL", ownSchema, name)
		}
	}
	c.relations[c.key(named, name)] = found
	return named, nil
}

// key is a table's place in the maps.
func (c *comparison) key(schema, name string) string {
	return c.system.fold(schema) + "\x00" + c.system.fold(name)
}
