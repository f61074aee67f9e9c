package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/capebase/capebase/internal/sqldriver"
)

// each runs a query and calls fn with each row, which is valid during the call.
func each(ctx context.Context, c *sqldriver.Conn, query string, args []driver.NamedValue, fn func(row []driver.Value) error) (err error) {
	rows, err := c.Query(ctx, query, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := fn(row); err != nil {
			return err
		}
	}
}

// arguments numbers the arguments of a statement.
func arguments(values ...driver.Value) []driver.NamedValue {
	args := make([]driver.NamedValue, len(values))
	for i, v := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return args
}

// also returns the arguments with more after them, and leaves the given ones alone.
func also(args []driver.NamedValue, values ...driver.Value) []driver.NamedValue {
	all := append(make([]driver.NamedValue, 0, len(args)+len(values)), args...)
	for _, v := range values {
		all = append(all, driver.NamedValue{Ordinal: len(all) + 1, Value: v})
	}
	return all
}

// textOf copies a cell's text; NULL is "".
func textOf(v driver.Value) string {
	switch v := v.(type) {
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

// intOf reads a cell's number; what is none is 0.
func intOf(v driver.Value) int64 {
	if i, ok := v.(int64); ok {
		return i
	}
	i, err := strconv.ParseInt(textOf(v), 10, 64)
	if err != nil {
		return 0
	}
	return i
}
