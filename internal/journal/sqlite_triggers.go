package journal

import (
	"fmt"
	"strings"
)

// sqliteTable is what the triggers of a table are made from.
type sqliteTable struct {
	name     string // as the catalogue has it
	recorded string // as entries have it
	signature
	key    []string
	alias  bool // the key is the row's number
	unique []sqliteUnique
}

// sqliteUnique is a unique constraint, the key's among them.
type sqliteUnique []sqliteUniquePart

type sqliteUniquePart struct {
	column, collation string
	// fallback is what a REPLACE stores in a NOT NULL column for NULL; "" is none.
	fallback string
}

const (
	// sqliteKeyColumns bounds the columns of a key: so many has the stash.
	sqliteKeyColumns = 8
	// sqliteImageColumns are written by one call of json_object, which takes at most 127 arguments.
	sqliteImageColumns = 60
)

// sqliteNow has whole milliseconds; older versions have no better function.
const sqliteNow = "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"

func sqliteQuote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}

func sqliteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// The triggers. An insert with OR REPLACE deletes rows and tells no trigger (but where the connection has
// recursive_triggers on): a stash takes the rows that may go, before, and what is really gone is journaled after. A
// statement that was ignored, or became an upsert, leaves its rows in the stash; they are dropped when the next insert
// of the table empties it, or with the rows themselves, and until then they are not taken for gone, since they are not.
// Rows stashed by inserts ('I') and by updates ('U') are apart: the cascades of one statement can be the other kind.
//
// Two things escape: a user's trigger that inserts into the table while a REPLACE into it is deleting several rows, and
// statements that change the rowid of a table whose key is another.

func (t *sqliteTable) triggers() []string {
	return []string{
		t.beforeInsert(), t.beforeUpdate(), t.afterInsert(), t.afterUpdate(), t.afterRekey(), t.afterDelete(),
	}
}

// triggerName is one that Dialect.ForeignTriggers knows for ours.
func (t *sqliteTable) triggerName(suffix string) string {
	return sqliteQuote("cape_" + t.name + "_" + suffix)
}

func sqliteSuffixes() []string { return []string{"bi", "bu", "ai", "au", "ak", "ad"} }

func (t *sqliteTable) trigger(suffix, event, when string, statements ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TRIGGER %s %s ON %s", t.triggerName(suffix), event, sqliteQuote(t.name))
	if when != "" {
		b.WriteString("\nWHEN " + when)
	}
	b.WriteString("\nBEGIN " + t.comment() + "\n")
	for _, statement := range statements {
		b.WriteString("\t" + statement + ";\n")
	}
	b.WriteString("END")
	return b.String()
}

func (t *sqliteTable) beforeInsert() string {
	clashes := t.clashes("NEW")
	return t.trigger("bi", "BEFORE INSERT", t.exists(clashes), append([]string{t.unstashClashing("I", clashes)}, t.stash("I", clashes)...)...)
}

func (t *sqliteTable) beforeUpdate() string {
	clashes := t.clashes("NEW")
	for i := range clashes {
		clashes[i] += " AND NOT (" + t.sameKey("t", "OLD") + ")"
	}
	var columns []string
	for _, u := range t.unique {
		for _, part := range u {
			columns = appendNew(columns, part.column)
		}
	}
	return t.trigger("bu", "BEFORE UPDATE", t.differs(columns)+" AND ("+t.exists(clashes)+")",
		append([]string{t.unstashClashing("U", clashes)}, t.stash("U", clashes)...)...)
}

func (t *sqliteTable) afterInsert() string {
	return t.trigger("ai", "AFTER INSERT", "",
		t.journalStashed("I", t.stashedIs("NEW")+" OR "+t.gone()),
		t.unstashTwins("U", "I", t.stashedIs("NEW")+" OR "+t.gone()),
		t.unstash("I", ""),
		t.journal("I", "NEW", "NULL", t.image("NEW")))
}

func (t *sqliteTable) afterUpdate() string {
	when := t.binarySame(t.key) + " AND " + t.differs(append(append([]string{}, t.Columns...), t.Secret...))
	var statements []string
	if t.hasOtherUnique() {
		statements = []string{t.journalStashed("U", t.gone()), t.unstashTwins("I", "U", t.gone()), t.unstash("U", t.gone())}
	}
	return t.trigger("au", "AFTER UPDATE", when, append(statements, t.journal("U", "NEW", t.image("OLD"), t.image("NEW")))...)
}

// afterRekey sees updates of the key: the row with the old one is gone, and one with the new one is there.
func (t *sqliteTable) afterRekey() string {
	return t.trigger("ak", "AFTER UPDATE", t.differs(t.key),
		t.unstashRow("OLD"),
		t.journalStashed("U", t.stashedIs("NEW")+" OR "+t.gone()),
		t.unstashTwins("I", "U", t.stashedIs("NEW")+" OR "+t.gone()),
		t.unstash("U", t.stashedIs("NEW")+" OR "+t.gone()),
		t.journal("D", "OLD", t.image("OLD"), "NULL"),
		t.journal("I", "NEW", "NULL", t.image("NEW")))
}

func (t *sqliteTable) afterDelete() string {
	return t.trigger("ad", "AFTER DELETE", "",
		t.unstashRow("OLD"),
		t.journal("D", "OLD", t.image("OLD"), "NULL"))
}

// hasOtherUnique tells whether a row can be replaced by another with its own key.
func (t *sqliteTable) hasOtherUnique() bool { return len(t.unique) > 1 }

func (t *sqliteTable) journal(op, row, before, after string) string {
	return fmt.Sprintf("INSERT INTO cape_journal (at, v, tbl, op, key, old, new) VALUES (%s, %d, %s, '%s', %s, %s, %s)",
		sqliteNow, format, sqliteText(t.recorded), op, sqliteArray(row, t.key), before, after)
}

func (t *sqliteTable) journalStashed(op, where string) string {
	return fmt.Sprintf("INSERT INTO cape_journal (at, v, tbl, op, key, old) SELECT %s, %d, %s, 'D', %s, cape_stash.old FROM cape_stash WHERE %s AND (%s)",
		sqliteNow, format, sqliteText(t.recorded), sqliteArray("cape_stash", sqliteStashKey(len(t.key))), t.stashed(op), where)
}

// exists tells whether there are rows that clash. Each constraint is asked for by itself: SQLite uses no index for a
// condition with OR and COLLATE in it.
func (t *sqliteTable) exists(clashes []string) string {
	parts := make([]string, len(clashes))
	for i, clash := range clashes {
		parts[i] = "EXISTS (SELECT 1 FROM " + sqliteQuote(t.name) + " t WHERE " + clash + ")"
	}
	return strings.Join(parts, " OR ")
}

// stash keeps the rows that clash, each once.
func (t *sqliteTable) stash(op string, clashes []string) []string {
	statements := make([]string, len(clashes))
	for i, clash := range clashes {
		for _, before := range clashes[:i] {
			clash += " AND (" + before + ") IS NOT TRUE"
		}
		statements[i] = fmt.Sprintf("INSERT INTO cape_stash (tbl, op, old, %s) SELECT %s, '%s', %s, %s FROM %s t WHERE %s",
			strings.Join(sqliteStashKey(len(t.key)), ", "), sqliteText(t.recorded), op, t.image("t"), t.columns("t", t.key), sqliteQuote(t.name), clash)
	}
	return statements
}

// unstashClashing drops what a statement that was ignored left of the rows that clash.
func (t *sqliteTable) unstashClashing(op string, clashes []string) string {
	rows := make([]string, len(clashes))
	for i, clash := range clashes {
		rows[i] = "SELECT " + t.columns("t", t.key) + " FROM " + sqliteQuote(t.name) + " t WHERE " + clash
	}
	return t.unstash(op, "("+t.row("cape_stash", sqliteStashKey(len(t.key)))+") IN ("+strings.Join(rows, " UNION ALL ")+")")
}

// unstash drops the rows that an operation stashed and for which where, which may be empty, holds.
func (t *sqliteTable) unstash(op, where string) string {
	text := "DELETE FROM cape_stash WHERE " + t.stashed(op)
	if where != "" {
		text += " AND (" + where + ")"
	}
	return text
}

// unstashTwins drops what a statement that was ignored left of an operation, where another operation stashed the same
// row and has just journaled that it is gone.
func (t *sqliteTable) unstashTwins(op, other, where string) string {
	keys := make([]string, len(t.key))
	for i, column := range sqliteStashKey(len(t.key)) {
		keys[i] = "s." + column + " IS cape_stash." + column
	}
	return t.unstash(op, where) + fmt.Sprintf(" AND EXISTS (SELECT 1 FROM cape_stash s WHERE s.tbl = %s AND s.op = '%s' AND %s)",
		sqliteText(t.recorded), other, strings.Join(keys, " AND "))
}

func (t *sqliteTable) unstashRow(row string) string {
	return "DELETE FROM cape_stash WHERE cape_stash.tbl = " + sqliteText(t.recorded) + " AND cape_stash.op IN ('I', 'U') AND " + t.stashedIs(row)
}

func (t *sqliteTable) stashed(op string) string {
	return "cape_stash.tbl = " + sqliteText(t.recorded) + " AND cape_stash.op = '" + op + "'"
}

// gone tells whether a stashed row is no longer in the table.
func (t *sqliteTable) gone() string {
	return "NOT EXISTS (SELECT 1 FROM " + sqliteQuote(t.name) + " t WHERE " + t.stashedIs("t") + ")"
}

// stashedIs compares the key of a stashed row, by the column's collation.
func (t *sqliteTable) stashedIs(row string) string {
	parts := make([]string, len(t.key))
	for i, stashed := range sqliteStashKey(len(t.key)) {
		parts[i] = row + "." + sqliteQuote(t.key[i]) + " IS cape_stash." + stashed
	}
	return strings.Join(parts, " AND ")
}

// clashes are the conditions, one for each unique constraint, of the rows of t that stand in the way of a new one.
func (t *sqliteTable) clashes(row string) []string {
	var all []string
	for _, u := range t.unique {
		parts := make([]string, len(u))
		for i, p := range u {
			value := row + "." + sqliteQuote(p.column)
			if p.fallback != "" {
				value = "coalesce(" + value + ", " + p.fallback + ")"
			}
			parts[i] = "t." + sqliteQuote(p.column) + " = " + value
			if p.collation != "" {
				parts[i] += " COLLATE " + sqliteQuote(p.collation)
			}
		}
		all = append(all, strings.Join(parts, " AND "))
	}
	return all
}

func (t *sqliteTable) sameKey(a, b string) string {
	parts := make([]string, len(t.key))
	for i, column := range t.key {
		parts[i] = a + "." + sqliteQuote(column) + " IS " + b + "." + sqliteQuote(column)
	}
	return strings.Join(parts, " AND ")
}

// binarySame tells whether an update left columns as they were, byte by byte.
func (t *sqliteTable) binarySame(columns []string) string {
	parts := make([]string, len(columns))
	for i, column := range columns {
		parts[i] = "OLD." + sqliteQuote(column) + " IS NEW." + sqliteQuote(column) + " COLLATE BINARY"
	}
	return strings.Join(parts, " AND ")
}

// differs tells whether an update changed one of the columns. It is written flat: SQLite bounds the depth of expressions.
func (t *sqliteTable) differs(columns []string) string {
	before, after := make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		before[i] = "OLD." + sqliteQuote(column) + " COLLATE BINARY"
		after[i] = "NEW." + sqliteQuote(column)
	}
	return "(" + strings.Join(before, ", ") + ") IS NOT (" + strings.Join(after, ", ") + ")"
}

// image writes a row as a JSON object, or as several in an array.
func (t *sqliteTable) image(row string) string {
	var chunks []string
	for start := 0; start < len(t.Columns); start += sqliteImageColumns {
		var b strings.Builder
		b.WriteString("json_object(")
		for i, column := range t.Columns[start:min(start+sqliteImageColumns, len(t.Columns))] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(sqliteText(column) + ", " + t.value(row, column))
		}
		chunks = append(chunks, b.String()+")")
	}
	if len(chunks) == 1 {
		return chunks[0]
	}
	return "json_array(" + strings.Join(chunks, ", ") + ")"
}

// value writes a column so that JSON has it exactly, whatever is in it. A blob would abort the user's statement. Text
// that a JSON function made would become a part of the document; as the result of || it is only text.
func (t *sqliteTable) value(row, column string) string {
	v := row + "." + sqliteQuote(column)
	if t.alias && column == t.key[0] {
		return v
	}
	return "CASE typeof(" + v + ") WHEN 'text' THEN " + v + " || '' WHEN 'blob' THEN json_object('$blob', hex(" + v + "))" +
		" WHEN 'real' THEN CASE WHEN abs(" + v + ") < 9e999 THEN json(printf('%!.17g', " + v + ")) ELSE json_object('$real', printf('%g', " + v + ")) END" +
		" ELSE " + v + " END"
}

func (t *sqliteTable) columns(row string, columns []string) string {
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = row + "." + sqliteQuote(column)
	}
	return strings.Join(quoted, ", ")
}

func (t *sqliteTable) row(row string, columns []string) string {
	return row + "." + strings.Join(columns, ", "+row+".")
}

// sqliteArray writes columns as a JSON array.
func sqliteArray(row string, columns []string) string {
	values := make([]string, len(columns))
	for i, column := range columns {
		v := row + "." + sqliteQuote(column)
		values[i] = "CASE typeof(" + v + ") WHEN 'text' THEN " + v + " || '' WHEN 'blob' THEN hex(" + v + ") ELSE " + v + " END"
	}
	return "json_array(" + strings.Join(values, ", ") + ")"
}

func sqliteStashKey(n int) []string {
	columns := make([]string, n)
	for i := range columns {
		columns[i] = fmt.Sprintf("k%d", i)
	}
	return columns
}

func appendNew(columns []string, column string) []string {
	for _, c := range columns {
		if c == column {
			return columns
		}
	}
	return append(columns, column)
}

// sqliteOwnTables are the journal's own. No constraint of theirs can fail: a user's OR IGNORE holds for triggers too.
func sqliteOwnTables() []string {
	stash := "CREATE TABLE cape_stash (tbl TEXT, op TEXT, old TEXT"
	for _, column := range sqliteStashKey(sqliteKeyColumns) {
		stash += ", " + column
	}
	return []string{
		// AUTOINCREMENT: pruned positions must not come again.
		"CREATE TABLE cape_journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, v INTEGER, tbl TEXT, op TEXT, key TEXT, old TEXT, new TEXT, actor TEXT, tx INTEGER)",
		stash + ")",
		"CREATE INDEX cape_stash_key ON cape_stash (tbl, op, k0)",
	}
}
