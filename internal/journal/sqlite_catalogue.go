package journal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// plan implements source.
func (s *sqliteSource) plan(ctx context.Context, c *sqldriver.Conn) (*plan, error) {
	p := &plan{}
	meta, err := s.meta(ctx, c)
	if err != nil {
		return nil, err
	}
	var found string
	for _, row := range meta {
		if row.key == metaFormat {
			found = row.value
		}
	}
	switch {
	case found == "":
		epoch := make([]byte, 8)
		if _, err := rand.Read(epoch); err != nil {
			return nil, err
		}
		p.statements = append(p.statements, sqliteOwnTables()...)
		p.statements = append(p.statements, s.setMeta(metaFormat, fmt.Sprint(format)), s.setMeta(metaEpoch, hex.EncodeToString(epoch)))
	case len(found) > 0 && found != fmt.Sprint(format):
		p.warnings = append(p.warnings, fmt.Sprintf("it has format %s, of another version than this one (format %d), and is left as it is", found, format))
		return p, nil
	}
	all, err := readSQLiteCatalogue(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range s.tables {
		journaled := slices.ContainsFunc(meta, func(row metaRow) bool { return row.key == metaTable+t.recordedName() })
		if err := s.planTable(ctx, c, all, p, t, journaled); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.model.Table.Name, err)
		}
		if !journaled {
			p.statements = append(p.statements, s.noteTable(t))
		}
	}
	return p, nil
}

// sqliteCatalogue is what the schema says of tables and of the journal's triggers. SQLite has no index on it, and reads much
// where there are many tables: it is read once for all of them.
type sqliteCatalogue struct {
	tables   map[string]sqliteNamed   // by sqliteFold of their names
	triggers map[string][]sqliteNamed // by that of their tables' names
}

// sqliteNamed is a part of the schema.
type sqliteNamed struct{ name, statement string }

func readSQLiteCatalogue(ctx context.Context, c *sqldriver.Conn) (*sqliteCatalogue, error) {
	all := &sqliteCatalogue{tables: map[string]sqliteNamed{}, triggers: map[string][]sqliteNamed{}}
	const query = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type = 'table' OR type = 'trigger' AND name GLOB 'cape_*'"
	err := each(ctx, c, query, nil, func(row []driver.Value) error {
		part, table := sqliteNamed{textOf(row[1]), textOf(row[3])}, sqliteFold(textOf(row[2]))
		if textOf(row[0]) == "table" {
			all.tables[table] = part
		} else {
			all.triggers[table] = append(all.triggers[table], part)
		}
		return nil
	})
	return all, err
}

// sqliteFold makes names equal that are the same to SQLite, which ignores the case of ASCII's letters.
func sqliteFold(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

type metaRow struct{ key, value string }

// meta reads the journal's rows of the meta table; none where that does not exist yet.
func (s *sqliteSource) meta(ctx context.Context, c *sqldriver.Conn) (all []metaRow, err error) {
	there := false
	err = each(ctx, c, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'cape_meta'", nil, func([]driver.Value) error {
		there = true
		return nil
	})
	if err != nil || !there {
		return nil, err
	}
	err = each(ctx, c, `SELECT "key", value FROM cape_meta WHERE "key" GLOB 'journal.*'`, nil, func(row []driver.Value) error {
		all = append(all, metaRow{textOf(row[0]), textOf(row[1])})
		return nil
	})
	return all, err
}

func (s *sqliteSource) setMeta(key, value string) string {
	return fmt.Sprintf(`INSERT OR REPLACE INTO cape_meta ("key", value) VALUES (%s, %s)`, sqliteText(key), sqliteText(value))
}

// planTable compares the triggers of a table with what it needs.
func (s *sqliteSource) planTable(ctx context.Context, c *sqldriver.Conn, all *sqliteCatalogue, p *plan, t *table, journaled bool) error {
	wanted, err := s.describe(ctx, c, all, t)
	if err != nil {
		return err
	}
	var installed []signature
	var names []string
	for _, trigger := range all.triggers[sqliteFold(wanted.name)] {
		if sig, ok := parseSignature(trigger.statement); ok {
			installed = append(installed, sig)
		}
		names = append(names, trigger.name)
	}
	if slices.ContainsFunc(installed, func(sig signature) bool { return sig.format > format }) {
		return nil // whatever its triggers are called: they are a newer program's affair
	}
	whole := len(installed) == len(sqliteSuffixes())
	for _, sig := range installed {
		whole = whole && sig.covers(installed[0]) && installed[0].covers(sig)
	}
	for _, suffix := range sqliteSuffixes() {
		whole = whole && slices.Contains(names, "cape_"+wanted.name+"_"+suffix)
	}
	if whole {
		if withheld := installed[0].withheld(wanted.signature); len(withheld) > 0 {
			p.warnings = append(p.warnings, fmt.Sprintf("table %s: another build made %s secret, and so they stay out of the journal; to change that: DROP TRIGGER %s, and start again",
				wanted.name, strings.Join(withheld, ", "), wanted.triggerName("ai")))
		}
		if installed[0].covers(wanted.signature) {
			return nil
		}
		wanted.signature = installed[0].merge(wanted.signature, wanted.has)
	} else if journaled {
		p.gaps = append(p.gaps, wanted.recorded)
	}
	for _, name := range names {
		p.statements = append(p.statements, "DROP TRIGGER "+sqliteQuote(name))
	}
	p.statements = append(p.statements, wanted.triggers()...)
	return nil
}

// describe reads what the catalogue knows of a table. One that does not exist yet is as its model says.
func (s *sqliteSource) describe(ctx context.Context, c *sqldriver.Conn, all *sqliteCatalogue, t *table) (*sqliteDescription, error) {
	d := &sqliteDescription{sqliteTable: sqliteTable{
		name: t.model.Table.Name, recorded: t.recordedName(), signature: t.signature(), key: t.key(),
	}}
	if len(d.key) > sqliteKeyColumns {
		return nil, fmt.Errorf("its key has %d columns, and on SQLite the journal takes at most %d", len(d.key), sqliteKeyColumns)
	}
	if found, there := all.tables[sqliteFold(d.name)]; there {
		d.name = found.name
		if err := s.describeColumns(ctx, c, d); err != nil {
			return nil, err
		}
		if err := s.describeUnique(ctx, c, d); err != nil {
			return nil, err
		}
	} else {
		d.plan(t)
	}
	shape := sha256.Sum256([]byte(fmt.Sprint(d.clashes("NEW"), d.key, d.alias)))
	d.Shape = hex.EncodeToString(shape[:8])
	return d, nil
}

// plan describes a table that is to be made from its model, but for unique indexes beside the key.
func (d *sqliteDescription) plan(t *table) {
	d.present = append(append(d.present, d.Columns...), d.Secret...)
	key := t.model.Table.Key
	d.alias = len(key) == 1 && t.model.Table.Columns[key[0]].Kind == predicate.Int
	d.unique = []sqliteUnique{{}}
	for _, column := range d.key {
		part := sqliteUniquePart{column: column}
		if !d.alias {
			part.collation = "BINARY"
		}
		d.unique[0] = append(d.unique[0], part)
	}
}

// sqliteDescription is a table with what decides about its triggers.
type sqliteDescription struct {
	sqliteTable
	present   []string          // all columns
	fallbacks map[string]string // of NOT NULL columns
}

func (d *sqliteDescription) has(column string) bool {
	return slices.ContainsFunc(d.present, func(present string) bool { return strings.EqualFold(present, column) })
}

func (s *sqliteSource) describeColumns(ctx context.Context, c *sqldriver.Conn, d *sqliteDescription) error {
	d.fallbacks = make(map[string]string)
	return each(ctx, c, `SELECT name, "notnull", dflt_value FROM pragma_table_xinfo(?) ORDER BY cid`, arguments(d.name), func(row []driver.Value) error {
		name := textOf(row[0])
		d.present = append(d.present, name)
		if intOf(row[1]) != 0 && row[2] != nil {
			d.fallbacks[name] = "(" + textOf(row[2]) + ")"
		}
		return nil
	})
}

func (s *sqliteSource) describeUnique(ctx context.Context, c *sqldriver.Conn, d *sqliteDescription) error {
	last, keyed := "", false
	var expression string
	query := `SELECT l.name, l.origin, x.name, x.coll FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x ` +
		`WHERE l."unique" AND x."key" ORDER BY l.origin <> 'pk', l.name, x.seqno`
	err := each(ctx, c, query, arguments(d.name), func(row []driver.Value) error {
		if name := textOf(row[0]); name != last {
			last = name
			d.unique = append(d.unique, nil)
		}
		keyed = keyed || textOf(row[1]) == "pk"
		column := textOf(row[2])
		if row[2] == nil {
			expression = last
		}
		at := len(d.unique) - 1
		d.unique[at] = append(d.unique[at], sqliteUniquePart{column: column, collation: textOf(row[3]), fallback: d.fallbacks[column]})
		return nil
	})
	if err != nil {
		return err
	}
	if expression != "" {
		return fmt.Errorf("the unique index %s is on an expression, which the journal cannot follow through REPLACE: index a generated column instead", expression)
	}
	if !keyed { // the row's number has no index
		d.alias = len(d.key) == 1
		d.unique = append([]sqliteUnique{{{column: d.key[0]}}}, d.unique...)
	}
	return nil
}

// uninstall implements source.
func (s *sqliteSource) uninstall(ctx context.Context, c *sqldriver.Conn) (statements []string, err error) {
	err = each(ctx, c, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name GLOB 'cape_*'", nil, func(row []driver.Value) error {
		if strings.Contains(textOf(row[1]), "/* "+signatureMark) {
			statements = append(statements, "DROP TRIGGER "+sqliteQuote(textOf(row[0])))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	statements = append(statements, "DROP TABLE IF EXISTS cape_journal", "DROP TABLE IF EXISTS cape_stash")
	meta, err := s.meta(ctx, c)
	if len(meta) > 0 {
		statements = append(statements, `DELETE FROM cape_meta WHERE "key" GLOB 'journal.*'`)
	}
	return statements, err
}
