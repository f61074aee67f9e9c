package stream

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/internal/problem"
)

// message is what a WebSocket client gets.
type message struct {
	Type    string         `json:"type"`
	ID      string         `json:"id"`
	Cursor  string         `json:"cursor"`
	Reason  string         `json:"reason"`
	Problem *problem.Error `json:"problem"`
	change
}

// client is one end of a WebSocket.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
	// pings counts those that came while a message was awaited.
	pings *atomic.Int32
}

func (b *bed) dial(path, token string, headers ...string) *client {
	b.t.Helper()
	c, response := b.tryDial(path, token, headers...)
	if c == nil {
		b.t.Fatalf("no WebSocket at %s: %s", path, response.Status)
	}
	return c
}

func (b *bed) tryDial(path, token string, headers ...string) (*client, *http.Response) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	o := &websocket.DialOptions{HTTPHeader: http.Header{}, HTTPClient: b.user, Subprotocols: []string{subprotocol}}
	if token != "" {
		o.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		o.HTTPHeader.Set(headers[i], headers[i+1])
	}
	pings := &atomic.Int32{}
	o.OnPingReceived = func(context.Context, []byte) bool {
		pings.Add(1)
		return true
	}
	conn, response, err := websocket.Dial(ctx, b.url+path, o)
	if err != nil {
		if response == nil {
			b.t.Fatal(err)
		}
		return nil, response
	}
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	if got := conn.Subprotocol(); got != subprotocol {
		b.t.Errorf("subprotocol %q", got)
	}
	return &client{b.t, conn, ctx, pings}, response
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() message {
	c.t.Helper()
	kind, data, err := c.conn.Read(c.ctx)
	if err != nil {
		c.t.Fatalf("expected a message: %v", err)
	}
	if kind != websocket.MessageText || bytes.ContainsAny(data, "\r\n") {
		c.t.Errorf("%v %q", kind, data)
	}
	return decode[message](c.t, string(data))
}

func (c *client) expect(kind, id string) message {
	c.t.Helper()
	for {
		m := c.next()
		if m.Type == kind && m.ID == id {
			return m
		}
		if m.Type != "cursor" {
			c.t.Fatalf("expected %s %s, got %+v", kind, id, m)
		}
	}
}

func (c *client) change(id, table, event, payload string) message {
	c.t.Helper()
	m := c.expect("change", id)
	if m.Table != table || m.Event != event || string(m.Payload) != payload || m.Cursor == "" || m.Timestamp.IsZero() {
		c.t.Fatalf("expected %s %s %s, got %+v", table, event, payload, m)
	}
	return m
}

// problem expects one with a code, about a place.
func (c *client) problem(id, code, location string) {
	c.t.Helper()
	m := c.expect("problem", id)
	if m.Problem == nil || m.Problem.Code != code || m.Problem.Status != problem.Status(code) || m.Problem.RequestID != "request-1" ||
		location != "" && (len(m.Problem.Errors) == 0 || m.Problem.Errors[0].Location != location) {
		c.t.Fatalf("expected %s at %q, got %+v", code, location, m.Problem)
	}
}

// closed expects the server to close with a code.
func (c *client) closed(code websocket.StatusCode) {
	c.t.Helper()
	for {
		_, data, err := c.conn.Read(c.ctx)
		if err == nil && strings.HasPrefix(string(data), `{"type":"cursor"`) {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			c.t.Fatalf("expected close code %d, got %s %v", code, data, err)
		}
		return
	}
}
