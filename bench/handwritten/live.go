package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// live is the least that server-sent events can cost: one loop that writes the same bytes to all connections. It asks
// for no permission, keeps no cursor, and waits for the slowest reader with the writer's request in hand.
type live struct {
	mu        sync.Mutex
	listeners []listener
	number    int
}

type listener struct {
	http.ResponseWriter
	control *http.ResponseController
}

// subscribe answers with all changes.
func (s *server) subscribe(w http.ResponseWriter, r *http.Request, _ string) error {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	l := listener{w, http.NewResponseController(w)}
	l.send([]byte("event: ready\ndata: {}\n\n"))
	s.live.add(l)
	defer s.live.remove(l)
	<-r.Context().Done()
	return nil
}

// send writes to the client; one that is gone is told by its request's context.
func (l listener) send(event []byte) {
	if _, err := l.Write(event); err == nil {
		_ = l.control.Flush()
	}
}

func (v *live) add(l listener) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listeners = append(v.listeners, l)
}

func (v *live) remove(l listener) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listeners = slices.DeleteFunc(v.listeners, func(other listener) bool { return other == l })
}

// broadcast sends a change to all who listen. The event has what CapeBase's have.
func (v *live) broadcast(event string, row record) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.listeners) == 0 {
		return nil
	}
	payload, err := json.Marshal(row)
	if err != nil {
		return err
	}
	v.number++
	text := fmt.Appendf(nil, "id: %066d\ndata: {\"table\":\"todo\",\"event\":%q,\"payload\":%s,\"timestamp\":%q}\n\n",
		v.number, event, payload, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))
	for _, l := range v.listeners {
		l.send(text)
	}
	return nil
}
