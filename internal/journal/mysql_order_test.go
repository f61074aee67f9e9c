package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// jostle is a transaction of random length that counts items up, with savepoints, deadlocks and rollbacks.
func (b *bed) jostle(ctx context.Context) error {
	return b.db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		for range rand.IntN(6) + 1 {
			count := func(ctx context.Context, c *sqldriver.Conn) error {
				_, err := c.Exec(ctx, fmt.Sprintf("UPDATE items SET count = count + 1 WHERE id IN (%d, %d)", 1+rand.IntN(counters), 1+rand.IntN(counters)), nil)
				if err == nil && rand.IntN(5) == 0 {
					err = errUndo
				}
				return err
			}
			var err error
			if rand.IntN(3) == 0 {
				err = b.db.Update(ctx, count) // a savepoint
			} else {
				err = count(ctx, c)
			}
			if err != nil && !errors.Is(err, errUndo) {
				return err
			}
			if rand.IntN(8) == 0 {
				if _, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO items (name, count, token) VALUES ('%d', 0, '')", rand.Int64()), nil); err != nil {
					return err
				}
			}
		}
		if rand.IntN(4) == 0 {
			return errUndo
		}
		return nil
	})
}

// sixteen runs writers until each has tried so many transactions.
func (b *bed) sixteen(ctx context.Context, each int) {
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range each {
				err := b.jostle(ctx)
				if err != nil && !errors.Is(err, errUndo) && ctx.Err() == nil && !errors.Is(err, sqldriver.ErrDown) && !busy(b, err) {
					b.t.Error("write:", err)
				}
			}
		})
	}
	group.Wait()
}

func busy(b *bed, err error) bool {
	return errors.Is(err, sqldriver.ErrBusy) || strings.Contains(err.Error(), "Deadlock found") || strings.Contains(err.Error(), "Lock wait timeout")
}

// TestMySQLOrder has sixteen writers, two nodes that give positions at the same time, and a transaction that stays open
// all along: each change of a row follows the one before it, nothing is lost or doubled, and both nodes see the same.
func TestMySQLOrder(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[Item](t)).start()
	other := open(t, b.target, Options{Poll: 5 * time.Millisecond}, parse[Item](t)).start()
	b.insert(1, counters)
	b.exec("INSERT INTO items (id, name, count, token) VALUES (1000, 'long', 0, '')")
	one, two := b.tail(Mark{}), other.tail(Mark{})
	stay, opened := make(chan struct{}), make(chan struct{})
	var long sync.WaitGroup
	long.Go(func() {
		err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := c.Exec(ctx, "UPDATE items SET count = count + 1 WHERE id = 1000", nil)
			close(opened)
			<-stay
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-opened
	b.sixteen(t.Context(), 60)
	l := newLedger(t, 0)
	receive := func() Entry {
		e, o := next(t, one), next(t, two)
		if got, want := fmt.Sprintf("%+v", o), fmt.Sprintf("%+v", e); got != want {
			t.Fatalf("the nodes deliver\n%s\n%s", got, want)
		}
		l.add(&e)
		return e
	}
	b.exec("INSERT INTO items (id, name, count, token) VALUES (2000, 'end', 0, '')")
	for receive().Key != "[2000]" { // the open transaction delays nobody
	}
	close(stay)
	long.Wait()
	if e := receive(); e.Key != "[1000]" {
		t.Errorf("got %+v", e)
	}
	l.compare(b)
	t.Logf("%d entries, %d ticks", l.position, b.ticks())
}

func (b *bed) ticks() int64 {
	b.t.Helper()
	var n int64
	err := b.db.Read(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
		n, err = number(ctx, c, "SELECT MAX(id) FROM cape_tick")
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// holes are those of the newest tick.
func (b *bed) holes() []hole {
	b.t.Helper()
	var newest *mysqlTick
	err := b.db.Read(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
		newest, err = b.mysql().sequence.newest(ctx, c)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return newest.holes
}

// TestMySQLHoles: those of rolled back transactions go; one of an open transaction stays, however long that takes.
func TestMySQLHoles(t *testing.T) {
	t.Parallel()
	for _, mayAsk := range []bool{true, false} {
		t.Run(fmt.Sprint("PROCESS ", mayAsk), func(t *testing.T) {
			t.Parallel()
			b := mariaBed(t, parse[Item](t)).start()
			b.insert(1, 3)
			node := b
			if !mayAsk {
				node = b.as("CREATE, SELECT, INSERT, UPDATE, DELETE, TRIGGER, LOCK TABLES")
				node.mysql().times.patience = 100 * time.Millisecond
			}
			if err := node.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			entries := node.tail(Mark{})
			for range 3 {
				next(t, entries)
			}
			undone := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				_, err := c.Exec(ctx, "UPDATE items SET count = 7", nil)
				return errors.Join(err, errUndo)
			})
			if !errors.Is(undone, errUndo) {
				t.Fatal(undone)
			}
			b.exec("INSERT INTO items (id, name, count, token) VALUES (4, 'n4', 0, '')")
			if e := next(t, entries); e.Key != "[4]" || e.Source <= 6 {
				t.Errorf("got %+v", e)
			}
			// One that only reads does not matter.
			err := b.db.Snapshot(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				if _, err := number(ctx, c, "SELECT COUNT(*) FROM items"); err != nil {
					return err
				}
				eventually(t, "the holes of the transaction that was rolled back are gone", func() bool { return len(b.holes()) == 0 })
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				if _, err := c.Exec(ctx, "UPDATE items SET count = 1 WHERE id = 1", nil); err != nil {
					return err
				}
				if _, err := b.db.SQL().ExecContext(sqldriver.Outside(ctx), "UPDATE items SET count = 2 WHERE id = 2"); err != nil {
					return err
				}
				if e := next(t, entries); e.Key != "[2]" {
					t.Errorf("got %+v", e)
				}
				node.asks(5)
				if holes := b.holes(); len(holes) != 1 || holes[0].idRange != (idRange{8, 8}) {
					t.Errorf("the holes are %v", holes)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if e := next(t, entries); e.Key != "[1]" || e.Source > 8 {
				t.Errorf("got %+v", e)
			}
			eventually(t, "no hole is left", func() bool { return len(b.holes()) == 0 })
		})
	}
}

// asks waits until the node has asked so often which transactions are open.
func (b *bed) asks(times int) {
	b.t.Helper()
	q, last := &b.mysql().sequence, time.Time{}
	eventually(b.t, "it is asked which transactions are open", func() bool {
		q.turn.Lock()
		defer q.turn.Unlock()
		if q.asked != last {
			last = q.asked
			times--
		}
		return times < 0
	})
}

// as opens the journal as a new user with rights on the database alone.
func (b *bed) as(rights string) *bed {
	b.t.Helper()
	name := fmt.Sprintf("u%d", rand.Int64N(1e12))
	b.exec("CREATE USER " + name + "@'127.0.0.1' IDENTIFIED BY 'secret'")
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := b.db.SQL().ExecContext(ctx, "DROP USER "+name+"@'127.0.0.1'"); err != nil {
			b.t.Error(err)
		}
	})
	at := strings.LastIndex(b.target.URL, "@")
	database := b.target.URL[strings.LastIndex(b.target.URL, "/")+1:]
	b.exec("GRANT " + rights + " ON " + mysqlQuote(database) + ".* TO " + name + "@'127.0.0.1'")
	return open(b.t, dbtest.Target{Engine: b.target.Engine, URL: "mysql://" + name + ":secret" + b.target.URL[at:]}, Options{}, b.models...)
}

// TestMySQLRestoredDatabases tell the tailers that positions mean other entries.
func TestMySQLRestoredDatabases(t *testing.T) {
	t.Parallel()
	for name, restore := range map[string][]string{
		"older":  {"DELETE FROM cape_tick WHERE id > 1"},
		"forked": {"UPDATE cape_tick SET nonce = 7, mark = 7 ORDER BY id DESC LIMIT 1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := mariaBed(t, parse[Item](t)).start()
			for id := 1; id <= 3; id++ {
				b.insert(id, id)
				b.all()
			}
			ended, delivered := make(chan error, 1), make(chan struct{}, 100)
			go func() { ended <- b.Run(t.Context(), Mark{}, func([]Entry) { delivered <- struct{}{} }) }()
			within(t, delivered, "entries")
			for _, statement := range restore {
				b.exec(statement)
			}
			b.insert(10, 10)
			if err := within(t, ended, "the end of the tailer"); !errors.Is(err, ErrReplaced) {
				t.Errorf("got %v", err)
			}
			head, err := b.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			entries := b.tail(head) // and it can go on from there
			b.insert(11, 11)
			for e := next(t, entries); e.Key != "[11]"; e = next(t, entries) {
			}
		})
	}
}

// TestMySQLServerIsKilled kills the server while sixteen write: what was acknowledged is there, nothing is doubled, and
// the tailers go on.
func TestMySQLServerIsKilled(t *testing.T) {
	t.Parallel()
	// Its binary log makes the server wary of who makes triggers.
	server := dbtest.NewServer(t, dbtest.MariaDB, dbtest.ServerConfig{Settings: map[string]string{
		"log-bin": "binlog", "server-id": "1", "log-bin-trust-function-creators": "OFF",
	}})
	target := server.New(t)
	b := open(t, target, Options{}, parse[Item](t))
	b.migrate()
	if err := b.as("ALL").Install(t.Context()); err == nil || !strings.Contains(err.Error(), "SET GLOBAL log_bin_trust_function_creators = 1") {
		t.Errorf("a user who may not make triggers: %v", err)
	}
	b.start()
	other := open(t, target, Options{}, parse[Item](t)).start()
	b.insert(1, counters)
	one, two := b.tail(Mark{}), other.tail(Mark{})
	l := newLedger(t, 0)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		writers.Go(func() { b.sixteen(ctx, 1<<20) })
		for range 300 {
			e := next(t, one)
			l.add(&e)
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		cancel()
		writers.Wait()
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.exec("INSERT INTO items (id, name, count, token) VALUES (100000, 'end', 0, '')")
	for {
		e := next(t, one)
		l.add(&e)
		if e.Key == "[100000]" {
			break
		}
	}
	l.compare(b)
	again := newLedger(t, 0)
	for again.position < l.position {
		e := next(t, two)
		again.add(&e)
	}
	again.compare(b)
}

func TestMySQLUsersWhoCannotSeeTriggers(t *testing.T) {
	t.Parallel()
	b := mariaBed(t, parse[Item](t)).start()
	low := b.as("SELECT, INSERT, UPDATE, DELETE")
	if err := low.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "GRANT TRIGGER ON") {
		t.Errorf("got %v", err)
	}
	high := b.as("SELECT, INSERT, UPDATE, DELETE, TRIGGER")
	if err := high.Check(t.Context()); err != nil {
		t.Error(err)
	}
	low.exec("INSERT INTO items (id, name, count, token) VALUES (1, 'a', 0, '')")
	entries := high.all()
	if got := summary(entries); got != "INSERT [1]" || !strings.HasPrefix(entries[0].User, "u") || !strings.Contains(entries[0].User, "@") {
		t.Errorf("got %s by %q", got, entries[0].User)
	}
}

func TestMySQLServersThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		server mysqlServer
		says   string
	}{
		{mysqlServer{"wsrep_on": "ON"}, "Galera"},
		{mysqlServer{"group_replication_group_name": "AAAA", "group_replication_single_primary_mode": "OFF"}, "several primaries"},
		{mysqlServer{"tx_isolation": "READ-UNCOMMITTED"}, "READ UNCOMMITTED"},
		{mysqlServer{"transaction_isolation": "READ-UNCOMMITTED"}, "READ UNCOMMITTED"},
		{mysqlServer{"group_replication_group_name": "AAAA", "group_replication_single_primary_mode": "ON", "transaction_isolation": "SERIALIZABLE"}, ""},
		{mysqlServer{"wsrep_on": "OFF", "group_replication_group_name": "", "group_replication_single_primary_mode": "OFF"}, ""},
	} {
		err := c.server.refuse()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.server, err, c.says)
		}
	}
	if w := (mysqlServer{"log_bin": "ON", "binlog_format": "STATEMENT", "auto_increment_increment": "2"}).warnings(); len(w) != 2 {
		t.Errorf("the warnings are %q", w)
	}
	if w := (mysqlServer{"log_bin": "OFF", "binlog_format": "STATEMENT", "auto_increment_increment": "1"}).warnings(); len(w) != 0 {
		t.Errorf("the warnings are %q", w)
	}
}
