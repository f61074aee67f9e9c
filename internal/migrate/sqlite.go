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

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// sqliteSystem knows SQLite.
type sqliteSystem struct{}

func (sqliteSystem) title() string { return "SQLite" }

// fold folds A to Z alone, as SQLite does.
func (sqliteSystem) fold(identifier string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, identifier)
}

func (sqliteSystem) cut(identifier string) string { return identifier }

func (sqliteSystem) collation() string { return "BINARY" }

func (sqliteSystem) addsConstraints() bool { return false }

func (sqliteSystem) atomic() bool { return true }

func (sqliteSystem) parseType(declared string) actualColumn {
	name := declared
	for _, word := range [...]string{"COLLATE", "NOT", "DEFAULT", "GENERATED", "CHECK"} {
		if before, _, ok := cutWord(name, word); ok {
			name = before
		}
	}
	return actualColumn{declared: declared, base: strings.ToLower(strings.TrimSpace(name))}
}

// cutWord cuts a text around a word, whatever its case.
func cutWord(text, word string) (before, after string, ok bool) {
	fields := strings.Fields(text)
	for i, field := range fields {
		if strings.EqualFold(field, word) {
			return strings.Join(fields[:i], " "), strings.Join(fields[i+1:], " "), true
		}
	}
	return text, "", false
}

// affinity is how SQLite converts what is written to a column, by the rules of its documentation.
type affinity string

const (
	integerAffinity affinity = "INTEGER"
	textAffinity    affinity = "TEXT"
	noAffinity      affinity = "BLOB"
	realAffinity    affinity = "REAL"
	numericAffinity affinity = "NUMERIC"
)

func affinityOf(declared string) affinity {
	declared = strings.ToUpper(declared)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(declared, word) })
	}
	switch {
	case has("INT"):
		return integerAffinity
	case has("CHAR", "CLOB", "TEXT"):
		return textAffinity
	case declared == "", has("BLOB"):
		return noAffinity
	case has("REAL", "FLOA", "DOUB"):
		return realAffinity
	default:
		return numericAffinity
	}
}

func (sqliteSystem) fit(kind predicate.Kind, c *actualColumn) verdict {
	have := affinityOf(c.base)
	allowed := map[predicate.Kind][]affinity{
		predicate.Bool:    {numericAffinity, integerAffinity, noAffinity},
		predicate.Int:     {integerAffinity, numericAffinity, noAffinity},
		predicate.Float:   {realAffinity, numericAffinity, noAffinity},
		predicate.Decimal: {textAffinity, numericAffinity, noAffinity},
		predicate.Text:    {textAffinity, noAffinity},
		predicate.UUID:    {textAffinity, numericAffinity},
		predicate.Bytes:   {noAffinity},
		predicate.Time:    {numericAffinity, textAffinity},
		predicate.JSON:    {textAffinity, numericAffinity, noAffinity},
	}[kind]
	if !slices.Contains(allowed, have) {
		return verdict{problem: fmt.Sprintf("has SQLite's %s affinity and cannot hold every %s as it is", have, kind)}
	}
	if kind == predicate.Decimal && have != textAffinity {
		return verdict{remark: "SQLite keeps decimals of that type as floating-point numbers: digits beyond the 15th are lost; a new column would be TEXT"}
	}
	return verdict{}
}

func (sqliteSystem) follow(predicate.Kind, *actualColumn) (string, bool) { return "", false }

func (sqliteSystem) declare(_ predicate.Kind, declared string) string { return declared }

// counter makes the column an alias of the row's number. AUTOINCREMENT gives no number of a deleted row again.
func (sqliteSystem) counter(string) (definition string, inKey bool) {
	return "INTEGER PRIMARY KEY AUTOINCREMENT", true
}

func (sqliteSystem) options() string { return "" }

func (sqliteSystem) literal(v predicate.Value) string {
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
	case predicate.Bytes:
		return "x'" + hex.EncodeToString([]byte(v.Content())) + "'"
	case predicate.Time:
		return quoteText(engine.FormatTime(v.Time()))
	default:
		return quoteText(v.Content())
	}
}

// quoteText writes standard SQL's string literal.
func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func floatLiteral(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// now has the width of engine.TimeLayout; SQLite's clock has milliseconds.
func (sqliteSystem) now() string { return "(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))" }

func (sqliteSystem) wrap(_, expression string) string {
	if !strings.Contains(expression, "(") || strings.HasPrefix(expression, "(") || strings.HasPrefix(expression, "'") {
		return expression
	}
	return "(" + expression + ")"
}

func (sqliteSystem) indexProblem(i *index) string {
	switch {
	case i.class != "" && !i.unique:
		return "SQLite has no " + strings.ToUpper(i.class) + " indexes"
	case i.method != "" && !strings.EqualFold(i.method, "btree"):
		return "SQLite has no " + i.method + " indexes"
	}
	return ""
}

func (sqliteSystem) indexHead(name, table, _ string) string { return name + " ON " + table }

func (sqliteSystem) indexTail(i *index) string {
	if i.where == "" {
		return ""
	}
	return " WHERE " + i.where
}

func (sqliteSystem) indexPart(_ *index, quoted string, p part, _ *actualColumn) string {
	text := quoted + p.expression
	if p.collate != "" {
		text += " COLLATE " + p.collate
	}
	if p.sort != "" {
		text += " " + p.sort
	}
	return text
}

// retype copies into a new column: a rebuilt table would lose what else hangs on it.
func (s sqliteSystem) retype(w *writer, t *table, c *column) string {
	name := w.table(t.schema, t.name)
	if c.increments || slices.Contains(t.key, c.name) {
		return "-- SQLite cannot change a key: make a table like the following, copy the rows, drop the old one, rename the new one\n" + w.create(t, t.references)
	}
	fresh := *c
	fresh.name = c.name + "_new"
	return strings.Join([]string{
		w.add(t, &fresh, ""),
		"UPDATE " + name + " SET " + w.dialect.Quote(fresh.name) + " = " + w.dialect.Quote(c.name),
		"ALTER TABLE " + name + " DROP COLUMN " + w.dialect.Quote(c.name),
		"ALTER TABLE " + name + " RENAME COLUMN " + w.dialect.Quote(fresh.name) + " TO " + w.dialect.Quote(c.name),
	}, ";\n")
}

func (sqliteSystem) schemaExists(_ context.Context, _ *session, schema string) (bool, error) {
	if schema == "main" {
		return true, nil
	}
	return false, fmt.Errorf("SQLite has no schema %q: let TableName return a name without a dot", schema)
}

// lockPause is between two attempts; SQLite itself waits during each.
const lockPause = 10 * time.Millisecond

// locked waits for the writer as long as other processes migrate: each of them holds it for a short time only.
func (sqliteSystem) locked(ctx context.Context, db *sqldriver.DB, fn func(context.Context, *session) error) error {
	deadline := time.Now().Add(lockWait)
	for {
		err := db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			return fn(ctx, &session{conn: c, dialect: db.Dialect()})
		})
		busy := errors.Is(err, sqldriver.ErrBusy) || db.Dialect().Classify(err).Class == engine.Busy
		if !busy || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(lockPause):
		}
	}
}

func (sqliteSystem) dropSchema(context.Context, *session, string) error { return nil }

func (sqliteSystem) home(context.Context, *session) (string, error) { return "", nil }
