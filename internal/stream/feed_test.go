package stream

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/problem"
)

// step is a feed whose loop is the test.
func (b *bed) step(token string) (*connection, *feed) {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/todo/subscribe", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r = r.WithContext(auth.With(b.t.Context(), b.people[token]))
	w := &endingWriter{header: http.Header{}}
	out := &eventOutput{server: b.Server, w: w, control: http.NewResponseController(w)}
	c := &connection{}
	c.open(b.Server, r, out.interrupt)
	c.out = out
	if err := b.enter(c); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		c.close()
		c.cancel()
	})
	f := c.newFeed(c.caller(), "", []want{{resource: b.resources["todo"]}}, parameters{})
	c.feeds = []*feed{f}
	if err := f.begin(b.t.Context(), start{at: hub.Mark{}}); err != nil {
		b.t.Fatal(err)
	}
	if err := out.drain(time.Now()); err != nil {
		b.t.Fatal(err)
	}
	return c, f
}

// A Recheck that comes after the loop has looked, and before it takes what was published since.
func TestStepLooksForARecheckAfterItTakes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, lagging := range []bool{false, true} {
		c, f := b.step("alice")
		if lagging {
			b.overflow(2000, "")
			if again, err := f.step(t.Context()); !again || err != nil || !f.lagging {
				t.Fatalf("%t %v", again, err)
			}
			if err := c.out.drain(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		b.revoke("alice")
		b.Recheck(alices)
		b.store.put(todos, values(1, "alice", "milk", ""))
		_, err := f.step(t.Context())
		if err == nil {
			err = c.attend(t.Context()) // as the loop does before the next step
		}
		if !errors.Is(err, problem.New(problem.Unauthenticated, "")) {
			t.Errorf("lagging %t: %v", lagging, err)
		}
		if n := c.out.collected(); n != 0 {
			t.Errorf("lagging %t: %d bytes are sent to who may not have them", lagging, n)
		}
		b.person("alice", auth.Identity{ID: "alice"})
	}
}

// What a client has not taken is not read for it.
func TestCatchUpTakesOnlyAsMuchAsFits(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	text := strings.Repeat("x", 10_000)
	b.store.hub = hub.New(hub.Options{Ring: 4}) // so that most is in the journal only
	b.hub.Store(b.store.hub)
	c, f := b.step("alice")
	for i := range 100 {
		b.store.put(todos, values(i+1, "alice", text, ""))
	}
	for steps := 0; f.mark.Position < 100; steps++ {
		again, err := f.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := c.out.collected(); n > catchUpBuffer+len(text)+1000 {
			t.Fatalf("%d bytes are kept", n)
		}
		if err := c.out.drain(time.Now()); err != nil {
			t.Fatal(err)
		}
		if !again && f.mark.Position < 100 || steps > 100 {
			t.Fatalf("it stops at %d", f.mark.Position)
		}
	}
}
