package sqldriver

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	const anywhere, lite, pg, my = "sqlite postgres mysql", "sqlite", "postgres", "mysql"
	for _, c := range []struct {
		on, query string
		want      text
	}{
		{anywhere, "SELECT a FROM t", text{class: reading}},
		{anywhere, "select 1", text{class: reading}},
		{anywhere, "\n\t /* x */ -- y\n SELECT 1", text{class: reading}},
		{anywhere, "SELECT 1;", text{class: reading}},
		{anywhere, "SELECT 1 ; -- done\n ;", text{class: reading}},
		{anywhere, "WITH x AS (SELECT 1) SELECT * FROM x", text{class: reading, star: true}},
		{anywhere, "VALUES (1)", text{class: reading}},
		{anywhere, "EXPLAIN SELECT 1", text{class: reading}},
		{anywhere, "EXPLAIN DELETE FROM t", text{class: changing}},
		{anywhere, "SELECT * FROM t", text{class: reading, star: true}},
		{anywhere, "SELECT DISTINCT * FROM t", text{class: reading, star: true}},
		{anywhere, "SELECT a, t.* FROM t", text{class: reading, star: true}},
		{anywhere, "SELECT count(*), 2*3, a * b FROM t", text{class: reading}},
		{anywhere, "SELECT 'INSERT', 'it''s UPDATE'", text{class: reading}},
		{anywhere, `SELECT "delete" FROM t`, text{class: reading}},
		{anywhere, "SELECT updated, deleted_at, inserts FROM t", text{class: reading}},
		{anywhere, "SELECT replace(a, 'x', 'y'), insert (a, 1, 2, 'z') FROM t", text{class: reading}},
		{anywhere, "SELECT a FROM t FOR UPDATE", text{class: changing}},
		{anywhere, "SELECT a INTO b FROM t", text{class: changing}},
		{anywhere, "WITH x AS (SELECT 1) INSERT INTO t SELECT 1 FROM x", text{class: changing}},
		{anywhere, "WITH x AS (DELETE FROM t RETURNING *) SELECT a FROM x", text{class: changing, star: true, returns: true}},
		{anywhere, "SELECT 1; DELETE FROM t", text{class: changing, many: true}},
		{anywhere, "SELECT 1; SELECT 2", text{class: changing, many: true}},
		{anywhere, "insert into t values (1)", text{class: changing}},
		{anywhere, "UPDATE t SET a = 1", text{class: changing}},
		{anywhere, "REPLACE INTO t VALUES (1)", text{class: changing}},
		{anywhere, "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", text{class: changing}},
		{anywhere, "CALL p()", text{class: changing}},
		{anywhere, "CREATE TABLE t(id int REFERENCES u ON DELETE CASCADE)", text{}},
		{anywhere, "DROP TABLE t", text{}},
		{anywhere, "PRAGMA table_info(t)", text{}},
		{anywhere, "", text{empty: true}},
		{anywhere, "-- nothing", text{empty: true}},
		{anywhere, "BEGIN", text{control: whole}},
		{anywhere, "begin transaction; select 1", text{control: whole, many: true}},
		{anywhere, "START TRANSACTION", text{control: whole}},
		{anywhere, "COMMIT", text{control: whole}},
		{anywhere, "END", text{control: whole}},
		{anywhere, "/* x */ ROLLBACK", text{control: whole}},
		{anywhere, "ROLLBACK WORK", text{control: whole}},
		{anywhere, "SELECT 1; COMMIT", text{class: changing, control: whole, many: true}},
		{anywhere, "SET autocommit = 0", text{control: whole}},
		{anywhere, "PREPARE TRANSACTION 'x'", text{control: whole}},
		{anywhere, "SAVEPOINT x", text{control: savepoint}},
		{anywhere, "RELEASE SAVEPOINT x", text{control: savepoint}},
		{anywhere, "ROLLBACK TO x", text{control: savepoint}},
		{anywhere, "ROLLBACK TRANSACTION TO SAVEPOINT x", text{control: savepoint}},
		{anywhere, "ROLLBACK; ROLLBACK TO x", text{control: whole, many: true}},
		{anywhere, "SELECT CASE WHEN a THEN 1 END FROM t", text{class: reading}},
		{anywhere, "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM u; SELECT 1; END", text{many: true}},
		{anywhere, "SELECT 'never closed", text{class: changing}},
		{anywhere, "SELECT /* never closed", text{class: changing}},
		{lite, "SELECT [delete] FROM t", text{class: reading}},
		{lite, "SELECT `update` FROM t", text{class: reading}},
		{lite, `SELECT '\', a FROM t WHERE b = 'x'`, text{class: reading}},
		{lite, `SELECT '\'; DELETE FROM t; --'`, text{class: changing, many: true}},
		{lite, "SELECT 1 /* a /* b */ ", text{class: reading}},
		{pg, "SELECT a[1] FROM t", text{class: reading}},
		{pg, "SELECT $1, $2::text", text{class: reading}},
		{pg, "SELECT $$ DELETE $$, $x$ '; UPDATE $x$", text{class: reading}},
		{pg, "DO $$ BEGIN DELETE FROM t; END $$", text{class: changing}},
		{pg, "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END", text{many: true}},
		{pg, `SELECT E'\'; DELETE FROM t; --'`, text{class: reading}},
		{pg, `SELECT e'\\', 'x'`, text{class: reading}},
		{pg, `SELECT type'x', 'y'`, text{class: reading}},
		{pg, "SELECT /* a /* b */ DELETE */ 1", text{class: reading}},
		{pg, "SELECT a # b FROM t", text{class: reading}},
		{pg, "SELECT $x$ never closed", text{class: changing}},
		{my, `SELECT '\'; DELETE FROM t; -- '`, text{class: reading}},
		{my, "SELECT 1 # DELETE", text{class: reading}},
		{my, "SELECT 5--1, a FROM t", text{class: reading}},
		{my, "SELECT 1 -- DELETE", text{class: reading}},
		{my, "SELECT 1 /*!50000 INTO @x */", text{class: changing}},
		{my, "/*!50000 DELETE FROM t */", text{class: changing}},
		{my, "SELECT `insert` FROM t", text{class: reading}},
	} {
		for _, dialect := range strings.Fields(c.on) {
			got := lexiconOf(dialect).inspect(c.query)
			if got != c.want {
				t.Errorf("%s: %q: got %+v, want %+v", dialect, c.query, got, c.want)
			}
		}
	}
}

// A word that changes rows is found wherever it stands in the open, and nowhere in quotes or comments.
func TestInspectProperty(t *testing.T) {
	t.Parallel()
	hidden := map[string][]string{
		"sqlite":   {"'%s'", `"%s"`, "[%s]", "`%s`", "/* %s */", "-- %s\n", "''''||'%s'"},
		"postgres": {"'%s'", `"%s"`, "/* /* %s */ */", "-- %s\n", "$$%s$$", "$q$ $$ %s $q$", `E'\'%s'`},
		"mysql":    {"'%s'", `"%s"`, "`%s`", "/* %s */", "# %s\n", "-- %s\n", `'\'%s'`, `"\"%s"`},
	}
	rapid.Check(t, func(t *rapid.T) {
		dialect := rapid.SampledFrom([]string{"sqlite", "postgres", "mysql"}).Draw(t, "dialect")
		word := rapid.SampledFrom([]string{"DELETE", "update", "Merge", "INSERT INTO t", "; COMMIT", "into"}).Draw(t, "word")
		filler := rapid.SampledFrom(append([]string{"a", "1", "+ b", "(c)", ",", " "}, wrap(hidden[dialect], word)...))
		parts := rapid.SliceOfN(filler, 0, 8).Draw(t, "parts")
		open := rapid.Bool().Draw(t, "open")
		if open {
			at := rapid.IntRange(0, len(parts)).Draw(t, "at")
			parts = append(parts[:at:at], append([]string{word}, parts[at:]...)...)
		}
		query := "SELECT " + strings.Join(parts, " ")
		if got := lexiconOf(dialect).inspect(query); (got.class == changing) != open {
			t.Fatalf("%s: %q: class %d", dialect, query, got.class)
		}
	})
}

func wrap(templates []string, word string) []string {
	wrapped := make([]string, len(templates))
	for i, template := range templates {
		wrapped[i] = strings.Replace(template, "%s", word, 1)
	}
	return wrapped
}

func FuzzInspect(f *testing.F) {
	for _, seed := range []string{"SELECT 1", "/*!x*/ $a$ b $a$ E'\\'", "[", "--", "$", "'", "ROLLBACK TO x;;", "/*/**/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, dialect := range []string{"sqlite", "postgres", "mysql"} {
			l := lexiconOf(dialect)
			// Whatever a text opens: what follows is in the open, or the text was never closed.
			if l.inspect("SELECT "+query+"\n;DELETE FROM t").class == reading {
				t.Errorf("%s: %q hides what follows it", dialect, query)
			}
			if l.inspect("SELECT "+query).class == changing && l.inspect("SELECT 1, "+query+"\n").class != changing {
				t.Errorf("%s: %q changes rows only at the start", dialect, query)
			}
		}
	})
}

func TestCacheKeepsTheYoungest(t *testing.T) {
	t.Parallel()
	c := newCache(2)
	closed := map[string]int{}
	use := func(query string) {
		t.Helper()
		s := c.take(query)
		if s == nil {
			s = &statement{query: query, driver: closer{query, closed}, busy: true}
			if err := c.add(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.release(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{"a", "b", "a", "c", "a", "d"} {
		use(query)
	}
	if len(closed) != 2 || closed["b"] != 1 || closed["c"] != 1 {
		t.Errorf("closed %v, want b and c once", closed)
	}
	// A busy statement is closed when it is given back, not while it is read.
	busy := c.take("a")
	if c.take("a") != nil {
		t.Error("a busy statement was given out twice")
	}
	use("e")
	use("f")
	if closed["a"] != 0 {
		t.Error("a busy statement was closed")
	}
	if err := c.release(busy); err != nil || closed["a"] != 1 {
		t.Errorf("after its release: closed %d times, %v", closed["a"], err)
	}
	if err := c.close(); err != nil || closed["e"] != 1 || closed["f"] != 1 {
		t.Errorf("closed %v at the end, %v", closed, err)
	}
}

func BenchmarkInspect(b *testing.B) {
	l := lexiconOf("sqlite")
	const query = "SELECT `notes`.`id`,`notes`.`title`,`notes`.`due` FROM `notes` WHERE `notes`.`id` = ? AND `notes`.`deleted_at` IS NULL ORDER BY `notes`.`id` LIMIT 1"
	b.ReportAllocs()
	for b.Loop() {
		if l.inspect(query).class != reading {
			b.Fatal("not a reading")
		}
	}
}
