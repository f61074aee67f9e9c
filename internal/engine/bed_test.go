package engine_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strconv"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// bed is a database with one connection, below the driver wrapper.
type bed struct {
	engine  string // as dbtest names it
	dialect engine.Dialect
	db      *sql.DB
}

func newBed(t testing.TB, target dbtest.Target) *bed {
	t.Helper()
	var database engine.Engine
	switch target.Engine {
	case dbtest.SQLite:
		database = sqlite.File(strings.TrimPrefix(target.URL, "sqlite:"))
	case dbtest.Postgres:
		database = postgres.URL(target.URL)
	default:
		database = mysql.URL(target.URL)
	}
	backend, err := database.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(backend.Writer)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bed{engine: target.Engine, dialect: backend.Dialect, db: db}
}

func (b *bed) exec(t testing.TB, query string, args ...driver.NamedValue) {
	t.Helper()
	if _, err := b.db.ExecContext(t.Context(), query, values(args)...); err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
}

func (b *bed) query(ctx context.Context, query string, args []driver.NamedValue) ([][]any, error) {
	rows, err := b.db.QueryContext(ctx, query, values(args)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is rows.Err's
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var result [][]any
	for rows.Next() {
		row := make([]any, len(columns))
		to := make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		result = append(result, row)
	}
	return result, rows.Err()
}

func values(args []driver.NamedValue) []any {
	result := make([]any, len(args))
	for i, arg := range args {
		result[i] = arg.Value
	}
	return result
}

// create makes a table whose columns have the given types, all but the first (the key) nullable.
func (b *bed) create(t testing.TB, table *engine.Table, types []string) {
	t.Helper()
	d := engine.NewBuilder(b.dialect)
	d.Write("CREATE TABLE ")
	d.Table(table)
	for i, column := range table.Columns {
		d.Write([]string{", ", " ("}[min(1, max(0, 1-i))])
		d.Quote(column.Name)
		d.Write(" ", types[i])
		if i == 0 {
			d.Write(" PRIMARY KEY")
		}
	}
	d.Write(")")
	b.exec(t, d.String())
}

// insert writes rows, some in each statement.
func (b *bed) insert(t testing.TB, table *engine.Table, rows [][]predicate.Value) {
	t.Helper()
	const each = 50
	for len(rows) > 0 {
		d := engine.NewBuilder(b.dialect)
		d.Write("INSERT INTO ")
		d.Table(table)
		d.Write(" (")
		d.Columns(table)
		d.Write(") VALUES ")
		for i, row := range rows[:min(each, len(rows))] {
			if i > 0 {
				d.Write(", ")
			}
			for j, v := range row {
				d.Write([]string{", ", "("}[min(1, max(0, 1-j))])
				d.Arg(v)
			}
			d.Write(")")
		}
		b.exec(t, d.String(), d.Args...)
		rows = rows[min(each, len(rows)):]
	}
}

// read returns all rows in the order of the key. It has an argument, because MySQL sends a number of single precision in
// another form, with 6 digits, to a query without.
func (b *bed) read(t testing.TB, table *engine.Table) [][]predicate.Value {
	t.Helper()
	d := engine.NewBuilder(b.dialect)
	d.Write("SELECT ")
	d.Columns(table)
	d.Write(" FROM ")
	d.Table(table)
	d.Write(" WHERE ")
	d.Quote(table.Columns[0].Name)
	d.Write(" >= ")
	d.Raw(int64(0))
	d.Write(" ORDER BY ")
	d.Quote(table.Columns[0].Name)
	found, err := b.query(t.Context(), d.String(), d.Args)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]predicate.Value, len(found))
	for i, row := range found {
		rows[i] = make([]predicate.Value, len(row))
		for j, v := range row {
			if rows[i][j], err = b.dialect.Scan(table.Columns[j].Kind, v); err != nil {
				t.Fatalf("row %d, column %s: %v", i, table.Columns[j].Name, err)
			}
		}
	}
	return rows
}

// truths evaluates conditions on every row: one answer for each row, by the key's order, and condition.
func (b *bed) truths(ctx context.Context, table *engine.Table, compile compiler, conditions []*predicate.Expr) ([][]predicate.Truth, error) {
	d := engine.NewBuilder(b.dialect)
	d.Write("SELECT ")
	for i, condition := range conditions {
		if i > 0 {
			d.Write(", ")
		}
		d.Write("(")
		compile(d, table, condition)
		d.Write(")")
	}
	d.Write(" FROM ")
	d.Table(table)
	d.Write(" ORDER BY ")
	d.Quote(table.Columns[0].Name)
	found, err := b.query(ctx, d.String(), d.Args)
	if err != nil {
		return nil, err
	}
	result := make([][]predicate.Truth, len(found))
	for i, row := range found {
		result[i] = make([]predicate.Truth, len(row))
		for j, v := range row {
			answer, err := engine.Scan(predicate.Bool, v)
			if err != nil {
				return nil, err
			}
			switch {
			case answer.IsNull():
				result[i][j] = predicate.Maybe
			case answer.Bool():
				result[i][j] = predicate.Yes
			default:
				result[i][j] = predicate.No
			}
		}
	}
	return result, nil
}

// matches returns for each condition the set of keys that a WHERE lets through.
func (b *bed) matches(ctx context.Context, table *engine.Table, compile compiler, conditions []*predicate.Expr) ([]map[int64]bool, error) {
	d := engine.NewBuilder(b.dialect)
	for i, condition := range conditions {
		if i > 0 {
			d.Write(" UNION ALL ")
		}
		d.Write("SELECT ")
		d.Write(strconv.Itoa(i))
		d.Write(", ")
		d.Quote(table.Columns[0].Name)
		d.Write(" FROM ")
		d.Table(table)
		d.Write(" WHERE ")
		compile(d, table, condition)
	}
	found, err := b.query(ctx, d.String(), d.Args)
	if err != nil {
		return nil, err
	}
	result := make([]map[int64]bool, len(conditions))
	for i := range result {
		result[i] = make(map[int64]bool)
	}
	for _, row := range found {
		which, err := engine.Scan(predicate.Int, row[0])
		if err != nil {
			return nil, err
		}
		key, err := engine.Scan(predicate.Int, row[1])
		if err != nil {
			return nil, err
		}
		result[which.Int()][key.Int()] = true
	}
	return result, nil
}

// compiler is engine.Where, or a broken one.
type compiler func(*engine.Builder, *engine.Table, *predicate.Expr)
