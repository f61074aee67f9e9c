package stream

import (
	"net/http"
	"testing"
)

const (
	milk  = `{"id":1,"user_id":"alice","task":"milk"}`
	bread = `{"id":1,"user_id":"alice","task":"bread"}`
	wine  = `{"id":2,"user_id":"bob","task":"wine"}`
)

func TestChangesArriveInOrder(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.subscribe("/todo/subscribe", "alice")
	for header, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
	} {
		if got := s.response.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if e := s.expect("ready"); e.id == "" || e.data != "{}" {
		t.Errorf("ready: %+v", e)
	}
	b.store.put(todos, values(2, "bob", "wine", ""))    // not alice's
	b.store.put(memos, values(1, "alice", "a memo"))    // another table
	b.store.put(todos, values(1, "alice", "milk", ""))  // enters
	b.store.put(todos, values(1, "alice", "milk", "x")) // only a hidden column
	b.store.put(todos, values(1, "alice", "bread", "x"))
	b.store.put(todos, values(1, "bob", "bread", "x")) // leaves
	b.store.put(todos, values(1, "alice", "milk", "x"))
	b.store.remove(todos, 1)
	b.store.remove(todos, 2)
	s.change("todo", "INSERT", milk, true)
	s.change("todo", "UPDATE", bread, true)
	s.change("todo", "DELETE", bread, true)
	s.change("todo", "INSERT", milk, true)
	s.change("todo", "DELETE", milk, true)
	s.close()
	eventually(t, "the stream ends with its client", func() bool { return b.Streams() == 0 })
}

func TestHeadEndsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	response := b.request(t.Context(), http.MethodHead, "/todo/subscribe", "")
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s %v", response.Status, response.Header)
	}
	_ = response.Body.Close()
	if b.Streams() != 0 {
		t.Error("HEAD opened a stream")
	}
}
