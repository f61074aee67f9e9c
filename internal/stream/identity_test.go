package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/problem"
)

func alices(id auth.Identity) bool { return id.ID == "alice" }

// asks waits for the authenticators to have been asked once more.
func (b *bed) asks(t testing.TB, do func()) {
	t.Helper()
	b.mu.Lock()
	before := b.asked
	b.mu.Unlock()
	do()
	eventually(t, "the authenticators are asked", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.asked > before
	})
}

func TestRecheckOfAnIdentityThatSeesTheSame(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.asks(t, func() { b.Recheck(alices) })
	b.person("alice", auth.Identity{ID: "alice", Roles: []string{"reader"}, Claims: map[string]any{"org": 1}})
	b.asks(t, func() { b.Recheck(nil) })
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "INSERT", milk, true)
}

func TestRecheckAsksThoseWhoMatch(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.revoke("alice")
	b.Recheck(func(id auth.Identity) bool { return id.ID == "bob" })
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "INSERT", milk, true)
	b.Recheck(alices)
	if p := decode[problem.Error](t, s.expect("problem").data); p.Code != problem.Unauthenticated || p.Status != 401 {
		t.Errorf("%+v", p)
	}
	s.closed()
}

func TestRecheckOfAnIdentityThatSeesMore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.store.put(todos, values(2, "bob", "wine", ""))
	plain := b.subscribe("/todo/subscribe", "alice")
	old := plain.expect("ready")
	rows := b.subscribe("/todo/subscribe?snapshot=true", "alice")
	rows.expect("ready")
	rows.expect("snapshot-end")
	c := b.dial("/subscribe", "alice")
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	c.expect("ready", "a")
	b.person("alice", auth.Identity{ID: "alice", Roles: []string{"admin"}})
	b.Recheck(alices)
	if e := plain.expect("reset"); e.data != `{"reason":"identity"}` || e.id == "" || e.id == old.id {
		t.Errorf("%+v", e)
	}
	if e := rows.expect("reset"); e.data != `{"reason":"identity"}` || e.id != "" {
		t.Errorf("%+v", e)
	}
	rows.change("todo", "INSERT", wine, false)
	rows.expect("snapshot-end")
	if m := c.expect("reset", "a"); m.Reason != "identity" || m.Cursor == "" {
		t.Errorf("%+v", m)
	}
	b.store.remove(todos, 2)
	plain.change("todo", "DELETE", wine, true)
	rows.change("todo", "DELETE", wine, true)
	c.change("a", "todo", "DELETE", wine)
	// The new cursor is of what is seen now.
	again := b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", plain.last)
	if e := again.expect("ready"); e.id != plain.last {
		t.Errorf("%+v", e)
	}
}

// What was queued for the identity that was is not for the one that is.
func TestNothingIsSentBetweenRecheckAndItsAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "root")
	s.expect("ready")
	b.person("root", auth.Identity{ID: "root"})
	b.mu.Lock() // the authenticators hang
	b.Recheck(nil)
	b.store.put(todos, values(1, "alice", "milk", ""))
	b.mu.Unlock()
	s.expect("reset")
	b.store.put(todos, values(3, "public", "all", ""))
	s.change("todo", "INSERT", `{"id":3,"user_id":"public","task":"all"}`, true)
}

func TestSignedOutEndsStreams(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.person("alice", auth.Identity{}) // as a cookie whose session is gone
	b.Recheck(alices)
	s.expect("problem")
	s.closed()
}

func TestAuthenticatorsThatAreDownEndNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.authenticators(errors.New("the session store is down"))
	b.asks(t, func() { b.Recheck(alices) })
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "INSERT", milk, true)
	b.authenticators(nil)
}

func TestStreamsAreRecheckedByThemselves(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Recheck = 10 * time.Millisecond }))
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.revoke("alice")
	s.expect("problem")
	s.closed()
}

// A request that was authenticated before a Recheck, and became a stream after it, was missed.
func TestRecheckOfStreamsThatBegin(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.Recheck(alices)
	b.asks(t, func() {
		s := b.subscribe("/todo/subscribe", "alice")
		s.expect("ready")
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked != 2 {
		t.Errorf("the authenticators were asked %d times; want once for the request and once for its stream", b.asked)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	until := func(d time.Duration) auth.Identity { return auth.Identity{ID: "alice", Expires: time.Now().Add(d)} }

	b.person("alice", until(-time.Hour))
	b.Recheck(nil) // so that the request is checked before its answer begins
	b.refused("/todo/subscribe", "alice", 401, problem.Unauthenticated)

	soon := func() { // what a stream of an hour learns
		b.person("alice", until(50*time.Millisecond))
		b.asks(t, func() { b.Recheck(alices) })
	}
	b.person("alice", until(time.Hour))
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	soon()
	if p := decode[problem.Error](t, s.expect("problem").data); p.Code != problem.Unauthenticated {
		t.Errorf("%+v", p)
	}
	s.closed()

	// A session that was prolonged goes on.
	b.person("alice", until(time.Hour))
	s = b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	soon()
	b.asks(t, func() { b.person("alice", until(time.Hour)) })
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "INSERT", milk, true)
	s.close()

	// The authenticators do not answer, and the time is over.
	c := b.dial("/todo/subscribe", "alice")
	c.expect("ready", "")
	eventually(t, "only the socket is open", func() bool { return b.Streams() == 1 })
	soon()
	b.authenticators(errors.New("the session store is down"))
	c.problem("", problem.Unauthenticated, "")
	c.closed(statusExpired)
	b.authenticators(nil)
}
