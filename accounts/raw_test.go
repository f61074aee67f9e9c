package accounts_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

// execute runs SQL that has the same text on every engine, and says how many rows it touched.
func execute(t testing.TB, db *sql.DB, statement string) int64 {
	t.Helper()
	result, err := db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// count answers SELECT COUNT(*).
func count(t testing.TB, db *sql.DB, from string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+from).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// tables lists the tables of a database.
func tables(t testing.TB, db *sql.DB, engine string) []string {
	t.Helper()
	query := "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
	switch engine {
	case dbtest.SQLite:
		query = "SELECT name FROM sqlite_master WHERE type = 'table'"
	case dbtest.Postgres:
		query = "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
	}
	var names []string
	for _, row := range dump(t, db, query) {
		names = append(names, strings.TrimSuffix(row, "|"))
	}
	slices.Sort(names)
	return names
}

// dump returns the rows of a query as text.
func dump(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // Err says it
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	var all []string
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		var row strings.Builder
		for _, v := range values {
			row.WriteString(v.String + "|")
		}
		all = append(all, row.String())
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
