package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// churn counts items up in a random transaction, with savepoints of which some are rolled back. Most writers take the
// items in their order, so that few meet in a deadlock.
func (b *bed) churn(ctx context.Context) error {
	err := b.db.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		ids := rand.Perm(counters)[:rand.IntN(4)+1]
		if rand.IntN(20) > 0 {
			slices.Sort(ids)
		}
		for _, id := range ids {
			statement := fmt.Sprintf("UPDATE items SET count = count + 1 WHERE id = %d", id)
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return err
			}
			err := b.db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
				if _, err := c.Exec(ctx, statement, nil); err != nil {
					return err
				}
				if rand.IntN(3) == 0 {
					return errUndo
				}
				return nil
			})
			if err != nil && !errors.Is(err, errUndo) {
				return err
			}
		}
		if rand.IntN(4) == 0 {
			return errUndo
		}
		return nil
	})
	if errors.Is(err, errUndo) || errors.Is(err, sqldriver.ErrBusy) {
		return nil
	}
	return err
}

// TestPostgresSixteenWriters lets writers meet on few rows while two nodes give positions, beside a transaction that
// stays open: it delays nobody, and its own changes come when it commits.
func TestPostgresSixteenWriters(t *testing.T) {
	target := dbtest.New(t, dbtest.Postgres)
	target.URL += "&pool_max_conns=24&deadlock_timeout=20ms"
	b := open(t, target, Options{}, parse[Item](t)).start()
	other := open(t, target, Options{}, parse[Item](t)).start()
	b.insertRows(0, counters-1)
	b.insertRows(100, 100)
	one, two := b.tail(Mark{}), other.tail(Mark{})
	const writers, each = 16, 25
	var group sync.WaitGroup
	err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := c.Exec(ctx, "UPDATE items SET count = 5 WHERE id = 100", nil); err != nil {
			return err
		}
		for range writers {
			group.Go(func() {
				for range each {
					if err := b.churn(t.Context()); err != nil {
						t.Error("churn:", err)
					}
				}
			})
		}
		group.Wait()
		entries := b.all()
		l := newLedger(t, 0)
		l.addAll(entries)
		if len(entries) < writers*each/2 || strings.Contains(summary(entries[counters+1:]), "[100]") {
			t.Errorf("%d entries, with those of the transaction that is open", len(entries))
		}
		for i := range entries { // they are delivered too
			next(t, one)
			if got := next(t, two); got.Key != entries[i].Key {
				t.Fatalf("delivered %+v\nand not %+v", got, entries[i])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, one); e.Key != "[100]" || e.Op != Update {
		t.Errorf("got %+v", e)
	}
	entries := b.all()
	l := newLedger(t, 0)
	l.addAll(entries)
	l.compare(b)
	b.agree(other, entries)
}

// agree reads the journal on both nodes in pages of several sizes, from random positions.
func (b *bed) agree(other *bed, entries []Entry) {
	b.t.Helper()
	base := entries[0].Position - 1
	for _, limit := range []int{1, 2, 3, 7, 50, 500, 10_000} {
		for _, node := range []*bed{b, other} {
			at := base + rand.Int64N(int64(len(entries)))
			for steps := 0; steps < 40 && at < base+int64(len(entries)); steps++ {
				page, err := node.Read(b.t.Context(), at, limit)
				if err != nil {
					b.t.Fatal(err)
				}
				rest := entries[at-base:]
				if len(page) != min(limit, len(rest)) {
					b.t.Fatalf("%d entries after %d with limit %d, of %d", len(page), at, limit, len(rest))
				}
				for i := range page {
					if got, want := fmt.Sprintf("%+v", page[i]), fmt.Sprintf("%+v", rest[i]); got != want {
						b.t.Fatalf("limit %d: got %s\nwant %s", limit, got, want)
					}
				}
				at = page[len(page)-1].Position
			}
		}
	}
}

// TestPostgresLargeTicks has one tick of many transactions, one of which is large, and one of which is tangled.
func TestPostgresLargeTicks(t *testing.T) {
	target := dbtest.New(t, dbtest.Postgres)
	b := open(t, target, Options{}, parse[Item](t)).start()
	other := open(t, target, Options{}, parse[Item](t)).start()
	for i := range 30 {
		b.insertRows(10*i, 10*i+i%4)
	}
	b.exec(`INSERT INTO items SELECT i, 'm' || i, 0, '' FROM generate_series(1000, 4000) AS i`)
	b.exec(`CREATE FUNCTION push() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE items SET count = count + 100 WHERE id IN (NEW.id - 1, NEW.id + 1); RETURN NULL; END $$`)
	b.exec(`CREATE TRIGGER push AFTER UPDATE ON items FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION push()`)
	b.exec(`UPDATE items SET count = count + 1 WHERE id BETWEEN 1000 AND 1400`)
	b.insertRows(5000, 5003)
	entries := b.all()
	l := newLedger(t, 0)
	l.addAll(entries)
	l.compare(b)
	if entries[0].Nonce != entries[len(entries)-1].Nonce {
		t.Error("there is more than one tick")
	}
	b.agree(other, entries)

	// What is left after the oldest are pruned is as it was.
	for _, n := range []int{1, 7, 60, 1000} {
		if removed := b.pruneUpTo(entries[0].Position+int64(n)-1, n); removed != n {
			t.Fatalf("pruned %d, want %d", removed, n)
		}
		entries = entries[n:]
		b.agree(other, entries)
	}
	if _, state, err := b.Resume(t.Context(), b.Token(entries[5].Mark, 1), 1); state != OK || err != nil {
		t.Errorf("state %d, error %v", state, err)
	}

	// Somebody deletes entries by hand: gaps stand in their place, for everybody.
	b.exec(`DELETE FROM cape.journal WHERE tbl = 'items' AND key IN ('[2000]', '[2001]', '[5001]')`)
	gaps := 0
	for i, e := range b.all() {
		if e.Position != entries[i].Position {
			t.Fatalf("position %d at %d", e.Position, entries[i].Position)
		}
		if e.Op == Gap {
			gaps++
		}
	}
	if gaps != 3 {
		t.Errorf("%d gaps, want 3", gaps)
	}
}

func (b *bed) pruneUpTo(position int64, limit int) int {
	b.t.Helper()
	n, err := b.source.prune(b.t.Context(), position, time.Now().Add(time.Hour), limit)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestPostgresForeignCommitsAreSeenSoon has a program write that tells nobody.
func TestPostgresForeignCommitsAreSeenSoon(t *testing.T) {
	b := postgresBed(t)
	entries := b.tail(Mark{})
	c := b.foreign()
	for i := range 20 {
		b.foreignExec(c, fmt.Sprintf("INSERT INTO items VALUES (%d, 'n%d', 0, '')", i, i))
		began := time.Now()
		e := next(t, entries)
		if took := time.Since(began); took > 5*time.Second { // a machine full of tests; one alone needs 0.1 s
			t.Errorf("it took %v", took)
		}
		if e.User == "" || e.Actor.ID != "" {
			t.Errorf("got %+v", e)
		}
	}
	if _, err := c.CopyFrom(t.Context(), []string{"items"}, []string{"id", "name", "count", "token"}, &copied{left: 1000}); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		next(t, entries)
	}
	l := newLedger(t, 0)
	l.addAll(b.all())
	l.compare(b)
}

// copied are rows for COPY.
type copied struct{ left int }

func (c *copied) Next() bool { c.left--; return c.left >= 0 }

func (c *copied) Values() ([]any, error) {
	return []any{int64(1000 + c.left), fmt.Sprint("c", c.left), int64(c.left), "hush"}, nil
}

func (c *copied) Err() error { return nil }

// TestPostgresLongTransactionsCostNothing looks at the server's work while a large transaction is not committed: after
// a moment the last tick is moved up, so that looks pass it over.
func TestPostgresLongTransactionsCostNothing(t *testing.T) {
	b := postgresBed(t)
	b.tail(Mark{})
	c := b.foreign()
	b.foreignExec(c, "BEGIN; INSERT INTO items SELECT i, 'm' || i, 0, '' FROM generate_series(1, 2000) AS i")
	for passed := false; !passed; {
		var n int
		err := b.db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM cape.tick, pg_snapshot_xip(snap) AS x WHERE x = (SELECT backend_xid::text::xid8 FROM pg_stat_activity WHERE pid = $1)",
			c.PgConn().PID()).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if passed = n > 0; !passed {
			pause(t.Context(), 20*time.Millisecond)
		}
	}
	b.foreignExec(c, "COMMIT")
	if got := len(b.all()); got != 2000 {
		t.Errorf("%d entries", got)
	}
}

// TestPostgresSnapshotKeepsTruncateAway: to whom a truncated table was there before, it is empty all the same.
func TestPostgresSnapshotKeepsTruncateAway(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.Postgres), Options{}, parse[Item](t), parse[Folder](t)).start()
	b.insertRows(1, 3)
	const truncate = "DO $$ BEGIN SET LOCAL lock_timeout = '50ms'; TRUNCATE items; END $$"
	_, err := b.Snapshot(t.Context(), []int{1, 0}, func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := b.db.SQL().ExecContext(t.Context(), truncate); err == nil {
			t.Error("the table was truncated while it was read")
		}
		n, err := number(ctx, c, "SELECT count(*) FROM items")
		if n != 3 {
			t.Errorf("the read sees %d rows, want 3", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.exec(truncate)
	if entries := b.all(); len(entries) != 6 {
		t.Errorf("%d entries: %s", len(entries), summary(entries))
	}
}
