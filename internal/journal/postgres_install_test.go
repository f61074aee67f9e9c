package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Part is a model of a table with partitions, in a schema of its own.
type Part struct {
	ID     int64 `gorm:"primaryKey;autoIncrement:false"`
	Region int64 `gorm:"primaryKey;autoIncrement:false"`
	Note   *string
}

func (Part) TableName() string { return "store.parts" }

func TestPostgresPartitions(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.Postgres), Options{}, parse[Part](t))
	for _, statement := range []string{
		`CREATE SCHEMA store`,
		`CREATE TABLE store.parts (id bigint, region bigint, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)`,
		`CREATE TABLE store.one PARTITION OF store.parts FOR VALUES IN (1)`,
		`CREATE TABLE store.many PARTITION OF store.parts FOR VALUES IN (2, 3) PARTITION BY LIST (region)`,
		`CREATE TABLE store.two (note text, region bigint NOT NULL, id bigint NOT NULL)`, // another order
		`ALTER TABLE store.many ATTACH PARTITION store.two FOR VALUES IN (2)`,
	} {
		b.exec(statement)
	}
	b.start()
	if statements, err := b.Statements(t.Context()); err != nil || len(statements) > 0 {
		t.Fatalf("after Install %q are missing, error %v", statements, err)
	}
	entries := b.tail(Mark{})
	for _, c := range []struct{ statement, want string }{
		{`INSERT INTO store.parts VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 2, 'c')`, `INSERT [1,1], INSERT [2,2], INSERT [3,2]`},
		{`UPDATE store.two SET note = 'd' WHERE id = 2`, `UPDATE [2,2]`},
		{`UPDATE store.parts SET region = 2 WHERE id = 1`, `DELETE [1,1], INSERT [1,2]`},
		{`CREATE TABLE store.three PARTITION OF store.many FOR VALUES IN (3); INSERT INTO store.parts VALUES (4, 3, 'e')`, `INSERT [4,3]`},
		{`TRUNCATE store.two`, `DELETE [3,2], DELETE [2,2], DELETE [1,2]`},
	} {
		b.exec(c.statement)
		var got []Entry
		for range strings.Split(c.want, ", ") {
			got = append(got, next(t, entries))
		}
		if summary(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.statement, summary(got), c.want)
		}
		if got[0].Table != 0 || got[0].Name != "store.parts" {
			t.Errorf("%s: the table is %d, %s", c.statement, got[0].Table, got[0].Name)
		}
	}
	// The new partition has got its trigger for TRUNCATE from the tailer.
	b.repaired()
	b.exec(`TRUNCATE store.parts`)
	if e := next(t, entries); e.Op != Delete || e.Key != "[4,3]" {
		t.Errorf("got %+v", e)
	}
}

// repaired waits until nothing is missing.
func (b *bed) repaired() {
	b.t.Helper()
	for {
		statements, err := b.Statements(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if len(statements) == 0 {
			return
		}
		pause(b.t.Context(), firstBackoff)
	}
}

// TestPostgresTablesChangeUnderTheTriggers changes columns that the triggers know. Writes go on, and nothing secret
// comes into the journal under another name.
func TestPostgresTablesChangeUnderTheTriggers(t *testing.T) {
	b := postgresBed(t)
	b.exec(`INSERT INTO items VALUES (1, 'a', 0, 'hush')`)
	b.exec(`ALTER TABLE items RENAME COLUMN token TO password`)
	b.exec(`ALTER TABLE items ADD COLUMN more text DEFAULT 'hush'`)
	b.exec(`UPDATE items SET count = 1`)
	b.exec(`ALTER TABLE items DROP COLUMN password`)
	b.exec(`ALTER TABLE items DROP COLUMN name`)
	b.exec(`ALTER TABLE items ALTER COLUMN count TYPE numeric`)
	b.exec(`UPDATE items SET count = 2`)
	b.exec(`DELETE FROM items`)
	entries := b.all()
	if got := summary(entries); got != "INSERT [1], UPDATE [1], UPDATE [1], DELETE [1]" {
		t.Errorf("got %s", got)
	}
	if want := []predicate.Value{predicate.IntValue(1), {}, predicate.IntValue(2), {}}; !slices.Equal(entries[3].Before, want) {
		t.Errorf("got %v, want %v", entries[3].Before, want)
	}
	var secrets int
	err := b.db.SQL().QueryRowContext(t.Context(), `SELECT count(*) FROM cape.journal WHERE concat(old, new) LIKE '%hush%'`).Scan(&secrets)
	if err != nil || secrets > 0 {
		t.Errorf("%d entries tell the secret, error %v", secrets, err)
	}
}

// TestPostgresTriggersThatDoNotFire are found and put right, with a gap.
func TestPostgresTriggersThatDoNotFire(t *testing.T) {
	b := postgresBed(t)
	entries := b.tail(Mark{})
	b.exec(`INSERT INTO items VALUES (0, 'n', 0, '')`)
	next(t, entries)
	for _, statement := range []string{
		`DROP TRIGGER "!capebase" ON items`,
		`DROP TRIGGER "!capebase_truncate" ON items`,
		`ALTER TABLE items DISABLE TRIGGER "!capebase"`,
		`ALTER TABLE items DISABLE TRIGGER ALL; ALTER TABLE items ENABLE TRIGGER ALL`,
		`DROP FUNCTION cape."record public.items" CASCADE`,
		`CREATE OR REPLACE FUNCTION cape."record public.items"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`DROP TRIGGER "!capebase" ON items; CREATE TRIGGER "!capebase" AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION cape."record public.items"()`,
		`ALTER TABLE items RENAME TO old_items; CREATE TABLE items (LIKE old_items INCLUDING ALL); INSERT INTO items SELECT * FROM old_items; DROP TABLE old_items`,
	} {
		b.exec(statement)
		e := next(t, entries)
		if e.Op != Gap || e.Table != 0 {
			t.Fatalf("after %s: %+v", statement, e)
		}
		b.repaired()
		b.exec(`UPDATE items SET count = count + 1`)
		if e := next(t, entries); e.Op != Update || e.Key != "[0]" {
			t.Fatalf("after %s: %+v", statement, e)
		}
	}
}

// TestPostgresNewerTriggersStay has a program of a later format before this one.
func TestPostgresNewerTriggersStay(t *testing.T) {
	b := postgresBed(t)
	b.exec(`CREATE OR REPLACE FUNCTION cape."record public.items"() RETURNS trigger LANGUAGE plpgsql AS '/* capebase journal 999 {} */ BEGIN RETURN NULL; END'`)
	if statements, err := b.Statements(t.Context()); err != nil || len(statements) > 0 {
		t.Errorf("it would run %q, error %v", statements, err)
	}
}

// TestPostgresDumpRestoredIntoAYoungerCluster has ticks of transactions that are yet to come.
func TestPostgresDumpRestoredIntoAYoungerCluster(t *testing.T) {
	b := postgresBed(t)
	b.exec(`INSERT INTO items VALUES (1, 'a', 0, '')`)
	token := b.Token(b.all()[0].Mark, 1)
	b.exec(`UPDATE cape.tick SET snap = '9000000000:9000000000:'::pg_snapshot WHERE id = 1`)
	b.exec(`UPDATE cape.journal SET xid = '8999999999'`)
	again := open(t, b.target, Options{}, parse[Item](t))
	if err := again.Check(t.Context()); !errors.As(err, new(*MissingError)) {
		t.Errorf("got %v, want a MissingError", err)
	}
	if err := again.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	again.exec(`INSERT INTO items VALUES (2, 'b', 0, '')`)
	if got := summary(again.all()); got != "INSERT [2]" {
		t.Errorf("got %s", got)
	}
	if _, state, err := again.Resume(t.Context(), token, 1); state != Unknown || err != nil {
		t.Errorf("state %d, error %v", state, err)
	}
	var kept int
	query := `SELECT query_to_xml('SELECT 1 FROM cape.' || relname, false, true, '')::text LIKE '%<row%' FROM pg_class WHERE relname LIKE 'journal\_before\_%' AND relkind = 'r'`
	if err := again.db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM ("+query+") AS t(kept) WHERE kept").Scan(&kept); err != nil || kept != 1 {
		t.Errorf("the old entries are in %d tables, error %v", kept, err)
	}
	if err := Uninstall(t.Context(), again.db); err != nil {
		t.Error(err)
	}
}

// TestPostgresTransactionsWithOneSnapshot are the database's default here.
func TestPostgresTransactionsWithOneSnapshot(t *testing.T) {
	target := dbtest.New(t, dbtest.Postgres)
	target.URL += "&default_transaction_isolation=serializable&default_transaction_read_only=off&synchronous_commit=off"
	b := open(t, target, Options{}, parse[Item](t)).start()
	entries := b.tail(Mark{})
	ctx := auth.With(t.Context(), auth.Identity{ID: "ann"})
	b.transaction(ctx, `INSERT INTO items VALUES (1, 'a', 0, ''), (2, 'b', 0, '')`)
	next(t, entries)
	if e := next(t, entries); e.Actor.ID != "ann" {
		t.Errorf("got %+v", e)
	}
	b.exec(`TRUNCATE items`)
	if e := next(t, entries); e.Op != Gap || e.Table != 0 {
		t.Errorf("got %+v", e)
	}
	if n := b.pruneUpTo(2, 10); n != 2 {
		t.Errorf("pruned %d", n)
	}
	snapshot, err := b.Snapshot(ctx, []int{0}, func(ctx context.Context, c *sqldriver.Conn) error {
		b.exec(`INSERT INTO items VALUES (3, 'c', 0, '')`)
		n, err := number(ctx, c, "SELECT count(*) FROM items")
		if n != 0 {
			t.Errorf("the read sees %d rows", n)
		}
		return err
	})
	if err != nil || snapshot.Position != 3 || snapshot.Sees(4, next(t, entries).Source) {
		t.Errorf("got %+v, error %v", snapshot, err)
	}
}

// role makes a user, whom drop removes, and returns the database's URL for it.
func (b *bed) role(grants ...string) dbtest.Target {
	b.t.Helper()
	name := "cape_" + strings.ToLower(rand.Text()[:12])
	b.exec("CREATE ROLE " + name + " LOGIN PASSWORD 'secret'")
	for _, grant := range grants {
		b.exec(strings.ReplaceAll(grant, "ROLE", name))
	}
	b.t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx := context.WithoutCancel(b.t.Context())
		if _, err := b.db.SQL().ExecContext(ctx, "DROP OWNED BY "+name+"; DROP ROLE "+name); err != nil {
			b.t.Errorf("drop the role: %v", err)
		}
	})
	parsed, err := url.Parse(b.target.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	parsed.User = url.UserPassword(name, "secret")
	return dbtest.Target{Engine: b.target.Engine, URL: parsed.String()}
}

// TestPostgresRolesWithoutRights may write to the table, and to nothing of the journal's.
func TestPostgresRolesWithoutRights(t *testing.T) {
	b := postgresBed(t)
	entries := b.tail(Mark{})
	target := b.role("GRANT ALL ON items TO ROLE")
	poor := bed{t: t, target: target}
	c := poor.foreign()
	for _, statement := range []string{
		`INSERT INTO items VALUES (1, 'a', 0, '')`, `UPDATE items SET count = 1`, `SET capebase.actor = '{"id":"eve"}'`, `TRUNCATE items`,
		`RESET capebase.actor`, `INSERT INTO items VALUES (2, 'b', 0, '')`,
	} {
		b.foreignExec(c, statement)
	}
	name := target.URL[strings.Index(target.URL, "//")+2 : strings.LastIndex(target.URL, ":secret@")]
	for _, want := range []struct {
		op    Op
		actor string
	}{{Insert, ""}, {Update, ""}, {Delete, "eve"}, {Insert, ""}} { // whoever speaks SQL can claim to be anybody
		if e := next(t, entries); e.Op != want.op || e.User != name || e.Actor.ID != want.actor {
			t.Errorf("got %+v, want %+v", e, want)
		}
	}
	if _, err := c.Exec(t.Context(), `SELECT * FROM cape.journal`); err == nil {
		t.Error("the role can read the journal")
	}
}

// TestPostgresRolesThatOnlyRun have what a program needs that may not change the schema.
func TestPostgresRolesThatOnlyRun(t *testing.T) {
	admin := postgresBed(t)
	target := admin.role("GRANT ALL ON items TO ROLE", "GRANT USAGE ON SCHEMA cape TO ROLE",
		"GRANT SELECT ON cape.meta TO ROLE", "GRANT SELECT, DELETE, UPDATE ON cape.journal, cape.tick TO ROLE")
	b := open(t, target, Options{Fixed: true}, parse[Item](t))
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := b.tail(Mark{})
	b.exec(`INSERT INTO items VALUES (1, 'a', 0, ''), (2, 'b', 0, '')`)
	next(t, entries)
	next(t, entries)
	if n := b.pruneUpTo(1, 10); n != 1 {
		t.Errorf("pruned %d", n)
	}
	_, err := b.Snapshot(t.Context(), []int{0}, func(context.Context, *sqldriver.Conn) error { return nil })
	if err != nil {
		t.Error(err)
	}
}

// TestPostgresActorsStayWithTheirTransactions uses one connection for all.
func TestPostgresActorsStayWithTheirTransactions(t *testing.T) {
	target := dbtest.New(t, dbtest.Postgres)
	target.URL += "&pool_max_conns=1"
	b := open(t, target, Options{}, parse[Item](t)).start()
	as := func(id string) context.Context { return auth.With(t.Context(), auth.Identity{ID: id}) }
	ids := []string{"ann", "", `o'hara\' " \`, "", "$1; DROP TABLE items; --", "\u2028\u00e9😀"}
	for i, id := range ids {
		ctx := t.Context()
		if id != "" {
			ctx = as(id)
		}
		err := b.db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			if _, err := c.Exec(ctx, `INSERT INTO items VALUES ($1, $2, 0, '')`, arguments(int64(i), id)); err != nil {
				return err
			}
			inner := b.db.Update(auth.With(ctx, auth.Identity{ID: "nested"}), func(ctx context.Context, c *sqldriver.Conn) error {
				if _, err := c.Exec(ctx, `UPDATE items SET count = 1`, nil); err != nil {
					return err
				}
				return errUndo
			})
			if !errors.Is(inner, errUndo) {
				return inner
			}
			return nil
		})
		if id == "" && i > 1 {
			if err == nil {
				t.Fatal("two items have one name")
			}
			continue // rolled back by the unique index
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := b.db.Update(as("bob"), func(context.Context, *sqldriver.Conn) error { return errUndo })
	if !errors.Is(err, errUndo) {
		t.Fatal(err)
	}
	err = b.db.Update(as("eve"), func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := c.Exec(ctx, `INSERT INTO items VALUES (77, 'x', 0, '')`, nil); err != nil {
			return err
		}
		if _, err := c.Exec(ctx, `SELECT nothing`, nil); err == nil {
			t.Error("a statement without sense ran")
		}
		return nil // whoever overlooks an error has committed nothing
	})
	if err == nil {
		t.Error("the commit of a failed transaction is no error")
	}
	tx, err := b.db.SQL().BeginTx(as("max"), &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `INSERT INTO items VALUES (78, 'max', 0, '')`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE items SET count = 2`)
	for _, e := range b.all() {
		want := ""
		if e.Op == Insert {
			want = e.After[1].Content()
		}
		if e.Actor.ID != want {
			t.Errorf("%s %s: the actor is %q, want %q", e.Op, e.Key, e.Actor.ID, want)
		}
	}
}
