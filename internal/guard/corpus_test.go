package guard

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// entry is a statement of a file in testdata.
type entry struct {
	sql  string
	args []any
	mark string // what the file says of it, "" for nothing
}

// corpus reads files of statements, each of which ends with a semicolon at the end of its line. Behind that may stand
// "-- not ENGINE, …", "-- with [ARGUMENT, …]" in JSON, whose objects are named arguments, or a mark. {name} is a quoted name.
func corpus(t testing.TB, engine string, files ...string) []entry {
	t.Helper()
	var found []entry
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for scanner := bufio.NewScanner(strings.NewReader(string(data))); scanner.Scan(); {
			statement, behind, marked := strings.Cut(scanner.Text(), "; -- ")
			ends := marked
			if !marked {
				statement, ends = strings.CutSuffix(statement, ";")
			}
			lines = append(lines, statement)
			if !ends {
				continue
			}
			e := entry{sql: quoteNames(engine, strings.TrimSpace(strings.Join(lines, "\n")))}
			lines = nil
			if not, ok := strings.CutPrefix(behind, "not "); ok {
				if slices.Contains(strings.Split(not, ", "), engine) {
					continue
				}
				behind = ""
			}
			if i := strings.Index(behind, "with ["); i >= 0 {
				e.args = argumentsOf(t, strings.TrimPrefix(behind[i:], "with "))
				behind = strings.TrimSpace(behind[:i])
			}
			e.mark = behind
			found = append(found, e)
		}
		if len(lines) > 0 && strings.TrimSpace(strings.Join(lines, "")) != "" {
			t.Fatalf("%s: the last statement has no end: %q", file, lines)
		}
	}
	return found
}

func quoteNames(engine, statement string) string {
	quote := `"`
	if engine == dbtest.MariaDB || engine == dbtest.MySQL {
		quote = "`"
	}
	return regexp.MustCompile(`\{([A-Za-z][A-Za-z0-9 _()*]*)\}`).ReplaceAllString(statement, quote+"${1}"+quote)
}

func argumentsOf(t testing.TB, text string) []any {
	t.Helper()
	var values []any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	plain := func(v any) any {
		if n, ok := v.(json.Number); ok {
			i, err := n.Int64()
			if err != nil {
				t.Fatal(err)
			}
			return i
		}
		return v
	}
	for i, v := range values {
		values[i] = plain(v)
		if named, ok := v.(map[string]any); ok {
			for name, v := range named {
				values[i] = sql.Named(name, plain(v))
			}
		}
	}
	return values
}

// querier is what answer asks: a *sql.DB, *sql.Tx or *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// answer runs a query and writes its rows down.
func answer(ctx context.Context, db querier, query string, args ...any) (lines []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
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
			switch v := v.(type) {
			case []byte:
				values[i] = string(v)
			case time.Time:
				values[i] = v.UTC()
			}
		}
		lines = append(lines, fmt.Sprintf("%v", values))
	}
	return lines, rows.Err()
}

// ordered tells whether a statement says in which order its rows come.
func ordered(engine, query string) bool {
	tokens, err := defaultFlavor(strings.Replace(engine, "mariadb", "mysql", 1)).lex(query)
	return err == nil && slices.ContainsFunc(tokens, func(t token) bool { return t.keyword == "ORDER" && t.depth == 0 })
}

// prepared is a prepared statement that answer asks.
type prepared struct{ *sql.Stmt }

func (s prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return s.Stmt.QueryContext(ctx, args...)
}
