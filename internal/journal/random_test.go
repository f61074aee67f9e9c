package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// statements are forms of SQL that an engine knows: %i is a small id, %n a number, %t a text.
func statements(engine string) []string {
	const folder, file = "(%i, '%t', %n)", "(%i, %i, '%t', %n)"
	all := []string{
		"INSERT INTO folders (id, name, size) VALUES " + folder,
		"INSERT INTO folders (id, name, size) VALUES " + folder + ", " + folder,
		"INSERT INTO folders (id, name, size) SELECT id + 3, path, size FROM files WHERE id < %i",
		"UPDATE folders SET size = size + %n WHERE id <= %i",
		"UPDATE folders SET name = '%t' WHERE id = %i",
		"UPDATE folders SET id = %i WHERE id = %i",
		"DELETE FROM folders WHERE id = %i",
		"DELETE FROM folders WHERE id >= %i",
		"INSERT INTO files (id, folder_id, path, size) VALUES " + file,
		"INSERT INTO files (id, folder_id, path, size) VALUES " + file + ", " + file,
		"INSERT INTO files (id, folder_id, path, size) VALUES (%i, NULL, '%t', %n)",
		"INSERT INTO files (id, folder_id, path, size) SELECT id, id, name, size FROM folders",
		"UPDATE files SET folder_id = %i WHERE size < %n",
		"UPDATE files SET size = size + 1",
		"UPDATE files SET id = %i, path = '%t' WHERE id = %i",
		"DELETE FROM files WHERE id = %i",
	}
	upsert := []string{
		"INSERT INTO folders (id, name, size) VALUES " + folder + ", " + folder + " ON CONFLICT (id) DO UPDATE SET size = excluded.size",
		"INSERT INTO folders (id, name, size) VALUES " + folder + " ON CONFLICT (name) DO UPDATE SET size = 7, id = excluded.id",
		"INSERT INTO files (id, folder_id, path, size) VALUES " + file + " ON CONFLICT DO NOTHING",
		"INSERT INTO files (id, folder_id, path, size) VALUES " + file + ", " + file + " ON CONFLICT (path) DO UPDATE SET folder_id = NULL",
	}
	replace := []string{
		"REPLACE INTO folders (id, name, size) VALUES " + folder,
		"REPLACE INTO folders (id, name, size) VALUES " + folder + ", " + folder,
		"REPLACE INTO files (id, folder_id, path, size) VALUES " + file + ", " + file,
		"REPLACE INTO files (id, folder_id, path, size) SELECT id + 1, folder_id, path, size FROM files",
	}
	switch engine {
	case dbtest.SQLite:
		return append(append(append(all, upsert...), replace...),
			"INSERT OR IGNORE INTO folders (id, name, size) VALUES "+folder+", "+folder,
			"INSERT OR IGNORE INTO files (id, folder_id, path, size) VALUES "+file,
			"INSERT OR REPLACE INTO folders (id, name, size) VALUES "+folder+" ON CONFLICT (id) DO UPDATE SET name = excluded.name",
			"UPDATE OR REPLACE folders SET name = '%t' WHERE id < %i",
			"UPDATE OR REPLACE folders SET id = %i WHERE id = %i",
			"UPDATE OR IGNORE folders SET name = '%t', size = %n",
			"UPDATE OR REPLACE files SET id = id + 1, path = '%t' WHERE id > %i",
			"UPDATE OR REPLACE files SET id = %i, folder_id = %i WHERE size > %n",
		)
	case dbtest.Postgres:
		return append(append(all, upsert...), "TRUNCATE files", "TRUNCATE folders CASCADE",
			"WITH gone AS (DELETE FROM files WHERE id < %i RETURNING *) UPDATE folders SET size = size + 1 WHERE id IN (SELECT folder_id FROM gone)")
	default:
		return append(append(all, replace...),
			"INSERT IGNORE INTO folders (id, name, size) VALUES "+folder+", "+folder,
			"INSERT INTO folders (id, name, size) VALUES "+folder+", "+folder+" ON DUPLICATE KEY UPDATE size = VALUES(size)",
			"INSERT INTO files (id, folder_id, path, size) VALUES "+file+" ON DUPLICATE KEY UPDATE folder_id = NULL",
			"DELETE folders, files FROM folders JOIN files ON files.folder_id = folders.id WHERE files.id = %i",
			"UPDATE IGNORE folders SET name = '%t' WHERE id > %i",
		)
	}
}

func drawStatement(t *rapid.T, forms []string) string {
	parts := strings.Split(rapid.SampledFrom(forms).Draw(t, "form"), "%")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, part := range parts[1:] {
		switch part[0] {
		case 'i':
			fmt.Fprint(&b, rapid.IntRange(1, 6).Draw(t, "id"))
		case 't':
			b.WriteString(rapid.SampledFrom([]string{"a", "b", "c", "d", "A"}).Draw(t, "text"))
		default:
			fmt.Fprint(&b, rapid.IntRange(0, 3).Draw(t, "number"))
		}
		b.WriteString(part[1:])
	}
	return b.String()
}

// TestEntriesMakeTheTables runs random transactions, parts of which are rolled back: what the journal has is what was
// committed, each entry's before is the after of the row's last one, replayed they make the tables, and the versions of
// each row are its entries.
func TestEntriesMakeTheTables(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{History: []int{0, 1}}, parse[Folder](t), parse[File](t)).start()
		delivered := b.tail(Mark{})
		forms := statements(target.Engine)
		at := int64(0)
		l := newLedger(t, 0)
		rapid.Check(t, func(rt *rapid.T) {
			l.t = rt
			b.exec("DELETE FROM files")
			b.exec("DELETE FROM folders")
			if target.Engine == dbtest.SQLite {
				b.exec("DELETE FROM cape_stash") // so that a failure can be shrunk
			}
			for range rapid.IntRange(1, 8).Draw(rt, "transactions") {
				transact(rt, b, forms)
			}
			b.settle()
			var entries []Entry
			for {
				page, err := b.Read(t.Context(), at, 7)
				if err != nil {
					rt.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				entries = append(entries, page...)
				at = page[len(page)-1].Position
			}
			l.addAll(entries)
			l.compare(b)
			b.versionsAre(entries)
			if l.gaps > 0 {
				rt.Error("there is a gap")
			}
			for i := range entries {
				if e := next(t, delivered); fmt.Sprintf("%+v", e) != fmt.Sprintf("%+v", entries[i]) {
					rt.Errorf("delivered %+v\nand not %+v", e, entries[i])
				}
			}
		})
	})
}

var errUndo = errors.New("rolled back on purpose")

// transact runs a transaction. A statement that fails rolls it back, or the savepoint that it is in.
func transact(t *rapid.T, b *bed, forms []string) {
	run := func(ctx context.Context, c *sqldriver.Conn) error {
		for range rapid.IntRange(1, 3).Draw(t, "statements") {
			statement := drawStatement(t, forms)
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return fmt.Errorf("%w: %w", errUndo, err)
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "undo") == 0 {
			return errUndo
		}
		return nil
	}
	err := b.db.Update(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		if err := run(ctx, c); err != nil {
			return err
		}
		if rapid.Bool().Draw(t, "savepoint") {
			if err := b.db.Update(ctx, run); err != nil && !errors.Is(err, errUndo) {
				return err
			}
			return run(ctx, c)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUndo) {
		t.Fatal(err)
	}
}
