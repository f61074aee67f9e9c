package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// past runs fn on the past of a row with an integer key.
func (b *bed) past(table int, id int64, fn func(ctx context.Context, p *Past) error) {
	b.t.Helper()
	if err := b.Past(b.t.Context(), table, []predicate.Value{predicate.IntValue(id)}, fn); err != nil {
		b.t.Fatal(err)
	}
}

// versions reads the newest versions of a row, at most limit, in pages.
func (b *bed) versions(table int, id int64, page, limit int) (all []Version) {
	b.t.Helper()
	b.past(table, id, func(ctx context.Context, p *Past) error {
		for below := int64(Newest); len(all) < limit; below = all[len(all)-1].ID {
			found, err := p.Before(ctx, below, page)
			if err != nil {
				return err
			}
			if all = append(all, found...); len(found) < page {
				return nil
			}
		}
		return nil
	})
	return all[:min(limit, len(all))]
}

// describe writes what an entry says of its row.
func describe(e *Entry) string {
	return fmt.Sprintf("%v %s %v -> %v", e.Op, e.Key, e.Before, e.After)
}

// versionsAre fails unless the newest versions of each row are its entries, in their order.
func (b *bed) versionsAre(entries []Entry) {
	b.t.Helper()
	type row struct {
		table int
		key   string
	}
	rows := make(map[row][]string)
	for i := range entries {
		if e := &entries[i]; e.Op != Gap {
			at := row{e.Table, e.Key}
			rows[at] = append(rows[at], describe(e))
		}
	}
	for at, want := range rows {
		var key []int64
		if err := json.Unmarshal([]byte(at.key), &key); err != nil {
			b.t.Fatal(err)
		}
		for _, page := range []int{3, 100} {
			versions := b.versions(at.table, key[0], page, len(want))
			got := make([]string, len(versions))
			for i := range versions {
				got[len(got)-1-i] = describe(&versions[i].Entry)
				if i > 0 && versions[i].ID >= versions[i-1].ID {
					b.t.Errorf("the versions %d and %d", versions[i-1].ID, versions[i].ID)
				}
			}
			if !slices.Equal(got, want) {
				b.t.Fatalf("versions of %s in pages of %d:\n%s\nwant\n%s", at.key, page, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestVersionsUnderLoad has writers change, delete, insert and replace the same few rows at once: the versions of each are
// in the order in which they were committed, each one's before is the after of the last, and the newest is the row.
func TestVersionsUnderLoad(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{History: []int{0}}, parse[Item](t)).start()
		const upsert = "INSERT INTO items (id, name, count, token) VALUES (%[1]d, 'n%[1]d', %[2]d, '') ON CONFLICT (id) DO UPDATE SET count = excluded.count"
		forms := []string{
			"UPDATE items SET count = count + %[2]d WHERE id = %[1]d",
			"UPDATE items SET count = count + 1 WHERE id <= %[1]d",
			"DELETE FROM items WHERE id = %[1]d",
			"INSERT INTO items (id, name, count, token) VALUES (%[1]d, 'n%[1]d', %[2]d, '')",
			"UPDATE items SET id = %[1]d + 10, name = 'm%[1]d' WHERE id = %[1]d",
			"UPDATE items SET id = %[1]d, name = 'n%[1]d' WHERE id = %[1]d + 10",
			upsert,
		}
		switch target.Engine {
		case dbtest.SQLite:
			forms = append(forms, "REPLACE INTO items (id, name, count, token) VALUES (%[1]d, 'n%[1]d', %[2]d, '')")
		case dbtest.MariaDB, dbtest.MySQL:
			forms[len(forms)-1] = strings.Replace(upsert, "ON CONFLICT (id) DO UPDATE SET count = excluded.count", "ON DUPLICATE KEY UPDATE count = VALUES(count)", 1)
			forms = append(forms, "REPLACE INTO items (id, name, count, token) VALUES (%[1]d, 'n%[1]d', %[2]d, '')")
		}
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				for range 60 {
					err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
						for range 1 + rand.IntN(3) {
							if _, err := c.Exec(ctx, fmt.Sprintf(forms[rand.IntN(len(forms))], 1+rand.IntN(3), rand.IntN(5)), nil); err != nil {
								return fmt.Errorf("%w: %w", errUndo, err) // a key that is taken, a deadlock
							}
						}
						if rand.IntN(4) == 0 {
							return errUndo
						}
						return nil
					})
					if err != nil && !errors.Is(err, errUndo) && b.db.Dialect().Classify(err).Class != engine.Busy {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		entries := b.all()
		b.versionsAre(entries)
		for _, id := range []int64{1, 2, 3, 11, 12, 13} {
			versions := b.versions(0, id, 50, len(entries))
			for i := 1; i < len(versions); i++ {
				if newer, older := versions[i-1], versions[i]; !slices.Equal(newer.Before, older.After) {
					t.Errorf("row %d: after %s comes %s", id, describe(&older.Entry), describe(&newer.Entry))
				}
			}
			rows := b.rows(t, 0)
			at := slices.IndexFunc(rows, func(row []predicate.Value) bool { return row[0].Int() == id })
			switch {
			case len(versions) == 0:
			case at < 0 && versions[0].After != nil, at >= 0 && !slices.Equal(rows[at][:3], versions[0].After[:3]):
				t.Errorf("row %d: the newest version is %s", id, describe(&versions[0].Entry))
			}
		}
	})
}

// TestPostgresVersionsOfTangledTransactions has rows whose changes within one transaction were written in another order
// than they were made.
func TestPostgresVersionsOfTangledTransactions(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.Postgres), Options{History: []int{0}}, parse[Item](t)).start()
	b.insert(1, 6)
	b.exec(`CREATE FUNCTION push() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE items SET count = count + 100 WHERE id IN (NEW.id - 1, NEW.id + 1); RETURN NULL; END $$`)
	b.exec(`CREATE TRIGGER push AFTER UPDATE ON items FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION push()`)
	b.exec(`UPDATE items SET count = count + 1`)
	b.exec(`UPDATE items SET count = count * 2 WHERE id > 1`)
	entries := b.all()
	tangled := false
	for _, e := range entries {
		tangled = tangled || e.Op == Update
	}
	if !tangled {
		t.Fatal("there is no update")
	}
	b.versionsAre(entries)
	for id := int64(1); id <= 6; id++ {
		whole := b.versions(0, id, 100, 100)
		for page := 1; page <= len(whole); page++ {
			for i, v := range b.versions(0, id, page, 100) {
				if v.ID != whole[i].ID || describe(&v.Entry) != describe(&whole[i].Entry) {
					t.Fatalf("row %d in pages of %d: version %d is %s, want %s", id, page, i, describe(&v.Entry), describe(&whole[i].Entry))
				}
			}
		}
		// The first change after the insertion is that which has the inserted row before it.
		inserted := whole[len(whole)-1]
		b.past(0, id, func(ctx context.Context, p *Past) error {
			v, err := p.After(ctx, inserted.Time)
			if err != nil {
				return err
			}
			if v == nil || !slices.Equal(v.Before, inserted.After) {
				t.Errorf("row %d: after the insertion comes %+v", id, v)
			}
			return nil
		})
	}
}

// Keyed has a key of several kinds.
type Keyed struct {
	Name  string    `gorm:"primaryKey"`
	ID    uuid.UUID `gorm:"primaryKey"`
	Bytes []byte    `gorm:"primaryKey;size:16"`
	Yes   bool      `gorm:"primaryKey"`
	N     uint32    `gorm:"primaryKey;autoIncrement:false"`
	Count int64
}

// TestVersionsByKeysOfAllKinds finds rows whatever is in their keys.
func TestVersionsByKeysOfAllKinds(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{History: []int{0}}, parse[Keyed](t)).start()
		d := b.db.Dialect()
		names := []string{"", "a", "A", `"`, `\`, `\\"'`, "\n\t\r\b\f\x01\x1f\x7f", "é😀\u2028", "[1,2]", strings.Repeat("x", 80), "a,b", "true", "null", "%", "'; --"}
		var keys [][]predicate.Value
		for i, name := range names {
			id, _ := predicate.UUIDValue(fmt.Sprintf("01890a5d-ac96-774b-bcce-b302099a80%02d", i))
			keys = append(keys, []predicate.Value{
				predicate.TextValue(name), id, predicate.BytesValue([]byte{0, byte(i), 0xff, 0x27, 0x5c}), predicate.BoolValue(i%2 == 0), predicate.IntValue(int64(i)),
			})
		}
		var places []string
		for n := range keys[0] {
			places = append(places, d.Placeholder(n+1))
		}
		values := strings.Join(places, ", ")
		for i, key := range keys {
			args := make([]any, len(key))
			for n, v := range key {
				args[n] = d.Bind(v)
			}
			b.exec("INSERT INTO keyeds (name, id, bytes, yes, n, count) VALUES ("+values+", 0)", args...)
			b.exec(fmt.Sprintf("UPDATE keyeds SET count = %d WHERE n = %d", i+1, i))
		}
		for i, key := range keys {
			err := b.Past(t.Context(), 0, key, func(ctx context.Context, p *Past) error {
				versions, err := p.Before(ctx, Newest, 10)
				if err == nil && (len(versions) != 2 || versions[0].After[5].Int() != int64(i+1)) {
					t.Errorf("%q has the versions %+v", names[i], versions)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestReach follows since when a table's past is known: its installation, what was pruned, and gaps.
func TestReach(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{History: []int{0}}, parse[Item](t)).start()
		reach := func() (r Reach) {
			t.Helper()
			b.past(0, 1, func(ctx context.Context, p *Past) (err error) {
				r, err = p.Reach(ctx)
				return err
			})
			if r.Now.Before(r.Since) || time.Since(r.Now).Abs() > time.Hour {
				t.Fatalf("it is %v, and the reach since %v", r.Now, r.Since)
			}
			return r
		}
		installed := reach().Since
		b.insert(1, 3)
		if now := reach(); !now.Since.Equal(installed) || now.Since.IsZero() {
			t.Errorf("since %v, and %v before", now.Since, installed)
		}
		entries := b.all()
		for _, upTo := range []int{1, 2, 3} {
			if n, err := b.source.prune(t.Context(), int64(upTo), time.Now().Add(24*time.Hour), 1); n != 1 || err != nil {
				t.Fatalf("pruned %d, error %v", n, err)
			}
			if since := reach().Since; since.Before(entries[upTo-1].Time) {
				t.Errorf("an entry of %v was pruned, and the past is known since %v", entries[upTo-1].Time, since)
			}
		}
		b.insert(4, 4)
		before := reach().Since
		statement, args := b.source.gap("items")
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg.Value
		}
		b.awaitClock(before)
		b.exec(statement, values...)
		if since := reach().Since; !since.After(before) {
			t.Errorf("after a gap the past is known since %v", since)
		}
		gap := reach().Since
		b.insert(5, 5)
		if since := reach().Since; !since.Equal(gap) {
			t.Errorf("since %v, want the gap's time %v", since, gap)
		}
	})
}

// awaitClock waits until the database's clock has passed a time by a whole step.
func (b *bed) awaitClock(at time.Time) {
	b.t.Helper()
	for {
		var micros int64
		if err := b.db.SQL().QueryRowContext(b.t.Context(), "SELECT "+b.source.now()).Scan(&micros); err != nil {
			b.t.Fatal(err)
		}
		if micros > at.UnixMicro() {
			return
		}
	}
}
