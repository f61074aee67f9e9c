package stream

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/problem"
)

func TestWebSocketOfOneResource(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.dial("/todo/subscribe?task=neq.secret", "alice")
	ready := c.expect("ready", "")
	if ready.Cursor == "" {
		t.Errorf("ready without a cursor: %+v", ready)
	}
	b.store.put(todos, values(1, "alice", "milk", ""))
	b.store.put(todos, values(2, "bob", "wine", ""))
	b.store.put(todos, values(1, "alice", "secret", ""))
	m := c.change("", "todo", "INSERT", milk)
	c.change("", "todo", "DELETE", milk)
	c.send(`{"subscribe":{"id":"a","table":"memo"}}`)
	c.problem("a", problem.Malformed, "")
	c.send(`{"unsubscribe":{"id":"a"}}`)
	c.problem("a", problem.Malformed, "")

	again := b.dial("/todo/subscribe?task=neq.secret&since="+m.Cursor, "alice")
	if ready := again.expect("ready", ""); ready.Cursor != m.Cursor {
		t.Errorf("ready %+v, want the cursor %s", ready, m.Cursor)
	}
	again.change("", "todo", "DELETE", milk)
}

func TestWebSocketSubscriptionsComeAndGo(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Subscriptions = 3 }))
	b.store.put(todos, values(1, "alice", "milk", ""))
	c := b.dial("/subscribe", "alice")
	c.send(`{"subscribe":{"id":"t","table":"todo","filter":"task=eq.milk&id=lt.10","snapshot":true}}`)
	c.expect("ready", "t")
	if m := c.expect("change", "t"); m.Event != "INSERT" || string(m.Payload) != milk || m.Cursor != "" {
		t.Errorf("a row of the snapshot: %+v", m)
	}
	if m := c.expect("snapshot_end", "t"); m.Cursor == "" {
		t.Errorf("%+v", m)
	}
	c.send(`{"subscribe":{"id":"m","table":"memo"}}`)
	c.expect("ready", "m")
	c.send(`{"subscribe":{"id":"m","table":"todo"}}`)
	c.problem("m", problem.Conflict, "subscribe.id")
	c.send(`{"subscribe":{"id":"x","table":"nothing"}}`)
	c.problem("x", problem.InvalidQuery, "subscribe.table")
	c.send(`{"subscribe":{"id":"x","table":"todo","filter":"note=eq.x"}}`)
	c.problem("x", problem.InvalidQuery, "query.note")
	b.store.put(memos, values(1, "alice", "a memo"))
	c.change("m", "memo", "INSERT", `{"id":1,"user_id":"alice","text":"a memo"}`)
	b.store.put(todos, values(1, "alice", "bread", ""))
	left := c.change("t", "todo", "DELETE", milk)
	c.send(`{"unsubscribe":{"id":"t"}}`)
	c.expect("unsubscribed", "t")
	c.send(`{"unsubscribe":{"id":"t"}}`)
	c.problem("t", problem.NotFound, "unsubscribe.id")
	b.store.put(todos, values(1, "alice", "milk", ""))
	c.send(`{"subscribe":{"id":"t","table":"todo","filter":"task=eq.milk&id=lt.10","since":"` + left.Cursor + `"}}`)
	c.expect("ready", "t")
	c.change("t", "todo", "INSERT", milk)
	c.send(`{"subscribe":{"id":"u","table":"todo","since":"` + left.Cursor + `"}}`) // a cursor of another filter
	c.expect("ready", "u")
	if m := c.expect("reset", "u"); m.Reason != "unknown_cursor" || m.Cursor == "" {
		t.Errorf("%+v", m)
	}
	c.send(`{"subscribe":{"id":"v","table":"todo"}}`)
	c.problem("v", problem.RateLimited, "")
}

func TestWebSocketMessagesThatAreWrong(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.dial("/subscribe", "")
	long := strings.Repeat("x", maxID+1)
	for _, test := range []struct{ text, id, code, location string }{
		{``, "", problem.Malformed, "body"},
		{`{`, "", problem.Malformed, "body"},
		{"\"\xff\"", "", problem.Malformed, "body"},
		{`[]`, "", problem.Malformed, ""},
		{`{}`, "", problem.Malformed, ""},
		{`{"subscribe":{"id":"a","table":"todo"},"auth":{"token":"x"}}`, "", problem.Malformed, ""},
		{`{"subscribe":{"id":"a","table":"todo"},"subscribe":{}}`, "", problem.Malformed, "body.subscribe"},
		{`{"ping":{}}`, "", problem.Malformed, ""},
		{`{"subscribe":[]}`, "", problem.Malformed, "subscribe"},
		{`{"subscribe":{"table":"todo"}}`, "", problem.Malformed, "subscribe.id"},
		{`{"subscribe":{"id":"","table":"todo"}}`, "", problem.Malformed, "subscribe.id"},
		{`{"subscribe":{"id":"` + long + `","table":"todo"}}`, "", problem.Malformed, "subscribe.id"},
		{`{"subscribe":{"id":1,"table":"todo"}}`, "", problem.Malformed, "subscribe.id"},
		{`{"subscribe":{"id":"a"}}`, "a", problem.Malformed, "subscribe.table"},
		{`{"subscribe":{"id":"a","table":"todo","filter":1}}`, "a", problem.Malformed, "subscribe.filter"},
		{`{"subscribe":{"id":"a","table":"todo","filter":"a\u0000"}}`, "a", problem.Malformed, "subscribe.filter"},
		{`{"subscribe":{"id":"a","table":"todo","snapshot":"yes"}}`, "a", problem.Malformed, "subscribe.snapshot"},
		{`{"subscribe":{"id":"a","table":"todo","since":{}}}`, "a", problem.Malformed, "subscribe.since"},
		{`{"subscribe":{"id":"a","table":"todo","limit":1}}`, "a", problem.Malformed, "subscribe.*"},
		{`{"subscribe":{"id":"a","table":"todo","filter":"limit=1"}}`, "a", problem.InvalidQuery, "query.limit"},
		{`{"subscribe":{"id":"a","table":"todo","filter":"id=x"}}`, "a", problem.InvalidQuery, "query.id"},
		{`{"unsubscribe":{"id":"a"}}`, "a", problem.NotFound, "unsubscribe.id"},
		{`{"auth":{"token":"alice"}}`, "", problem.Malformed, ""}, // it is not the first
	} {
		c.send(test.text)
		c.problem(test.id, test.code, test.location)
	}
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`) // the socket stays
	c.expect("ready", "a")
}

func TestWebSocketThatMakesTooManyMistakes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.dial("/subscribe", "")
	for range maxProblems {
		c.send(`{}`)
	}
	for range maxProblems {
		c.problem("", problem.Malformed, "")
	}
	c.closed(websocket.StatusPolicyViolation)
}

func TestWebSocketFramesThatAreWrong(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.dial("/subscribe", "")
	if err := c.conn.Write(c.ctx, websocket.MessageBinary, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	c.closed(websocket.StatusUnsupportedData)
	c = b.dial("/subscribe", "")
	// The server may close before it has read all.
	_ = c.conn.Write(c.ctx, websocket.MessageText, make([]byte, 64<<10+1))
	c.closed(websocket.StatusMessageTooBig)
	eventually(t, "the sockets are gone", func() bool { return b.Streams() == 0 })
}

func TestWebSocketAuthMessage(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.store.put(todos, values(1, "alice", "milk", ""))
	c := b.dial("/todo/subscribe?auth=message&snapshot=true", "")
	c.send(`{"auth":{"token":"alice"}}`)
	c.expect("ready", "")
	if m := c.expect("change", ""); string(m.Payload) != milk {
		t.Errorf("%+v", m)
	}
	c.expect("snapshot_end", "")
	c.send(`{"auth":{"token":"bob"}}`)
	c.problem("", problem.Malformed, "")
	// Recheck sees the token of the message.
	b.revoke("alice")
	b.Recheck(func(id auth.Identity) bool { return id.ID == "alice" })
	c.problem("", problem.Unauthenticated, "")
	c.closed(statusExpired)

	c = b.dial("/subscribe", "") // it need not be announced
	c.send(`{"auth":{"token":"bob"}}`)
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	c.expect("ready", "a")
	b.store.put(todos, values(2, "bob", "wine", ""))
	c.change("a", "todo", "INSERT", wine)

	c = b.dial("/subscribe?auth=message", "")
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	c.problem("a", problem.Unauthenticated, "")
	c.send(`{"auth":{"token":"mallory"}}`)
	c.problem("", problem.Unauthenticated, "")
	c.closed(statusExpired)

	c = b.dial("/subscribe?auth=message", "")
	b.authenticators(problem.New(problem.Unavailable, "the session store is down"))
	c.send(`{"auth":{"token":"bob"}}`)
	c.problem("", problem.Unavailable, "")
	c.closed(websocket.StatusTryAgainLater)
	b.authenticators(nil)
}

func TestWebSocketAuthMessageThatDoesNotCome(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.AuthTime = 20 * time.Millisecond }))
	c := b.dial("/todo/subscribe?auth=message", "")
	c.closed(statusSlow)
}

func TestWebSocketLimitOfIdentity(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.StreamsEach = 1 }))
	c := b.dial("/subscribe", "alice")
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	c.expect("ready", "a")
	other := b.dial("/subscribe", "")
	other.send(`{"auth":{"token":"alice"}}`)
	other.problem("", problem.RateLimited, "")
	other.closed(statusLimit)
	_, response := b.tryDial("/subscribe", "alice")
	readProblem(t, response, http.StatusTooManyRequests, problem.RateLimited)
	// Signing in makes room for another anonymous one.
	eventually(t, "the other is gone", func() bool { return b.Streams() == 1 })
	bob := b.dial("/subscribe", "")
	bob.send(`{"auth":{"token":"bob"}}`)
	bob.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	bob.expect("ready", "a")
	b.dial("/subscribe", "")
}

func TestWebSocketHandshakesThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(o *Options, _ *httptestServer) { o.Origins = []string{"https://app.example.com"} })
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, test := range []struct {
		path   string
		code   string
		change []string
	}{
		{"/subscribe", problem.Permission, []string{"Origin", "https://evil.example.com"}},
		{"/subscribe", problem.Permission, []string{"Origin", "null"}},
		{"/subscribe", problem.Permission, []string{"Origin", "http://app.example.com"}},
		{"/subscribe", problem.Permission, []string{"Origin", "https://app.example.com.evil.com"}},
		{"/subscribe", problem.Malformed, []string{"Connection", "keep-alive"}},
		{"/subscribe", problem.Malformed, []string{"Sec-WebSocket-Version", "12"}},
		{"/subscribe", problem.Malformed, []string{"Sec-WebSocket-Key", "short"}},
		{"/subscribe", problem.Malformed, []string{"Sec-WebSocket-Key", ""}},
		{"/subscribe", problem.Malformed, []string{"Sec-WebSocket-Protocol", "graphql-ws"}},
		{"/subscribe?tables=todo", problem.InvalidQuery, nil},
		{"/subscribe?auth=cookie", problem.InvalidQuery, nil},
		{"/subscribe?%zz", problem.InvalidQuery, nil},
		{"/subscribe?access_token=alice", problem.InvalidQuery, nil},
		{"/todo/subscribe?token=alice", problem.InvalidQuery, nil},
		{"/todo/subscribe?auth=message&auth=message", problem.InvalidQuery, nil},
		{"/todo/subscribe?note=eq.x", problem.InvalidQuery, nil},
		{"/todo/subscribe?snapshot=1", problem.InvalidQuery, nil},
		{"/todo/subscribe?since=a&since=b", problem.InvalidQuery, nil},
	} {
		response := b.request(t.Context(), http.MethodGet, test.path, "", append(upgrade[:len(upgrade):len(upgrade)], test.change...)...)
		p := readProblem(t, response, problem.Status(test.code), test.code)
		if test.code == problem.Permission && p.Code != problem.Permission {
			t.Errorf("%v: %+v", test, p)
		}
	}
	b.dial("/subscribe", "", "Origin", "https://app.example.com")
	b.dial("/subscribe", "", "Origin", b.url)
	if response := b.request(t.Context(), http.MethodGet, "/subscribe", "", "Upgrade", "h2c"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("another upgrade than to WebSocket: %s", response.Status)
	} else {
		_ = response.Body.Close()
	}
}

func TestWebSocketEnds(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.dial("/todo/subscribe", "alice")
	c.expect("ready", "")
	b.EndStreams()
	c.closed(websocket.StatusGoingAway)
	_, response := b.tryDial("/todo/subscribe", "alice")
	readProblem(t, response, http.StatusServiceUnavailable, problem.Unavailable)
}

func TestWebSocketHeartbeat(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Heartbeat = 5 * time.Millisecond }))
	c := b.dial("/subscribe", "alice")
	c.send(`{"subscribe":{"id":"a","table":"todo"}}`)
	ready := c.expect("ready", "a")
	b.store.put(todos, values(2, "bob", "wine", "")) // nothing to see, but the position moves
	m := c.next()
	for m.Cursor == ready.Cursor {
		m = c.next()
	}
	if m.Type != "cursor" || m.ID != "a" || m.Cursor == "" {
		t.Fatalf("%+v", m)
	}
	// It is not told again: what comes next, after some heartbeats, is the change.
	next := make(chan message)
	go func() { next <- c.next() }()
	pings := c.pings.Load()
	eventually(t, "heartbeats pass", func() bool { return c.pings.Load() >= pings+5 })
	b.store.put(todos, values(1, "alice", "milk", ""))
	if m := <-next; m.Type != "change" {
		t.Errorf("%+v", m)
	}
}

func TestWebSocketThatDoesNotAnswerPings(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) {
		l.Heartbeat, l.WriteTimeout, l.Drain = 5*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	}))
	b.dial("/todo/subscribe", "alice") // it never reads
	eventually(t, "the silent socket is closed", func() bool { return b.Streams() == 0 })
}
