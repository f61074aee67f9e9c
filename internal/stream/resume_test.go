package stream

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/problem"
)

func TestResume(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	ready := s.expect("ready")
	b.store.put(todos, values(1, "alice", "milk", ""))
	s.change("todo", "INSERT", milk, true)
	s.close()
	b.store.put(todos, values(2, "bob", "wine", ""))
	b.store.put(todos, values(1, "alice", "bread", ""))

	for name, again := range map[string]*source{
		"header":            b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", s.last),
		"parameter":         b.subscribe("/todo/subscribe?since="+s.last, "alice"),
		"header beats both": b.subscribe("/todo/subscribe?snapshot=true&since="+ready.id, "alice", "Last-Event-ID", s.last),
		"cursor of another": b.subscribe("/subscribe?tables=todo", "alice", "Last-Event-ID", s.last),
	} {
		if e := again.expect("ready"); e.id != s.last {
			t.Errorf("%s: %+v, want the id %s", name, e, s.last)
		}
		again.change("todo", "UPDATE", bread, true)
	}
	early := b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", ready.id)
	early.expect("ready")
	early.change("todo", "INSERT", milk, true)
	early.change("todo", "UPDATE", bread, true)
}

func TestCursorsThatDoNotServe(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	s.expect("ready")
	b.store.put(todos, values(1, "alice", "milk", ""))
	cursor := s.change("todo", "INSERT", milk, true).id
	b.store.put(todos, values(1, "alice", "bread", ""))
	s.change("todo", "UPDATE", bread, true)

	for _, test := range []struct{ path, token, cursor string }{
		{"/todo/subscribe", "alice", "nonsense"},
		{"/todo/subscribe", "bob", cursor},
		{"/todo/subscribe?task=eq.milk", "alice", cursor},
		{"/memo/subscribe", "alice", cursor},
		{"/subscribe?tables=todo,memo", "alice", cursor},
	} {
		again := b.subscribe(test.path, test.token, "Last-Event-ID", test.cursor)
		if e := again.expect("ready"); e.id != "" {
			t.Errorf("%+v: ready has an id, from which a client would resume without the reset", test)
		}
		if e := again.expect("reset"); e.data != `{"reason":"unknown_cursor"}` || e.id == "" {
			t.Errorf("%+v: %+v", test, e)
		}
		again.close()
	}

	b.store.prune(2)
	again := b.subscribe("/todo/subscribe?snapshot=true", "alice", "Last-Event-ID", cursor)
	again.expect("ready")
	if e := again.expect("reset"); e.data != `{"reason":"expired_cursor"}` || e.id != "" {
		t.Errorf("%+v; it must have no id, since rows follow", e)
	}
	again.change("todo", "INSERT", bread, false)
	again.expect("snapshot-end")
	b.store.remove(todos, 1)
	again.change("todo", "DELETE", bread, true)
}

func TestCursorOfBothOrders(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/subscribe?tables=todo,memo", "alice")
	s.expect("ready")
	b.store.put(memos, values(1, "alice", "x"))
	b.store.put(todos, values(1, "alice", "milk", ""))
	first := s.change("memo", "INSERT", `{"id":1,"user_id":"alice","text":"x"}`, true)
	s.change("todo", "INSERT", milk, true)
	again := b.subscribe("/subscribe?tables=memo,todo", "alice", "Last-Event-ID", first.id)
	if e := again.expect("ready"); e.id != first.id {
		t.Errorf("%+v", e)
	}
	again.change("todo", "INSERT", milk, true)
}

func TestGapResets(t *testing.T) {
	t.Parallel()
	for _, table := range []int{todos, hub.AllTables} {
		b := newBed(t)
		plain := b.subscribe("/subscribe?tables=todo,memo", "alice")
		plain.expect("ready")
		rows := b.subscribe("/todo/subscribe?snapshot=true", "alice")
		rows.expect("ready")
		rows.expect("snapshot-end")
		memo := b.subscribe("/memo/subscribe", "alice")
		memo.expect("ready")
		b.store.put(todos, values(1, "alice", "milk", ""))
		b.store.gap(table)
		b.store.put(todos, values(1, "alice", "bread", ""))
		b.store.put(memos, values(1, "alice", "x"))

		plain.change("todo", "INSERT", milk, true)
		reset := plain.expect("reset") // once, though it has two tables
		if reset.data != `{"reason":"gap"}` || reset.id == "" {
			t.Errorf("%+v", reset)
		}
		plain.change("todo", "UPDATE", bread, true)

		e := rows.expect("")
		for e.id != "" { // until the rows, which may be read before or after the last change
			if e = rows.next(); e.name == "reset" {
				if e.data != `{"reason":"gap"}` || e.id != "" {
					t.Errorf("%+v", e)
				}
				break
			}
		}
		state := follow(t, rows, nil, bread)
		if state != bread {
			t.Errorf("the client has %s", state)
		}

		if table == hub.AllTables {
			memo.expect("reset")
		}
		memo.change("memo", "INSERT", `{"id":1,"user_id":"alice","text":"x"}`, true)

		resumed := b.subscribe("/subscribe?tables=todo,memo", "alice", "Last-Event-ID", reset.id)
		resumed.expect("ready")
		resumed.change("todo", "UPDATE", bread, true)
	}
}

// follow reads until the one row of the client's has the content that is awaited.
func follow(t testing.TB, s *source, row []byte, until string) string {
	t.Helper()
	for string(row) != until {
		if e := s.next(); e.name == "" {
			c := decode[change](t, e.data)
			row = c.Payload
			if c.Event == "DELETE" {
				row = nil
			}
		}
	}
	return string(row)
}

func TestMarkMovesWithWhatIsNotSeen(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Heartbeat = 1 }))
	s := b.subscribe("/todo/subscribe", "alice")
	ready := s.expect("ready")
	b.store.put(memos, values(1, "alice", "x"))
	e := s.next()
	for e.id == ready.id {
		e = s.next()
	}
	if e.name != "cursor" || e.data != "{}" {
		t.Fatalf("%+v", e)
	}
	s.close()
	b.store.prune(b.store.position())
	again := b.subscribe("/todo/subscribe", "alice", "Last-Event-ID", e.id)
	if got := again.expect("ready"); got.id != e.id {
		t.Errorf("%+v, want %s: the heartbeat's cursor is as good as any", got, e.id)
	}
}

func TestRebaseResetsAll(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	old := s.expect("ready")
	c := b.dial("/subscribe", "alice")
	c.send(`{"subscribe":{"id":"a","table":"todo","snapshot":true}}`)
	c.expect("ready", "a")
	c.expect("snapshot_end", "a")

	next := newStore()
	next.epoch = "e2"
	next.put(todos, values(1, "alice", "milk", ""))
	b.store.mu.Lock()
	b.store.hub, b.store.epoch, b.store.log, b.store.tables = next.hub, next.epoch, next.log, next.tables
	b.store.behind = next.behind
	b.store.mu.Unlock()
	b.Rebase(next.hub)
	e := s.expect("reset")
	if e.data != `{"reason":"unknown_cursor"}` || e.id == "" || e.id == old.id {
		t.Errorf("%+v", e)
	}
	if m := c.expect("reset", "a"); m.Reason != "unknown_cursor" || m.Cursor != "" {
		t.Errorf("%+v", m)
	}
	if m := c.expect("change", "a"); string(m.Payload) != milk {
		t.Errorf("%+v", m)
	}
	c.expect("snapshot_end", "a")
	b.store.put(todos, values(1, "alice", "bread", ""))
	s.change("todo", "UPDATE", bread, true)
	c.change("a", "todo", "UPDATE", bread)
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, limits(func(l *Limits) { l.Streams, l.StreamsEach = 3, 2 }))
	for _, path := range []string{
		"/todo/subscribe?note=eq.x", "/todo/subscribe?task=match.x", "/todo/subscribe?id=x", "/todo/subscribe?limit=1",
		"/todo/subscribe?auth=message", "/todo/subscribe?snapshot=yes", "/todo/subscribe?since=a&since=b",
		"/todo/subscribe?token=alice", "/todo/subscribe?access_token=alice", "/todo/subscribe?%zz",
		"/subscribe", "/subscribe?tables=", "/subscribe?tables=todo,", "/subscribe?tables=nothing", "/subscribe?tables=todo,todo",
		"/subscribe?tables=todo&task=eq.x", "/subscribe?tables=todo&tables=memo", "/subscribe?tables=todo&%zz",
	} {
		if p := b.refused(path, "", http.StatusBadRequest, problem.InvalidQuery); len(p.Errors) == 0 {
			t.Errorf("%s: %+v", path, p)
		}
	}
	b.subscribe("/todo/subscribe", "alice").expect("ready")
	b.dial("/subscribe", "alice")
	b.refused("/todo/subscribe", "alice", http.StatusTooManyRequests, problem.RateLimited)
	bob := b.subscribe("/todo/subscribe", "bob")
	bob.expect("ready")
	b.refused("/todo/subscribe", "", http.StatusTooManyRequests, problem.RateLimited)
	bob.close()
	eventually(t, "there is room again", func() bool { return b.Streams() == 2 })
	anonymous := b.subscribe("/todo/subscribe", "")
	anonymous.expect("ready")
	anonymous.close()
	eventually(t, "there is room again", func() bool { return b.Streams() == 2 })

	b.store.fail(errors.New("the database is down"))
	if p := b.refused("/todo/subscribe?since=x", "root", http.StatusServiceUnavailable, problem.Unavailable); strings.Contains(p.Detail, "down") {
		t.Errorf("the client is told %q", p.Detail)
	}
	b.store.fail(nil)
}

// A field may have the name of what is refused where there is none.
func TestFieldNamedToken(t *testing.T) {
	t.Parallel()
	type invite struct {
		ID    int64  `json:"id"`
		Token string `json:"token"`
	}
	type hiding struct {
		ID    int64  `json:"id"`
		Token string `json:"token" cape:"hidden"`
	}
	for want, r := range map[string]*resource{
		"":          newResource(Resource{Name: "invite", Model: parseModel[invite](t)}),
		"a problem": newResource(Resource{Name: "hiding", Model: parseModel[hiding](t)}),
	} {
		err := refuseTokens(map[string][]string{"token": {"eq.x"}}, r)
		if (err == nil) != (want == "") {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

// What a stream says of the same row does not depend on how the row's values were written.
func TestSameSeesWhatClientsSee(t *testing.T) {
	t.Parallel()
	r := newResource(Resource{Name: "todo", Model: parseModel[todo](t)})
	before := values(1, "alice", "milk", "a")
	for want, after := range map[bool]row{true: values(1, "alice", "milk", "b"), false: values(1, "alice", "bread", "a")} {
		if got := r.Same(before, after); got != want {
			t.Errorf("Same(%v, %v) is %t", before, after, got)
		}
	}
	e := &hub.Event{}
	if got := string(r.Encode(hub.Delete, before, e)); got !=
		`{"table":"todo","event":"DELETE","payload":`+milk+`,"timestamp":"0001-01-01T00:00:00Z"}` {
		t.Error(got)
	}
}
