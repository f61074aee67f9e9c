package journal

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestFeedGivesEveryReaderEverything has readers of different pace follow a feed that gets entries in pages of random
// size: from memory and from the journal alike, each gets every entry once and in order.
func TestFeedGivesEveryReaderEverything(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Item](t)).start()
	const rows = 3 * feedSize
	for from := 1; from <= rows; from += feedSize {
		b.insertRows(from, from+feedSize-1)
	}
	all := b.all()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.IntRange(0, rows-1).Draw(t, "start")
		var head Mark
		if start > 0 {
			head = all[start-1].Mark
		}
		feed := NewFeed(b.Journal, head)
		delivered := start
		readers := make([]int64, rapid.IntRange(1, 4).Draw(t, "readers"))
		for i := range readers {
			readers[i] = rapid.Int64Range(0, int64(start)).Draw(t, "after")
		}
		for range 12 {
			if size := rapid.IntRange(0, pageSize).Draw(t, "delivered"); delivered < rows {
				size = min(size, rows-delivered)
				feed.Deliver(all[delivered : delivered+size])
				delivered += size
			}
			i := rapid.IntRange(0, len(readers)-1).Draw(t, "reader")
			if readers[i] >= int64(delivered) {
				continue
			}
			page, err := feed.Next(b.t.Context(), readers[i])
			if err != nil || len(page) == 0 || len(page) > pageSize {
				t.Fatalf("%d entries, error %v", len(page), err)
			}
			for j := range page {
				if want := all[readers[i]]; page[j].Mark != want.Mark || page[j].Key != want.Key {
					t.Fatalf("got %+v, want %+v", page[j], want)
				}
				readers[i]++
			}
		}
		for _, after := range []int64{feed.floor - 1, feed.floor, feed.floor + 1} { // where memory begins
			if after < 0 || after >= int64(delivered) {
				continue
			}
			page, err := feed.Next(b.t.Context(), after)
			if err != nil || len(page) == 0 || page[0].Mark != all[after].Mark {
				t.Fatalf("after %d: %+v, error %v", after, page[:min(1, len(page))], err)
			}
		}
		if feed.Head() != int64(delivered) {
			t.Errorf("the head is %d, want %d", feed.Head(), delivered)
		}
	})
}

func TestFeedWaits(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Item](t)).start()
	feed := NewFeed(b.Journal, Mark{})
	type answer struct {
		page []Entry
		err  error
	}
	answers := make(chan answer, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ask := func() {
		page, err := feed.Next(ctx, 1)
		answers <- answer{page, err}
	}
	go ask()
	b.insert(1, 2)
	all := b.all()
	feed.Deliver(all[:1]) // nothing that the reader does not have
	select {
	case a := <-answers:
		t.Errorf("got %+v", a)
	default:
	}
	feed.Deliver(nil)
	feed.Deliver(all[1:])
	if a := within(t, answers, "the entry"); a.err != nil || len(a.page) != 1 || a.page[0].Key != "[2]" {
		t.Errorf("got %+v", a)
	}
	feed = NewFeed(b.Journal, all[0].Mark)
	go ask()
	cancel()
	if a := within(t, answers, "the end"); !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %+v", a)
	}
}

func TestFeedTellsWhatWasPruned(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Item](t)).start()
	b.insert(1, 3)
	all := b.all()
	feed := NewFeed(b.Journal, all[2].Mark)
	b.pruneAll(2)
	if page, err := feed.Next(t.Context(), 1); !errors.Is(err, ErrPruned) {
		t.Errorf("got %+v, error %v", page, err)
	}
	if page, err := feed.Next(t.Context(), 2); err != nil || fmt.Sprintf("%+v", page) != fmt.Sprintf("%+v", all[2:]) {
		t.Errorf("got %+v, error %v", page, err)
	}
}
