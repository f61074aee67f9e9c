package sqldriver_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

type (
	myInt  int32
	myText string
)

// failing is a Valuer that cannot give its value.
type failing struct{}

func (failing) Value() (driver.Value, error) { return nil, errMine }

// nesting is a Valuer that breaks its contract.
type nesting struct{}

func (nesting) Value() (driver.Value, error) { return nesting{}, nil }

func TestArguments(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		number, name := 41, "by pointer"
		pointer := &number
		for id, given := range []any{41, int8(41), uint16(41), myInt(41), &number, &pointer, sql.NullInt64{Int64: 41, Valid: true}, sql.Null[int32]{V: 41, Valid: true}} {
			b.exec(ctx, "DELETE FROM item")
			b.exec(ctx, "INSERT INTO item(id, name) VALUES (?, ?)", given, nameOf(int64(id)))
			if err := b.SQL().QueryRowContext(ctx, b.sql("SELECT id FROM item WHERE id = ?"), given).Scan(&number); err != nil || number != 41 {
				t.Errorf("%T: read %d, %v", given, number, err)
			}
		}
		for _, given := range []any{myText("by pointer"), &name, sql.NullString{String: name, Valid: true}} {
			b.exec(ctx, "UPDATE item SET name = ?", given)
			var read string
			if err := b.SQL().QueryRowContext(ctx, "SELECT name FROM item").Scan(&read); err != nil || read != name {
				t.Errorf("%T: read %q, %v", given, read, err)
			}
		}
		for _, given := range []any{nil, (*string)(nil), sql.NullString{}, (*sql.NullString)(nil)} {
			b.exec(ctx, "UPDATE item SET name = ?", given)
			var read sql.NullString
			if err := b.SQL().QueryRowContext(ctx, "SELECT name FROM item").Scan(&read); err != nil || read.Valid {
				t.Errorf("%T: read %v, %v", given, read, err)
			}
		}
		update := b.sql("UPDATE item SET name = ?")
		_, err := b.SQL().ExecContext(ctx, update, failing{})
		wantError(t, err, errMine)
		for _, given := range []any{nesting{}, make(chan int), uint64(math.MaxUint64)} {
			if _, err := b.SQL().ExecContext(ctx, b.sql("UPDATE item SET id = ?"), given); err == nil {
				t.Errorf("%T was stored", given)
			}
		}
	})
}

func TestArgumentsOfTheEngine(t *testing.T) {
	t.Parallel()
	t.Run("arrays", func(t *testing.T) {
		b := bedOn(t, dbtest.Postgres, sqldriver.Options{})
		if err := errors.Join(b.add(t.Context(), 1), b.add(t.Context(), 2), b.add(t.Context(), 3)); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := b.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM item WHERE id = ANY($1)", []int64{1, 3, 5}).Scan(&n); err != nil || n != 2 {
			t.Errorf("found %d rows, %v", n, err)
		}
	})
	t.Run("names", func(t *testing.T) {
		b := onSQLite(t, sqldriver.Options{})
		b.exec(t.Context(), "INSERT INTO item(id, name) VALUES (:id, @name)", sql.Named("name", "x"), sql.Named("id", 7))
		var id int
		if err := b.SQL().QueryRowContext(t.Context(), "SELECT id FROM item WHERE name = $name", sql.Named("name", "x")).Scan(&id); err != nil || id != 7 {
			t.Errorf("found %d, %v", id, err)
		}
	})
	t.Run("unsigned", func(t *testing.T) {
		b := bedOn(t, dbtest.MariaDB, sqldriver.Options{})
		b.exec(t.Context(), "CREATE TABLE big(n BIGINT UNSIGNED)")
		b.exec(t.Context(), "INSERT INTO big VALUES (?)", uint64(math.MaxUint64))
		var n uint64
		if err := b.SQL().QueryRowContext(t.Context(), "SELECT n FROM big").Scan(&n); err != nil || n != math.MaxUint64 {
			t.Errorf("read %d, %v", n, err)
		}
	})
}

func TestSeveralResults(t *testing.T) {
	t.Parallel()
	b := bedOn(t, dbtest.MariaDB, sqldriver.Options{})
	ctx := t.Context()
	b.exec(ctx, "CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 'x' AS b, 'y' AS c; END")
	rows, err := b.SQL().QueryContext(ctx, "CALL two()")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var columns []string
	for {
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > 0 { // the last result is the procedure's own
			columns = append(columns, strings.Join(names, ","))
		}
		for rows.Next() {
			continue
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if got := strings.Join(columns, ";"); rows.Err() != nil || got != "a;b,c" {
		t.Errorf("results %q, %v", got, rows.Err())
	}
	if err := b.add(ctx, 1); err != nil { // the connection is in order
		t.Error(err)
	}
}
