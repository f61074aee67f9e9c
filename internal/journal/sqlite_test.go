package journal

import (
	"context"
	"errors"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

func sqliteBed(t *testing.T) *bed {
	return open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Item](t)).start()
}

func TestStatementsOfEachKindAreJournaled(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"insert":              {`INSERT INTO items VALUES (9, 'i', 0, '')`, `INSERT [9]`},
		"several rows":        {`INSERT INTO items VALUES (9, 'i', 0, ''), (8, 'h', 0, '')`, `INSERT [9], INSERT [8]`},
		"update":              {`UPDATE items SET count = count + 1 WHERE id = 1`, `UPDATE [1]`},
		"update of nothing":   {`UPDATE items SET count = count`, ``},
		"update of a secret":  {`UPDATE items SET token = 'x' WHERE id = 1`, `SECRET [1]`},
		"update of the key":   {`UPDATE items SET id = 9 WHERE id = 1`, `DELETE [1], INSERT [9]`},
		"delete":              {`DELETE FROM items`, `DELETE [1], DELETE [2], DELETE [3]`},
		"replace by key":      {`REPLACE INTO items VALUES (1, 'z', 5, '')`, `DELETE [1], INSERT [1]`},
		"replace by name":     {`REPLACE INTO items VALUES (9, 'a', 5, '')`, `DELETE [1], INSERT [9]`},
		"replace of two":      {`REPLACE INTO items VALUES (1, 'b', 5, '')`, `DELETE [1], DELETE [2], INSERT [1]`},
		"update or replace":   {`UPDATE OR REPLACE items SET name = 'b' WHERE id = 1`, `DELETE [2], UPDATE [1]`},
		"rekey or replace":    {`UPDATE OR REPLACE items SET id = 2 WHERE id = 1`, `DELETE [2], DELETE [1], INSERT [2]`},
		"upsert":              {`INSERT INTO items VALUES (1, 'a', 5, '') ON CONFLICT DO UPDATE SET count = 5`, `UPDATE [1]`},
		"ignored":             {`INSERT OR IGNORE INTO items VALUES (1, 'a', 5, '')`, ``},
		"ignored, then moved": {`INSERT OR IGNORE INTO items VALUES (1, 'a', 5, ''); UPDATE items SET id = 7 WHERE id = 1; INSERT INTO items VALUES (9, 'i', 0, '')`, `DELETE [1], INSERT [7], INSERT [9]`},
		"ignored, then gone":  {`INSERT OR IGNORE INTO items VALUES (1, 'a', 5, ''); DELETE FROM items WHERE id = 1; INSERT INTO items VALUES (9, 'i', 0, '')`, `DELETE [1], INSERT [9]`},
	} {
		t.Run(name, func(t *testing.T) {
			b := sqliteBed(t)
			b.exec(`INSERT INTO items VALUES (1, 'a', 0, ''), (2, 'b', 0, ''), (3, 'c', 0, '')`)
			before, statement := len(b.all()), c.statement
			err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				_, err := c.Exec(ctx, statement, nil)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(b.all()[before:]); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTailerDeliversAndStampsActors(t *testing.T) {
	b := sqliteBed(t)
	entries := b.tail(Mark{})
	ctx := auth.With(t.Context(), auth.Identity{ID: "ann", Roles: []string{"admin"}})
	if _, err := b.db.SQL().ExecContext(ctx, `INSERT INTO items VALUES (1, 'a', 7, 'hush')`); err != nil {
		t.Fatal(err)
	}
	e := next(t, entries)
	if e.Position != 1 || e.Op != Insert || e.Table != 0 || e.Key != "[1]" || e.Actor.ID != "ann" || e.Actor.Roles[0] != "admin" || e.Tx != "1" {
		t.Errorf("got %+v", e)
	}
	want := []predicate.Value{predicate.IntValue(1), predicate.TextValue("a"), predicate.IntValue(7), {}}
	for i := range want {
		if e.After[i] != want[i] {
			t.Errorf("column %d is %v, want %v", i, e.After[i], want[i])
		}
	}
	b.exec(`DELETE FROM items`)
	if e := next(t, entries); e.Op != Delete || e.Actor.ID != "" || e.Before[1] != want[1] {
		t.Errorf("got %+v", e)
	}
}

func TestRollbackLeavesNothing(t *testing.T) {
	b := sqliteBed(t)
	fault := errors.New("fault")
	err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := c.Exec(ctx, `INSERT INTO items VALUES (1, 'a', 7, '')`, nil); err != nil {
			return err
		}
		return fault
	})
	if !errors.Is(err, fault) {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO items VALUES (2, 'b', 7, '')`)
	entries := b.all()
	if got := summary(entries); got != "INSERT [2]" || entries[0].Position != 1 {
		t.Errorf("got %s at %d", got, entries[0].Position)
	}
}

func TestTriggersThatWentMissingComeBackWithAGap(t *testing.T) {
	b := sqliteBed(t)
	entries := b.tail(Mark{})
	b.exec(`INSERT INTO items VALUES (1, 'a', 7, '')`)
	if e := next(t, entries); e.Op != Insert {
		t.Fatalf("got %+v", e)
	}
	b.exec(`DROP TRIGGER cape_items_ai`)
	if e := next(t, entries); e.Op != Gap || e.Table != 0 {
		t.Fatalf("got %+v", e)
	}
	b.exec(`INSERT INTO items VALUES (2, 'b', 7, '')`)
	if e := next(t, entries); e.Op != Insert || e.Key != "[2]" {
		t.Fatalf("got %+v", e)
	}
}

func TestTokensResume(t *testing.T) {
	b := sqliteBed(t)
	b.exec(`INSERT INTO items VALUES (1, 'a', 7, ''), (2, 'b', 7, '')`)
	entries := b.all()
	const set = 77
	resume := func(token string, want State) {
		t.Helper()
		at, state, err := b.Resume(t.Context(), token, set)
		if err != nil || state != want {
			t.Errorf("got %v, state %d, error %v; want state %d", at, state, err, want)
		}
	}
	resume(b.Token(Mark{}, set), OK)
	resume(b.Token(entries[0].Mark, set), OK)
	resume(b.Token(entries[1].Mark, set), OK)
	resume(b.Token(entries[0].Mark, set+1), Unknown)
	resume(b.Token(Mark{3, 0}, set), Unknown)
	resume(b.Token(Mark{1, entries[1].Nonce}, set), Unknown)
	resume("", Unknown)
	resume("!", Unknown)
}

func TestSnapshotStandsAtThePositionOfItsRead(t *testing.T) {
	b := sqliteBed(t)
	b.exec(`INSERT INTO items VALUES (1, 'a', 7, '')`)
	snapshot, err := b.Snapshot(t.Context(), []int{0}, func(ctx context.Context, c *sqldriver.Conn) error {
		b.exec(`INSERT INTO items VALUES (2, 'b', 7, '')`)
		n, err := number(ctx, c, "SELECT count(*) FROM items")
		if n != 1 {
			t.Errorf("the read sees %d rows, want 1", n)
		}
		return err
	})
	if err != nil || snapshot.Position != 1 || !snapshot.Sees(1, 0) || snapshot.Sees(2, 0) {
		t.Errorf("got %+v, error %v", snapshot, err)
	}
}

func TestWatchSaysWhereTheJournalEnds(t *testing.T) {
	b := sqliteBed(t)
	b.exec(`INSERT INTO items VALUES (1, 'a', 0, '')`)
	ctx, cancel := context.WithCancel(t.Context())
	heads, ended := make(chan Mark, 8), make(chan error, 1)
	go func() { ended <- b.source.watch(ctx, func(head Mark) { heads <- head }) }()
	if head := within(t, heads, "the beginning"); head != (Mark{}) {
		t.Errorf("got %v first: it may have missed anything before", head)
	}
	b.exec(`INSERT INTO items VALUES (2, 'b', 0, '')`)
	if head, all := within(t, heads, "the insert"), b.all(); head != all[len(all)-1].Mark {
		t.Errorf("got %v, want that of %v", head, all[len(all)-1])
	}
	b.exec(`CREATE TABLE others (id INTEGER)`)
	if head := within(t, heads, "the change of the schema"); head != (Mark{}) {
		t.Errorf("got %v: there is something else to look at", head)
	}
	b.exec(`DELETE FROM cape_journal`)
	if head := within(t, heads, "the empty journal"); head != (Mark{}) {
		t.Errorf("got %v: there is no entry", head)
	}
	cancel()
	if err := within(t, ended, "the end"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTailerIsNotWokenForWhatItHas(t *testing.T) {
	b := sqliteBed(t)
	at, other := Mark{Position: 7, Nonce: 1}, Mark{Position: 7, Nonce: 2}
	tailer := &tailer{Journal: b.Journal, at: at}
	for name, c := range map[string]struct {
		unsound bool
		head    Mark
		woken   bool
	}{
		"where it is":               {false, at, false},
		"further":                   {false, Mark{Position: 8, Nonce: 3}, true},
		"another journal":           {false, other, true},
		"who knows where":           {false, Mark{}, true},
		"with triggers to put back": {true, at, true},
	} {
		tailer.unsound = c.unsound
		tailer.note()
		b.wakeAt(c.head)
		select {
		case <-b.wake:
			if !c.woken {
				t.Errorf("%s: it was woken", name)
			}
		default:
			if c.woken {
				t.Errorf("%s: it was not woken", name)
			}
		}
	}
}
