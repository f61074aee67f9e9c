package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// nth returns distinct values of a kind that rise with n.
func nth(kind predicate.Kind, n int) predicate.Value {
	switch kind {
	case predicate.Int:
		return predicate.IntValue(int64(n))
	case predicate.Float:
		return predicate.FloatValue(float64(n) + 0.5)
	case predicate.Decimal:
		return decimal(fmt.Sprintf("%d.25", n+1000))
	case predicate.UUID:
		return uuid(fmt.Sprintf("%08d-c3d4-7e5f-8a9b-0c1d2e3f4a5b", n))
	case predicate.Bytes:
		return bytes(fmt.Sprintf("%08d", n))
	case predicate.Time:
		return predicate.TimeValue(time.Unix(int64(n), 0))
	default:
		return predicate.TextValue(fmt.Sprintf("user%08d", n))
	}
}

// TestIndexesServe asks each database for its plan: a comparison that forsakes the column's index would make every rule
// read the whole table.
func TestIndexesServe(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newBed(t, target)
		table := indexedTable()
		b.createIndexed(t, table)
		var rows [][]predicate.Value
		for n := range 2000 {
			row := make([]predicate.Value, len(table.Columns))
			for i, column := range table.Columns {
				row[i] = nth(column.Kind, n)
			}
			rows = append(rows, row)
		}
		b.insert(t, table, rows)
		b.exec(t, map[string]string{dbtest.SQLite: "ANALYZE", dbtest.Postgres: "ANALYZE"}[b.engine]+
			map[bool]string{true: "ANALYZE TABLE indexed"}[b.dialect.Name() == "mysql"])
		for i, column := range table.Columns[1:] {
			leaf := func(op predicate.Op, values ...predicate.Value) *predicate.Expr {
				return &predicate.Expr{Op: op, Column: i + 1, Kind: column.Kind, Values: values}
			}
			uses := map[string]string{"sqlite": "USING INDEX by_", "postgres": " by_", "mysql": `"key": "by_`}[b.dialect.Name()] + column.Name
			v, w := nth(column.Kind, 5), nth(column.Kind, 7)
			conditions := []*predicate.Expr{leaf(predicate.Eq, v), leaf(predicate.In, v, w)}
			if !column.Foreign && (column.Kind != predicate.Decimal || b.engine != dbtest.SQLite) {
				conditions = append(conditions, leaf(predicate.Lt, v))
			}
			if column.Foreign && column.Charset == "utf8mb4" {
				conditions = append(conditions, leaf(predicate.Eq, predicate.TextValue("é")), leaf(predicate.In, predicate.TextValue("é"), predicate.TextValue("😀")))
			}
			for _, condition := range conditions {
				if plan := b.plan(t, table, condition); !strings.Contains(plan, uses) {
					t.Errorf("%s %s is not served by its index:\n%s\n%s", column.Name, condition.Op, b.describe(table, honest(), condition, nil), plan)
				}
			}
		}
	})
}

// indexedTable has, beside CapeBase's own types, those of tables that existed before.
func indexedTable() *engine.Table {
	return &engine.Table{Name: "indexed", Key: []int{0}, Columns: []engine.Column{
		{Name: "id", Kind: predicate.Int}, {Name: "integer", Kind: predicate.Int, Nullable: true}, {Name: "number", Kind: predicate.Float, Nullable: true},
		{Name: "decimal", Kind: predicate.Decimal, Nullable: true}, {Name: "text", Kind: predicate.Text, Nullable: true},
		{Name: "uuid", Kind: predicate.UUID, Nullable: true}, {Name: "bytes", Kind: predicate.Bytes, Nullable: true},
		{Name: "time", Kind: predicate.Time, Nullable: true}, {Name: "short", Kind: predicate.Int, Nullable: true},
		{Name: "plain_time", Kind: predicate.Time, Nullable: true}, {Name: "uuid_text", Kind: predicate.UUID, Nullable: true},
		{Name: "foreign", Kind: predicate.Text, Nullable: true, Foreign: true, Charset: "utf8mb4"},
		{Name: "latin", Kind: predicate.Text, Nullable: true, Foreign: true, Charset: "latin1"},
	}}
}

func (b *bed) createIndexed(t testing.TB, table *engine.Table) {
	t.Helper()
	existing := map[string]map[string]string{
		"sqlite": {"short": "INT", "plain_time": "TIMESTAMP", "uuid_text": "CHAR(36)", "foreign": "TEXT COLLATE NOCASE", "latin": "TEXT COLLATE RTRIM"},
		"postgres": {"short": "integer", "plain_time": "timestamp", "uuid_text": `varchar(36)`, "foreign": `text COLLATE "en-x-icu"`,
			"latin": `varchar(400)`},
		"mysql": {"short": "int", "plain_time": "datetime", "uuid_text": "varchar(36) CHARACTER SET ascii", "latin": "varchar(400) CHARACTER SET latin1",
			"foreign": "varchar(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"},
	}[b.dialect.Name()]
	types := make([]string, len(table.Columns))
	for i, column := range table.Columns {
		if types[i] = existing[column.Name]; types[i] == "" {
			types[i] = b.dialect.ColumnType(engine.Shape{Kind: column.Kind, Keyed: true})
		}
	}
	b.create(t, table, types)
	for _, column := range table.Columns[1:] {
		b.exec(t, "CREATE INDEX by_"+column.Name+" ON indexed ("+b.dialect.Quote(column.Name)+")")
	}
}

func (b *bed) plan(t testing.TB, table *engine.Table, condition *predicate.Expr) string {
	t.Helper()
	d := engine.NewBuilder(b.dialect)
	d.Write(map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN ", "mysql": "EXPLAIN FORMAT=JSON "}[b.dialect.Name()])
	d.Write("SELECT ")
	d.Columns(table)
	d.Write(" FROM indexed WHERE ")
	engine.Where(d, table, condition)
	rows, err := b.query(t.Context(), d.String(), d.Args)
	if err != nil {
		t.Fatalf("%s: %v", d, err)
	}
	var s strings.Builder
	for _, row := range rows {
		text, _ := engine.TextOf(row[len(row)-1])
		s.WriteString(text + "\n")
	}
	return s.String()
}
