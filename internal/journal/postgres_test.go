package journal

import (
	"context"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

func postgresBed(t *testing.T) *bed {
	return open(t, dbtest.New(t, dbtest.Postgres), Options{}, parse[Item](t)).start()
}

// transaction runs statements in one.
func (b *bed) transaction(ctx context.Context, statements ...string) {
	b.t.Helper()
	err := b.db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		for _, statement := range statements {
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestPostgresStatementsOfEachKindAreJournaled(t *testing.T) {
	b := postgresBed(t)
	for name, c := range map[string]struct{ statement, want string }{
		"insert":              {`INSERT INTO items VALUES (9, 'i', 0, '')`, `INSERT [9]`},
		"several rows":        {`INSERT INTO items VALUES (9, 'i', 0, ''), (8, 'h', 0, '')`, `INSERT [9], INSERT [8]`},
		"update":              {`UPDATE items SET count = count + 1 WHERE id = 1`, `UPDATE [1]`},
		"update of nothing":   {`UPDATE items SET count = count`, ``},
		"update of a secret":  {`UPDATE items SET token = 'x' WHERE id = 1`, `SECRET [1]`},
		"update of the key":   {`UPDATE items SET id = 9 WHERE id = 1`, `DELETE [1], INSERT [9]`},
		"keys that change":    {`UPDATE items SET id = id + 10 WHERE id <= 2`, `DELETE [1], INSERT [11], DELETE [2], INSERT [12]`},
		"delete":              {`DELETE FROM items`, `DELETE [1], DELETE [2], DELETE [3]`},
		"truncate":            {`TRUNCATE items`, `DELETE [1], DELETE [2], DELETE [3]`},
		"truncate and insert": {`INSERT INTO items VALUES (9, 'i', 0, ''); TRUNCATE items; INSERT INTO items VALUES (9, 'i', 0, '')`, `INSERT [9], DELETE [1], DELETE [2], DELETE [3], DELETE [9], INSERT [9]`},
		"upsert":              {`INSERT INTO items VALUES (1, 'a', 5, ''), (4, 'd', 5, '') ON CONFLICT (id) DO UPDATE SET count = excluded.count`, `UPDATE [1], INSERT [4]`},
		"upsert of nothing":   {`INSERT INTO items VALUES (1, 'a', 5, '') ON CONFLICT DO NOTHING`, ``},
		"writable CTE":        {`WITH gone AS (DELETE FROM items WHERE id = 1 RETURNING *) INSERT INTO items SELECT id, name || '2', count, token FROM gone WHERE false`, `DELETE [1]`},
		"savepoints":          {`INSERT INTO items VALUES (9, 'i', 0, ''); SAVEPOINT s; INSERT INTO items VALUES (8, 'h', 0, ''); ROLLBACK TO s; UPDATE items SET count = 7 WHERE id = 9`, `INSERT [9], UPDATE [9]`},
		"in another role":     {`SET LOCAL ROLE pg_read_all_data; RESET ROLE; DELETE FROM items WHERE id = 2`, `DELETE [2]`},
	} {
		t.Run(name, func(t *testing.T) {
			b.transaction(t.Context(), `DELETE FROM items`, `INSERT INTO items VALUES (1, 'a', 0, ''), (2, 'b', 0, ''), (3, 'c', 0, '')`)
			before := len(b.all())
			b.transaction(t.Context(), c.statement)
			if got := summary(b.all()[before:]); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestPostgresTriggersOfTheUser change rows that the statement which fired them changes too, before and after it comes to
// them.
func TestPostgresTriggersOfTheUser(t *testing.T) {
	b := postgresBed(t)
	b.exec(`CREATE FUNCTION push() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE items SET count = count + 100 WHERE name < 'm' AND id <> NEW.id; RETURN NULL; END $$`)
	b.exec(`CREATE TRIGGER push AFTER UPDATE ON items FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION push()`)
	b.exec(`INSERT INTO items VALUES (1, 'a', 0, ''), (2, 'b', 0, ''), (3, 'c', 0, '')`)
	b.exec(`UPDATE items SET count = count + 1`)
	entries := b.all()
	if len(entries) != 3+3+6 {
		t.Errorf("got %s", summary(entries))
	}
	l := newLedger(t, 0)
	l.addAll(entries)
	l.compare(b)
}
