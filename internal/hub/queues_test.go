package hub

import "testing"

// TestQueues: what waits is counted once for each subscription, however many shapes it has.
func TestQueues(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	both := h.Subscribe(Mark{}, Shape{0, owns(1), everything}, Shape{0, everyone(), everything})
	one := h.Subscribe(Mark{}, Shape{0, owns(2), everything})
	if q := h.Queues(); q != (Queues{}) {
		t.Errorf("at the beginning: %+v", q)
	}
	h.Publish([]Event{inserted(1, 1, "new"), inserted(2, 2, "new"), inserted(3, 1, "old")})
	if q := h.Queues(); q.Messages != 6 || q.Longest != 5 || q.Bytes <= 0 {
		t.Errorf("6 messages wait, 5 of them for one subscription: %+v", q)
	}
	both.Take(nil)
	if q := h.Queues(); q.Messages != 1 || q.Longest != 1 {
		t.Errorf("one has taken its own: %+v", q)
	}
	one.Close()
	both.Close()
	if q := h.Queues(); q != (Queues{}) {
		t.Errorf("after the end: %+v", q)
	}
}
