package sqldriver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// valuer is a user's type around a time.
type valuer struct{ at time.Time }

func (v valuer) Value() (driver.Value, error) { return v.at, nil }

func TestTimes(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("elsewhere", 5*3600+1800)
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456789, zone)
	want := time.Date(2024, 2, 29, 18, 29, 59, 123456000, time.UTC)
	whole := time.Date(2024, 3, 1, 0, 0, 0, 0, zone)
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		pointer := &at
		for id, given := range []any{at, &at, &pointer, sql.NullTime{Time: at, Valid: true}, valuer{at}, &valuer{at}} {
			b.exec(ctx, "INSERT INTO item(id, at) VALUES (?, ?)", id, given)
			var read time.Time
			if err := b.SQL().QueryRowContext(ctx, b.sql("SELECT at FROM item WHERE id = ?"), id).Scan(&read); err != nil {
				t.Fatalf("%T: %v", given, err)
			}
			if !read.Equal(want) || read.Location() != time.UTC {
				t.Errorf("%T: read %v, want %v", given, read, want)
			}
			var n int
			if err := b.SQL().QueryRowContext(ctx, b.sql("SELECT count(id) FROM item WHERE id = ? AND at = ?"), id, given).Scan(&n); err != nil || n != 1 {
				t.Errorf("%T: not found again by its own value: %d rows, %v", given, n, err)
			}
		}
		for id, given := range []any{nil, (*time.Time)(nil), sql.NullTime{}, (*valuer)(nil)} {
			b.exec(ctx, "INSERT INTO item(id, at) VALUES (?, ?)", 100+id, given)
		}
		var nulls int
		if err := b.SQL().QueryRowContext(ctx, "SELECT count(id) FROM item WHERE at IS NULL").Scan(&nulls); err != nil || nulls != 4 {
			t.Errorf("%d NULLs, want 4; %v", nulls, err)
		}

		// The result of an expression has no declared type on SQLite; whole seconds end in zeros there.
		for _, last := range []time.Time{at, whole} {
			b.exec(ctx, "UPDATE item SET at = ? WHERE id < ?", last, 100)
			var read time.Time
			if err := b.SQL().QueryRowContext(ctx, "SELECT max(at) FROM item").Scan(&read); err != nil {
				t.Fatal(err)
			}
			if !read.Equal(last.Truncate(time.Microsecond)) || read.Location() != time.UTC {
				t.Errorf("max is %v, want %v", read, last.UTC())
			}
		}
	})
}

func TestTimesOnConn(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("elsewhere", -3600)
	at := time.Date(2024, 1, 1, 12, 0, 0, 999_999_999, zone)
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		args := named(int64(1), at)
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := c.Exec(ctx, b.sql("INSERT INTO item(id, at) VALUES (?, ?)"), args)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if args[1].Value != at {
			t.Error("the caller's arguments were changed")
		}
		var read time.Time
		if err := b.SQL().QueryRowContext(t.Context(), "SELECT at FROM item").Scan(&read); err != nil {
			t.Fatal(err)
		}
		if want := time.Date(2024, 1, 1, 13, 0, 0, 999_999_000, time.UTC); !read.Equal(want) {
			t.Errorf("read %v, want %v", read, want)
		}
	})
}

// On SQLite times are text that sorts, and texts that look like times stay what they are.
func TestTimesAreTextOnSQLite(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	ctx := t.Context()
	b.exec(ctx, "CREATE TABLE note(id INTEGER PRIMARY KEY, a TEXT, b VARCHAR(40), at DATETIME)")
	const offset = "2024-01-01T00:00:00+02:00"
	texts := []string{"2024-01-01T00:00:00.000000Z", "2024-01-01T00:00:00Z", offset, "2024-01-01T00:00:00.5Z"}
	for _, text := range texts {
		b.exec(ctx, "DELETE FROM note")
		b.exec(ctx, "INSERT INTO note VALUES (1, ?, ?, ?)", text, text, time.Unix(0, 0))
		var inText, inVarchar, stored string
		err := b.SQL().QueryRowContext(ctx, "SELECT a, b, at || '' FROM note").Scan(&inText, &inVarchar, new(any))
		if err != nil || inText != text || inVarchar != text {
			t.Errorf("%q came back as %q and %q, %v", text, inText, inVarchar, err)
		}
		err = b.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			rows, err := c.Query(ctx, "SELECT at || '' FROM note", nil)
			if err != nil {
				return err
			}
			row := make([]driver.Value, 1)
			if err := rows.Next(row); err != nil {
				return err
			}
			stored, _ = row[0].(string)
			return rows.Close()
		})
		if want := engine.FormatTime(time.Unix(0, 0)); err != nil || stored != want {
			t.Errorf("stored %q, want %q, %v", stored, want, err)
		}
	}
	// Another program may write another zone into a column of times.
	b.exec(ctx, "UPDATE note SET at = ?", offset)
	var at time.Time
	if err := b.SQL().QueryRowContext(ctx, "SELECT at FROM note").Scan(&at); err != nil || at.Location() != time.UTC || at.Hour() != 22 {
		t.Errorf("read %v, %v; want 22:00 UTC", at, err)
	}
	if _, err := b.SQL().ExecContext(ctx, "UPDATE note SET at = ?", time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("a time that would sort wrongly was stored")
	}
}
