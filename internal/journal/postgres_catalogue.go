package journal

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// plan implements source.
func (s *postgresSource) plan(ctx context.Context, c *sqldriver.Conn) (*plan, error) {
	p := &plan{}
	meta, err := s.meta(ctx, c)
	if err != nil {
		return nil, err
	}
	if found := meta[metaFormat]; found != "" && found != strconv.Itoa(format) {
		p.warnings = append(p.warnings, fmt.Sprintf("it has format %s, of another version than this one (format %d), and is left as it is", found, format))
		return p, nil
	}
	if err := s.planOwn(ctx, c, p, meta[metaFormat] != ""); err != nil {
		return nil, err
	}
	for _, t := range s.tables {
		_, journaled := meta[metaTable+t.recordedName()]
		if err := s.planTable(ctx, c, p, t, journaled); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.model.Table.Name, err)
		}
		if !journaled {
			p.statements = append(p.statements, s.noteTable(t))
		}
	}
	return p, nil
}

// planOwn plans the journal's own tables. Those of a dump that was restored into a younger cluster have transactions of
// the future, before which nothing new would be seen: they are put aside, for whoever needs the old entries.
func (s *postgresSource) planOwn(ctx context.Context, c *sqldriver.Conn, p *plan, installed bool) error {
	var present []string
	err := each(ctx, c, `SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
			WHERE n.nspname = 'cape' AND c.relname IN ('journal', 'tick') AND c.relkind = 'r'
		UNION ALL SELECT p.proname::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
			WHERE n.nspname = 'cape' AND p.proname IN ('advance', 'behind')`, nil, func(row []driver.Value) error {
		present = append(present, textOf(row[0]))
		return nil
	})
	if err != nil {
		return err
	}
	has := func(name string) bool { return slices.Contains(present, name) }
	tables, functions := has("journal") && has("tick"), has("advance") && has("behind")
	if installed && tables {
		future, err := number(ctx, c, "SELECT count(*) FROM cape.tick WHERE pg_snapshot_xmax(snap) > pg_snapshot_xmax(pg_current_snapshot())")
		if err == nil && future == 0 && !functions {
			p.statements = append(p.statements, postgresAdvance, postgresBehind)
		}
		if err != nil || future == 0 {
			return err
		}
	}
	epoch := randomHex()
	switch {
	case tables:
		for _, table := range [...]string{"journal", "tick"} {
			p.statements = append(p.statements, "ALTER TABLE cape."+table+" RENAME TO "+table+"_before_"+epoch)
		}
		p.statements = append(p.statements, "ALTER INDEX cape.tick_pkey RENAME TO tick_pkey_before_"+epoch)
		old, err := s.historyIndexes(ctx, c)
		if err != nil {
			return err
		}
		for _, index := range old {
			p.statements = append(p.statements, "DROP INDEX cape."+postgresQuote(index))
		}
		p.warnings = append(p.warnings, "its tables are of another database cluster; it begins anew, and the old entries are in cape.journal_before_"+epoch)
	case has("journal"):
		p.statements = append(p.statements, "DROP TABLE cape.journal")
	case has("tick"):
		p.statements = append(p.statements, "DROP TABLE cape.tick")
	}
	p.statements = append(p.statements, postgresOwnTables()...)
	p.statements = append(p.statements, s.setMeta(metaFormat, strconv.Itoa(format)), s.setMeta(metaEpoch, epoch))
	if installed {
		p.statements = append(p.statements, "UPDATE cape.meta SET value = "+s.tableNote()+" WHERE key LIKE '"+metaTable+"%'")
	}
	return nil
}

func randomHex() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// meta reads the journal's rows of the meta table; none where that does not exist yet.
func (s *postgresSource) meta(ctx context.Context, c *sqldriver.Conn) (map[string]string, error) {
	there, err := number(ctx, c, "SELECT count(*) FROM pg_tables WHERE schemaname = 'cape' AND tablename = 'meta'")
	if err != nil || there == 0 {
		return nil, err
	}
	all := make(map[string]string)
	err = each(ctx, c, "SELECT key, value FROM cape.meta WHERE key LIKE 'journal.%'", nil, func(row []driver.Value) error {
		all[textOf(row[0])] = textOf(row[1])
		return nil
	})
	return all, err
}

func (s *postgresSource) setMeta(key, value string) string {
	return fmt.Sprintf("INSERT INTO cape.meta (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		postgresText(key), postgresText(value))
}

// planTable compares the triggers of a table with what it needs. Triggers that record too little stay, and get other
// functions, which keeps nobody waiting.
func (s *postgresSource) planTable(ctx context.Context, c *sqldriver.Conn, p *plan, t *table, journaled bool) error {
	d, err := s.describe(ctx, c, t)
	if err != nil {
		return err
	}
	for i := range d.relations {
		for _, trigger := range d.relations[i].triggers {
			if sig, ok := parseSignature(trigger.source); ok && sig.format > format {
				return nil // a newer program's affair
			}
		}
	}
	installed, whole, err := s.installed(ctx, c, d)
	if err != nil {
		return err
	}
	missing, gap := d.repair()
	if installed != nil {
		if withheld := installed.withheld(d.signature); len(withheld) > 0 {
			p.warnings = append(p.warnings, fmt.Sprintf("table %s: another build made %s secret, and so they stay out of the journal; to change that: DROP FUNCTION %s() CASCADE, and start again",
				d.quoted(), strings.Join(withheld, ", "), d.function("record")))
		}
	}
	if gap && journaled {
		p.gaps = append(p.gaps, d.recorded)
	}
	if !whole || !d.covered(*installed) {
		if installed != nil {
			d.signature = installed.merge(d.signature, d.has)
		}
		p.statements = append(p.statements, d.functions()...)
	}
	p.statements = append(p.statements, missing...)
	return nil
}

// installed returns the signature of the table's functions, where there is one; whole tells that both are there, and alike.
func (s *postgresSource) installed(ctx context.Context, c *sqldriver.Conn, d *postgresDescription) (installed *signature, whole bool, err error) {
	found := 0
	query := "SELECT p.prosrc FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace " +
		"WHERE n.nspname = 'cape' AND p.proname IN ($1::text, $2::text) ORDER BY p.proname"
	err = each(ctx, c, query, arguments(d.functionName("record"), d.functionName("truncate")), func(row []driver.Value) error {
		sig, ok := parseSignature(textOf(row[0]))
		switch {
		case !ok || sig.format != format:
		case installed == nil:
			installed = &sig
			found++
		case sig.covers(*installed) && installed.covers(sig):
			found++
		}
		return nil
	})
	return installed, found == 2, err
}

// postgresDescription is a table with what decides about its triggers.
type postgresDescription struct {
	postgresTable
	relations []postgresRelation // the table, and its partitions
}

// postgresRelation is a table that has rows, or partitions.
type postgresRelation struct {
	schema, name string
	parted       bool
	triggers     []postgresTrigger
}

type postgresTrigger struct {
	name     string
	kind     int64 // pg_trigger's tgtype, or 0 where it is limited to some rows or columns
	always   bool
	function string // quoted, with its schema
	source   string
}

// Bits of tgtype: for each row 1, before 2, insert 4, delete 8, update 16, truncate 32.
const (
	postgresRowKind      = 1 + 4 + 8 + 16
	postgresTruncateKind = 2 + 32
)

func (d *postgresDescription) has(column string) bool { _, ok := d.types[column]; return ok }

// repair plans the triggers that are missing or not what they should be. A partition gets its row trigger with its
// table's; gap tells whether changes may have escaped.
func (d *postgresDescription) repair() (statements []string, gap bool) {
	row := postgresQuote(postgresRowTrigger)
	whole := true
	for i := range d.relations {
		_, there := d.relations[i].check(postgresRowTrigger, postgresRowKind, d.function("record"))
		whole = whole && there
	}
	if !whole {
		statements = append(statements, "DROP TRIGGER IF EXISTS "+row+" ON "+d.quoted(),
			"CREATE TRIGGER "+row+" AFTER INSERT OR UPDATE OR DELETE ON "+d.quoted()+" FOR EACH ROW EXECUTE FUNCTION "+d.function("record")+"()")
		gap = true
	}
	for i := range d.relations {
		r := &d.relations[i]
		// Versions before 15 do not hand the setting on to partitions.
		if ok, _ := r.check(postgresRowTrigger, postgresRowKind, d.function("record")); !ok || !whole {
			statements = append(statements, "ALTER TABLE "+r.quoted()+" ENABLE ALWAYS TRIGGER "+row)
			gap = true
		}
	}
	for i := range d.relations {
		r := &d.relations[i]
		if r.parted {
			continue
		}
		switch ok, there := r.check(postgresTruncateTrigger, postgresTruncateKind, d.function("truncate")); {
		case ok:
			continue
		case !there:
			statements = append(statements, "DROP TRIGGER IF EXISTS "+postgresQuote(postgresTruncateTrigger)+" ON "+r.quoted(),
				"CREATE TRIGGER "+postgresQuote(postgresTruncateTrigger)+" BEFORE TRUNCATE ON "+r.quoted()+" FOR EACH STATEMENT EXECUTE FUNCTION "+d.function("truncate")+"()")
		}
		statements = append(statements, "ALTER TABLE "+r.quoted()+" ENABLE ALWAYS TRIGGER "+postgresQuote(postgresTruncateTrigger))
		gap = gap || i == 0 // a new partition has not got one yet
	}
	return statements, gap
}

func (r *postgresRelation) quoted() string {
	return postgresQuote(r.schema) + "." + postgresQuote(r.name)
}

// check tells whether the relation has the trigger as it should be, or at least has it.
func (r *postgresRelation) check(name string, kind int64, function string) (ok, there bool) {
	for _, trigger := range r.triggers {
		if trigger.name == name {
			_, signed := parseSignature(trigger.source)
			there = trigger.kind == kind && trigger.function == function && signed
			return there && trigger.always, there
		}
	}
	return false, false
}

// describe reads what the catalogue knows of a table. One that does not exist yet is as its model says.
func (s *postgresSource) describe(ctx context.Context, c *sqldriver.Conn, t *table) (*postgresDescription, error) {
	m := &t.model.Table
	d := &postgresDescription{postgresTable: postgresTable{
		schema: m.Schema, name: m.Name, recorded: t.recordedName(), signature: t.signature(), key: t.key(), types: make(map[string]string),
	}}
	name := postgresQuote(m.Name)
	if m.Schema != "" {
		name = postgresQuote(m.Schema) + "." + name
	}
	oid := int64(0)
	query := "SELECT c.oid::bigint, n.nspname::text, coalesce(current_schema(), 'public')::text FROM (SELECT to_regclass($1::text) AS r) AS r " +
		"LEFT JOIN pg_class AS c ON c.oid = r.r LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace"
	err := each(ctx, c, query, arguments(name), func(row []driver.Value) error {
		oid = intOf(row[0])
		switch {
		case row[1] != nil:
			d.schema = textOf(row[1])
		case d.schema == "":
			d.schema = textOf(row[2])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if oid == 0 {
		for _, column := range m.Columns {
			declared := s.db.Dialect().ColumnType(engine.Shape{Kind: column.Kind})
			if short := map[string]string{"timestamptz": "timestamptz", "bytea": "bytea", "double precision": "float8", "jsonb": "jsonb"}[declared]; short != "" {
				declared = short
			}
			d.types[column.Name] = declared
		}
		d.relations = []postgresRelation{{schema: d.schema, name: d.name}}
		return d, nil
	}
	return d, s.describeTable(ctx, c, d, oid)
}

func (s *postgresSource) describeTable(ctx context.Context, c *sqldriver.Conn, d *postgresDescription, oid int64) error {
	// A domain may be of a domain.
	columns := `WITH RECURSIVE types AS (
			SELECT a.attname::text AS name, a.atttypid AS type FROM pg_attribute AS a WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
			UNION ALL SELECT name, t.typbasetype FROM types JOIN pg_type AS t ON t.oid = type WHERE t.typtype = 'd')
		SELECT name, t.typname::text FROM types JOIN pg_type AS t ON t.oid = type WHERE t.typtype <> 'd'`
	err := each(ctx, c, columns, arguments(oid), func(row []driver.Value) error {
		d.types[textOf(row[0])] = textOf(row[1])
		return nil
	})
	if err != nil {
		return err
	}
	relations := `SELECT n.nspname::text, c.relname::text, (c.relkind = 'p')::int, t.tgname::text,
			CASE WHEN t.tgqual IS NULL AND t.tgattr = '' THEN t.tgtype ELSE 0 END::bigint, (t.tgenabled = 'A')::int, f.nspname::text, p.proname::text, p.prosrc
		FROM (SELECT $1::bigint::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::bigint::oid::regclass)) AS r
		JOIN pg_class AS c ON c.oid = r.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
		LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname IN ('` + postgresRowTrigger + `', '` + postgresTruncateTrigger + `')
		LEFT JOIN pg_proc AS p ON p.oid = t.tgfoid LEFT JOIN pg_namespace AS f ON f.oid = p.pronamespace
		WHERE c.relkind IN ('r', 'p')
		ORDER BY c.oid <> $1::bigint::oid, n.nspname, c.relname, t.tgname`
	return each(ctx, c, relations, arguments(oid), func(row []driver.Value) error {
		r := postgresRelation{schema: textOf(row[0]), name: textOf(row[1]), parted: intOf(row[2]) != 0}
		last := len(d.relations) - 1
		if last < 0 || d.relations[last].schema != r.schema || d.relations[last].name != r.name {
			d.relations = append(d.relations, r)
			last++
		}
		if row[3] != nil {
			d.relations[last].triggers = append(d.relations[last].triggers, postgresTrigger{
				name: textOf(row[3]), kind: intOf(row[4]), always: intOf(row[5]) != 0,
				function: textOf(row[6]) + "." + postgresQuote(textOf(row[7])), source: textOf(row[8]),
			})
		}
		return nil
	})
}

// uninstall implements source.
func (s *postgresSource) uninstall(ctx context.Context, c *sqldriver.Conn) (statements []string, err error) {
	own := "FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'cape'"
	for _, query := range [...]string{
		// With a partitioned table's trigger go those of its partitions.
		`SELECT 'DROP TRIGGER ' || quote_ident(t.tgname) || ' ON ' || t.tgrelid::regclass::text FROM pg_trigger AS t
			WHERE t.tgname IN ('` + postgresRowTrigger + `', '` + postgresTruncateTrigger + `') AND NOT t.tgisinternal AND t.tgparentid = 0
				AND t.tgfoid IN (SELECT p.oid ` + own + `) ORDER BY 1`,
		`SELECT 'DROP FUNCTION ' || p.oid::regprocedure::text ` + own + ` AND (p.prosrc LIKE '%/* ` + signatureMark + `%' OR p.proname IN ('advance', 'behind')) ORDER BY 1`,
		`SELECT 'DROP TABLE ' || c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
			WHERE n.nspname = 'cape' AND c.relkind = 'r' AND c.relname ~ '^(journal|tick)(_before_.*)?$' ORDER BY 1`,
	} {
		err := each(ctx, c, query, nil, func(row []driver.Value) error {
			statements = append(statements, textOf(row[0]))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	meta, err := s.meta(ctx, c)
	if len(meta) > 0 {
		statements = append(statements, "DELETE FROM cape.meta WHERE key LIKE 'journal.%'")
	}
	return statements, err
}

// compactJSON takes out the spaces that PostgreSQL writes.
func compactJSON(doc string) string {
	if !strings.ContainsAny(doc, " \n") {
		return doc
	}
	var b strings.Builder
	decoder := json.NewDecoder(strings.NewReader(doc))
	var parts []json.RawMessage
	if decoder.Decode(&parts) != nil {
		return doc
	}
	b.WriteByte('[')
	for i, part := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(part)
	}
	b.WriteByte(']')
	return b.String()
}
