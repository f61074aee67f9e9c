package journal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/sqldriver"
)

// branch and leaf hang on a table that is not published, and on each other in several ways.
type branch struct {
	ID      int64
	OwnerID *int64
	TwigID  *int64
	Size    int64
}

func (branch) TableName() string { return "branches" }

type leaf struct {
	ID       int64
	BranchID *int64
	SpareID  *int64
	OwnerID  *int64
	Token    *string `cape:"secret"`
}

func (leaf) TableName() string { return "leaves" }

func cascadeBed(t *testing.T) *bed {
	t.Helper()
	b := mariaBed(t, parse[branch](t), parse[leaf](t))
	b.exec("CREATE TABLE owners (id bigint NOT NULL PRIMARY KEY)")
	b.exec("CREATE TABLE branches (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, owner_id bigint, twig_id bigint, size bigint NOT NULL DEFAULT 0, " +
		"CONSTRAINT branch_owner FOREIGN KEY (owner_id) REFERENCES owners (id) ON DELETE CASCADE, " +
		"CONSTRAINT branch_twig FOREIGN KEY (twig_id) REFERENCES branches (id) ON DELETE SET NULL)")
	b.exec("CREATE TABLE leaves (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, branch_id bigint, spare_id bigint, owner_id bigint, token text, " +
		"CONSTRAINT leaf_branch FOREIGN KEY (branch_id) REFERENCES branches (id) ON DELETE CASCADE, " +
		"CONSTRAINT leaf_spare FOREIGN KEY (spare_id) REFERENCES branches (id) ON DELETE SET NULL, " +
		"CONSTRAINT leaf_owner FOREIGN KEY (owner_id) REFERENCES owners (id) ON DELETE SET NULL)")
	return b.start()
}

func TestMySQLCascades(t *testing.T) {
	t.Parallel()
	b := cascadeBed(t)
	forms := []string{
		"INSERT INTO owners VALUES (%i)", "INSERT IGNORE INTO owners VALUES (%i), (%i)", "REPLACE INTO owners VALUES (%i)", "DELETE FROM owners WHERE id = %i", "DELETE FROM owners WHERE id > %i",
		"INSERT INTO branches (id, owner_id, twig_id) VALUES (%i, %i, NULL)", "INSERT IGNORE INTO branches (id, owner_id, twig_id) VALUES (%i, %i, %i), (%i, %i, NULL)",
		"REPLACE INTO branches (id, owner_id) VALUES (%i, %i)", "UPDATE IGNORE branches SET twig_id = %i WHERE id <> %i", "UPDATE branches SET owner_id = %i, size = %n WHERE id = %i",
		"UPDATE IGNORE branches SET owner_id = %i, twig_id = %i", "DELETE FROM branches WHERE id = %i", "DELETE FROM branches WHERE id <= %i", "DELETE FROM branches ORDER BY id DESC LIMIT %i",
		"INSERT INTO leaves (id, branch_id) VALUES (%i, %i)", "INSERT IGNORE INTO leaves (id, branch_id, spare_id, owner_id) VALUES (%i, %i, %i, %i), (%i, NULL, %i, %i), (%i, %i, NULL, %i)",
		"INSERT IGNORE INTO leaves (id, spare_id) SELECT id, id FROM branches", "UPDATE IGNORE leaves SET spare_id = %i, owner_id = %i", "DELETE FROM leaves WHERE id = %i",
		"DELETE b, o FROM branches b JOIN owners o ON b.owner_id = o.id WHERE o.id = %i",
	}
	l := newLedger(t, 0)
	at, kinds := 0, make(map[Op]int)
	rapid.Check(t, func(rt *rapid.T) {
		l.t = rt
		for _, table := range []string{"leaves", "branches", "owners"} {
			b.exec("DELETE FROM " + table)
		}
		b.exec("INSERT INTO owners VALUES (1), (2), (3), (4)")
		b.exec("INSERT INTO branches (id, owner_id, twig_id) VALUES (1, 1, NULL), (2, 2, 1), (3, NULL, 3)")
		b.exec("INSERT INTO leaves (id, branch_id, spare_id, owner_id) VALUES (1, 1, 2, 1), (2, NULL, 1, 2), (3, 2, NULL, NULL)")
		for range rapid.IntRange(1, 10).Draw(rt, "transactions") {
			transact(rt, b, forms)
		}
		entries := b.all()
		l.addAll(entries[at:])
		for i := range entries[at:] {
			kinds[entries[at+i].Op]++
		}
		at = len(entries)
		l.compare(b)
		if l.gaps > 0 {
			rt.Error("there is a gap")
		}
	})
	if kinds[Delete] == 0 || kinds[Update] == 0 {
		t.Errorf("the entries are of kinds %v", kinds)
	}
}

func TestMySQLWithoutForeignKeyChecksNothingFollows(t *testing.T) {
	t.Parallel()
	b := cascadeBed(t)
	b.exec("INSERT INTO owners VALUES (1)")
	b.exec("INSERT INTO branches (id, owner_id) VALUES (1, 1)")
	b.exec("INSERT INTO leaves (id, owner_id) VALUES (1, 1)")
	b.client("SET foreign_key_checks = 0; DELETE FROM owners")
	if got := summary(b.all()); got != "INSERT [1], INSERT [1]" {
		t.Errorf("got %s", got)
	}
}

// TestMySQLForeignKeysThatComeAndGo has other builds agree on what follows what.
func TestMySQLForeignKeysThatComeAndGo(t *testing.T) {
	t.Parallel()
	b := cascadeBed(t)
	entries := b.tail(Mark{})
	branches := open(t, b.target, Options{}, parse[branch](t)).start() // a build that knows of no leaves
	branches.mysql().times.look = b.mysql().times.look
	branches.tail(Mark{})
	b.exec("INSERT INTO owners VALUES (1)")
	b.exec("INSERT INTO branches (id, owner_id) VALUES (1, 1)")
	b.exec("INSERT INTO leaves (id, branch_id) VALUES (1, 1)")
	for _, build := range []*bed{b, branches} {
		if statements, err := build.Statements(t.Context()); err != nil || len(statements) > 0 {
			t.Errorf("a build would run %q, error %v", statements, err)
		}
	}
	b.exec("DELETE FROM owners")
	var got []Entry
	for range 4 {
		got = append(got, next(t, entries))
	}
	if s := summary(got); s != "INSERT [1], INSERT [1], DELETE [1], DELETE [1]" {
		t.Errorf("got %s", s)
	}
	b.exec("CREATE TABLE ground (id bigint NOT NULL PRIMARY KEY)")
	b.exec("ALTER TABLE owners ADD COLUMN ground_id bigint, ADD CONSTRAINT owner_ground FOREIGN KEY (ground_id) REFERENCES ground (id) ON DELETE CASCADE")
	tables := map[int]bool{}
	for range 2 {
		e := next(t, entries)
		tables[e.Table] = e.Op == Gap
	}
	if !tables[0] || !tables[1] {
		t.Errorf("gaps of tables %v", tables)
	}
	b.exec("INSERT INTO ground VALUES (1)")
	b.exec("INSERT INTO owners VALUES (1, 1)")
	b.exec("INSERT INTO branches (id, owner_id) VALUES (1, 1)")
	b.exec("DELETE FROM ground")
	if s := summary([]Entry{next(t, entries), next(t, entries)}); s != "INSERT [1], DELETE [1]" {
		t.Errorf("got %s", s)
	}
	b.exec("ALTER TABLE owners DROP FOREIGN KEY owner_ground")
	eventually(t, "the trigger that is of no use is gone", func() bool {
		last := ""
		err := b.db.Read(t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
			var home string
			if home, err = b.mysql().homeOf(ctx, c); err == nil {
				last, err = b.mysql().lastBeforeDelete(ctx, c, mysqlTableName{home, "ground"})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return last == ""
	})
}

func TestMySQLRefusesWhatNoTriggerCanFollow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ statement, says string }{
		"update": {"ALTER TABLE leaves DROP FOREIGN KEY leaf_spare, ADD CONSTRAINT again FOREIGN KEY (spare_id) REFERENCES branches (id) ON UPDATE CASCADE", "table leaves: its foreign key again is ON UPDATE CASCADE"},
		"itself": {"ALTER TABLE branches DROP FOREIGN KEY branch_twig, ADD CONSTRAINT again FOREIGN KEY (twig_id) REFERENCES branches (id) ON DELETE CASCADE", "in a circle through the foreign key again of"},
		"circle": {"ALTER TABLE owners ADD COLUMN branch_id bigint, ADD CONSTRAINT again FOREIGN KEY (branch_id) REFERENCES branches (id) ON DELETE CASCADE", "in a circle through the foreign key"},
	} {
		t.Run(name, func(t *testing.T) {
			b := cascadeBed(t)
			entries := b.tail(Mark{})
			b.exec("INSERT INTO branches (id) VALUES (1)")
			next(t, entries)
			b.exec(c.statement)
			began, looks := time.Now(), 5*b.mysql().times.look
			for id := 2; time.Since(began) < looks; id++ { // the tailer sees it, and goes on
				b.exec(fmt.Sprintf("INSERT INTO branches (id) VALUES (%d)", id))
				for e := next(t, entries); e.Key != fmt.Sprintf("[%d]", id); e = next(t, entries) { // there may be a gap before
				}
			}
			if err := b.Install(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// TestMySQLGolden has every kind of column and of cascade; what is made for MariaDB must be what MySQL reads.
func TestMySQLGolden(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[branch](t), parse[leaf](t), parse[foreign](t), parse[strange](t))
	createForeign(b)
	b.exec("CREATE TABLE owners (id bigint NOT NULL PRIMARY KEY)")
	b.exec("CREATE TABLE branches (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, owner_id bigint, twig_id bigint, size bigint NOT NULL DEFAULT 0, " +
		"CONSTRAINT branch_owner FOREIGN KEY (owner_id) REFERENCES owners (id) ON DELETE CASCADE, " +
		"CONSTRAINT branch_twig FOREIGN KEY (twig_id) REFERENCES branches (id) ON DELETE SET NULL)")
	b.exec("CREATE TABLE leaves (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, branch_id bigint, spare_id bigint, owner_id bigint, token text, " +
		"CONSTRAINT leaf_branch FOREIGN KEY (branch_id) REFERENCES branches (id) ON DELETE CASCADE, " +
		"CONSTRAINT leaf_spare FOREIGN KEY (spare_id) REFERENCES branches (id) ON DELETE SET NULL, " +
		"CONSTRAINT leaf_owner FOREIGN KEY (owner_id) REFERENCES owners (id) ON DELETE SET NULL)")
	b.migrate()
	statements, err := b.Statements(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The collation is the one thing that differs.
	got := hideEpoch(strings.ReplaceAll(strings.Join(statements, ";\n")+";\n", "utf8mb4_nopad_bin", "utf8mb4_0900_bin"))
	file := filepath.Join("testdata", "mysql.sql")
	if *update {
		write(t, file, got)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the statements are not those of %s; if that is right, run the test with -update:\n%s", file, got)
	}
	grammar := filepath.Join(t.TempDir(), "statements.sql")
	write(t, grammar, strings.ReplaceAll(got, metaEpoch+"\n", ""))
	if out, err := exec.Command("node", filepath.Join("..", "..", "tools", "node", "mysql.mjs"), grammar).CombinedOutput(); err != nil {
		t.Errorf("MySQL's grammar: %v\n%s", err, out)
	}
}
