package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/mysql"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		for _, statement := range []string{
			"CREATE TABLE parents (id bigint PRIMARY KEY)",
			"CREATE TABLE t (id bigint PRIMARY KEY, a varchar(9), b varchar(9), c varchar(9) NOT NULL DEFAULT '', d int, n int NOT NULL, " +
				"p bigint, e varchar(3), f decimal(4,2), g datetime, UNIQUE KEY pair (a, b), CONSTRAINT positive CHECK (d > 0), " +
				"CONSTRAINT has_parent FOREIGN KEY (p) REFERENCES parents (id))",
			"INSERT INTO parents VALUES (1)",
			"INSERT INTO t (id, a, b, d, p, n) VALUES (1, 'x', 'it''s', 5, 1, 0)",
			"CREATE TRIGGER refuse BEFORE DELETE ON t FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
		} {
			s.exec(t, statement)
		}
		for statement, want := range map[string]engine.Failure{
			"INSERT INTO t (id, n) VALUES (1, 0)":                     {Class: engine.UniqueViolation, Constraint: "PRIMARY"},
			"INSERT INTO t (id, a, b, n) VALUES (2, 'x', 'it''s', 0)": {Class: engine.UniqueViolation, Constraint: "pair"},
			"INSERT INTO t (id, c, n) VALUES (2, NULL, 0)":            {Class: engine.NotNull, Columns: []string{"c"}},
			"INSERT INTO t (id) VALUES (2)":                           {Class: engine.NotNull, Columns: []string{"n"}},
			"INSERT INTO t (id, d, n) VALUES (2, 0, 0)":               {Class: engine.Check, Constraint: "positive"},
			"INSERT INTO t (id, p, n) VALUES (2, 5, 0)":               {Class: engine.ForeignKey, Constraint: "has_parent", Columns: []string{"p"}},
			"DELETE FROM parents":                                     {Class: engine.ForeignKey, Constraint: "has_parent", Columns: []string{"p"}},
			"DELETE FROM t":                                           {Class: engine.Check},
			"INSERT INTO t (id, e, n) VALUES (2, 'four', 0)":          {Class: engine.TooLong, Columns: []string{"e"}},
			"INSERT INTO t (id, d, n) VALUES (2, 3000000000, 0)":      {Class: engine.TooLong, Columns: []string{"d"}},
			"INSERT INTO t (id, f, n) VALUES (2, 100, 0)":             {Class: engine.TooLong, Columns: []string{"f"}},
			"INSERT INTO t (id, g, n) VALUES (2, 'noon', 0)":          {Class: engine.TooLong},
			"EXECUTE nothing":                                         {Class: engine.Stale},
			"SELECT nothing":                                          {},
		} {
			_, err := s.ExecContext(t.Context(), statement)
			if err == nil {
				t.Errorf("%s: no error", statement)
				continue
			}
			got := s.Dialect.Classify(err)
			if len(want.Columns) == 0 {
				got.Columns = nil // some messages name one in another form
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %v: %s", statement, err, diff)
			}
		}
	})
}

func (s server) check(t testing.TB, want engine.Class, what string, fail func() error) {
	t.Helper()
	err := fail()
	if got := s.Dialect.Classify(err).Class; err == nil || got != want {
		t.Errorf("%s: class %d, want %d, of %v", what, got, want, err)
	}
}

func (s server) inTransaction(t testing.TB, options *sql.TxOptions, fn func(*sql.Tx) error) error {
	t.Helper()
	tx, err := s.BeginTx(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	err = fn(tx)
	if rollback := tx.Rollback(); rollback != nil {
		t.Error(rollback)
	}
	return err
}

func TestClassifyTransactions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		s.exec(t, "CREATE TABLE t (id bigint PRIMARY KEY, v int)")
		s.exec(t, "INSERT INTO t VALUES (1, 0), (2, 0)")
		s.check(t, engine.ReadOnly, "a write in a transaction that reads", func() error {
			return s.inTransaction(t, &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(t.Context(), "UPDATE t SET v = 1")
				return err
			})
		})
		s.check(t, engine.Busy, "a row that another holds", func() error {
			return s.inTransaction(t, nil, func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(t.Context(), "UPDATE t SET v = 1 WHERE id = 1"); err != nil {
					return err
				}
				_, err := s.ExecContext(t.Context(), "SELECT 1 FROM t WHERE id = 1 FOR UPDATE NOWAIT")
				return err
			})
		})
		s.check(t, engine.Busy, "a deadlock", func() error { return s.deadlock(t) })
	})
}

// deadlock has two transactions wait for each other; one of them must be refused.
func (s server) deadlock(t testing.TB) error {
	t.Helper()
	var first error
	second := make(chan error, 1)
	_ = s.inTransaction(t, nil, func(a *sql.Tx) error {
		return s.inTransaction(t, nil, func(b *sql.Tx) error {
			for tx, statement := range map[*sql.Tx]string{a: "UPDATE t SET v = 1 WHERE id = 1", b: "UPDATE t SET v = 1 WHERE id = 2"} {
				if _, err := tx.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			go func() {
				_, err := b.ExecContext(t.Context(), "UPDATE t SET v = 2 WHERE id = 1")
				second <- err
			}()
			_, first = a.ExecContext(t.Context(), "UPDATE t SET v = 2 WHERE id = 2")
			if first == nil { // b was refused, and has let go
				first = <-second
				return nil
			}
			if _, err := a.ExecContext(t.Context(), "ROLLBACK"); err != nil {
				t.Error(err)
			}
			if err := <-second; err != nil {
				t.Error(err)
			}
			return nil
		})
	})
	return first
}

func TestClassifyConnections(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		s.check(t, engine.Down, "a connection that the server ended", func() error {
			conn, err := s.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }() // it is broken
			var id int64
			if err := conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
				t.Fatal(err)
			}
			s.exec(t, "KILL ?", id)
			_, err = conn.ExecContext(t.Context(), "SELECT 1")
			return err
		})
		s.check(t, engine.Down, "a server that is not there", func() error {
			_, err := mysql.URL("mysql://a@" + closedAddress(t) + "/b").Connect(t.Context())
			return err
		})
		s.check(t, engine.Down, "a user who is not let in", func() error {
			_, err := mysql.URL("mysql://nobody:s3cret@" + s.text(t, "SELECT CONCAT('127.0.0.1:', @@port)") + "/b").Connect(t.Context())
			return err
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.check(t, engine.Cut, "a call whose context ended", func() error {
			conn, err := s.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }() // the driver ends the connection with the call
			cancel()
			_, err = conn.ExecContext(ctx, "DO SLEEP(60)")
			return err
		})
		s.check(t, engine.TooLong, "a statement longer than the server takes", func() error {
			_, err := s.ExecContext(t.Context(), "DO LENGTH(?)", make([]byte, 70<<20))
			return err
		})
	})
}
