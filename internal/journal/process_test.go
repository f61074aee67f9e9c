package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

// A test starts its own binary again as another process, which these variables tell what to be.
const (
	childVariable  = "CAPE_JOURNAL_TEST_CHILD"
	targetVariable = "CAPE_JOURNAL_TEST_TARGET"
)

// counters is how many items the writers count up.
const counters = 8

// runChild is the other process; it ends when it is killed.
func runChild(role, url string) error {
	ctx := context.Background()
	backend, err := connect(ctx, url)
	if err != nil {
		return err
	}
	db, err := sqldriver.Open(backend, sqldriver.Options{WriteWait: time.Minute})
	if err != nil {
		return err
	}
	m, err := model.Parse(reflect.TypeFor[Item](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		return err
	}
	j, err := Open(db, []*model.Model{m}, Options{})
	if err != nil {
		return err
	}
	if err := j.Check(ctx); err != nil {
		return err
	}
	head, err := j.Head(ctx)
	if err != nil {
		return err
	}
	feed := NewFeed(j, head)
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx, head, feed.Deliver) }()
	if role == "consumer" {
		go func() {
			ended <- j.Consumer("c", ConsumerOptions{FromStart: true}).Run(ctx, nil, feed.Next, func(_ context.Context, e *Entry) error {
				fmt.Println(e.Key)
				return nil
			})
		}()
		return <-ended
	}
	for {
		if err := countUp(ctx, db); err != nil {
			return err
		}
	}
}

// countUp counts some items up in a transaction, and prints what they are then once it is committed.
func countUp(ctx context.Context, db *sqldriver.DB) error {
	ids := rand.Perm(counters)[:rand.IntN(3)+1]
	slices.Sort(ids)
	var done []string
	err := db.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		done = nil
		for _, id := range ids {
			if _, err := c.Exec(ctx, fmt.Sprintf("UPDATE items SET count = count + 1 WHERE id = %d", id+1), nil); err != nil {
				return err
			}
			n, err := number(ctx, c, fmt.Sprintf("SELECT count FROM items WHERE id = %d", id+1))
			if err != nil {
				return err
			}
			done = append(done, fmt.Sprintf("%d=%d", id+1, n))
		}
		if rand.IntN(4) == 0 {
			return errUndo
		}
		return nil
	})
	switch {
	case err == nil:
		fmt.Println(strings.Join(done, "\n"))
	case !errors.Is(err, errUndo) && !errors.Is(err, sqldriver.ErrBusy):
		return err
	}
	return nil
}

// child is a process that a test started.
type child struct {
	command *exec.Cmd
	lines   chan string
}

func (b *bed) startChild(role string) *child {
	b.t.Helper()
	c := &child{command: exec.CommandContext(context.WithoutCancel(b.t.Context()), os.Args[0]), lines: make(chan string, 100_000)}
	c.command.Env = append(os.Environ(), childVariable+"="+role, targetVariable+"="+b.target.URL)
	c.command.Stderr = b.t.Output()
	out, err := c.command.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.lines <- lines.Text()
		}
	}()
	b.t.Cleanup(func() { c.kill() })
	return c
}

// kill ends the process at once, and returns what it had printed and nobody had read.
func (c *child) kill() (rest []string) {
	if c.command.ProcessState != nil {
		return nil
	}
	_ = c.command.Process.Kill() // it may have ended by itself
	for line := range c.lines {
		rest = append(rest, line)
	}
	_ = c.command.Wait() // "signal: killed"
	return rest
}

func (c *child) read(t *testing.T, n int) []string {
	t.Helper()
	lines := make([]string, n)
	for i := range lines {
		line := within(t, c.lines, "a line of the other process")
		if line == "" {
			t.Fatal("the other process ended")
		}
		lines[i] = line
	}
	return lines
}

// TestNothingIsLostWhenWritersAreKilled has several processes write, each of which also runs a tailer, and kills them.
func TestNothingIsLostWhenWritersAreKilled(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		delivered := b.tail(Mark{})
		for id := 1; id <= counters; id++ {
			b.exec(fmt.Sprintf("INSERT INTO items (id, name, count, token) VALUES (%d, 'n%d', 0, '')", id, id))
		}
		var acknowledged []string
		writers := []*child{b.startChild("writer"), b.startChild("writer"), b.startChild("writer")}
		for round := range 6 {
			w := &writers[round%len(writers)]
			acknowledged = append(acknowledged, (*w).read(t, 20+rand.IntN(60))...)
			acknowledged = append(acknowledged, (*w).kill()...)
			*w = b.startChild("writer")
		}
		for _, w := range writers {
			acknowledged = append(acknowledged, w.kill()...)
		}
		entries := b.all()
		l := newLedger(t, 0)
		l.addAll(entries)
		l.compare(b)
		journaled := make(map[string]int)
		for i := range entries {
			e := &entries[i]
			if e.Op == Update {
				journaled[fmt.Sprintf("%v=%v", e.After[0], e.After[2])]++
			}
			if got := next(t, delivered); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", *e) {
				t.Fatalf("delivered %+v\nand not %+v", got, *e)
			}
		}
		for _, line := range acknowledged {
			if journaled[line] != 1 {
				t.Errorf("the commit of %s was acknowledged, and the journal has it %d times", line, journaled[line])
			}
		}
		t.Logf("%d entries, %d acknowledged", len(entries), len(acknowledged))
	})
}

// TestAnotherProcessTakesOver kills a process that runs a consumer.
func TestAnotherProcessTakesOver(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		first := b.startChild("consumer")
		const before, after = 40, 40
		b.insert(1, 10)
		got := first.read(t, 5) // it has the consumer
		handled := make(chan Entry, 100)
		b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true}), func(_ context.Context, e *Entry) error {
			handled <- *e
			return nil
		})
		b.insert(11, before)
		got = append(got, first.kill()...)
		killed := time.Now()
		b.insert(before+1, before+after)
		var mine []string
		for len(mine) == 0 || mine[len(mine)-1] != fmt.Sprintf("[%d]", before+after) {
			mine = append(mine, within(t, handled, "an entry of the consumer that was taken over").Key)
		}
		if took := time.Since(killed); took > leaseTime+5*time.Second {
			t.Errorf("the consumer was taken over after %v", took)
		}
		for i, key := range got {
			if want := fmt.Sprintf("[%d]", i+1); key != want {
				t.Errorf("first got %s, want %s", key, want)
			}
		}
		for i, key := range mine {
			if want := fmt.Sprintf("[%d]", before+after-len(mine)+1+i); key != want {
				t.Errorf("then got %s, want %s", key, want)
			}
		}
		if len(got)+len(mine) < before+after {
			t.Errorf("%d and %d were handled, of %d", len(got), len(mine), before+after)
		}
	})
}
