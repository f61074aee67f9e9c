package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mysqlForm is how a column's value is written into an image, so that JSON has it exactly. MySQL's JSON_OBJECT and
// MariaDB's differ, and neither keeps all types; text that is put together is alike on both.
type mysqlForm byte

const (
	mysqlNumber    mysqlForm = 'n'
	mysqlSingle    mysqlForm = 'f' // as text a float would lose digits
	mysqlBits      mysqlForm = 'b'
	mysqlTime      mysqlForm = 'q' // date, datetime and time, as text
	mysqlTimestamp mysqlForm = 'z' // seconds since 1970: no time zone of the writer's session can matter
	mysqlBlob      mysqlForm = 'x'
	mysqlText      mysqlForm = 't' // in utf8mb4
	mysqlOther     mysqlForm = 'c' // what must become utf8mb4 first: other character sets, JSON, enum, uuid
	mysqlMissing   mysqlForm = '?' // there is no such column
)

// mysqlFormOf knows the form of a type of information_schema.
func mysqlFormOf(dataType, charset string) mysqlForm {
	switch dataType = strings.ToLower(dataType); dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double", "year":
		return mysqlNumber
	case "float":
		return mysqlSingle
	case "bit":
		return mysqlBits
	case "date", "datetime", "time":
		return mysqlTime
	case "timestamp":
		return mysqlTimestamp
	case "enum", "set", "json":
		return mysqlOther
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return mysqlBlob
	}
	if strings.EqualFold(charset, "utf8mb4") {
		return mysqlText
	}
	return mysqlOther
}

// mysqlTable is what the triggers of a table are made from.
type mysqlTable struct {
	schema   string // "" is the journal's own
	name     string // as the catalogue has it
	recorded string // as entries have it
	journal  string // quoted
	signature
	key     []string
	columns []string // all that the table has
	// bound are the columns beside the key that a constraint can forbid to change: those of unique indexes and of foreign
	// keys, also those that others refer to.
	bound []string
	forms map[string]mysqlForm // by name in lower case
}

func mysqlQuote(identifier string) string {
	return "`" + strings.ReplaceAll(identifier, "`", "``") + "`"
}

// mysqlString writes text so that it means the same in every sql_mode.
func mysqlString(text string) string {
	if !strings.Contains(text, `\`) {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return "CONVERT(x'" + hex.EncodeToString([]byte(text)) + "' USING utf8mb4)"
}

// mysqlMaxName is the longest identifier, in characters.
const mysqlMaxName = 64

// mysqlTriggerName is one that Dialect.ForeignTriggers knows for ours; unquoted.
func mysqlTriggerName(table, suffix string) string {
	if name := "cape_" + table + "_" + suffix; len([]rune(name)) <= mysqlMaxName {
		return name
	}
	sum := sha256.Sum256([]byte(table))
	return "cape_" + string([]rune(table)[:40]) + "_" + hex.EncodeToString(sum[:6]) + "_" + suffix
}

// fullName is the table's name with its schema.
func (t *mysqlTable) fullName(home string) mysqlTableName {
	if t.schema == "" {
		return mysqlTableName{home, t.name}
	}
	return mysqlTableName{t.schema, t.name}
}

// quoted is the table's name in SQL.
func (t *mysqlTable) quoted() string { return mysqlQualified(t.schema, t.name) }

func mysqlQualified(schema, name string) string {
	if schema == "" {
		return mysqlQuote(name)
	}
	return mysqlQuote(schema) + "." + mysqlQuote(name)
}

// mysqlSuffixes are those of the triggers that each table has. A table whose deletions the foreign keys of others follow
// has one more: mysqlCascade.
func mysqlSuffixes() []string { return []string{"i", "u", "d"} }

const mysqlCascade = "b"

// triggers are the statements that make the triggers. A REPLACE is a deletion and an insertion here, and an upsert what
// it comes to.
func (t *mysqlTable) triggers() []string {
	return []string{t.afterInsert(), t.afterUpdate(), t.afterDelete()}
}

// mysqlSignature writes a signature so that information_schema gives it back: as a literal, since the mysql client leaves
// comments out of what it sends, and without backslashes, since the servers show what literals mean, and not what they are.
func mysqlSignature(comment string) string {
	return "'" + strings.NewReplacer(`\`, "~", "'", "~u0027", "~", "~u007e").Replace(comment) + "'"
}

func parseMySQLSignature(text string) (signature, bool) {
	return parseSignature(strings.ReplaceAll(text, "~", `\`))
}

// mysqlTrigger writes a trigger.
func mysqlTrigger(schema, table, suffix, event, signature string, lines ...string) string {
	return fmt.Sprintf("CREATE TRIGGER %s %s ON %s FOR EACH ROW\nBEGIN\n\tDECLARE cape_signature LONGTEXT DEFAULT %s;\n\t%s\nEND",
		mysqlQualified(schema, mysqlTriggerName(table, suffix)), event, mysqlQualified(schema, table),
		mysqlSignature(signature), strings.Join(lines, "\n\t"))
}

func (t *mysqlTable) trigger(suffix, event string, lines ...string) string {
	return mysqlTrigger(t.schema, t.name, suffix, event, t.comment(), lines...)
}

func (t *mysqlTable) afterInsert() string {
	return t.trigger("i", "AFTER INSERT", t.record("I", t.keyOf("NEW"), "NULL", t.image("NEW")))
}

// afterUpdate compares the images, which are as exact as can be, and not the values, whose collations may call different
// ones equal. An image that could not be written (beyond max_allowed_packet) is NULL, and then the entry is written: who
// reads it finds that a change is unknown.
//
// MariaDB also calls the trigger for rows that an UPDATE IGNORE has left alone, because a constraint forbade the change:
// where the update would change key or bound columns, and the row is still the old one, nothing has happened.
func (t *mysqlTable) afterUpdate() string {
	const text = " LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT "
	lines := []string{
		"DECLARE cape_old" + text + t.image("OLD") + ";",
		"DECLARE cape_new" + text + t.image("NEW") + ";",
		"DECLARE cape_from" + text + t.keyOf("OLD") + ";",
		"DECLARE cape_to" + text + t.keyOf("NEW") + ";",
	}
	same := "cape_old = cape_new"
	if len(t.Secret) > 0 {
		lines = append(lines,
			"DECLARE cape_hidden"+text+t.object("OLD", t.Secret)+";",
			"DECLARE cape_shown"+text+t.object("NEW", t.Secret)+";")
		same += " AND cape_hidden = cape_shown"
	}
	undo := "SET cape_new = cape_old, cape_to = cape_from"
	if len(t.Secret) > 0 {
		undo += ", cape_shown = cape_hidden"
	}
	lines = append(lines,
		"IF ("+t.same("OLD", "NEW")+") IS NOT TRUE AND NOT EXISTS ("+t.there("NEW")+") AND EXISTS ("+t.there("OLD")+") THEN",
		"\t"+undo+";",
		"END IF;")
	lines = append(lines,
		"IF cape_from <> cape_to THEN",
		"\t"+t.record("D", "cape_from", "cape_old", "NULL"),
		"\t"+t.record("I", "cape_to", "NULL", "cape_new"),
		"ELSEIF ("+same+") IS NOT TRUE THEN",
		"\t"+t.record("U", "cape_to", "cape_old", "cape_new"),
		"END IF;")
	return t.trigger("u", "AFTER UPDATE", lines...)
}

// there finds the row in the table, with its bound columns.
func (t *mysqlTable) there(row string) string {
	return "SELECT 1 FROM " + t.quoted() + " c0 WHERE " + t.same("c0", row)
}

// same compares key and bound columns of two rows.
func (t *mysqlTable) same(a, b string) string {
	return mysqlSame(a, b, append(slices.Clone(t.key), t.bound...))
}

func (t *mysqlTable) sameKey(a, b string) string { return mysqlSame(a, b, t.key) }

func mysqlSame(a, b string, columns []string) string {
	parts := make([]string, len(columns))
	for i, column := range columns {
		parts[i] = a + "." + mysqlQuote(column) + " <=> " + b + "." + mysqlQuote(column)
	}
	return strings.Join(parts, " AND ")
}

func (t *mysqlTable) afterDelete() string {
	return t.trigger("d", "AFTER DELETE", t.record("D", t.keyOf("OLD"), t.image("OLD"), "NULL"))
}

const (
	mysqlEntryColumns = "(`at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user`)"
	// mysqlTxSize bounds what a program that sets @cape_tx itself can make of it.
	mysqlTxSize = 64
)

// values lists an entry's columns.
func (t *mysqlTable) values(op, key, before, after string) string {
	return fmt.Sprintf("UTC_TIMESTAMP(6), %d, %s, '%s', %s, %s, %s, LEFT(@cape_tx, %d), @cape_actor, USER()",
		format, mysqlString(t.recorded), op, key, before, after, mysqlTxSize)
}

func (t *mysqlTable) record(op, key, before, after string) string {
	return "INSERT INTO " + t.journal + " " + mysqlEntryColumns + " VALUES (" + t.values(op, key, before, after) + ");"
}

// image writes a row as a JSON object.
func (t *mysqlTable) image(row string) string { return t.object(row, t.Columns) }

func (t *mysqlTable) object(row string, columns []string) string {
	return t.objectWith(columns, func(column string) string { return row + "." + mysqlQuote(column) })
}

// objectWith writes columns whose values are expressions.
func (t *mysqlTable) objectWith(columns []string, value func(column string) string) string {
	var b strings.Builder
	b.WriteString("CONCAT(")
	for i, column := range columns {
		sign := ","
		if i == 0 {
			sign = "{"
		}
		b.WriteString(mysqlString(sign+jsonName(column)+":") + ", IFNULL(" + mysqlValue(t.form(column), value(column)) + ", 'null'), ")
	}
	b.WriteString("'}')")
	return b.String()
}

// jsonName writes a name with the few escapes that JSON wants.
func jsonName(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range name {
		if r < ' ' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// mysqlValue writes a value as JSON; NULL stays NULL.
func mysqlValue(form mysqlForm, v string) string {
	switch form {
	case mysqlNumber:
		return v
	case mysqlSingle:
		return "(" + v + " + 0e0)"
	case mysqlBits:
		return "(" + v + " + 0)"
	case mysqlTime:
		return "CONCAT('\"', " + v + ", '\"')"
	case mysqlTimestamp:
		return "UNIX_TIMESTAMP(" + v + ")"
	case mysqlBlob:
		return "CONCAT('{\"$blob\":\"', REPLACE(TO_BASE64(" + v + "), CHAR(10 USING utf8mb4), ''), '\"}')"
	case mysqlText:
		return "JSON_QUOTE(" + v + ")"
	default:
		return "JSON_QUOTE(CONVERT(" + v + " USING utf8mb4))"
	}
}

// keyOf writes the key as a JSON array.
func (t *mysqlTable) keyOf(row string) string {
	var b strings.Builder
	b.WriteString("CONCAT('['")
	for i, column := range t.key {
		if i > 0 {
			b.WriteString(", ','")
		}
		v, form := row+"."+mysqlQuote(column), t.form(column)
		if form == mysqlBlob {
			b.WriteString(", '\"', HEX(" + v + "), '\"'")
		} else {
			b.WriteString(", " + mysqlValue(form, v))
		}
	}
	b.WriteString(", ']')")
	return b.String()
}

// form of a column that may be missing.
func (t *mysqlTable) form(column string) mysqlForm {
	if form, ok := t.forms[strings.ToLower(column)]; ok {
		return form
	}
	return mysqlMissing
}

// shape is the Shape of a signature whose triggers fit the table as it is.
func (t *mysqlTable) shape(s signature) string {
	hash := sha256.New()
	for _, columns := range [...][]string{s.Columns, s.Secret, t.key, t.bound} {
		for _, column := range columns {
			_, _ = fmt.Fprintf(hash, "%q%c", column, t.form(column))
		}
		hash.Write([]byte{'|'})
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// mysqlOwnTables are the journal's own. Statements that make them do not end a transaction's worth of work: each can run
// again.
func mysqlOwnTables() []string {
	const options = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	return []string{
		"CREATE TABLE IF NOT EXISTS cape_journal (`id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, `at` DATETIME(6) NOT NULL, `v` SMALLINT NOT NULL, " +
			"`tbl` VARCHAR(191) NOT NULL, `op` CHAR(1) NOT NULL, `key` LONGTEXT, `old` LONGTEXT, `new` LONGTEXT, " +
			"`tx` VARCHAR(" + strconv.Itoa(mysqlTxSize) + "), `actor` LONGTEXT, `db_user` VARCHAR(512))" + options,
		"CREATE TABLE IF NOT EXISTS cape_tick (`id` BIGINT NOT NULL PRIMARY KEY, `nonce` BIGINT NOT NULL, `mark` BIGINT NOT NULL, " +
			"`first_pos` BIGINT NOT NULL, `last_pos` BIGINT NOT NULL, `high` BIGINT NOT NULL, `ids` LONGTEXT NOT NULL, `holes` LONGTEXT NOT NULL, " +
			"`at` DATETIME(6) NOT NULL, KEY `cape_tick_pos` (`last_pos`))" + options,
		"INSERT IGNORE INTO cape_tick (`id`, `nonce`, `mark`, `first_pos`, `last_pos`, `high`, `ids`, `holes`, `at`) VALUES (0, 0, 0, 0, 0, 0, '', '', UTC_TIMESTAMP(6))",
	}
}
