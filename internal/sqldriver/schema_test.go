package sqldriver_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"

	"github.com/capebase/capebase/internal/sqldriver"
)

// Statements are kept for each connection; the schema may change under them.
func TestStatementsOutliveTheSchema(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		other := b.sql // another program's connections see none of ours
		foreign := newSibling(t, b)
		b.exec(ctx, "INSERT INTO item(id, name) VALUES (1, 'one')")
		read := func(want ...string) {
			t.Helper()
			for range 3 { // several connections
				rows, err := b.SQL().QueryContext(ctx, other("SELECT * FROM item WHERE id = ?"), 1)
				if err != nil {
					t.Fatal(err)
				}
				names, err := rows.Columns()
				if err != nil || !slices.Equal(names, want) {
					t.Errorf("columns %v, want %v; %v", names, want, err)
				}
				if !rows.Next() {
					t.Error("no row:", rows.Err())
				}
				if err := rows.Close(); err != nil {
					t.Error(err)
				}
			}
			err := b.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
				rows, err := c.Query(ctx, other("SELECT name FROM item WHERE id = ?"), named(int64(1)))
				if err != nil {
					return err
				}
				row := make([]driver.Value, 1)
				return errors.Join(rows.Next(row), rows.Close())
			})
			if err != nil {
				t.Error(err)
			}
		}
		read("id", "name", "at")
		foreign.exec(ctx, "ALTER TABLE item ADD COLUMN more INTEGER")
		read("id", "name", "at", "more")
		foreign.exec(ctx, "ALTER TABLE item DROP COLUMN at")
		foreign.exec(ctx, "ALTER TABLE item ADD COLUMN last INTEGER") // as many columns as before
		read("id", "name", "more", "last")
		switch b.Dialect().Name() {
		case "postgres":
			foreign.exec(ctx, "ALTER TABLE item ALTER COLUMN name TYPE text") // "cached plan must not change result type"
		case "mysql":
			foreign.exec(ctx, "ALTER TABLE item MODIFY name VARCHAR(300)")
		}
		read("id", "name", "more", "last")
	})
}

// newSibling opens the bed's database a second time.
func newSibling(t *testing.T, b bed) bed {
	t.Helper()
	return bed{DB: open(t, backendOf(t, b.target), sqldriver.Options{}), t: t, target: b.target}
}

func TestMoreStatementsThanAreKept(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			for round := range int64(2) {
				for i := range int64(300) {
					text := b.sql("INSERT INTO item(id) SELECT ? FROM (SELECT 1 AS one) x") + " /* " + nameOf(i) + " */"
					if _, err := c.Exec(ctx, text, named(round*1000+i)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(600)
	})
}

// A statement whose rows are open can run again before they are closed.
func TestTheSameStatementTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	if err := errors.Join(b.add(t.Context(), 1), b.add(t.Context(), 2)); err != nil {
		t.Fatal(err)
	}
	err := b.View(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		outer, err := c.Query(ctx, "SELECT id FROM item ORDER BY id", nil)
		if err != nil {
			return err
		}
		row := make([]driver.Value, 1)
		for want := range int64(2) {
			if err := outer.Next(row); err != nil || row[0] != want+1 {
				t.Errorf("row %v, %v", row, err)
			}
			if found, err := ids(ctx, c); err != nil || len(found) != 2 {
				t.Errorf("the inner query found %v, %v", found, err)
			}
		}
		return outer.Close()
	})
	if err != nil {
		t.Error(err)
	}
}
