package journal

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

func mariaBed(t *testing.T, models ...*model.Model) *bed {
	t.Helper()
	b := open(t, dbtest.New(t, dbtest.MariaDB), Options{}, models...)
	b.mysql().times.look = 50 * time.Millisecond
	return b
}

func (b *bed) mysql() *mysqlSource { return b.source.(*mysqlSource) }

// client runs SQL in the mariadb program, as another process does, in a session of its own kind.
func (b *bed) client(statements string) {
	b.t.Helper()
	u, err := url.Parse(b.target.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	password, _ := u.User.Password()
	command := exec.CommandContext(b.t.Context(), "mariadb", "--no-defaults", "--default-character-set=utf8mb4", "--local-infile=1",
		"-h", u.Hostname(), "-P", u.Port(), "-u", u.User.Username(), strings.TrimPrefix(u.Path, "/"))
	command.Env = []string{"MYSQL_PWD=" + password}
	command.Stdin = strings.NewReader(statements)
	if output, err := command.CombinedOutput(); err != nil {
		b.t.Fatalf("mariadb: %v\n%s", err, output)
	}
}

func TestMySQLStatementsOfEachKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ statement, want string }{
		"insert":                {"INSERT INTO items VALUES (9, 'i', 0, '')", `INSERT [9]`},
		"several rows":          {"INSERT INTO items VALUES (9, 'i', 0, ''), (8, 'h', 0, '')", `INSERT [9], INSERT [8]`},
		"insert select":         {"INSERT INTO items SELECT id + 10, concat(name, name), 0, '' FROM items", `INSERT [11], INSERT [12], INSERT [13]`},
		"update":                {"UPDATE items SET count = count + 1 WHERE id = 1", `UPDATE [1]`},
		"update of nothing":     {"UPDATE items SET count = count", ``},
		"update of a case":      {"UPDATE items SET name = 'A' WHERE id = 1", `UPDATE [1]`},
		"update of a space":     {"UPDATE items SET name = 'a ' WHERE id = 1", `UPDATE [1]`},
		"update of a secret":    {"UPDATE items SET token = 'x' WHERE id = 1", `SECRET [1]`},
		"update of the key":     {"UPDATE items SET id = 9 WHERE id = 1", `DELETE [1], INSERT [9]`},
		"delete":                {"DELETE FROM items", `DELETE [1], DELETE [2], DELETE [3]`},
		"replace by key":        {"REPLACE INTO items VALUES (1, 'z', 5, '')", `DELETE [1], INSERT [1]`},
		"replace by name":       {"REPLACE INTO items VALUES (9, 'a', 5, '')", `DELETE [1], INSERT [9]`},
		"replace of two":        {"REPLACE INTO items VALUES (1, 'b', 5, '')", `DELETE [1], DELETE [2], INSERT [1]`},
		"upsert, new":           {"INSERT INTO items VALUES (9, 'i', 5, '') ON DUPLICATE KEY UPDATE count = 5", `INSERT [9]`},
		"upsert, there":         {"INSERT INTO items VALUES (1, 'i', 5, '') ON DUPLICATE KEY UPDATE count = 5", `UPDATE [1]`},
		"upsert of nothing":     {"INSERT INTO items VALUES (1, 'i', 5, '') ON DUPLICATE KEY UPDATE count = 0", ``},
		"upsert of the key":     {"INSERT INTO items VALUES (1, 'i', 5, '') ON DUPLICATE KEY UPDATE id = 7", `DELETE [1], INSERT [7]`},
		"ignored insert":        {"INSERT IGNORE INTO items VALUES (1, 'a', 5, ''), (9, 'i', 0, '')", `INSERT [9]`},
		"ignored update":        {"UPDATE IGNORE items SET name = 'b', count = 7, token = 'x' WHERE id IN (1, 2)", `UPDATE [2]`},
		"ignored update of key": {"UPDATE IGNORE items SET id = 2 WHERE id = 1", ``},
		"delete by join":        {"DELETE i FROM items i JOIN items j ON i.id = j.id + 1 WHERE j.id = 1", `DELETE [2]`},
		"update by join":        {"UPDATE items i JOIN items j ON i.id = j.id + 1 SET i.count = 3 WHERE j.id = 1", `UPDATE [2]`},
		"failed":                {"INSERT INTO items VALUES (9, 'i', 0, ''), (1, 'x', 0, '')", ``},
	} {
		t.Run(name, func(t *testing.T) {
			b := mariaBed(t, parse[Item](t)).start()
			b.exec(`INSERT INTO items VALUES (1, 'a', 0, ''), (2, 'b', 0, ''), (3, 'c', 0, '')`)
			before, statement := len(b.all()), c.statement
			err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				_, err := c.Exec(ctx, statement, nil)
				return err
			})
			if err != nil && name != "failed" {
				t.Fatal(err)
			}
			if got := summary(b.all()[before:]); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestMySQLSessionsOfOtherPrograms writes with settings that are unlike CapeBase's.
func TestMySQLSessionsOfOtherPrograms(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[foreign](t))
	createForeign(b)
	b.start()
	entries := b.tail(Mark{})
	file := t.TempDir() + "/rows"
	write(t, file, "7\tseven\n8\teight\n")
	b.client(`
		SET time_zone = 'SYSTEM', sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH', NAMES latin1;
		INSERT INTO foreigners (id, stamp, text) VALUES (1, '2020-01-02 03:04:05.678901', 'a\b');
		SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE;
		SET sql_mode = 'ORACLE', NAMES utf8mb4 COLLATE utf8mb4_swedish_ci;
		UPDATE foreigners SET text = 'é"', latin = 'é', amount = NULL, code = 'x  ' WHERE id = 1;
		START TRANSACTION; DELETE FROM foreigners; ROLLBACK;
		SET autocommit = 0; INSERT INTO foreigners (id) VALUES (2); SAVEPOINT a; INSERT INTO foreigners (id) VALUES (3); ROLLBACK TO a; COMMIT;
		LOAD DATA LOCAL INFILE '` + file + `' REPLACE INTO TABLE foreigners (id, text); COMMIT`)
	var got []Entry
	for range 5 {
		e := next(t, entries)
		got = append(got, e)
		if e.Actor.ID != "" || e.Tx != "" || !strings.HasPrefix(e.User, "cape") && e.User == "" {
			t.Errorf("entry %d is of %+v, transaction %q, user %q", e.Position, e.Actor, e.Tx, e.User)
		}
		if d := time.Since(e.Time); d < -time.Minute || d > time.Minute {
			t.Errorf("entry %d is of %v", e.Position, e.Time)
		}
	}
	if s := summary(got); s != "INSERT [1], UPDATE [1], INSERT [2], INSERT [7], INSERT [8]" {
		t.Errorf("got %s", s)
	}
	l := newLedger(t, 0)
	l.addAll(got)
	l.compare(b)
}

func TestMySQLActorsNeverBleed(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[Item](t)).start()
	ann := auth.With(t.Context(), auth.Identity{ID: "ann", Roles: []string{`it's "\ é`}})
	run := func(ctx context.Context, statement string, fault error) {
		t.Helper()
		err := b.db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return err
			}
			return fault
		})
		if !errors.Is(err, fault) {
			t.Fatal(err)
		}
	}
	for i := range 20 { // on whichever connections
		run(ann, fmt.Sprintf("INSERT INTO items VALUES (%d, 'a%d', 0, '')", 3*i+1, i), nil)
		run(t.Context(), fmt.Sprintf("INSERT INTO items VALUES (%d, 'b%d', 0, '')", 3*i+2, i), nil)
		run(ann, "UPDATE items SET count = count + 1", errUndo)
		run(t.Context(), fmt.Sprintf("INSERT INTO items VALUES (%d, 'c%d', 0, '')", 3*i+3, i), nil)
	}
	b.client("INSERT INTO items VALUES (100, 'x', 0, '')")
	transactions := make(map[string]string)
	for i, e := range b.all() {
		want := ""
		if i%3 == 0 && i < 60 {
			want = "ann"
			if !slices.Equal(e.Actor.Roles, []string{`it's "\ é`}) {
				t.Errorf("the roles are %q", e.Actor.Roles)
			}
		}
		if e.Actor.ID != want || (e.Tx == "") != (i == 60) || transactions[e.Tx] != "" {
			t.Errorf("entry %s is of %q, transaction %q, as that of %s", e.Key, e.Actor.ID, e.Tx, transactions[e.Tx])
		}
		transactions[e.Tx] = e.Key
	}
}

// TestMySQLTruncateIsAGap also rebuilds the table, which may change any row.
func TestMySQLTruncateIsAGap(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[Item](t), parse[strange](t)).start()
	entries := b.tail(Mark{})
	b.exec("INSERT INTO items VALUES (1, 'a', 0, '')")
	next(t, entries)
	b.settled()
	for _, statement := range []string{"TRUNCATE items", "ALTER TABLE items FORCE"} {
		b.exec(statement)
		if e := next(t, entries); e.Op != Gap || e.Table != 0 {
			t.Fatalf("%s: got %+v", statement, e)
		}
	}
	b.exec("TRUNCATE " + mysqlQuote(strange{}.TableName()))
	if e := next(t, entries); e.Op != Gap || e.Table != 1 {
		t.Fatalf("got %+v", e)
	}
	b.exec("ALTER TABLE items ADD COLUMN more int, ADD INDEX more (more)")
	b.exec("INSERT INTO items (id, name, count, token) VALUES (1, 'a', 0, '')")
	if e := next(t, entries); e.Op != Insert {
		t.Errorf("a column that was added: got %+v", e)
	}
}

// settled waits until the tables' numbers are noted.
func (b *bed) settled() {
	b.t.Helper()
	eventually(b.t, "the tables' numbers are noted", func() bool {
		var noted map[string]string
		err := b.db.Read(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
			noted, err = b.mysql().meta(ctx, c)
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, t := range b.mysql().tables {
			if noted[metaNumber+t.recordedName()] == "" {
				return false
			}
		}
		return true
	})
}

// eventually looks again and again.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.After(20 * time.Second); !holds(); {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatal("not within 20 s:", what)
		}
	}
}

func TestMySQLTriggersThatWentMissing(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[Folder](t), parse[File](t)).start()
	entries := b.tail(Mark{})
	b.exec("INSERT INTO folders VALUES (1, 'a', 0)")
	next(t, entries)
	for trigger, table := range map[string]int{"cape_folders_u": 0, "cape_files_i": 1, "cape_folders_b": 1} {
		b.exec("DROP TRIGGER " + trigger)
		if e := next(t, entries); e.Op != Gap || e.Table != table {
			t.Fatalf("%s: got %+v", trigger, e)
		}
	}
	b.exec("INSERT INTO files VALUES (1, 1, 'a', 0)")
	b.exec("DELETE FROM folders")
	if got := summary([]Entry{next(t, entries), next(t, entries), next(t, entries)}); got != "INSERT [1], DELETE [1], DELETE [1]" {
		t.Errorf("got %s", got)
	}
	// A trigger of the user's that comes after would see to the rows once more.
	b.exec("CREATE TRIGGER mine BEFORE DELETE ON folders FOR EACH ROW DELETE FROM files WHERE folder_id = OLD.id")
	eventually(t, "ours is the last again", func() bool {
		last := ""
		err := b.db.Read(t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
			var home string
			if home, err = b.mysql().homeOf(ctx, c); err == nil {
				last, err = b.mysql().lastBeforeDelete(ctx, c, mysqlTableName{home, "folders"})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return last == "cape_folders_b"
	})
	b.exec("INSERT INTO folders VALUES (1, 'a', 0)")
	b.exec("INSERT INTO files VALUES (1, 1, 'a', 0)")
	b.exec("DELETE FROM folders")
	b.exec("INSERT INTO folders VALUES (2, 'end', 0)")
	var got []Entry
	for range 5 {
		got = append(got, next(t, entries))
	}
	if s := summary(got); s != "INSERT [1], INSERT [1], DELETE [1], DELETE [1], INSERT [2]" {
		t.Errorf("got %s", s)
	}
}

// TestMySQLManyInstallAtOnce has processes install at the same time.
func TestMySQLManyInstallAtOnce(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.MariaDB)
	var group sync.WaitGroup
	beds := make([]*bed, 6)
	for i := range beds {
		beds[i] = open(t, target, Options{}, parse[Folder](t), parse[File](t), parse[Item](t))
	}
	beds[0].migrate()
	for _, b := range beds {
		group.Go(func() {
			if err := b.Install(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, b := range beds {
		if statements, err := b.Statements(t.Context()); err != nil || len(statements) > 0 || b.Epoch() != beds[0].Epoch() {
			t.Errorf("a process would run %q, error %v, epoch %s", statements, err, b.Epoch())
		}
	}
	beds[0].insert(1, 3)
	if got := summary(beds[1].all()); got != "INSERT [1], INSERT [2], INSERT [3]" {
		t.Errorf("got %s", got)
	}
}
