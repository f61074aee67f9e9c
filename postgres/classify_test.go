package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/postgres"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for _, statement := range []string{
		`CREATE TABLE parents (id bigint PRIMARY KEY)`,
		`CREATE TABLE t (id bigint PRIMARY KEY, a text, "b, c" text, c text NOT NULL DEFAULT '', d int CONSTRAINT positive CHECK (d > 0),
			p bigint CONSTRAINT has_parent REFERENCES parents, e varchar(3), f numeric(4,2), g timestamptz, h jsonb,
			CONSTRAINT pair UNIQUE (a, "b, c"), CONSTRAINT no_overlap EXCLUDE (d WITH =))`,
		`CREATE UNIQUE INDEX by_lower ON t (lower(e)) WHERE e <> ''`,
		`INSERT INTO parents VALUES (1)`,
		`INSERT INTO t (id, a, "b, c", e, d, p) VALUES (1, 'x', 'y', 'z', 5, 1)`,
	} {
		s.exec(t, statement)
	}
	for statement, want := range map[string]engine.Failure{
		`INSERT INTO t (id) VALUES (1)`:                      {Class: engine.UniqueViolation, Constraint: "t_pkey", Columns: []string{"id"}},
		`INSERT INTO t (id, a, "b, c") VALUES (2, 'x', 'y')`: {Class: engine.UniqueViolation, Constraint: "pair", Columns: []string{"a", "b, c"}},
		`INSERT INTO t (id, e) VALUES (2, 'Z')`:              {Class: engine.UniqueViolation, Constraint: "by_lower"},
		`INSERT INTO t (id, d) VALUES (2, 5)`:                {Class: engine.UniqueViolation, Constraint: "no_overlap", Columns: []string{"d"}},
		`INSERT INTO t (id, c) VALUES (2, NULL)`:             {Class: engine.NotNull, Columns: []string{"c"}},
		`INSERT INTO t (id, d) VALUES (2, 0)`:                {Class: engine.Check, Constraint: "positive"},
		`INSERT INTO t (id, p) VALUES (2, 5)`:                {Class: engine.ForeignKey, Constraint: "has_parent", Columns: []string{"p"}},
		`DELETE FROM parents`:                                {Class: engine.ForeignKey, Constraint: "has_parent", Columns: []string{"id"}},
		`INSERT INTO t (id, e) VALUES (2, 'four')`:           {Class: engine.TooLong},
		`INSERT INTO t (id, d) VALUES (2, 3000000000)`:       {Class: engine.TooLong},
		`INSERT INTO t (id, f) VALUES (2, 100)`:              {Class: engine.TooLong},
		`INSERT INTO t (id, g) VALUES (2, '300000-01-01')`:   {Class: engine.TooLong},
		`INSERT INTO t (id, h) VALUES (2, '"\u0000"')`:       {Class: engine.TooLong},
		`DO 'BEGIN RAISE SQLSTATE ''40001''; END'`:           {Class: engine.Busy},
		`DO 'BEGIN RAISE SQLSTATE ''40P01''; END'`:           {Class: engine.Busy},
		`DO 'BEGIN RAISE SQLSTATE ''08006''; END'`:           {Class: engine.Down},
		`DO 'BEGIN RAISE SQLSTATE ''53300''; END'`:           {Class: engine.Down},
		`EXECUTE nothing`:                                    {Class: engine.Stale},
		`SELECT nothing`:                                     {},
	} {
		_, err := s.ExecContext(t.Context(), statement)
		if err == nil {
			t.Errorf("%s: no error", statement)
		} else if diff := cmp.Diff(want, s.Dialect.Classify(err)); diff != "" {
			t.Errorf("%s: %v: %s", statement, err, diff)
		}
	}
	s.check(t, engine.TooLong, "an argument that its column cannot hold", func() error {
		_, err := s.ExecContext(t.Context(), "INSERT INTO t (id, d) VALUES (2, $1)", int64(3_000_000_000))
		return err
	})
}

func (s server) check(t testing.TB, want engine.Class, what string, fail func() error) {
	t.Helper()
	err := fail()
	if got := s.Dialect.Classify(err).Class; err == nil || got != want {
		t.Errorf("%s: class %d, want %d, of %v", what, got, want, err)
	}
}

func TestClassifyTransactions(t *testing.T) {
	t.Parallel()
	s := fresh(t)
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
	s.check(t, engine.Busy, "a write on an old snapshot", func() error {
		return s.inTransaction(t, &sql.TxOptions{Isolation: sql.LevelSerializable}, func(tx *sql.Tx) error {
			var v int
			if err := tx.QueryRowContext(t.Context(), "SELECT v FROM t WHERE id = 1").Scan(&v); err != nil {
				return err
			}
			s.exec(t, "UPDATE t SET v = 2 WHERE id = 1")
			_, err := tx.ExecContext(t.Context(), "UPDATE t SET v = 3 WHERE id = 1")
			return err
		})
	})
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

func TestClassifyConnections(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.check(t, engine.Down, "a connection that the server ended", func() error {
		conn, err := s.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }() // it is broken
		var pid int
		if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		s.exec(t, "SELECT pg_terminate_backend($1, 5000)", pid)
		_, err = conn.ExecContext(t.Context(), "SELECT 1")
		return err
	})
	s.check(t, engine.Down, "a server that is not there", func() error {
		_, err := postgres.URL("postgres://a@" + closedAddress(t) + "/b").Connect(t.Context())
		return err
	})
	s.check(t, engine.Down, "a database that is not there", func() error {
		_, err := postgres.URL(s.url + "&dbname=nothing").Connect(t.Context())
		return err
	})
	ctx, cancel := context.WithCancel(t.Context())
	s.check(t, engine.Cut, "a call whose context ended", func() error {
		return s.inTransaction(t, nil, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "SELECT pg_notify('c', 'x')"); err != nil {
				return err
			}
			cancel()
			_, err := tx.ExecContext(ctx, "SELECT pg_sleep(60)")
			return err
		})
	})
	s.check(t, engine.Cut, "a statement time-out", func() error {
		conn, err := s.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(t.Context(), "SET statement_timeout = '10ms'"); err != nil {
			t.Fatal(err)
		}
		_, err = conn.ExecContext(t.Context(), "SELECT pg_sleep(60)")
		return errors.Join(err, func() error { _, err := conn.ExecContext(t.Context(), "RESET statement_timeout"); return err }())
	})
}

// TestClassifyStale changes a table under a statement that a connection has prepared.
func TestClassifyStale(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	s := open(t, target.URL, postgres.URL(target.URL))
	s.SetMaxOpenConns(1)
	s.exec(t, "CREATE TABLE t (id bigint)")
	query := func() error {
		rows, err := s.QueryContext(t.Context(), "SELECT * FROM t WHERE id > $1", 0)
		if err != nil {
			return err
		}
		return errors.Join(rows.Close(), rows.Err())
	}
	if err := query(); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "ALTER TABLE t ADD v text")
	s.check(t, engine.Stale, "a plan that returned other columns", query)
}
