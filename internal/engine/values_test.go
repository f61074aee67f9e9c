package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// columnType is a type of column in each engine, and what lies in it.
type columnType struct {
	name    string
	kind    predicate.Kind
	foreign bool
	charset string        // on MySQL
	own     *engine.Shape // CapeBase creates it: what was written must come back as it was
	// sqlite, postgres and mysql are the types of tables that exist already.
	sqlite, postgres, mysql string
	stored                  []edge // beside NULL
	operands                []edge // what is compared with, beside what is stored
}

func (c columnType) sql(b *bed) string {
	switch {
	case c.own != nil:
		return b.dialect.ColumnType(*c.own)
	case b.engine == dbtest.SQLite:
		return c.sqlite
	case b.engine == dbtest.Postgres:
		return c.postgres
	default:
		return c.mysql
	}
}

func own(name string, shape engine.Shape, more ...edge) columnType {
	return columnType{name: name, kind: shape.Kind, own: &shape, stored: append(edges(shape.Kind), more...)}
}

func columnTypes() []columnType {
	return slices.Concat(ownTypes(), otherNumbers(), otherTexts(), otherTimes())
}

func ownTypes() []columnType {
	wide := own("decimal", engine.Shape{Kind: predicate.Decimal})
	wide.operands = hugeDecimals()
	narrow := own("decimal(20,4)", engine.Shape{Kind: predicate.Decimal, Precision: 20, Scale: 4})
	narrow.operands = append(narrow.stored, hugeDecimals()...)
	narrow.stored = named(narrow.stored, "zero", "one", "minus one", "1.1", "-1.1", "nine", "ten", "minus ten", "0.09", "-0.05", "2^53+1")
	text := own("text", engine.Shape{Kind: predicate.Text}, longText()...)
	return []columnType{
		own("boolean", engine.Shape{Kind: predicate.Bool}),
		own("integer", engine.Shape{Kind: predicate.Int}),
		own("number", engine.Shape{Kind: predicate.Float}),
		wide, narrow, text,
		own("text(400)", engine.Shape{Kind: predicate.Text, Size: 400}),
		own("keyed text(400)", engine.Shape{Kind: predicate.Text, Size: 400, Keyed: true}),
		own("uuid", engine.Shape{Kind: predicate.UUID}),
		own("bytes", engine.Shape{Kind: predicate.Bytes}),
		own("keyed bytes", engine.Shape{Kind: predicate.Bytes, Keyed: true}),
		own("time", engine.Shape{Kind: predicate.Time}),
		own("json", engine.Shape{Kind: predicate.JSON}),
	}
}

func otherNumbers() []columnType {
	return []columnType{
		{name: "bit", kind: predicate.Bool, sqlite: "INTEGER", postgres: "boolean", mysql: "bit(1)", stored: edges(predicate.Bool)},
		{name: "integer of 32 bits", kind: predicate.Int, sqlite: "INT", postgres: "integer", mysql: "int", operands: intEdges(),
			stored: named(intEdges(), "zero", "one", "minus one", "seven", "2^31-1", "-2^31")},
		{name: "integer of 16 bits", kind: predicate.Int, sqlite: "SMALLINT", postgres: "smallint", mysql: "smallint", operands: intEdges(),
			stored: named(intEdges(), "zero", "one", "minus one", "seven", "2^15-1")},
		{name: "unsigned integer", kind: predicate.Int, sqlite: "INTEGER UNSIGNED", postgres: "bigint", mysql: "bigint unsigned", operands: intEdges(),
			stored: named(intEdges(), "zero", "one", "seven", "2^31", "2^53+1", "2^63-1")},
		{name: "number of single precision", kind: predicate.Float, sqlite: "FLOAT", postgres: "real", mysql: "float", operands: floatEdges(),
			stored: named(floatEdges(), "zero", "one", "0.1", "0.3", "1.5", "-1.5", "2^53", "2^63", "1e-7", "123456789.125", "near one")},
		{name: "decimal that SQLite keeps as a number", kind: predicate.Decimal, sqlite: "DECIMAL(12,4)", postgres: "numeric(12,4)", mysql: "decimal(12,4)",
			stored: named(decimalEdges(), "zero", "one", "minus one", "1.1", "-1.1", "nine", "ten", "minus nine", "minus ten", "0.09", "-0.05", "-0.5")},
	}
}

func otherTexts() []columnType {
	latin := slices.DeleteFunc(textEdges(), func(e edge) bool {
		return strings.ContainsFunc(e.value.Content(), func(r rune) bool { return r > 0xff || r >= 0x7f && r < 0xa0 })
	})
	plane := slices.DeleteFunc(textEdges(), func(e edge) bool {
		return strings.ContainsFunc(e.value.Content(), func(r rune) bool { return r > 0xffff })
	})
	return []columnType{
		{name: "text that folds case", kind: predicate.Text, foreign: true, charset: "utf8mb4", stored: textEdges(),
			sqlite: "TEXT COLLATE NOCASE", postgres: `text COLLATE "en-x-icu"`, mysql: "varchar(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"},
		{name: "text that pads", kind: predicate.Text, foreign: true, stored: textEdges(),
			sqlite: "VARCHAR(400) COLLATE RTRIM", postgres: `varchar(400)`, mysql: "varchar(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
		{name: "text that folds accents", kind: predicate.Text, foreign: true, stored: textEdges(),
			sqlite: "NVARCHAR(400) COLLATE NOCASE", postgres: `varchar(400) COLLATE "und-x-icu"`, mysql: "text CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"},
		{name: "text of Latin-1", kind: predicate.Text, foreign: true, charset: "latin1", stored: latin, operands: textEdges(),
			sqlite: "CHARACTER(400) COLLATE RTRIM", postgres: `varchar(400) COLLATE "de-x-icu"`, mysql: "varchar(400) CHARACTER SET latin1 COLLATE latin1_swedish_ci"},
		{name: "text of three bytes", kind: predicate.Text, foreign: true, charset: "utf8mb3", stored: plane, operands: textEdges(),
			sqlite: "CLOB COLLATE NOCASE", postgres: `varchar(400) COLLATE "sv-x-icu"`, mysql: "varchar(400) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci"},
		{name: "text that sorts by bytes", kind: predicate.Text, stored: textEdges(),
			sqlite: "VARCHAR(400)", postgres: `varchar(400) COLLATE "POSIX"`, mysql: "varchar(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"},
		{name: "uuid of MariaDB", kind: predicate.UUID, foreign: true, stored: uuidEdges(), sqlite: "TEXT COLLATE NOCASE", postgres: "uuid", mysql: "uuid"},
		{name: "uuid in a text", kind: predicate.UUID, stored: uuidEdges(),
			sqlite: "CHAR(36)", postgres: `varchar(36) COLLATE "C"`, mysql: "varchar(36) CHARACTER SET ascii COLLATE ascii_bin"},
	}
}

func otherTimes() []columnType {
	recent := named(timeEdges(), "1971", "leap day", "leap day and 1 µs", "leap day less 1 µs", "leap day and 120 ms", "leap day and 500 ms", "another zone", "midnight",
		"hour that summer time leaves out", "hour that comes twice")
	return []columnType{
		{name: "timestamp", kind: predicate.Time, sqlite: "TIMESTAMP", postgres: "timestamp", mysql: "timestamp(6) NULL", stored: recent, operands: timeEdges()},
		{name: "time of whole seconds", kind: predicate.Time, sqlite: "TEXT", postgres: "timestamptz(0)", mysql: "datetime", stored: recent, operands: timeEdges()},
		{name: "date", kind: predicate.Time, sqlite: "DATE", postgres: "date", mysql: "date", stored: recent, operands: timeEdges()},
	}
}

// named returns the edges of the given names.
func named(from []edge, names ...string) []edge {
	return slices.DeleteFunc(slices.Clone(from), func(e edge) bool { return !slices.Contains(names, e.name) })
}

// TestEdges compares each edge value with each other by each operator, in the database and in memory.
func TestEdges(t *testing.T) {
	if count := len(columnTypes()); count < 12 {
		t.Errorf("only %d types", count)
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newBed(t, target)
		pairs := 0
		for i, c := range columnTypes() {
			t.Run(c.name, func(t *testing.T) { pairs += b.testEdges(t, fmt.Sprintf("edges%d", i), c) })
		}
		t.Logf("%d pairs of a type's value and an operator", pairs)
		if pairs < 300 {
			t.Errorf("only %d pairs", pairs)
		}
	})
}

func (b *bed) testEdges(t *testing.T, name string, c columnType) (pairs int) {
	table := &engine.Table{Name: name, Key: []int{0}, Columns: []engine.Column{
		{Name: "id", Kind: predicate.Int},
		{Name: "v", Kind: c.kind, Nullable: true, Foreign: c.foreign, Charset: c.charset},
	}}
	b.create(t, table, []string{"bigint", c.sql(b)})
	written := [][]predicate.Value{{predicate.IntValue(0), {}}}
	for i, e := range c.stored {
		if e.value.Kind() != c.kind {
			t.Fatalf("%s is no %s", e.name, c.kind)
		}
		written = append(written, []predicate.Value{predicate.IntValue(int64(i) + 1), e.value})
	}
	b.insert(t, table, written)
	rows := b.read(t, table)
	for i, row := range rows {
		if c.own != nil && row[1] != written[i][1] {
			t.Errorf("wrote %q, read %q", written[i][1].String(), row[1].String())
		}
	}
	b.testOrder(t, table, rows)

	operands := slices.Concat(c.stored, c.operands, []edge{{"NULL", predicate.Value{}}})
	conditions := conditionsOn(table, operands, c.stored)
	const batch = 40
	for len(conditions) > 0 {
		some := conditions[:min(batch, len(conditions))]
		if difference := b.compareEdges(t, table, rows, some, pairs); difference != "" {
			t.Fatal(difference)
		}
		pairs += len(some)
		conditions = conditions[len(some):]
	}
	return pairs
}

func (b *bed) compareEdges(t *testing.T, table *engine.Table, rows [][]predicate.Value, conditions []*predicate.Expr, before int) string {
	t.Helper()
	c := &tally{trees: before, truth: make(map[predicate.Truth]int), seen: make(map[string]int)}
	return b.compare(t.Context(), table, rows, honest(), conditions, c)
}

// conditionsOn makes each operator with each operand.
func conditionsOn(table *engine.Table, operands, stored []edge) []*predicate.Expr {
	kind := table.Columns[1].Kind
	leaf := func(op predicate.Op, values ...predicate.Value) *predicate.Expr {
		return &predicate.Expr{Op: op, Column: 1, Kind: kind, Values: values}
	}
	conditions := []*predicate.Expr{leaf(predicate.IsNull), {Op: predicate.Not, Args: []*predicate.Expr{leaf(predicate.IsNull)}}}
	switch kind {
	case predicate.JSON:
		return conditions
	case predicate.Bool:
		conditions = append(conditions, leaf(predicate.IsTrue), leaf(predicate.IsFalse))
	}
	for i, operand := range operands {
		for _, op := range comparisons() {
			conditions = append(conditions, leaf(op, operand.value))
		}
		next := operands[(i+1)%len(operands)].value
		conditions = append(conditions, leaf(predicate.In, operand.value, next), leaf(predicate.In, operand.value, predicate.Value{}),
			&predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{leaf(predicate.In, next, operand.value)}})
		if kind == predicate.Text && !operand.value.IsNull() {
			for _, pattern := range patternsOf(operand.value.Content()) {
				conditions = append(conditions, leaf(predicate.Like, predicate.TextValue(pattern)), leaf(predicate.ILike, predicate.TextValue(pattern)))
			}
		}
	}
	return append(conditions, leaf(predicate.In), leaf(predicate.In, valuesOf(stored)...))
}

func valuesOf(list []edge) []predicate.Value {
	values := make([]predicate.Value, len(list))
	for i, e := range list {
		values[i] = e.value
	}
	return values
}

// patternsOf uses a text as a pattern as it is, escaped, and with wildcards around.
func patternsOf(text string) []string {
	if len(text) > 1000 {
		return []string{text[:10] + "%", "%" + text[len(text)-5:]} // SQLite has a limit, and so have filters
	}
	var escaped strings.Builder
	for _, r := range text {
		escaped.WriteString(`\` + string(r))
	}
	return []string{text, escaped.String(), "%" + text, text + "%", "_" + escaped.String(), escaped.String() + "*_", strings.ToUpper(text), text + `\`}
}

// testOrder sorts by the column in each direction, with NULLs at each end.
func (b *bed) testOrder(t *testing.T, table *engine.Table, rows [][]predicate.Value) {
	t.Helper()
	if table.Columns[1].Kind == predicate.JSON {
		return
	}
	for _, descending := range []bool{false, true} {
		for _, nullsFirst := range []bool{false, true} {
			d := engine.NewBuilder(b.dialect)
			d.Write("SELECT ")
			d.Columns(table)
			d.Write(" FROM ")
			d.Table(table)
			d.Write(" ORDER BY ")
			b.dialect.Order(d, table.Columns[1], descending, nullsFirst)
			d.Write(", ")
			b.dialect.Order(d, table.Columns[0], false, false)
			got, err := b.query(t.Context(), d.String(), nil)
			if err != nil {
				t.Fatalf("%s: %v", d, err)
			}
			want := slices.Clone(rows)
			slices.SortStableFunc(want, func(x, y []predicate.Value) int { return order(b.sorted(x[1]), b.sorted(y[1]), descending, nullsFirst) })
			for i, row := range got {
				id, err := b.dialect.Scan(predicate.Int, row[0])
				if err != nil || id != want[i][0] {
					t.Fatalf("%s: place %d has row %s instead of %s (%q)", d, i, id, want[i][0], want[i][1].String())
				}
			}
		}
	}
}

// sorted returns as much of a value as the database looks at when it sorts.
func (b *bed) sorted(v predicate.Value) predicate.Value {
	const letters = 1024 / 3 // of max_sort_length, three bytes each
	text := []rune(v.Content())
	if v.Kind() != predicate.Text || b.dialect.Name() != "mysql" || len(text) < letters {
		return v
	}
	return predicate.TextValue(string(text[:letters]))
}

func order(x, y predicate.Value, descending, nullsFirst bool) int {
	if x.IsNull() || y.IsNull() {
		switch {
		case x.IsNull() && y.IsNull():
			return 0
		case x.IsNull() == nullsFirst:
			return -1
		default:
			return 1
		}
	}
	result, _ := predicate.Compare(x, y)
	if descending {
		return -result
	}
	return result
}
