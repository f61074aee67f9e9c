package stream

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
)

// Whatever is kept, what pages give is what the journal has.
func TestPagesAreTheJournal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		store := newStore()
		s := New(Options{Hub: store.hub, Journal: store, Limits: Limits{Page: rapid.IntRange(1, 40).Draw(rt, "page")}})
		write := func() {
			for range rapid.IntRange(0, 30).Draw(rt, "entries") {
				store.put(todos, values(1, strings.Repeat("x", rapid.IntRange(0, 1).Draw(rt, "large")*50_000), "", ""))
			}
		}
		write()
		for range rapid.IntRange(1, 20).Draw(rt, "reads") {
			if rapid.IntRange(0, 5).Draw(rt, "more") == 0 {
				write()
			}
			if rapid.IntRange(0, 5).Draw(rt, "prune") == 0 {
				store.prune(max(store.floor, rapid.Int64Range(0, store.position()).Draw(rt, "floor")))
			}
			after := rapid.Int64Range(0, store.position()).Draw(rt, "after")
			events, err := s.pages.read(context.Background(), s, after)
			if errors.Is(err, journal.ErrPruned) {
				if after >= store.floor {
					rt.Fatalf("above the floor: %v", err)
				}
				continue
			}
			if err != nil || (len(events) == 0) != (after == store.position()) {
				rt.Fatalf("%d entries after %d of %d: %v", len(events), after, store.position(), err)
			}
			for i, e := range events {
				if want := store.log[after+int64(i)]; e.Position != want.Position || e.Source != want.Source {
					rt.Fatalf("entry %d after %d: %+v, want %+v", i, after, e, want)
				}
			}
			if s.pages.bytes > pagesBytes {
				rt.Fatalf("%d bytes are kept", s.pages.bytes)
			}
		}
	})
}

// Many who are behind cost as much as one.
func TestPagesAreReadOnce(t *testing.T) {
	t.Parallel()
	store := newStore()
	s := New(Options{Hub: store.hub, Journal: store})
	const entries = 10_000
	for i := range entries {
		store.put(todos, values(1, "alice", strings.Repeat("x", i%7), ""))
	}
	read := func() {
		for after := int64(0); after < entries; {
			events, err := s.pages.read(t.Context(), s, after)
			if err != nil || len(events) == 0 {
				t.Fatalf("after %d: %v", after, err)
			}
			after = events[len(events)-1].Position
		}
	}
	for range 10 {
		read()
	}
	if most := 2 * entries / s.limits.Page; len(store.reads) > most {
		t.Errorf("the journal was read %d times, want at most %d", len(store.reads), most)
	}
	// Another journal has other entries at the same positions.
	before := len(store.reads)
	s.Rebase(hub.New(hub.Options{}))
	read()
	if len(store.reads) == before {
		t.Error("the pages of the journal that was are still used")
	}
}
