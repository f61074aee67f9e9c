package postgres_test

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/postgres"
)

// TestNativeRows holds what is read natively against what database/sql gets.
func TestNativeRows(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.exec(t, "CREATE TYPE mood AS ENUM ('fine')")
	conn, err := s.Writer.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	direct, ok := conn.(driver.QueryerContext)
	if !ok {
		t.Fatalf("%T has no QueryContext", conn)
	}
	kinds := []predicate.Kind{
		predicate.Bool, predicate.Int, predicate.Float, predicate.Decimal, predicate.Text, predicate.UUID, predicate.Time,
		predicate.JSON, predicate.Bytes,
	}
	for _, expression := range []string{
		"true", "false", "1::int2", "-1::int2", "-70000::int4", "9223372036854775807::int8", "(-9223372036854775808)::int8",
		"0.1::float4", "0.1::float8", "'NaN'::float8", "'-Infinity'::float4", "'-0'::float8", "1.50::numeric", "'NaN'::numeric",
		"'text'::text", "''::text", "'héllo'::varchar(9)", "'a'::name", "'x'::\"char\"", "'fine'::mood", "'10.0.0.1'::inet", "'{1,2}'::int[]",
		"'5f1d7a52-2f5e-4d5c-9d33-9f64b6a4c001'::uuid", "'5f1d7a52-2f5e-4d5c-9d33-9f64b6a4c001'::text",
		`'{"a": [1, 2.0]}'::json`, `'{"a": [1, 2.0]}'::jsonb`, "'<a/>'::xml", `'\x00ff'::bytea`, `'\x'::bytea`,
		"'2024-02-29 12:34:56.789012+02'::timestamptz", "'1969-12-31 23:59:59.999999+00'::timestamptz", "'0001-01-01 00:00:00+00'::timestamptz",
		"'4000-01-01 00:00:00+00 BC'::timestamptz", "'294276-12-31 23:59:59+00'::timestamptz", "'infinity'::timestamptz", "'-infinity'::timestamptz",
		"'2024-02-29 12:34:56.7'::timestamp", "'infinity'::timestamp", "'2024-02-29'::date", "'0044-03-15 BC'::date", "'-infinity'::date",
		"'12:34:56'::time", "'1 day 2 hours'::interval", "4294967295::oid", "'4294967295'::xid", "'7'::cid", "'7'::xid8",
		"NULL::text", "NULL::int8", "NULL",
	} {
		query := "SELECT " + expression
		want := only(t, func() (driver.Rows, error) { return direct.QueryContext(t.Context(), query, nil) })
		got := only(t, func() (driver.Rows, error) { return s.Backend.Query(t.Context(), conn, query, nil) })
		if !equal(got, want) {
			t.Errorf("%s: got %T %v, want %T %v", expression, got, got, want, want)
		}
		for _, kind := range kinds {
			value, err := s.read(t, conn, query, kind)
			wanted, wantedErr := s.Dialect.Scan(kind, want)
			if value != wanted && fmt.Sprint(value) != fmt.Sprint(wanted) || (err == nil) != (wantedErr == nil) {
				t.Errorf("%s as %s: got %v, %v, want %v, %v", expression, kind, value, err, wanted, wantedErr)
			}
		}
	}
}

// only returns a result's only value.
func only(t *testing.T, query func() (driver.Rows, error)) driver.Value {
	t.Helper()
	rows, err := query()
	if err != nil {
		t.Fatal(err)
	}
	row := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(row)
	if v, ok := row[0].([]byte); ok {
		row[0] = bytes.Clone(v)
	}
	if end := rows.Next(make([]driver.Value, 1)); !errors.Is(end, io.EOF) {
		t.Errorf("a second row: %v", end)
	}
	if err := errors.Join(err, rows.Close()); err != nil {
		t.Fatal(err)
	}
	return row[0]
}

// equal compares values; texts may come as bytes.
func equal(a, b driver.Value) bool {
	if t, ok := a.(time.Time); ok {
		u, ok := b.(time.Time)
		return ok && t.Equal(u) && t.Location() == u.Location()
	}
	if text, ok := a.(string); ok {
		other, ok := engine.TextOf(b)
		return ok && text == other
	}
	if c, ok := a.([]byte); ok {
		d, ok := b.([]byte)
		return ok && slices.Equal(c, d)
	}
	return a == b || fmt.Sprint(a) == fmt.Sprint(b) // NaN
}

func (s server) read(t *testing.T, conn driver.Conn, query string, kind predicate.Kind) (predicate.Value, error) {
	t.Helper()
	rows, err := s.Backend.Query(t.Context(), conn, query, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader, ok := s.Dialect.(engine.RowReader)
	if !ok {
		t.Fatalf("%T reads no rows", s.Dialect)
	}
	row := make([]predicate.Value, 1)
	read, _, err := reader.ReadRow(rows, []engine.Column{{Kind: kind}}, row)
	if !read {
		t.Errorf("the rows are not read natively")
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	return row[0], err
}

// TestModesWithoutNativeRows leaves results to the driver where it does not know their columns before.
func TestModesWithoutNativeRows(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for mode, native := range map[string]bool{
		"cache_statement": true, "cache_describe": true, "describe_exec": true, "exec": false, "simple_protocol": false,
	} {
		other := open(t, s.url, postgres.URL(with(t, s.url, "default_query_exec_mode", mode)))
		if (other.Backend.Query != nil) != native {
			t.Errorf("%s: native %v", mode, !native)
		}
	}
}
