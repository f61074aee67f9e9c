package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/sqlite"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	f := open(t, sqlite.File(filepath.Join(t.TempDir(), "a.db")))
	for _, statement := range []string{
		`CREATE TABLE parents (id INTEGER PRIMARY KEY)`,
		`CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT NOT NULL DEFAULT '', d INTEGER CONSTRAINT positive CHECK (d > 0),
			p INTEGER REFERENCES parents (id), UNIQUE (a, b))`,
		`CREATE UNIQUE INDEX by_lower ON t (lower(c)) WHERE c <> ''`,
		`CREATE TABLE strict_t (i INTEGER) STRICT`,
		`CREATE TRIGGER refuse BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'no'); END`,
		`INSERT INTO t (id, a, b, c) VALUES (1, 'x', 'y', 'z')`,
	} {
		f.exec(t, statement)
	}
	for statement, want := range map[string]engine.Failure{
		`INSERT INTO t (id) VALUES (1)`:                {Class: engine.UniqueViolation, Columns: []string{"id"}},
		`INSERT INTO t (a, b) VALUES ('x', 'y')`:       {Class: engine.UniqueViolation, Columns: []string{"a", "b"}},
		`INSERT INTO t (c) VALUES ('Z')`:               {Class: engine.UniqueViolation, Constraint: "by_lower"},
		`INSERT INTO t (c) VALUES (NULL)`:              {Class: engine.NotNull, Columns: []string{"c"}},
		`INSERT INTO t (d) VALUES (0)`:                 {Class: engine.Check, Constraint: "positive"},
		`INSERT INTO t (p) VALUES (5)`:                 {Class: engine.ForeignKey},
		`DELETE FROM t`:                                {Class: engine.Check},
		`INSERT INTO strict_t VALUES ('x')`:            {Class: engine.TooLong},
		`INSERT INTO t (id) VALUES ('x')`:              {Class: engine.TooLong},
		`INSERT INTO t (a) VALUES (zeroblob(1 << 31))`: {Class: engine.TooLong},
		`SELECT nothing`:                               {},
	} {
		_, err := f.writer.ExecContext(t.Context(), statement)
		if err == nil {
			t.Errorf("%s: no error", statement)
		} else if diff := cmp.Diff(want, f.Dialect.Classify(err)); diff != "" {
			t.Errorf("%s: %v: %s", statement, err, diff)
		}
	}
	_, err := f.reader.ExecContext(t.Context(), "DELETE FROM parents")
	if class := f.Dialect.Classify(err).Class; class != engine.ReadOnly {
		t.Errorf("a write by a reader: class %d of %v", class, err)
	}
}

func TestClassifyBusyAndCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	a, b := open(t, sqlite.File(path)), open(t, sqlite.File(path))
	a.exec(t, "CREATE TABLE t (a)")
	a.exec(t, "BEGIN IMMEDIATE")
	b.exec(t, "PRAGMA busy_timeout = 0")
	_, err := b.writer.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	if class := b.Dialect.Classify(err).Class; class != engine.Busy {
		t.Errorf("two writers: class %d of %v", class, err)
	}
	a.exec(t, "ROLLBACK")

	ctx, cancel := context.WithCancel(t.Context())
	rows, err := a.reader.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; rows.Next(); i++ {
		if i == 10 {
			cancel()
		}
	}
	if class := a.Dialect.Classify(rows.Err()).Class; class != engine.Cut {
		t.Errorf("a query whose context ended: class %d of %v", class, rows.Err())
	}
	if err := rows.Close(); err != nil && a.Dialect.Classify(err).Class != engine.Cut {
		t.Error(err)
	}
	cancel()
	if class := a.Dialect.Classify(errors.New("anything")).Class; class != engine.Other {
		t.Errorf("an error of another kind: class %d", class)
	}
}
