package journal

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

func mysqlHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// mysqlInstalled is a trigger of ours that is there.
type mysqlInstalled struct {
	table mysqlTableName
	name  string
	signature
	signed bool
	hidden bool // its text, from this user
}

// mysqlCatalogue is what the server knows.
type mysqlCatalogue struct {
	home     string
	meta     map[string]string // nil: there is no meta table
	triggers []mysqlInstalled
	keys     []*mysqlForeignKey
}

// noSuchTable tells whether a statement failed because its table is not there; the driver's package is no dependency of
// this one.
func noSuchTable(err error) bool { return err != nil && strings.Contains(err.Error(), "Error 1146 ") }

// catalogue reads what plan needs, for the schemas of the models.
func (s *mysqlSource) catalogue(ctx context.Context, c *sqldriver.Conn) (*mysqlCatalogue, error) {
	all := &mysqlCatalogue{}
	var err error
	if all.home, err = s.homeOf(ctx, c); err != nil {
		return nil, err
	}
	if all.meta, err = s.meta(ctx, c); err != nil {
		return nil, err
	}
	schemas := s.schemas(all.home)
	// A table that cascades may be in a schema of its own.
	for i := 0; i < len(schemas); i++ {
		if err := s.keysOf(ctx, c, all, schemas[i]); err != nil {
			return nil, err
		}
		for _, f := range all.keys {
			schemas = appendNew(schemas, f.target.schema)
		}
	}
	return all, s.triggersOf(ctx, c, all, schemas)
}

func (s *mysqlSource) homeOf(ctx context.Context, c *sqldriver.Conn) (home string, err error) {
	err = each(ctx, c, "SELECT DATABASE()", nil, func(row []driver.Value) error {
		home = textOf(row[0])
		return nil
	})
	if err == nil && home == "" {
		err = fmt.Errorf("no database is selected: name one in the URL")
	}
	return home, err
}

// schemas are the journal's own, first, and those of the models.
func (s *mysqlSource) schemas(home string) []string {
	schemas := []string{home}
	for _, t := range s.tables {
		if schema := t.model.Table.Schema; schema != "" {
			schemas = appendNew(schemas, schema)
		}
	}
	return schemas
}

// meta reads the journal's rows of the meta table; nil where that does not exist yet.
func (s *mysqlSource) meta(ctx context.Context, c *sqldriver.Conn) (map[string]string, error) {
	meta := make(map[string]string)
	err := each(ctx, c, "SELECT `key`, `value` FROM cape_meta WHERE `key` LIKE 'journal.%'", nil, func(row []driver.Value) error {
		meta[textOf(row[0])] = textOf(row[1])
		return nil
	})
	if noSuchTable(err) {
		return nil, nil //nolint:nilnil // nil is what there is
	}
	return meta, err
}

// triggersOf reads the triggers of schemas: in others than the journal's own, only those of ours that write to it.
func (s *mysqlSource) triggersOf(ctx context.Context, c *sqldriver.Conn, all *mysqlCatalogue, schemas []string) error {
	target := mysqlTableName{all.home, "cape_journal"}.quoted("")
	for _, schema := range schemas {
		// SHOW, because MariaDB 10.11 leaves those without an answer who select all triggers of a schema from
		// information_schema while one of them is dropped.
		err := each(ctx, c, "SHOW TRIGGERS FROM "+mysqlQuote(schema), nil, func(row []driver.Value) error {
			t, text := mysqlInstalled{table: mysqlTableName{schema, textOf(row[2])}, name: textOf(row[0])}, textOf(row[3])
			if strings.HasPrefix(t.name, "cape_") && (schema == all.home || strings.Contains(text, target)) {
				t.signature, t.signed = parseMySQLSignature(text)
				t.hidden = text == ""
				all.triggers = append(all.triggers, t)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastBeforeDelete is the name of the trigger that is called last before a row of the table is deleted.
func (s *mysqlSource) lastBeforeDelete(ctx context.Context, c *sqldriver.Conn, table mysqlTableName) (name string, err error) {
	const query = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? " +
		"AND ACTION_TIMING = 'BEFORE' AND EVENT_MANIPULATION = 'DELETE' ORDER BY ACTION_ORDER"
	err = each(ctx, c, query, arguments(table.schema, table.name), func(row []driver.Value) error {
		name = textOf(row[0])
		return nil
	})
	return name, err
}

// keysOf reads the foreign keys of a schema's tables: in two queries, because MariaDB 10.11 does not answer one that joins
// the two views while tables come and go.
func (s *mysqlSource) keysOf(ctx context.Context, c *sqldriver.Conn, all *mysqlCatalogue, schema string) error {
	type actions struct{ onDelete, onUpdate string }
	does := make(map[[2]string]actions)
	query := "SELECT TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?"
	err := each(ctx, c, query, arguments(schema), func(row []driver.Value) error {
		does[[2]string{textOf(row[0]), textOf(row[1])}] = actions{textOf(row[2]), textOf(row[3])}
		return nil
	})
	if err != nil {
		return err
	}
	query = `SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME
		FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME IS NOT NULL
		ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`
	return each(ctx, c, query, arguments(schema), func(row []driver.Value) error {
		name, table := textOf(row[0]), mysqlTableName{schema, textOf(row[1])}
		last := len(all.keys) - 1
		if last < 0 || all.keys[last].name != name || all.keys[last].table != table {
			does := does[[2]string{table.name, name}]
			all.keys = append(all.keys, &mysqlForeignKey{
				name: name, table: table, target: mysqlTableName{textOf(row[2]), textOf(row[3])},
				onDelete: does.onDelete, onUpdate: does.onUpdate,
			})
			last++
		}
		f := all.keys[last]
		f.columns, f.targets = append(f.columns, textOf(row[4])), append(f.targets, textOf(row[5]))
		return nil
	})
}

// describe reads what the catalogue knows of a table; nil where it does not exist.
func (s *mysqlSource) describe(ctx context.Context, c *sqldriver.Conn, all *mysqlCatalogue, name mysqlTableName) (*mysqlTable, error) {
	t := &mysqlTable{
		name: name.name, recorded: recorded("", name.name), forms: make(map[string]mysqlForm),
		journal: mysqlTableName{all.home, "cape_journal"}.quoted(name.schema),
	}
	if name.schema != all.home {
		t.schema = name.schema
		t.recorded = recorded(name.schema, name.name)
	}
	query := `SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`
	err := each(ctx, c, query, arguments(name.schema, name.name), func(row []driver.Value) error {
		t.name = textOf(row[0])
		column := textOf(row[1])
		t.columns = append(t.columns, column)
		t.forms[strings.ToLower(column)] = mysqlFormOf(textOf(row[2]), textOf(row[3]))
		return nil
	})
	if err != nil || len(t.columns) == 0 {
		return nil, err
	}
	return t, s.constraints(ctx, c, all, name, t)
}

// constraints reads the key of a table, and which columns are bound.
func (s *mysqlSource) constraints(ctx context.Context, c *sqldriver.Conn, all *mysqlCatalogue, name mysqlTableName, t *mysqlTable) error {
	query := `SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX`
	var bound []string
	err := each(ctx, c, query, arguments(name.schema, name.name), func(row []driver.Value) error {
		switch column := textOf(row[1]); {
		case textOf(row[0]) == "PRIMARY":
			t.key = append(t.key, column)
		case row[1] == nil: // an expression, of whichever columns
			bound = append(bound, t.columns...)
		default:
			bound = append(bound, column)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range all.keys {
		if f.table == name {
			bound = append(bound, f.columns...)
		}
		if f.target == name {
			bound = append(bound, f.targets...)
		}
	}
	// In the table's order, and without the key, which is always looked at.
	for _, column := range t.columns {
		is := func(other string) bool { return strings.EqualFold(other, column) }
		if slices.ContainsFunc(bound, is) && !slices.ContainsFunc(t.key, is) {
			t.bound = append(t.bound, column)
		}
	}
	return nil
}

// planned describes a table that does not exist yet as package migrate will make it.
func (s *mysqlSource) planned(all *mysqlCatalogue, name mysqlTableName, t *table) *mysqlTable {
	m := &mysqlTable{
		name: name.name, recorded: t.recordedName(), key: t.key(), forms: make(map[string]mysqlForm),
		schema: t.model.Table.Schema, journal: mysqlTableName{all.home, "cape_journal"}.quoted(name.schema),
	}
	for _, column := range t.model.Table.Columns {
		m.columns = append(m.columns, column.Name)
		form := mysqlText
		switch column.Kind {
		case predicate.Bool, predicate.Int, predicate.Float, predicate.Decimal:
			form = mysqlNumber
		case predicate.Time:
			form = mysqlTime
		case predicate.Bytes:
			form = mysqlBlob
		}
		m.forms[strings.ToLower(column.Name)] = form
	}
	return m
}

// has tells whether the table has a column; case does not matter there.
func (t *mysqlTable) has(column string) bool {
	return slices.ContainsFunc(t.columns, func(present string) bool { return strings.EqualFold(present, column) })
}
