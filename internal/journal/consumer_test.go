package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// consuming is a Run in the background.
type consuming struct {
	t      *testing.T
	stop   chan struct{}
	cancel context.CancelFunc
	done   chan error
	ended  sync.Once
}

// consume runs a consumer with a feed of its own, as a process does.
func (b *bed) consume(t *testing.T, c *Consumer, handle Handler) *consuming {
	t.Helper()
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	feed := NewFeed(b.Journal, head)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &consuming{t: t, stop: make(chan struct{}), cancel: cancel, done: make(chan error, 2)}
	go func() { r.done <- b.Run(ctx, head, feed.Deliver) }()
	go func() {
		err := c.Run(ctx, r.stop, feed.Next, handle)
		cancel()
		r.done <- err
	}()
	t.Cleanup(r.drain)
	return r
}

// drain ends the Run, and waits.
func (r *consuming) drain() {
	r.t.Helper()
	r.ended.Do(func() {
		close(r.stop)
		late := time.AfterFunc(30*time.Second, func() {
			r.t.Error("a Run did not end within 30 s")
			r.cancel()
		})
		defer late.Stop()
		for range 2 {
			if err := <-r.done; err != nil {
				r.t.Error("Run:", err)
			}
		}
	})
}

// eachJournaled is dbtest.Each for the engines that have a journal.
func eachJournaled(t *testing.T, test func(t *testing.T, target dbtest.Target)) {
	t.Helper()
	for _, engine := range journaled() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, dbtest.New(t, engine))
		})
	}
}

func (b *bed) insert(from, to int) {
	b.t.Helper()
	for id := from; id <= to; id++ {
		b.exec(fmt.Sprintf(`INSERT INTO items (id, name, count, token) VALUES (%d, 'n%d', 0, '')`, id, id))
	}
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("not within 30 s: ", what)
		panic("unreachable")
	}
}

func keysOf(n int, from chan Entry, t *testing.T) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = within(t, from, "an entry").Key
	}
	return keys
}

func TestConsumerGetsEachEntryInOrderAndGoesOnWhereItEnded(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 3)
		b.all()
		got := make(chan Entry, 100)
		handle := func(_ context.Context, e *Entry) error {
			got <- *e
			return nil
		}
		late := b.Consumer("late", ConsumerOptions{})
		if err := late.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := b.consume(t, b.Consumer("early", ConsumerOptions{FromStart: true}), handle)
		b.insert(4, 5)
		if keys := keysOf(5, got, t); !slices.Equal(keys, []string{"[1]", "[2]", "[3]", "[4]", "[5]"}) {
			t.Errorf("got %v", keys)
		}
		first.drain()
		b.insert(6, 7)
		second := b.consume(t, b.Consumer("early", ConsumerOptions{FromStart: true}), handle)
		if keys := keysOf(2, got, t); !slices.Equal(keys, []string{"[6]", "[7]"}) {
			t.Errorf("after the restart: got %v", keys)
		}
		second.drain()
		b.consume(t, late, handle)
		if keys := keysOf(4, got, t); !slices.Equal(keys, []string{"[4]", "[5]", "[6]", "[7]"}) {
			t.Errorf("the late one: got %v", keys)
		}
	})
}

func TestConsumerRetriesAndThenSetsAside(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 4)
		calls := make(chan string, 100)
		fault := errors.New("no\x00 luck\xff")
		c := b.Consumer("c", ConsumerOptions{FromStart: true, Tries: 3})
		r := b.consume(t, c, func(_ context.Context, e *Entry) error {
			calls <- e.Key
			switch e.Key {
			case "[2]":
				return fault
			case "[3]":
				panic("oh")
			}
			return nil
		})
		var got []string
		for range 8 {
			got = append(got, within(t, calls, "a call"))
		}
		if want := "[1] [2] [2] [2] [3] [3] [3] [4]"; strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
		r.drain()
		entries := b.all()
		if n := b.pruneAll(4); n != 4 {
			t.Errorf("pruned %d, want 4", n)
		}
		letters, err := c.DeadLetters(t.Context(), 0, 10)
		if err != nil || len(letters) != 2 {
			t.Fatalf("got %+v, error %v", letters, err)
		}
		for i, want := range []string{"no luck\uFFFD", "panic: oh"} {
			letter := letters[i]
			if letter.Error != want || letter.Tries != 3 || letter.Consumer != "c" || time.Since(letter.At).Abs() > time.Hour {
				t.Errorf("got %+v", letter)
			}
			if got, want := fmt.Sprintf("%+v", letter.Entry), fmt.Sprintf("%+v", entries[i+1]); got != want {
				t.Errorf("the entry is\n%s, and was\n%s", got, want)
			}
		}
		b.retryLetters(t, c)
	})
}

// retryLetters retries two dead letters: [2] succeeds at once, [3] at the second time.
func (b *bed) retryLetters(t *testing.T, c *Consumer) {
	t.Helper()
	var keys []string
	again := errors.New("again")
	handle := func(_ context.Context, e *Entry) error {
		keys = append(keys, e.Key)
		if e.Key == "[3]" && len(keys) < 3 {
			return again
		}
		return nil
	}
	n, err := c.Retry(t.Context(), handle)
	if n != 1 || !errors.Is(err, again) {
		t.Errorf("got %d, error %v", n, err)
	}
	letters, err := c.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 1 || letters[0].Entry.Key != "[3]" || letters[0].Tries != 4 || letters[0].Error != "again" {
		t.Errorf("got %+v, error %v", letters, err)
	}
	if n, err := c.Retry(t.Context(), handle); n != 1 || err != nil {
		t.Errorf("got %d, error %v", n, err)
	}
	if letters, err := c.DeadLetters(t.Context(), 0, 10); len(letters) != 0 || err != nil {
		t.Errorf("got %+v, error %v", letters, err)
	}
	if got := strings.Join(keys, " "); got != "[2] [3] [3]" {
		t.Errorf("got %s", got)
	}
}

// pruneAll removes all entries up to a position, whatever consumers say.
func (b *bed) pruneAll(upTo int64) int {
	b.t.Helper()
	n, err := b.source.prune(b.t.Context(), upTo, time.Now().Add(time.Hour), 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestConsumersTriesSurviveTheProcess(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 2)
		calls := make(chan string, 100)
		handle := func(_ context.Context, e *Entry) error {
			calls <- e.Key
			if e.Key == "[1]" {
				return errors.New("no")
			}
			return nil
		}
		for range 3 {
			r := b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true, Tries: 3}), handle)
			if key := within(t, calls, "a call"); key != "[1]" {
				t.Fatalf("got %s", key)
			}
			r.drain()
			for len(calls) > 0 {
				<-calls // a second try, before stop was seen
			}
			if letters, err := b.Consumer("c", ConsumerOptions{}).DeadLetters(t.Context(), 0, 1); err != nil {
				t.Fatal(err)
			} else if len(letters) == 1 {
				return
			}
		}
		t.Error("3 tries in 3 runs, and the entry is not set aside")
	})
}

func TestConsumerDrains(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		b.insert(1, 2)
		entered, leave := make(chan string, 10), make(chan struct{})
		r := b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true}), func(ctx context.Context, e *Entry) error {
			entered <- e.Key
			<-leave
			return ctx.Err()
		})
		within(t, entered, "a call")
		ended := make(chan struct{})
		go func() {
			r.drain()
			close(ended)
		}()
		select {
		case <-ended:
			t.Error("Run returned while the handler ran")
		case <-time.After(50 * time.Millisecond):
		}
		close(leave)
		within(t, ended, "Run's end")
		if got := b.position("c"); got != 1 || len(entered) > 0 {
			t.Errorf("the position is %d, want 1; %d more calls", got, len(entered))
		}
	})
}

// position reads a consumer's.
func (b *bed) position(name string) (position int64) {
	b.t.Helper()
	d := b.db.Dialect()
	row := b.db.SQL().QueryRowContext(b.t.Context(), "SELECT "+d.Quote("position")+" FROM "+b.source.name(consumerTable)+" WHERE "+d.Quote("name")+" = '"+name+"'")
	if err := row.Scan(&position); err != nil {
		b.t.Fatal(err)
	}
	return position
}

func TestLostConsumerGetsAGap(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		if err := b.Consumer("c", ConsumerOptions{}).Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.insert(1, 2)
		b.all() // PostgreSQL and MySQL prune what they ordered at once
		b.insert(3, 3)
		b.all()
		if n := b.pruneAll(2); n != 2 {
			t.Fatalf("pruned %d, want 2", n)
		}
		got := make(chan Entry, 10)
		b.consume(t, b.Consumer("c", ConsumerOptions{}), func(_ context.Context, e *Entry) error {
			got <- *e
			return nil
		})
		if e := within(t, got, "the gap"); e.Op != Gap || e.Position != 2 || e.Table != AllTables {
			t.Errorf("got %+v", e)
		}
		if e := within(t, got, "an entry"); e.Op != Insert || e.Key != "[3]" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestOneProcessHasTheConsumer(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Item](t)).start()
		other := open(t, target, Options{}, parse[Item](t))
		if err := other.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		one, two := make(chan Entry, 100), make(chan Entry, 100)
		first := b.consume(t, b.Consumer("c", ConsumerOptions{FromStart: true}), func(_ context.Context, e *Entry) error {
			one <- *e
			return nil
		})
		b.insert(1, 1)
		within(t, one, "an entry")
		other.consume(t, other.Consumer("c", ConsumerOptions{FromStart: true}), func(_ context.Context, e *Entry) error {
			two <- *e
			return nil
		})
		b.insert(2, 20)
		for range 19 {
			within(t, one, "an entry")
		}
		first.drain()
		b.insert(21, 21)
		if e := within(t, two, "an entry"); e.Key != "[21]" || len(two) > 0 || len(one) > 0 {
			t.Errorf("got %s, and %d and %d more", e.Key, len(one), len(two))
		}
	})
}
