package sqlite_test

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/sqlite"
)

// Cells are read as they are stored, whatever type their column declares, for all that a program may have stored.
func TestReadRow(t *testing.T) {
	t.Parallel()
	backend, err := sqlite.File(filepath.Join(t.TempDir(), "a.db")).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := backend.Writer.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	reader, ok := backend.Dialect.(engine.RowReader)
	if !ok {
		t.Fatal("the dialect reads no rows")
	}
	types := []string{"", "INTEGER", "BIGINT", "REAL", "TEXT", "VARCHAR(200)", "BLOB", "BOOLEAN", "DATETIME", "TIMESTAMP", "DATE", "NUMERIC", "DECIMAL(10,2)", "JSON", "CHAR(36)"}
	values := []string{
		"NULL", "0", "1", "2", "-1", "9223372036854775807", "1732400000", "1732400000123", "0.5", "1.0", "-0.0", "1e300", "9e999", "2460638.5",
		"''", "'x'", "'é'", "'1'", "'0'", "'true'", "'1.50'", "'12.'", "'NaN'", "'{\"b\":1,\"a\":[2]}'", "'null'", "'2d3e'",
		"'6ba7b810-9dad-11d1-80b4-00c04fd430c8'", "'6BA7B810-9DAD-11D1-80B4-00C04FD430C8'",
		"'2026-11-23T22:00:00.123456Z'", "'2026-11-23T22:00:00.000000Z'", "'2026-02-30T22:00:00.000000Z'", "'2026-11-23T24:00:00.000000Z'",
		"'2026-11-23T22:00:60.000000Z'", "'0000-00-00T00:00:00.000000Z'", "'9999-12-31T23:59:59.999999Z'", "'2026-11-23T22:00:00.12345xZ'",
		"'2026-11-23T22:00:00Z'", "'2026-11-23 22:00:00'", "'2026-11-23 22:00:00.5+02:00'", "'2026-11-23T22:00:00.123456789+02:00'", "'2026-11-23'", "'22:00'",
		"x''", "x'01'", "x'00ff'", "x'32303236'",
	}
	kinds := []predicate.Kind{
		predicate.Bool, predicate.Int, predicate.Float, predicate.Decimal, predicate.Text, predicate.Bytes, predicate.Time, predicate.UUID, predicate.JSON,
	}
	for i, declared := range types {
		table := fmt.Sprintf("t%d", i)
		run(t, conn, fmt.Sprintf("CREATE TABLE %s (v %s)", table, declared))
		for _, value := range values {
			run(t, conn, "DELETE FROM "+table)
			run(t, conn, fmt.Sprintf("INSERT INTO %s VALUES (%s)", table, value))
			for _, kind := range kinds {
				want, wantErr := scanned(t.Context(), conn, backend.Dialect, table, kind)
				got, gotErr := native(t.Context(), conn, reader, table, kind)
				if got != want || (gotErr == nil) != (wantErr == nil) {
					t.Errorf("%s in a column %q read as %s: %v, %v; want %v, %v", value, declared, kind, got, gotErr, want, wantErr)
				}
			}
		}
	}
}

func run(t *testing.T, conn driver.Conn, statement string) {
	t.Helper()
	if err := engine.Exec(t.Context(), conn, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func query(ctx context.Context, conn driver.Conn, columns, table string, next func(driver.Rows) error) (err error) {
	prepared, err := conn.Prepare("SELECT " + columns + " FROM " + table)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prepared.Close()) }()
	direct, ok := prepared.(driver.StmtQueryContext)
	if !ok {
		return errors.New("the statement takes no context")
	}
	rows, err := direct.QueryContext(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return next(rows)
}

// scanned reads the cell by its storage class and as text, from which Scan makes the value.
func scanned(ctx context.Context, conn driver.Conn, d engine.Dialect, table string, kind predicate.Kind) (v predicate.Value, err error) {
	columns := "typeof(v), CASE typeof(v) WHEN 'blob' THEN hex(v) WHEN 'real' THEN printf('%!.17g', v) ELSE ':' || v END"
	err = query(ctx, conn, columns, table, func(rows driver.Rows) error {
		row := make([]driver.Value, len(rows.Columns()))
		if err := rows.Next(row); err != nil {
			return err
		}
		text := strings.TrimPrefix(fmt.Sprint(row[1]), ":")
		var stored driver.Value
		switch row[0] {
		case "integer":
			stored, err = strconv.ParseInt(text, 10, 64)
		case "real":
			stored, err = strconv.ParseFloat(text, 64)
		case "text":
			stored = text
		case "blob":
			stored, err = hex.DecodeString(text)
		}
		if err == nil {
			v, err = d.Scan(kind, stored)
		}
		return err
	})
	return v, err
}

func native(ctx context.Context, conn driver.Conn, reader engine.RowReader, table string, kind predicate.Kind) (v predicate.Value, err error) {
	err = query(ctx, conn, "v", table, func(rows driver.Rows) error {
		row := make([]predicate.Value, 1)
		read, _, err := reader.ReadRow(rows, []engine.Column{{Name: "v", Kind: kind}}, row)
		if err != nil {
			return err
		}
		if v = row[0]; !read {
			return errors.New("it was not read")
		}
		if _, _, err := reader.ReadRow(rows, []engine.Column{{Name: "v", Kind: kind}}, row); !errors.Is(err, io.EOF) {
			return fmt.Errorf("after the last row: %w", err)
		}
		return nil
	})
	return v, err
}
