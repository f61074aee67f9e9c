package sqldriver_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/sqldriver"
)

func TestShellsNeedOneConnection(t *testing.T) {
	t.Parallel()
	// A shell that owned a connection would wait here for itself.
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		b.SQL().SetMaxOpenConns(1)
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if err := errors.Join(b.add(ctx, 1), b.insert(ctx, c, 2), b.add(ctx, 3)); err != nil {
				return err
			}
			tx, err := b.SQL().BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, b.sql("DELETE FROM item WHERE id = ?"), 1); err != nil {
				return err
			}
			return tx.Commit()
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(2)
	})
}

func TestTx(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx, insert := t.Context(), b.sql("INSERT INTO item(id, name) VALUES (?, ?)")
		tx := mustBegin(t, ctx, b.SQL())
		if _, err := tx.ExecContext(ctx, insert, 1, "one"); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(id) FROM item").Scan(&n); err != nil || n != 1 {
			t.Errorf("the transaction sees %d rows, %v", n, err)
		}
		b.want(0)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		wantError(t, tx.Commit(), sql.ErrTxDone)
		b.want(1)

		tx = mustBegin(t, ctx, b.SQL())
		if _, err := tx.ExecContext(ctx, insert, 2, "two"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		b.want(1)

		readOnly, err := b.SQL().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readOnly.ExecContext(ctx, insert, 3, "three"); err == nil {
			t.Error("a read-only transaction has written")
		}
		if err := readOnly.Rollback(); err != nil {
			t.Error(err)
		}
		serializable, err := b.SQL().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := serializable.ExecContext(ctx, insert, 4, "four"); err != nil {
			t.Error(err)
		}
		if err := serializable.Commit(); err != nil {
			t.Error(err)
		}
		b.want(2)
	})
}

func TestTxInsideUpdateIsASavepoint(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		insert := b.sql("INSERT INTO item(id, name) VALUES (?, ?)")
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			for id, keep := range []bool{true, false, true} {
				tx, err := b.SQL().BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, insert, id, nameOf(int64(id))); err != nil {
					return err
				}
				end := tx.Rollback
				if keep {
					end = tx.Commit
				}
				if err := end(); err != nil {
					return err
				}
			}
			if _, err := b.SQL().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}); err == nil {
				t.Error("a nested transaction took an isolation level")
			}
			found, err := ids(ctx, c)
			if !slices.Equal(found, []int64{0, 2}) {
				t.Errorf("found %v, want 0 and 2", found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(2)
	})
}

// Programs made by sqlc prepare each statement once, and bind it to transactions.
func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		insert, err := b.SQL().PrepareContext(ctx, b.sql("INSERT INTO item(id, name) VALUES (?, ?)"))
		if err != nil {
			t.Fatal(err)
		}
		get, err := b.SQL().PrepareContext(ctx, b.sql("SELECT name FROM item WHERE id = ?"))
		if err != nil {
			t.Fatal(err)
		}
		for id := range 3 {
			if _, err := insert.ExecContext(ctx, id, nameOf(int64(id))); err != nil {
				t.Fatal(err)
			}
		}
		tx := mustBegin(t, ctx, b.SQL())
		if _, err := tx.StmtContext(ctx, insert).ExecContext(ctx, 3, nameOf(3)); err != nil {
			t.Fatal(err)
		}
		var name string
		if err := tx.StmtContext(ctx, get).QueryRowContext(ctx, 3).Scan(&name); err != nil || name != nameOf(3) {
			t.Errorf("the transaction's statement read %q, %v", name, err)
		}
		wantError(t, get.QueryRowContext(ctx, 3).Scan(&name), sql.ErrNoRows) // outside
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		err = b.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error {
			if _, err := insert.ExecContext(ctx, 4, nameOf(4)); err != nil {
				return err
			}
			return get.QueryRowContext(ctx, 4).Scan(&name)
		})
		if err != nil || name != nameOf(4) {
			t.Errorf("in Update the statement read %q, %v", name, err)
		}
		b.want(4)
		if err := errors.Join(insert.Close(), get.Close()); err != nil {
			t.Error(err)
		}
		if _, err := b.SQL().PrepareContext(ctx, "SELECT nothing FROM nowhere"); err == nil {
			t.Error("a statement about a table that does not exist was prepared")
		}
	})
}

func TestArgumentsAreCounted(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		for _, args := range [][]any{{}, {1}, {1, "x", 2}} {
			if _, err := b.SQL().ExecContext(t.Context(), b.sql("INSERT INTO item(id, name) VALUES (?, ?)"), args...); err == nil {
				t.Errorf("two placeholders took %d arguments", len(args))
			}
		}
		b.want(0)
	})
}

func TestConn(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		conn, err := b.SQL().Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.PingContext(ctx); err != nil {
			t.Error(err)
		}
		if _, err := conn.ExecContext(ctx, b.sql("INSERT INTO item(id, name) VALUES (?, ?)"), 1, "one"); err != nil {
			t.Error(err)
		}
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM item"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(tx.Rollback(), conn.Close()); err != nil {
			t.Error(err)
		}
		b.want(1)
	})
}

func TestRowsStayOpenWhileOthersRun(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		for id := range int64(5) {
			if err := b.add(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := b.SQL().QueryContext(ctx, "SELECT id FROM item ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			if err := b.add(ctx, 100+id); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
		b.want(10)
	})
}

func TestRowsInATransactionAreOneAtATime(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		if err := errors.Join(b.add(t.Context(), 1), b.add(t.Context(), 2)); err != nil {
			t.Fatal(err)
		}
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			rows, err := b.SQL().QueryContext(ctx, "SELECT id FROM item")
			if err != nil {
				return err
			}
			if !rows.Next() {
				t.Error("no row")
			}
			err = b.insert(ctx, c, 3)
			if lite := b.target.Engine == "sqlite"; lite != (err == nil) {
				t.Errorf("a second statement gave %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "still open") {
				t.Errorf("the error does not say why: %v", err)
			}
			if err := rows.Close(); err != nil {
				return err
			}
			return b.insert(ctx, c, 4)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A write whose rows are read slowly must not keep SQLite's writer from the loop that reads them.
func TestReturningDoesNotHoldTheWriter(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	ctx := t.Context()
	rows, err := b.SQL().QueryContext(ctx, "INSERT INTO item(id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c') RETURNING id, name, at")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil || len(types) != 3 || types[1].Name() != "name" || types[2].DatabaseTypeName() != "DATETIME" {
		t.Errorf("column types %v, %v", types, err)
	}
	for rows.Next() {
		var id int64
		var name string
		var at sql.NullTime
		if err := rows.Scan(&id, &name, &at); err != nil {
			t.Fatal(err)
		}
		if err := b.add(ctx, 10+id); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	b.want(6)
}

func TestTransactionsAsTextAreRefused(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		for _, text := range []string{"BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "SAVEPOINT x", "ROLLBACK TO x", "SELECT 1; COMMIT"} {
			if _, err := b.SQL().ExecContext(ctx, text); err == nil || !strings.Contains(err.Error(), "BeginTx") {
				t.Errorf("%s: %v", text, err)
			}
		}
		tx := mustBegin(t, ctx, b.SQL())
		for _, text := range []string{
			"SAVEPOINT x", "INSERT INTO item(id, name) VALUES (1, 'one')", "ROLLBACK TO SAVEPOINT x",
			"INSERT INTO item(id, name) VALUES (2, 'two')", "RELEASE SAVEPOINT x",
		} {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if _, err := tx.ExecContext(ctx, "COMMIT"); err == nil {
			t.Error("COMMIT as text was accepted")
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		b.want(1)
	})
}

func TestSeveralStatementsInOneText(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	b.exec(t.Context(), `CREATE TABLE log(id INTEGER);
		CREATE TRIGGER item_log AFTER INSERT ON item BEGIN INSERT INTO log VALUES (new.id); INSERT INTO log VALUES (-new.id); END;
		INSERT INTO item(id, name) VALUES (1, 'one');`)
	var n int
	if err := b.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM log").Scan(&n); err != nil || n != 2 {
		t.Errorf("the trigger has logged %d rows, %v", n, err)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		b.exec(ctx, "INSERT INTO item(id, name) VALUES (?, ?), (?, ?)", 1, "one", 2, "two")
		result, err := b.SQL().ExecContext(ctx, b.sql("UPDATE item SET name = ? WHERE id > ?"), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 2 {
			t.Errorf("%d rows affected, %v", n, err)
		}
		rows, err := b.SQL().QueryContext(ctx, b.sql("SELECT name, id FROM item WHERE id = ?"), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		names, err := rows.Columns()
		if err != nil || !slices.Equal(names, []string{"name", "id"}) {
			t.Errorf("columns %v, %v", names, err)
		}
		types, err := rows.ColumnTypes()
		if err != nil || types[1].DatabaseTypeName() == "" || types[1].ScanType() == nil {
			t.Errorf("column types %v, %v", types, err)
		}
		for rows.Next() {
			var id int64
			var name sql.NullString
			if err := rows.Scan(&name, &id); err != nil || id != 1 || name.Valid {
				t.Errorf("scanned %v, %v, %v", id, name, err)
			}
		}
	})
}
