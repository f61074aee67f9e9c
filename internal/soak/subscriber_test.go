package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// subscriber is a client with a connection that breaks off and is resumed at random.
type subscriber struct {
	nodes   []*backend // any of which a connection may be to
	client  *http.Client
	who     *identity
	feeds   []*feed // one, but for a WebSocket with several subscriptions
	socket  bool
	slow    bool
	random  *rand.Rand
	totals  *totals
	calm    *atomic.Bool    // no more breaking off
	started <-chan struct{} // breaking off begins
	strict  bool            // nobody kills the server: a connection that it ends is a fault
}

// connectionTime is how long a connection lives on average, and pauseTime how long a client stays away.
const (
	connectionTime = 4 * time.Second
	pauseTime      = 300 * time.Millisecond
)

// run follows the changes until the context ends.
func (s *subscriber) run(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		s.totals.connects.Add(1)
		if !first {
			s.totals.reconnects.Add(1)
		}
		quit, err := s.live(ctx)
		if ctx.Err() != nil {
			return
		}
		if !quit && !errors.Is(err, errBeginAnew) {
			s.totals.interrupted.Add(1)
			if s.strict {
				s.totals.fault(&s.totals.wrong, "%s: the connection ended: %v", s.feeds[0].name, err)
			}
		}
		for _, f := range s.feeds {
			if s.random.IntN(6) == 0 && !s.calm.Load() {
				f.forget()
			}
		}
		wait(ctx, time.Duration(s.random.ExpFloat64()*float64(pauseTime)))
	}
}

// live runs one connection, and breaks it off after a random time unless all is to be calm.
func (s *subscriber) live(ctx context.Context) (quit bool, err error) {
	life, cancel := context.WithCancel(ctx)
	left := make(chan bool)
	time := time.Duration(s.random.ExpFloat64() * float64(connectionTime))
	go func() {
		select {
		case <-s.started:
			wait(life, time)
		case <-life.Done():
		}
		leaves := life.Err() == nil && !s.calm.Load()
		if leaves {
			cancel()
		}
		left <- leaves
	}()
	err = s.connect(life)
	cancel()
	return <-left, err
}

// wait waits, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var errBeginAnew = errors.New("the client begins anew")

func (s *subscriber) connect(ctx context.Context) error {
	node := s.nodes[s.random.IntN(len(s.nodes))]
	if !s.socket {
		return s.followEvents(ctx, node)
	}
	return s.followSocket(ctx, node)
}

// parameters are those of a feed's URL.
func (s *subscriber) parameters(f *feed, cursor string, snapshot bool) string {
	var parameters []string
	if len(f.tables) > 1 {
		names := make([]string, len(f.tables))
		for i, table := range f.tables {
			names[i] = resourceName(table)
		}
		parameters = append(parameters, "tables="+strings.Join(names, ","))
	}
	if f.filter.query != "" {
		for pair := range strings.SplitSeq(f.filter.query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			parameters = append(parameters, name+"="+url.QueryEscape(value))
		}
	}
	if cursor != "" {
		parameters = append(parameters, "since="+cursor)
	}
	if snapshot {
		parameters = append(parameters, "snapshot=true")
	}
	if len(parameters) == 0 {
		return ""
	}
	return "?" + strings.Join(parameters, "&")
}

func (s *subscriber) path(f *feed) string {
	if len(f.tables) > 1 {
		return "/subscribe"
	}
	return "/" + resourceName(f.tables[0]) + "/subscribe"
}

func (s *subscriber) followEvents(ctx context.Context, node *backend) error {
	f := s.feeds[0]
	cursor, snapshot := f.open()
	since, last := cursor, ""
	if s.random.IntN(2) == 0 {
		since, last = "", cursor
	}
	stream, err := openEvents(ctx, s.client, "http://"+node.address+s.path(f)+s.parameters(f, since, snapshot), s.who.token, last)
	if err != nil {
		return err
	}
	defer stream.body.Close() //nolint:errcheck // the client has seen enough
	for n := 0; ; n++ {
		e, err := stream.next()
		if err != nil {
			return err
		}
		if err := s.take(f, e); err != nil {
			return err
		}
		s.dawdle(ctx, n)
	}
}

func (s *subscriber) take(f *feed, e event) error {
	switch e.name {
	case "":
		var change struct {
			Table   string          `json:"table"`
			Event   string          `json:"event"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal([]byte(e.data), &change); err != nil {
			return err
		}
		f.change(change.Table, change.Event, change.Payload, e.id)
	case "ready":
		f.ready(e.id)
	case "snapshot-end":
		f.snapshotEnd(e.id)
	case "cursor":
		f.heartbeat(e.id)
	case "reset":
		var reset struct {
			Reason string `json:"reason"`
		}
		if err := json.Unmarshal([]byte(e.data), &reset); err != nil {
			return err
		}
		if !f.reset(reset.Reason, e.id) {
			return errBeginAnew
		}
	default:
		return fmt.Errorf("event %q: %s", e.name, e.data)
	}
	return nil
}

// dawdle is what makes a reader slow.
func (s *subscriber) dawdle(ctx context.Context, n int) {
	if s.slow && n%64 == 63 && !s.calm.Load() {
		wait(ctx, time.Duration(s.random.IntN(int(400*time.Millisecond))))
	}
}

func (s *subscriber) followSocket(ctx context.Context, node *backend) error {
	byID := map[string]*feed{}
	several := len(s.feeds) > 1
	path := "/subscribe"
	if !several {
		cursor, snapshot := s.feeds[0].open()
		path = s.path(s.feeds[0]) + s.parameters(s.feeds[0], cursor, snapshot)
		byID[""] = s.feeds[0]
	}
	socket, err := openSocket(ctx, node.address, path, s.who.token)
	if err != nil {
		return err
	}
	defer socket.close()
	if several {
		for i, f := range s.feeds {
			id := fmt.Sprint("feed", i)
			byID[id] = f
			if err := s.subscribe(socket, id, f); err != nil {
				return err
			}
		}
	}
	for n := 0; ; n++ {
		m, err := socket.next()
		if err != nil {
			return err
		}
		f := byID[m.ID]
		if f == nil {
			return fmt.Errorf("a message for %q: %+v", m.ID, m)
		}
		switch m.Type {
		case "change":
			f.change(m.Table, m.Event, m.Payload, m.Cursor)
		case "ready":
			f.ready(m.Cursor)
		case "snapshot_end":
			f.snapshotEnd(m.Cursor)
		case "cursor":
			f.heartbeat(m.Cursor)
		case "reset":
			if !f.reset(m.Reason, m.Cursor) {
				return errBeginAnew
			}
		default:
			return fmt.Errorf("message %q: %s", m.Type, m.Problem)
		}
		s.dawdle(ctx, n)
	}
}

func (s *subscriber) subscribe(socket *webSocket, id string, f *feed) error {
	cursor, snapshot := f.open()
	subscription := map[string]any{"id": id, "table": resourceName(f.tables[0]), "snapshot": snapshot}
	if f.filter.query != "" {
		subscription["filter"] = strings.TrimPrefix(s.parameters(&feed{tables: f.tables, filter: f.filter}, "", false), "?")
	}
	if cursor != "" {
		subscription["since"] = cursor
	}
	return socket.tell(map[string]any{"subscribe": subscription})
}
