package migrate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// mysqlSystem knows MySQL and MariaDB.
type mysqlSystem struct {
	text string // "CHARACTER SET utf8mb4 COLLATE …" of this server
}

func (mysqlSystem) title() string { return "MySQL" }

// fold folds case, which columns and indexes do not have here. Two tables that differ by case alone cannot be told apart.
func (mysqlSystem) fold(identifier string) string { return strings.ToLower(identifier) }

func (mysqlSystem) cut(identifier string) string {
	const longest = 64
	if utf8.RuneCountInString(identifier) <= longest {
		return identifier
	}
	return string([]rune(identifier)[:longest])
}

func (s mysqlSystem) collation() string {
	_, collation, _ := cutWord(s.text, "COLLATE")
	return collation
}

func (mysqlSystem) addsConstraints() bool { return true }

func (mysqlSystem) atomic() bool { return false }

func (mysqlSystem) parseType(declared string) actualColumn {
	base, _, _ := strings.Cut(baseOf(declared), " ") // "int unsigned", "double precision"
	c := actualColumn{declared: declared, base: base}
	switch base {
	case "bool", "boolean":
		c.base = "tinyint"
	case "integer":
		c.base = "int"
	case "numeric", "dec":
		c.base = "decimal"
	case "real":
		c.base = "double"
	}
	c.digits = fractionOf(declared)
	return c
}

// fractionOf reads the digits of a second; none where the type says nothing.
func fractionOf(declared string) int {
	if !strings.Contains(declared, "(") {
		return 0
	}
	return precisionOf(declared)
}

func (mysqlSystem) fit(kind predicate.Kind, c *actualColumn) verdict {
	text := []string{"varchar", "char", "tinytext", "text", "mediumtext", "longtext"}
	allowed := map[predicate.Kind][]string{
		predicate.Bool:    {"tinyint", "bit"},
		predicate.Int:     {"bigint", "int", "mediumint", "smallint", "tinyint", "year"},
		predicate.Float:   {"double", "float"},
		predicate.Decimal: {"decimal"},
		predicate.Text:    append([]string{"enum"}, text...),
		predicate.UUID:    append([]string{"uuid"}, text...),
		predicate.Bytes:   {"varbinary", "tinyblob", "blob", "mediumblob", "longblob"},
		predicate.Time:    {"datetime", "timestamp", "date"},
		predicate.JSON:    append([]string{"json", "tinyblob", "blob", "mediumblob", "longblob"}, text...),
	}[kind]
	switch {
	case !slices.Contains(allowed, c.base):
		return verdict{problem: fmt.Sprintf("cannot hold values of kind %s here", kind)}
	case kind == predicate.Float && c.base == "float":
		return verdict{remark: "the type keeps 7 digits of a number, and equality does not find them again; a new column would be double"}
	case kind == predicate.Text && c.base == "char":
		return verdict{remark: "the type drops spaces at the end of a text; a new column would be varchar"}
	}
	return timeVerdict(kind, c)
}

// follow is needed everywhere: InnoDB wants both columns of one type, sign and collation.
func (mysqlSystem) follow(_ predicate.Kind, target *actualColumn) (string, bool) {
	declared := target.declared
	if target.charset != "" {
		declared += " CHARACTER SET " + target.charset + " COLLATE " + target.collation
	}
	return declared, true
}

// declare leaves a type as it is: the table's default collation is ours.
func (mysqlSystem) declare(_ predicate.Kind, declared string) string { return declared }

func (mysqlSystem) counter(declared string) (definition string, inKey bool) {
	return declared + " NOT NULL AUTO_INCREMENT", false
}

func (s mysqlSystem) options() string { return " ENGINE=InnoDB DEFAULT " + s.text }

func (mysqlSystem) literal(v predicate.Value) string {
	switch v.Kind() {
	case predicate.Bool:
		if v.Bool() {
			return "1"
		}
		return "0"
	case predicate.Int:
		return strconv.FormatInt(v.Int(), 10)
	case predicate.Float:
		return floatLiteral(v.Float())
	case predicate.Decimal:
		return v.Content()
	case predicate.Bytes:
		return "x'" + hex.EncodeToString([]byte(v.Content())) + "'"
	case predicate.Time:
		return quoteText(v.Time().Format("2006-01-02 15:04:05.000000"))
	default:
		// What a backslash means in a literal depends on sql_mode.
		parts := strings.Split(v.Content(), `\`)
		if len(parts) == 1 {
			return quoteText(v.Content())
		}
		for i, part := range parts {
			parts[i] = quoteText(part)
		}
		return "concat(" + strings.Join(parts, ", char(92 using utf8mb4), ") + ")"
	}
}

func (mysqlSystem) now() string { return "(utc_timestamp(6))" }

// wrap makes an expression of what MySQL would not take as a plain default.
func (s mysqlSystem) wrap(declared, expression string) string {
	long := slices.ContainsFunc([]string{"text", "blob", "json"}, func(word string) bool {
		return strings.HasSuffix(s.parseType(declared).base, word)
	})
	plain := strings.HasPrefix(expression, "'") || strings.HasPrefix(expression, "x'") || !strings.Contains(expression, "(")
	if strings.HasPrefix(expression, "(") || plain && !long {
		return expression
	}
	return "(" + expression + ")"
}

// mariaDB tells the two servers apart by the collation that each has.
func (s mysqlSystem) mariaDB() bool { return strings.Contains(s.text, "nopad") }

func (s mysqlSystem) indexProblem(i *index) string {
	switch {
	case s.mariaDB() && slices.ContainsFunc(i.parts, func(p part) bool { return p.expression != "" }):
		return "MariaDB has no indexes on expressions: index a generated column"
	case i.where != "" && i.unique:
		return "MySQL and MariaDB have no partial indexes, and without its condition a unique one would refuse too much"
	case slices.ContainsFunc(i.parts, func(p part) bool { return p.collate != "" }):
		return "MySQL and MariaDB take no collation in an index: give the column one"
	}
	return ""
}

func (mysqlSystem) indexHead(name, table, method string) string {
	if method == "" {
		return name + " ON " + table
	}
	return name + " USING " + method + " ON " + table
}

func (mysqlSystem) indexTail(i *index) string {
	if i.option == "" {
		return ""
	}
	return " " + i.option
}

// indexPart bounds an existing text without a length of its own; a unique index then speaks of its beginning alone, and
// that only a tag can want.
func (mysqlSystem) indexPart(i *index, quoted string, p part, actual *actualColumn) string {
	const prefix = 191
	text := quoted
	switch {
	case p.expression != "" && !strings.HasPrefix(p.expression, "("):
		text = "(" + p.expression + ")"
	case p.expression != "":
		text = p.expression
	case p.length > 0:
		text += fmt.Sprintf("(%d)", p.length)
	case actual != nil && !i.unique && i.class == "" && (strings.HasSuffix(actual.base, "text") || strings.HasSuffix(actual.base, "blob")):
		text += fmt.Sprintf("(%d)", prefix)
	}
	if p.sort != "" {
		text += " " + p.sort
	}
	return text
}

func (mysqlSystem) retype(w *writer, t *table, c *column) string {
	definition, _ := w.definition(c)
	return "ALTER TABLE " + w.table(t.schema, t.name) + " MODIFY COLUMN " + definition
}

// lockName is the lock of CapeBase's migrations. Such locks are the server's, hence the database in the name, which has
// at most 64 characters.
const lockName = "concat('capebase ', md5(database()))"

// locked holds a lock on one connection, which stays outside of any transaction: DDL commits.
func (mysqlSystem) locked(ctx context.Context, db *sqldriver.DB, fn func(context.Context, *session) error) error {
	return db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		s := &session{conn: c, dialect: db.Dialect()}
		got, err := s.rows(ctx, fmt.Sprintf("SELECT get_lock(%s, %d), database()", lockName, int(lockWait/time.Second)))
		switch {
		case err != nil:
			return fmt.Errorf("wait for other processes that migrate: %w", err)
		case got[0].null(1):
			return errors.New("no database is selected: name one in the URL")
		case !got[0].is(0):
			return fmt.Errorf("another process has been migrating for %v", lockWait)
		}
		defer func() {
			// The connection goes back to the pool; a context that has ended must not leave the lock on it.
			_, failure := s.rows(context.WithoutCancel(ctx), "SELECT release_lock("+lockName+")")
			err = errors.Join(err, failure)
		}()
		return fn(ctx, s)
	})
}

func (mysqlSystem) dropSchema(context.Context, *session, string) error { return nil }

func (mysqlSystem) home(context.Context, *session) (string, error) { return "", nil }
