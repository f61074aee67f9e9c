package listen_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/bench/internal/listen"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/users"
)

// serve answers each subscription with the events, in chunks that end anywhere.
func serve(t *testing.T, status int, events string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		text := "event: ready\nid: 1\ndata: {}\n\n" + events
		for i := 0; i < len(text); i += 7 {
			_, _ = w.Write([]byte(text[i:min(i+7, len(text))]))
			_ = http.NewResponseController(w).Flush()
		}
		if status == 200 {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func change(number int) string {
	return fmt.Sprintf("id: 7\ndata: {\"payload\":{\"user_id\":\"user-0000\",\"task\":\"buy oat milk, bread and a birthday card, change %d\"}}\n\n", number)
}

const filled = "id: 6\ndata: {\"payload\":{\"user_id\":\"user-0000\",\"task\":\"todo 000001\"}}\n\n"

const heartbeat = "event: cursor\nid: 8\ndata: {}\n\n"

// listenTo opens a group and waits for what it must get, a moment only.
func listenTo(t *testing.T, address string, subscribers, changes int, public bool) (*listen.Group, error) {
	t.Helper()
	g, err := listen.Open(t.Context(), address, todo.REST{}, users.Make(min(subscribers, 2)), subscribers, listen.Audience{Public: public})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return g, g.Wait(ctx, changes)
}

func TestGroupCountsChanges(t *testing.T) {
	g, err := listenTo(t, serve(t, 200, filled+change(3)+heartbeat+change(5)), 4, 8, true)
	if err != nil {
		t.Fatal(err)
	}
	delivered, wanted, err := g.Check(func(int) int { return 2 })
	if delivered != 8 || wanted != 8 || err != nil {
		t.Errorf("got %d of %d, %v", delivered, wanted, err)
	}
	if _, _, err := g.Check(func(user int) int { return 2 + user }); err == nil {
		t.Error("want an error: the second user's subscribers lack a change")
	}
	numbers := map[int]int{}
	for _, r := range g.Receipts() {
		numbers[r.Number]++
	}
	if numbers[3] != 4 || numbers[5] != 4 || len(g.Receipts()) != 0 {
		t.Errorf("got %v", numbers)
	}
	if size := g.EventSize(); size != float64(len(change(3))) {
		t.Errorf("got %v bytes an event", size)
	}
}

func TestGroupRefuses(t *testing.T) {
	for name, each := range map[string]struct {
		status      int
		events      string
		subscribers int
		want        string
	}{
		"another answer":         {404, "", 1, "want 200, got 404"},
		"a change twice":         {200, change(3) + change(3), 1, "change 3 came after 3"},
		"changes out of order":   {200, change(3) + change(2), 1, "change 2 came after 3"},
		"another user's change":  {200, change(3), 2, "another user's change"},
		"what nobody wrote":      {200, change(1) + "data: {}\n\n", 1, "unexpected event"},
		"an event like no other": {200, "event: reset\ndata: {}\n\n", 1, "unexpected"},
		"too few":                {200, change(3), 1, context.DeadlineExceeded.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := listenTo(t, serve(t, each.status, each.events), each.subscribers, 2*each.subscribers, false)
			if err == nil || !strings.Contains(err.Error(), each.want) {
				t.Errorf("want %q, got %v", each.want, err)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	address := serve(t, 200, change(1)+heartbeat+strings.Replace(change(2), "id: 7", "id: 9", 1))
	request := todo.REST{}.Subscribe(nil, "token")
	for changes, want := range map[int]string{0: "1", 1: "7", 2: "9"} {
		if cursor, got, err := listen.Follow(t.Context(), address, request, changes); err != nil || cursor != want || got != changes {
			t.Errorf("want %d changes up to %s, got %d up to %q, %v", changes, want, got, cursor, err)
		}
	}
	for want, address := range map[string]string{
		"reset": serve(t, 200, "event: reset\nid: 2\ndata: {}\n\n"),
		"403":   serve(t, 403, ""),
	} {
		if _, _, err := listen.Follow(t.Context(), address, request, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
