package migrate

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/sqlite"
)

func TestParseCreateTable(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]createTable{
		"CREATE TABLE t (a text, b)":        {},
		"CREATE TABLE t (A text COLLATE x)": {collations: map[string]string{"a": "x"}},
		"create table [t](`a` text collate \"RTRIM\" not null,'b' COLLATE/* , */NOCASE, [c d] TEXT)--":       {collations: map[string]string{"a": "RTRIM", "b": "NOCASE"}},
		"CREATE TABLE t (a text COLLATE binary COLLATE nocase)":                                              {collations: map[string]string{"a": "nocase"}},
		"CREATE TABLE \"COLLATE(\" (\"a,\" text DEFAULT ', b COLLATE y', b CHECK (b <> 'x' COLLATE nocase))": {},
		"CREATE TABLE t (collate_ text, a varchar(10, 2) COLLATE nocase DEFAULT (1, 2))":                     {collations: map[string]string{"a": "nocase"}},
		"CREATE TABLE t (a CONSTRAINT \"x\" CHECK (a > 0), CONSTRAINT y CHECK (a < 9) CONSTRAINT z UNIQUE (a) CONSTRAINT q CHECK (1))": {
			checks: []string{"x", "y", "q"},
		},
		"CREATE TABLE t (a \"x\"\"y\" COLLATE nocase) WITHOUT ROWID, STRICT": {collations: map[string]string{"a": "nocase"}, withoutRowID: true},
		"CREATE VIRTUAL TABLE t USING fts5(a, b)":                            {virtual: true},
		"":                        {},
		"CREATE TABLE t (a 'open": {},
	} {
		if want.collations == nil {
			want.collations = map[string]string{}
		}
		if diff := cmp.Diff(want, parseCreateTable(statement), cmp.AllowUnexported(createTable{})); diff != "" {
			t.Errorf("%s:\n%s", statement, diff)
		}
	}
}

// TestCollationsProperty compares the parser with what SQLite says of the columns of a random table.
func TestCollationsProperty(t *testing.T) {
	t.Parallel()
	conn, err := sqlite3.OpenContext(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	name := rapid.SampledFrom([]string{"a", "B", `"c c"`, "[d,d]", "`e`", `"f""("`, "größe", `"collate"`, `"CHECK"`, "_1", "'s,''s'"})
	kind := rapid.SampledFrom([]string{"", "text", "varchar(3, 4)", `"weird, ) type"`, "unsigned big int"})
	extra := rapid.SampledFrom([]string{
		"", "COLLATE NOCASE", "collate rtrim", "COLLATE \"nocase\"", "COLLATE BINARY", "NOT NULL", "DEFAULT 'x, COLLATE rtrim'", "DEFAULT (1 + (2))",
		"CHECK (1 <> 'a' COLLATE nocase)", "CONSTRAINT \"n n\" CHECK (1)", "/* COLLATE rtrim, */", "-- COLLATE rtrim\n", "UNIQUE",
	})
	rapid.Check(t, func(t *rapid.T) {
		var columns []string
		for _, n := range rapid.SliceOfNDistinct(name, 1, 6, rapid.ID[string]).Draw(t, "names") {
			extras := rapid.SliceOfN(extra, 0, 4).Draw(t, "extras")
			columns = append(columns, strings.Join(append([]string{n, kind.Draw(t, "kind")}, extras...), " "))
		}
		statement := "CREATE TABLE t (" + strings.Join(columns, rapid.SampledFrom([]string{",", " ,\n"}).Draw(t, "comma")) + ")"
		if err := conn.Exec("DROP TABLE IF EXISTS t; " + statement); err != nil {
			t.Fatal(err)
		}
		parsed := parseCreateTable(statement)
		for _, column := range columnsOf(t, conn) {
			_, collation, _, _, _, err := conn.TableColumnMetadata("main", "t", column)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := parsed.collations[sqliteSystem{}.fold(column)]
			if !ok {
				got = "BINARY"
			}
			if !strings.EqualFold(got, collation) {
				t.Fatalf("%s: column %s has collation %s, parsed %s", statement, column, collation, got)
			}
		}
	})
}

func columnsOf(t *rapid.T, conn *sqlite3.Conn) []string {
	statement, _, err := conn.Prepare("SELECT name FROM pragma_table_xinfo('t')")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for statement.Step() {
		names = append(names, statement.ColumnText(0))
	}
	if err := errors.Join(statement.Err(), statement.Close()); err != nil {
		t.Fatal(err)
	}
	return names
}

func FuzzParseCreateTable(f *testing.F) {
	f.Add("CREATE TABLE t (a text COLLATE nocase, CONSTRAINT c CHECK (a <> ')'))")
	f.Add("create/**/table [x](`a` 'b''c' \"d\"\"\") without rowid")
	f.Fuzz(func(t *testing.T, statement string) {
		length := 0
		for rest := statement; rest != ""; rest = rest[length:] {
			if length, _ = nextToken(rest); length <= 0 || length > len(rest) {
				t.Fatalf("a token of %d bytes in %d", length, len(rest))
			}
		}
		parseCreateTable(statement)
	})
}

// TestReadOnlyFile has nothing to do in a file that it may not write to.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.SQLite))
	all := b.models(Owner{}, Item{})
	b.run(All, all)
	// A transaction of another program holds the writer; readers go on.
	path := strings.TrimPrefix(b.url, "sqlite:")
	conn, err := sqlite3.OpenContext(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := conn.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{All, Own, None} {
		b.run(mode, all)
	}
}

// TestWaitForWriter waits longer than a statement would.
func TestWaitForWriter(t *testing.T) {
	t.Parallel()
	backend, err := sqlite.File(t.TempDir() + string(os.PathSeparator) + "busy.db").Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const wait = 500 * time.Millisecond
	db, err := sqldriver.Open(backend, sqldriver.Options{WriteWait: wait})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	g, err := gorm.Open(backend.Gorm(db.SQL()), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := models(g, Owner{}, Item{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t}
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Update(context.WithoutCancel(t.Context()), func(context.Context, *sqldriver.Conn) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	short, cancel := context.WithTimeout(t.Context(), 2*wait)
	defer cancel()
	if err := Run(short, db, g, all, All, b.logger()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the writer is held: %v", err)
	}
	time.AfterFunc(2*wait, func() { close(release) })
	if err := Run(t.Context(), db, g, all, All, b.logger()); err != nil {
		t.Errorf("when the writer came free: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestOtherTimes warns of times that another program has written.
func TestOtherTimes(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.SQLite))
	all := b.models(timeRow{})
	b.run(All, all)
	for written, warned := range map[string]bool{
		"'2024-05-06T07:08:09.123456Z'": false, "'2024-05-06T07:08:09Z'": true, "'2024-05-06 07:08:09.5+02:00'": true, "1715000000": true,
	} {
		b.exec("DELETE FROM time_rows", "INSERT INTO time_rows (v) VALUES ("+written+")")
		plan := b.make(None, all)
		if (len(plan.Warnings) > 0) != warned {
			t.Errorf("%s: warnings %q", written, plan.Warnings)
		}
		if !warned || written[0] != '\'' {
			continue
		}
		_, repair, _ := strings.Cut(plan.Warnings[0], "\n")
		b.exec(repair)
		if plan := b.make(None, all); len(plan.Warnings) > 0 {
			t.Errorf("%s: warnings after what the warning says: %q", written, plan.Warnings)
		}
	}
}

// TestSQLiteSeesNewTables: what was read of the schema is not what it says after a statement that changes it. Names are the
// same whatever the case of ASCII's letters, and of those alone.
func TestSQLiteSeesNewTables(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.SQLite))
	err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		s := &session{conn: c, dialect: b.db.Dialect()}
		for _, step := range []struct{ statement, found string }{
			{"", ""},
			{"CREATE TABLE GRÖSSE (id INTEGER PRIMARY KEY)", ""},
			{"CREATE VIEW größe AS SELECT 1", "größe"},
			{"DROP VIEW größe", ""},
			{"CREATE TABLE GRößE (id INTEGER PRIMARY KEY)", "GRößE"},
		} {
			if step.statement != "" {
				if err := s.exec(ctx, step.statement); err != nil {
					return err
				}
			}
			r, err := (sqliteSystem{}).relation(ctx, s, "", "größe")
			if err != nil {
				return err
			}
			if found := r != nil; found != (step.found != "") || found && r.name != step.found {
				t.Errorf("after %q: want %q, got %+v", step.statement, step.found, r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
