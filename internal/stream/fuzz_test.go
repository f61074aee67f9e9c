package stream

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/internal/problem"
)

// Any URL and cursor open a stream or give a 4xx problem.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ path, query, last string }{
		{"/todo/subscribe", "task=like.*x*&or=(id.lt.10,not.and(user_id.is.null,id.in.(1,2)))", ""},
		{"/todo/subscribe", "since=v1.e1.0.0.0&snapshot=true", "v1.e1.9223372036854775807.1.1"},
		{"/subscribe", "tables=todo,memo&snapshot=false", "\x00"},
		{"/subscribe", "tables=%2c&;=&token=%zz", "v1.e1.-1.-7.0"},
		{"/memo/subscribe", "auth=message&access_token=x", ""},
	} {
		f.Add(seed.path == "/subscribe", seed.query, seed.last)
	}
	b := newBed(f, limits(func(l *Limits) { l.StreamsEach = 10_000 }))
	b.store.put(todos, values(1, "alice", "milk", ""))
	f.Fuzz(func(t *testing.T, many bool, raw, last string) {
		path := "/todo/subscribe"
		if many {
			path = "/subscribe"
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := httptest.NewRequest(http.MethodGet, path, nil).WithContext(ctx)
		r.URL = &url.URL{Path: path, RawQuery: raw}
		r.Header["Last-Event-Id"] = []string{last}
		w := &recorder{endingWriter: endingWriter{header: http.Header{}, end: cancel, at: 2}}
		b.http.Config.Handler.ServeHTTP(w, r)
		if w.status >= 500 || w.status >= 300 && w.status < 400 {
			t.Errorf("%d for %q %q", w.status, raw, last)
		}
	})
}

// recorder notes the status.
type recorder struct {
	endingWriter
	status int
}

func (w *recorder) WriteHeader(status int) { w.status = status }

// Any message of a WebSocket client is followed, or answered with a 4xx problem.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"auth":{"token":"alice"}}`, `{"subscribe":{"id":"a","table":"todo","filter":"id=eq.1","since":"x","snapshot":true}}`,
		`{"unsubscribe":{"id":"a"}}`, `{"subscribe":{"id":"\u0000"}}`, `{"subscribe":null}`, `[[[[`, "\xff", `{"subscribe":{"id":1e999}}`,
	} {
		f.Add([]byte(seed))
	}
	b := newBed(f)
	k := &socket{server: b.Server}
	f.Fuzz(func(t *testing.T, data []byte) {
		switch m := k.parse(websocket.MessageText, data).(type) {
		case wrongMessage:
			var p *problem.Error
			if !errors.As(m.err, &p) || p.Status >= 500 || p.Status < 400 {
				t.Errorf("%q gives %v", data, m.err)
			}
			if len(m.id) > 4*maxID {
				t.Errorf("%q is repeated", m.id)
			}
		case subscribeMessage:
			if !validID(m.id) || m.table == "" || strings.ContainsRune(m.filter, 0) {
				t.Errorf("%q gives %+v", data, m)
			}
		}
	})
}

// A socket survives whatever its client sends, or closes for a reason of the protocol.
func FuzzSocket(f *testing.F) {
	f.Add([]byte("\x81\x85\x00\x00\x00\x00hello"))
	f.Add([]byte("\x82\x80\x00\x00\x00\x00"))
	f.Add([]byte("\x88\x82\x00\x00\x00\x00\x03\xe8\x89\x80\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x80\x00\x00\x00\x00\x80\x80\x00\x00\x00\x00"))
	f.Add([]byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte("\xf1\x00"))
	b := newBed(f, piped, limits(func(l *Limits) { l.Drain = 10 * time.Millisecond; l.StreamsEach = 10_000 }))
	f.Fuzz(func(t *testing.T, frames []byte) {
		conn := b.upgrade(t)
		_ = conn.SetDeadline(time.Now().Add(patience))
		written := make(chan struct{})
		go func() {
			defer close(written)
			// The server may close before it has read all. A frame of the fuzzer's may have no end.
			_, _ = conn.Write(frames)
			_, _ = conn.Write([]byte("\x88\x82\x00\x00\x00\x00\x03\xe8"))
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		}()
		var buffer [1 << 10]byte
		for {
			if _, err := conn.Read(buffer[:]); err != nil {
				break
			}
		}
		_ = conn.Close()
		<-written
		eventually(t, "the socket is gone", func() bool { return b.Streams() == 0 })
	})
}

// upgrade opens a WebSocket by hand.
func (b *bed) upgrade(t testing.TB) net.Conn {
	t.Helper()
	transport := b.user.Transport.(*http.Transport)
	conn, err := transport.DialContext(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := httptest.NewRequest(http.MethodGet, "/subscribe", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", response, err)
	}
	return conn
}
