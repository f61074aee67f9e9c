package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// event is a server-sent event.
type event struct{ name, id, data string }

// eventStream reads server-sent events.
type eventStream struct {
	body  io.Closer
	lines *bufio.Reader
}

// statusError is an answer that is no stream.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

// streamClient makes a client whose connections are one stream's each; buffer bounds what the system receives for a
// client that does not read, 0: as the system likes.
func streamClient(buffer int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, ReadBufferSize: 4 << 10,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if tcp, ok := conn.(*net.TCPConn); ok && buffer > 0 {
				err = errors.Join(err, tcp.SetReadBuffer(buffer))
			}
			return conn, err
		},
	}}
}

// openEvents opens an event stream; it ends with the context.
func openEvents(ctx context.Context, client *http.Client, url, token, last string) (*eventStream, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream")
	authorize(r.Header, token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // what there is of it is told
		return nil, errors.Join(&statusError{answer.StatusCode, string(text)}, answer.Body.Close())
	}
	return &eventStream{answer.Body, bufio.NewReaderSize(answer.Body, 4<<10)}, nil
}

// next reads an event; comments are left out.
func (s *eventStream) next() (event, error) {
	var e event
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			if e != (event{}) {
				return e, nil
			}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.data += value
		}
	}
}
