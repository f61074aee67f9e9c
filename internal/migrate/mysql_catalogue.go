package migrate

import (
	"context"
	"fmt"
	"strings"
)

func (s mysqlSystem) relation(ctx context.Context, q *session, schema, name string) (*relation, error) {
	found, err := q.rows(ctx, `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = coalesce(nullif(?, ''), database()) AND TABLE_NAME = ?`, schema, name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	r := &relation{schema: found[0].text(0), name: found[0].text(1)}
	switch engine := found[0].text(3); {
	case strings.Contains(found[0].text(2), "VIEW"):
		r.kind = "a view"
	case found[0].text(2) != "BASE TABLE":
		r.kind = "a " + strings.ToLower(found[0].text(2))
	case !strings.EqualFold(engine, "InnoDB"):
		r.kind = "a table of the storage engine " + engine + ", which has no transactions (ALTER TABLE … ENGINE=InnoDB)"
	}
	for _, look := range [...]func(context.Context, *session, *relation) error{s.readable, s.columns, s.indexes, s.references, s.checks} {
		if err := look(ctx, q, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readable looks for SELECT on the table, its database or everything: a table shows up for whoever may do anything to it.
func (s mysqlSystem) readable(ctx context.Context, q *session, r *relation) error {
	table := q.dialect.Quote(r.schema) + "." + q.dialect.Quote(r.name)
	_, err := q.rows(ctx, "SELECT 1 FROM "+table+" LIMIT 0")
	r.readable = err == nil
	if err != nil && strings.Contains(err.Error(), "Error 1142 ") { // the driver's package is no dependency of this one
		return nil
	}
	return err
}

func (s mysqlSystem) columns(ctx context.Context, q *session, r *relation) error {
	rows, err := q.rows(ctx, `SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLLATION_NAME, CHARACTER_SET_NAME
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, r.schema, r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		c := s.parseType(row.text(1))
		extra := strings.ToLower(row.text(4))
		c.name = row.text(0)
		c.nullable = row.is(2)
		// MariaDB writes the default of a column that has none, but may be NULL, as NULL.
		c.fallback = !row.null(3) && !strings.EqualFold(row.text(3), "null")
		c.increments = strings.Contains(extra, "auto_increment")
		c.generated = strings.Contains(extra, "virtual generated") || strings.Contains(extra, "stored generated")
		// MySQL says so; MariaDB quotes constants and leaves expressions as they are.
		c.computed = strings.Contains(extra, "default_generated") || strings.Contains(row.text(3), "(") && !strings.HasPrefix(row.text(3), "'")
		c.collation, c.charset = row.text(5), row.text(6)
		c.foreign = c.base == "uuid" || c.base == "enum" || c.collation != "" && !c.isOurs()
		r.columns = append(r.columns, c)
	}
	return nil
}

// isOurs tells whether text compares by code points there. UUIDs have one form and compare alike in every collation.
func (c *actualColumn) isOurs() bool {
	return c.charset == "utf8mb4" && (c.collation == "utf8mb4_nopad_bin" || c.collation == "utf8mb4_0900_bin")
}

func (s mysqlSystem) indexes(ctx context.Context, q *session, r *relation) error {
	rows, err := q.rows(ctx, `SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX`, r.schema, r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.text(0) == "PRIMARY" {
			r.key = append(r.key, row.text(2))
			continue
		}
		last := len(r.indexes) - 1
		if last < 0 || r.indexes[last].name != row.text(0) {
			r.indexes = append(r.indexes, actualIndex{name: row.text(0), unique: !row.is(1)})
			last++
		}
		r.indexes[last].parts = append(r.indexes[last].parts, actualPart{column: row.text(2), length: row.int(3)})
	}
	return nil
}

func (s mysqlSystem) references(ctx context.Context, q *session, r *relation) error {
	rows, err := q.rows(ctx, `SELECT k.CONSTRAINT_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME,
			c.UPDATE_RULE, c.DELETE_RULE
		FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS c
			ON c.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND c.TABLE_NAME = k.TABLE_NAME
		WHERE k.TABLE_SCHEMA = ? AND k.TABLE_NAME = ? AND k.REFERENCED_TABLE_NAME IS NOT NULL
		ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION`, r.schema, r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		last := len(r.references) - 1
		if last < 0 || r.references[last].name != row.text(0) {
			r.references = append(r.references, actualReference{
				name: row.text(0), schema: row.text(1), target: row.text(2),
				onUpdate: action(row.text(5)), onDelete: action(row.text(6)),
			})
			last++
		}
		r.references[last].columns = append(r.references[last].columns, row.text(3))
		r.references[last].targetColumns = append(r.references[last].targetColumns, row.text(4))
	}
	return nil
}

func (s mysqlSystem) checks(ctx context.Context, q *session, r *relation) error {
	rows, err := q.rows(ctx, `SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND CONSTRAINT_TYPE = 'CHECK'`, r.schema, r.name)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r.checks = append(r.checks, row.text(0))
	}
	return nil
}

func (s mysqlSystem) schemaExists(ctx context.Context, q *session, schema string) (bool, error) {
	rows, err := q.rows(ctx, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", schema)
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("database %q does not exist, or this user may not use it", schema)
	}
	return len(rows) > 0, err
}

// contents has nothing to look for: the types see to the form.
func (mysqlSystem) contents(context.Context, *session, *writer, *table) ([]string, error) {
	return nil, nil
}
