package migrate

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// session asks one connection.
type session struct {
	conn    *sqldriver.Conn
	dialect engine.Dialect

	// What SQLite's schema defines, by folded names, and of which version that is.
	defined map[string]row
	version string
}

// row is a row of a catalogue.
type row []driver.Value

func (r row) null(i int) bool { return r[i] == nil }

func (r row) text(i int) string {
	switch v := r[i].(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}

func (r row) int(i int) int {
	n, err := strconv.Atoi(r.text(i))
	if err != nil {
		return 0
	}
	return n
}

// is tells whether the cell is true: catalogues have booleans, numbers and words.
func (r row) is(i int) bool {
	switch strings.ToLower(r.text(i)) {
	case "true", "t", "1", "yes":
		return true
	}
	return false
}

// rows runs a query whose arguments are text, and reads all of its answer.
func (s *session) rows(ctx context.Context, query string, args ...string) (_ []row, err error) {
	answer, err := s.conn.Query(ctx, query, named(args))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	var all []row
	for {
		cells := make(row, len(answer.Columns()))
		switch err := answer.Next(cells); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		for i, cell := range cells {
			if b, ok := cell.([]byte); ok {
				cells[i] = string(b) // the driver may use its bytes again
			}
		}
		all = append(all, cells)
	}
}

func (s *session) exec(ctx context.Context, statement string, args ...string) error {
	_, err := s.conn.Exec(ctx, statement, named(args))
	return err
}

func named(args []string) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return values
}
