package guard

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// statements reads files of statements, each of which ends with a semicolon at the end of its line; behind that may
// stand "-- not ENGINE".
func statements(t *testing.T, engine string, files ...string) []string {
	t.Helper()
	var found []string
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for scanner := bufio.NewScanner(strings.NewReader(string(data))); scanner.Scan(); {
			line := scanner.Text()
			statement, except, marked := strings.Cut(line, "; -- not ")
			if !marked {
				var ends bool
				if statement, ends = strings.CutSuffix(line, ";"); !ends {
					lines = append(lines, line)
					continue
				}
			}
			lines = append(lines, statement)
			if !strings.Contains(except, engine) {
				found = append(found, strings.TrimSpace(strings.Join(lines, "\n")))
			}
			lines = nil
		}
	}
	return found
}

// answer runs a query and writes its rows down.
func answer(ctx context.Context, db *sql.DB, query string) (lines []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = string(b)
			}
		}
		lines = append(lines, fmt.Sprint(values...))
	}
	return lines, rows.Err()
}

// Each SELECT gives each caller what it gives without limits in a database that has the caller's rows alone.
func TestSelects(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := newBed(t, target)
		b.seed(everything)
		queries := statements(t, target.Engine, "select/common.sql")
		for name := range identities() {
			mirror := newBed(t, dbtest.New(t, target.Engine))
			mirror.seed(b.readable(name))
			for _, query := range queries {
				want, err := answer(caller.WithInternal(t.Context()), mirror.sql, query)
				if err != nil {
					t.Fatalf("%s: %v", query, err)
				}
				got, err := answer(b.as(name), b.sql, query)
				if err != nil {
					t.Errorf("%s: %s: %v", name, query, err)
					continue
				}
				if strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("%s: %s:\n%s\nwant:\n%s", name, query, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
	})
}
