package journal

import (
	"fmt"
	"slices"
	"strings"
)

// The servers tell no trigger what a foreign key does to the rows that refer to a deleted one. So the deleted row's table
// has a BEFORE DELETE trigger that journals those rows, while they are still there and as they will be. Their rows are
// locked before ids of the journal are taken: an INSERT … SELECT takes ids ahead of the rows that it reads, and another
// transaction's change of such a row could get a higher id than the deletion after it.
//
// One thing escapes: DELETE IGNORE of a row whose deletion another foreign key forbids journals deletions that did not
// happen.

// mysqlTableName names a table; the schema is never empty.
type mysqlTableName struct{ schema, name string }

func (n mysqlTableName) String() string { return n.schema + "." + n.name }

// mysqlForeignKey is a foreign key with what it does.
type mysqlForeignKey struct {
	name               string
	table, target      mysqlTableName
	columns, targets   []string
	onDelete, onUpdate string // as information_schema has it
}

func (f *mysqlForeignKey) follows() bool {
	return f.onDelete == "CASCADE" || f.onDelete == "SET NULL"
}

// mysqlPath is how the deletion of a row reaches those of a journaled table: foreign keys from the deleted row's table
// down. All but the last cascade; what the last one does, happens to the rows.
type mysqlPath []*mysqlForeignKey

func (p mysqlPath) last() *mysqlForeignKey { return p[len(p)-1] }

// mysqlPaths finds all paths to a table, by the table whose rows are deleted. What the triggers cannot follow is an
// error with what helps.
func mysqlPaths(table mysqlTableName, keys []*mysqlForeignKey) (map[mysqlTableName][]mysqlPath, error) {
	paths := make(map[mysqlTableName][]mysqlPath)
	var climb func(p mysqlPath) error
	climb = func(p mysqlPath) error {
		top := p[0].target
		cascading := p
		if p.last().onDelete != "CASCADE" {
			cascading = p[:len(p)-1] // rows that are set to NULL end the way, also when they are the table's own
		}
		if slices.ContainsFunc(cascading, func(f *mysqlForeignKey) bool { return f.table == top }) {
			return fmt.Errorf("deletions go round in a circle through the foreign key %s of %s, and no trigger can follow them: declare it ON DELETE RESTRICT or SET NULL",
				p[0].name, p[0].table)
		}
		paths[top] = append(paths[top], p)
		for _, f := range keys {
			if f.table == top && f.onDelete == "CASCADE" {
				if err := climb(append(mysqlPath{f}, p...)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, f := range keys {
		if f.table != table {
			continue
		}
		switch f.onUpdate {
		case "CASCADE", "SET NULL", "SET DEFAULT":
			return nil, fmt.Errorf("its foreign key %s is ON UPDATE %s, which fires no trigger, so that those changes would be lost: declare it ON UPDATE RESTRICT (in a gorm tag: leave OnUpdate out); "+
				"for the table that is there: ALTER TABLE %s DROP FOREIGN KEY %s, and add it again without ON UPDATE",
				f.name, f.onUpdate, mysqlQualified(f.table.schema, f.table.name), mysqlQuote(f.name))
		}
		if f.follows() {
			if err := climb(mysqlPath{f}); err != nil {
				return nil, err
			}
		}
	}
	return paths, nil
}

// mysqlFollowed is a journaled table with the paths on which the deletion of a row of one other table reaches it.
type mysqlFollowed struct {
	table *mysqlTable
	paths []mysqlPath
}

// mysqlBeforeDelete writes the trigger of a table whose deletions reach others. Names without a schema are of the
// trigger's own.
func mysqlBeforeDelete(parent mysqlTableName, home string, followed []mysqlFollowed) (statement string, s signature) {
	var lines []string
	for _, f := range followed {
		for _, p := range f.paths {
			s.Columns = append(s.Columns, f.label(p))
		}
		here := *f.table
		here.journal = mysqlTableName{home, "cape_journal"}.quoted(parent.schema)
		f.table = &here
		lines = append(lines, f.statements(parent.schema)...)
	}
	for i, line := range lines {
		lines[i] = "\t" + line
	}
	lines = append(append([]string{
		"DECLARE cape_rows BIGINT;",
		"IF @@SESSION.foreign_key_checks = 1 THEN", // without it nothing follows
	}, lines...), "END IF;")
	s.Shape = mysqlHash(strings.Join(lines, "\n"))
	schema := parent.schema
	if schema == home {
		schema = ""
	}
	return mysqlTrigger(schema, parent.name, mysqlCascade, "BEFORE DELETE", s.comment(), lines...), s
}

// label names a path in a signature: who finds it there knows that the path's rows are journaled.
func (f *mysqlFollowed) label(p mysqlPath) string {
	parts := []string{f.table.recorded}
	for i := len(p) - 1; i >= 0; i-- {
		parts = append(parts, p[i].table.name+"."+p[i].name)
	}
	return strings.Join(parts, " < ")
}

// statements journal what happens to the table's rows: each row once, also where several paths reach it.
func (f *mysqlFollowed) statements(here string) []string {
	var lines, deleted, cleared []string
	var clearing []mysqlPath
	for _, p := range f.paths {
		if p.last().onDelete == "CASCADE" {
			from, where := p.rows(here)
			lines = append(lines, f.record("D", from, where, deleted, "NULL")...)
			deleted = append(deleted, p.reaches(here))
		} else {
			clearing = append(clearing, p)
		}
	}
	for _, p := range clearing {
		from, where := p.rows(here)
		if p[0].target == p.last().table {
			where += " AND NOT (" + f.table.sameKey("c0", "OLD") + ")" // a row that refers to itself is only deleted
		}
		lines = append(lines, f.record("U", from, where, append(slices.Clone(deleted), cleared...), f.clearedImage(clearing, here))...)
		cleared = append(cleared, p.reaches(here))
	}
	return lines
}

func (f *mysqlFollowed) record(op, from, where string, unless []string, after string) []string {
	for _, condition := range unless {
		where += " AND (" + condition + ") IS NOT TRUE"
	}
	source := " FROM " + from + " WHERE " + where + " LOCK IN SHARE MODE;"
	return []string{
		"SELECT COUNT(*) INTO cape_rows" + source,
		"INSERT INTO " + f.table.journal + " " + mysqlEntryColumns + " SELECT " +
			f.table.values(op, f.table.keyOf("c0"), f.table.image("c0"), after) + source,
	}
}

// clearedImage is the row with the columns of the foreign keys set to NULL.
func (f *mysqlFollowed) clearedImage(clearing []mysqlPath, here string) string {
	return f.table.objectWith(f.table.Columns, func(column string) string {
		value := "c0." + mysqlQuote(column)
		for _, p := range clearing {
			switch {
			case !slices.ContainsFunc(p.last().columns, func(c string) bool { return strings.EqualFold(c, column) }):
			case len(clearing) == 1:
				value = "NULL"
			default:
				value = "IF((" + p.reaches(here) + ") IS TRUE, NULL, " + value + ")"
			}
		}
		return value
	})
}

// rows finds the table's rows, as c0, that the deletion of OLD reaches.
func (p mysqlPath) rows(here string) (from, where string) {
	from = p.last().table.quoted(here) + " c0" + p.joins(here, 0)
	return from, p[0].matches("c"+fmt.Sprint(len(p)-1), "OLD")
}

// joins are those of the tables between, from the row with the alias of the number on.
func (p mysqlPath) joins(here string, after int) string {
	var b strings.Builder
	for i := after; i < len(p)-1; i++ {
		child, parent := p[len(p)-1-i], p[len(p)-2-i]
		fmt.Fprintf(&b, " JOIN %s c%d ON %s", parent.table.quoted(here), i+1, child.matches(fmt.Sprintf("c%d", i), fmt.Sprintf("c%d", i+1)))
	}
	return b.String()
}

// reaches tells of a row c0 whether the deletion of OLD reaches it on this path.
func (p mysqlPath) reaches(here string) string {
	if len(p) == 1 {
		return p[0].matches("c0", "OLD")
	}
	next := p[len(p)-2]
	return "EXISTS (SELECT 1 FROM " + next.table.quoted(here) + " c1" + p.joins(here, 1) +
		" WHERE " + p.last().matches("c0", "c1") + " AND " + p[0].matches("c"+fmt.Sprint(len(p)-1), "OLD") + ")"
}

func (f *mysqlForeignKey) matches(child, parent string) string {
	parts := make([]string, len(f.columns))
	for i, column := range f.columns {
		parts[i] = child + "." + mysqlQuote(column) + " = " + parent + "." + mysqlQuote(f.targets[i])
	}
	return strings.Join(parts, " AND ")
}

func (n mysqlTableName) quoted(here string) string {
	if n.schema == here {
		return mysqlQuote(n.name)
	}
	return mysqlQualified(n.schema, n.name)
}
