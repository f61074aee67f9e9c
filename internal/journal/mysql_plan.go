package journal

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/capebase/capebase/internal/sqldriver"
)

// plan implements source.
func (s *mysqlSource) plan(ctx context.Context, c *sqldriver.Conn) (*plan, error) {
	server, err := s.server(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := server.refuse(); err != nil {
		return nil, &refusedError{err}
	}
	all, err := s.catalogue(ctx, c)
	if err != nil {
		return nil, err
	}
	p := &plan{warnings: server.warnings()}
	switch found := all.meta[metaFormat]; found {
	case strconv.Itoa(format):
	case "":
		if err := planOwn(p); err != nil {
			return nil, err
		}
	default:
		p.warnings = append(p.warnings, fmt.Sprintf("it has format %s, of another version than this one (format %d), and is left as it is", found, format))
		return p, nil
	}
	w := &mysqlPlanner{plan: p, source: s, all: all, cascades: !server.on("enable_cascade_triggers")}
	for _, t := range s.tables {
		if err := w.table(ctx, c, t); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.model.Table.Name, err)
		}
	}
	if err := w.follow(ctx, c); err != nil {
		return nil, err
	}
	s.catalog.note(all, w.tables)
	for _, t := range s.tables {
		if !w.journaled(t.recordedName()) {
			p.statements = append(p.statements, s.noteTable(t))
		}
	}
	return p, nil
}

// planOwn makes the journal's own tables. Its format is noted last: until then all is done again.
func planOwn(p *plan) error {
	epoch := make([]byte, 8)
	if _, err := rand.Read(epoch); err != nil {
		return err
	}
	p.statements = append(p.statements, mysqlOwnTables()...)
	p.statements = append(p.statements,
		"INSERT IGNORE INTO cape_meta (`key`, `value`) VALUES ('"+metaFloor+"', '0 0')",
		mysqlSetMeta(metaEpoch, hex.EncodeToString(epoch)), mysqlSetMeta(metaFormat, strconv.Itoa(format)))
	return nil
}

func mysqlSetMeta(key, value string) string {
	return "REPLACE INTO cape_meta (`key`, `value`) VALUES (" + mysqlString(key) + ", " + mysqlString(value) + ")"
}

// mysqlPlanner collects a plan.
type mysqlPlanner struct {
	*plan
	source   *mysqlSource
	all      *mysqlCatalogue
	cascades bool // foreign keys fire no triggers
	// tables are those that are journaled, or will be, also by other builds, as their triggers will be.
	tables []*mysqlTable
	newer  bool // some triggers are of a newer format
}

func (w *mysqlPlanner) journaled(recorded string) bool {
	_, ok := w.all.meta[metaTable+recorded]
	return ok
}

func (w *mysqlPlanner) nameOf(t *table) mysqlTableName {
	name := mysqlTableName{t.model.Table.Schema, t.model.Table.Name}
	if name.schema == "" {
		name.schema = w.all.home
	}
	return name
}

// of lists the triggers on a table, but for the one that follows cascades.
func (w *mysqlPlanner) of(name mysqlTableName) []mysqlInstalled {
	var found []mysqlInstalled
	for _, t := range w.all.triggers {
		if strings.EqualFold(t.table.name, name.name) && t.table.schema == name.schema && !t.follows() {
			found = append(found, t)
		}
	}
	return found
}

// follows tells whether it is the trigger for cascades.
func (t *mysqlInstalled) follows() bool {
	return t.name == mysqlTriggerName(t.table.name, mysqlCascade)
}

// whole tells whether a table's triggers are all there, and returns their signature.
func (t *mysqlTable) whole(triggers []mysqlInstalled) (signature, bool) {
	suffixes := mysqlSuffixes()
	if len(triggers) != len(suffixes) {
		return signature{}, false
	}
	first := triggers[0].signature
	for _, trigger := range triggers {
		if !trigger.signed || trigger.Shape != first.Shape || !trigger.covers(first) || !first.covers(trigger.signature) {
			return signature{}, false
		}
	}
	for _, suffix := range suffixes {
		if !slices.ContainsFunc(triggers, func(i mysqlInstalled) bool { return i.name == mysqlTriggerName(t.name, suffix) }) {
			return signature{}, false
		}
	}
	return first, true
}

func newerTriggers(triggers []mysqlInstalled) bool {
	return slices.ContainsFunc(triggers, func(t mysqlInstalled) bool { return t.signed && t.format > format })
}

// table compares the triggers of a table with what it needs.
func (w *mysqlPlanner) table(ctx context.Context, c *sqldriver.Conn, t *table) error {
	name := w.nameOf(t)
	wanted, err := w.source.describe(ctx, c, w.all, name)
	if err != nil {
		return err
	}
	if wanted == nil {
		wanted = w.source.planned(w.all, name, t)
	}
	if len(wanted.key) == 0 {
		wanted.key = t.key()
	}
	wanted.recorded, wanted.signature = t.recordedName(), t.signature()
	wanted.Shape = wanted.shape(wanted.signature)
	triggers := w.of(name)
	if newerTriggers(triggers) {
		w.newer = true // whatever its triggers are called: they are a newer program's affair
		return nil
	}
	w.tables = append(w.tables, wanted)
	installed, whole := wanted.whole(triggers)
	if whole {
		if withheld := installed.withheld(wanted.signature); len(withheld) > 0 {
			w.warnings = append(w.warnings, fmt.Sprintf("table %s: another build made %s secret, and so they stay out of the journal; to change that: DROP TRIGGER %s, and start again",
				wanted.name, strings.Join(withheld, ", "), mysqlQualified(wanted.schema, mysqlTriggerName(wanted.name, "i"))))
		}
		if installed.Shape == wanted.shape(installed) {
			wanted.Shape = installed.Shape // it is of the columns, which differ
		}
		if installed.covers(wanted.signature) {
			wanted.signature = installed
			return nil
		}
		wanted.signature = installed.merge(wanted.signature, wanted.has)
		wanted.Shape = wanted.shape(wanted.signature)
	} else if w.journaled(wanted.recorded) {
		if err := w.visible(ctx, c, triggers); err != nil {
			return err
		}
		w.gaps = append(w.gaps, wanted.recorded)
	}
	w.replace(wanted.quoted(), wanted.schema, triggers, wanted.triggers(), whole)
	return nil
}

// visible tells a table whose triggers are gone or spoiled from one whose triggers this user may not see, or not read.
func (w *mysqlPlanner) visible(ctx context.Context, c *sqldriver.Conn, found []mysqlInstalled) error {
	if len(found) > 0 && !slices.ContainsFunc(found, func(t mysqlInstalled) bool { return t.hidden }) {
		return nil
	}
	able := false
	err := each(ctx, c, "SHOW GRANTS", nil, func(row []driver.Value) error {
		grant := strings.ToUpper(textOf(row[0]))
		// What a role may do is not always said.
		able = able || strings.Contains(grant, "TRIGGER") || strings.Contains(grant, "ALL PRIVILEGES") || !strings.Contains(grant, " ON ")
		return nil
	})
	if err == nil && !able {
		err = fmt.Errorf("this user may not see triggers, and so not whether those of the journal are there: GRANT TRIGGER ON %s.* TO it", mysqlQuote(w.all.home))
	}
	return err
}

// replace drops triggers and makes others. Where they work, nobody writes to the table in between.
func (w *mysqlPlanner) replace(table, schema string, old []mysqlInstalled, statements []string, locked bool) {
	if locked {
		w.statements = append(w.statements, "LOCK TABLES "+table+" WRITE")
	}
	for _, t := range old {
		w.statements = append(w.statements, "DROP TRIGGER IF EXISTS "+mysqlQualified(schema, t.name))
	}
	w.statements = append(w.statements, statements...)
	if locked {
		w.statements = append(w.statements, "UNLOCK TABLES")
	}
}

// others adds the tables that other builds journal: what their foreign keys do is theirs and ours to journal, in one
// trigger for both.
func (w *mysqlPlanner) others(ctx context.Context, c *sqldriver.Conn) error {
	var seen []mysqlTableName
	for _, t := range w.source.tables {
		seen = append(seen, w.nameOf(t))
	}
	for _, trigger := range w.all.triggers {
		name := trigger.table
		if trigger.follows() || slices.ContainsFunc(seen, func(n mysqlTableName) bool {
			return n.schema == name.schema && strings.EqualFold(n.name, name.name)
		}) {
			continue
		}
		seen = append(seen, name)
		triggers := w.of(name)
		w.newer = w.newer || newerTriggers(triggers)
		t, err := w.source.describe(ctx, c, w.all, name)
		if err != nil || t == nil {
			return err
		}
		whole := false
		if t.signature, whole = t.whole(triggers); whole {
			w.tables = append(w.tables, t)
		}
	}
	return nil
}

// follow compares the triggers for cascades with the foreign keys. They are a function of the catalogue alone, so that
// builds that publish other tables agree on them.
func (w *mysqlPlanner) follow(ctx context.Context, c *sqldriver.Conn) error {
	if err := w.others(ctx, c); err != nil {
		return err
	}
	if w.newer {
		return nil
	}
	slices.SortFunc(w.tables, func(a, b *mysqlTable) int { return strings.Compare(a.recorded, b.recorded) })
	parents := make(map[mysqlTableName][]mysqlFollowed)
	var order []mysqlTableName
	for _, t := range w.tables {
		paths, err := mysqlPaths(t.fullName(w.all.home), w.all.keys)
		if err != nil {
			return &refusedError{fmt.Errorf("table %s: %w", t.name, err)}
		}
		if !w.cascades {
			continue
		}
		for parent, paths := range paths {
			if parents[parent] == nil {
				order = append(order, parent)
			}
			parents[parent] = append(parents[parent], mysqlFollowed{t, paths})
		}
	}
	slices.SortFunc(order, func(a, b mysqlTableName) int { return strings.Compare(a.String(), b.String()) })
	for _, parent := range order {
		if err := w.parent(ctx, c, parent, parents[parent]); err != nil {
			return err
		}
	}
	for _, t := range w.all.triggers {
		if t.follows() && t.signed && parents[t.table] == nil {
			w.statements = append(w.statements, "DROP TRIGGER IF EXISTS "+w.qualified(t.table.schema, t.name))
		}
	}
	return nil
}

func (w *mysqlPlanner) qualified(schema, name string) string {
	return mysqlTableName{schema, name}.quoted(w.all.home)
}

func (w *mysqlPlanner) parent(ctx context.Context, c *sqldriver.Conn, parent mysqlTableName, followed []mysqlFollowed) error {
	statement, wanted := mysqlBeforeDelete(parent, w.all.home, followed)
	var old []mysqlInstalled
	for _, t := range w.all.triggers {
		if t.follows() && t.table == parent {
			old = append(old, t)
		}
	}
	if len(old) == 1 && old[0].signed && old[0].Shape == wanted.Shape {
		// It comes last: what other triggers do to the rows that would follow is journaled by those rows' own.
		last, err := w.source.lastBeforeDelete(ctx, c, parent)
		if err != nil || last == old[0].name {
			return err
		}
	}
	for _, f := range followed {
		missed := slices.ContainsFunc(f.paths, func(p mysqlPath) bool {
			return len(old) == 0 || !slices.Contains(old[0].Columns, f.label(p))
		})
		if missed && w.journaled(f.table.recorded) && !slices.Contains(w.gaps, f.table.recorded) {
			w.gaps = append(w.gaps, f.table.recorded)
		}
	}
	schema := parent.schema
	if schema == w.all.home {
		schema = ""
	}
	w.replace(w.qualified(parent.schema, parent.name), schema, old, []string{statement}, len(old) > 0)
	return nil
}

// uninstall implements source.
func (s *mysqlSource) uninstall(ctx context.Context, c *sqldriver.Conn) (statements []string, err error) {
	all, err := s.catalogue(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range all.triggers {
		if t.signed {
			statements = append(statements, "DROP TRIGGER IF EXISTS "+mysqlTableName{t.table.schema, t.name}.quoted(all.home))
		}
	}
	statements = append(statements, "DROP TABLE IF EXISTS cape_journal", "DROP TABLE IF EXISTS cape_tick")
	if all.meta != nil {
		statements = append(statements, "DELETE FROM cape_meta WHERE `key` LIKE 'journal.%'")
	}
	return statements, nil
}

// mysqlServer is the server's variables.
type mysqlServer map[string]string

func (s *mysqlSource) server(ctx context.Context, c *sqldriver.Conn) (mysqlServer, error) {
	server := make(mysqlServer)
	// SHOW knows no placeholders everywhere, and the two servers do not have the same variables.
	query := "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'group_replication_group_name', 'group_replication_single_primary_mode', " +
		"'tx_isolation', 'transaction_isolation', 'binlog_format', 'log_bin', 'auto_increment_increment', 'enable_cascade_triggers')"
	err := each(ctx, c, query, nil, func(row []driver.Value) error {
		server[strings.ToLower(textOf(row[0]))] = strings.ToUpper(textOf(row[1]))
		return nil
	})
	return server, err
}

func (v mysqlServer) on(name string) bool { return v[name] == "ON" || v[name] == "1" }

// refuse names what the order of the entries could not hold on.
func (v mysqlServer) refuse() error {
	switch {
	case v.on("wsrep_on"):
		return errors.New("this server is a node of a Galera cluster (wsrep_on is ON): where several nodes write, the journal's ids have no order; " +
			"use one server, with replicas if need be")
	case v["group_replication_group_name"] != "" && !v.on("group_replication_single_primary_mode"):
		return errors.New("this server's replication group has several primaries: where several servers write, the journal's ids have no order; " +
			"set group_replication_single_primary_mode=ON")
	case v["tx_isolation"] == "READ-UNCOMMITTED", v["transaction_isolation"] == "READ-UNCOMMITTED":
		return errors.New("sessions begin with the isolation level READ UNCOMMITTED, which shows changes that may never be committed: " +
			"set transaction_isolation to READ-COMMITTED or REPEATABLE-READ on the server")
	}
	return nil
}

func (v mysqlServer) warnings() []string {
	var all []string
	if v.on("log_bin") && v["binlog_format"] == "STATEMENT" {
		all = append(all, "binlog_format is STATEMENT: replicas run the triggers by themselves and give other ids, and each write logs a warning; set it to ROW or MIXED")
	}
	if step := v["auto_increment_increment"]; step != "" && step != "1" {
		all = append(all, "auto_increment_increment is "+step+": the journal must watch each id that is left out for a while; set it to 1 where only one server writes")
	}
	return all
}
