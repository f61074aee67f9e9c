package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/users"
)

// Receipt is one change that came.
type Receipt struct {
	Number int // of the write
	At     time.Time
}

// subscriber is one connection. Its loop owns it, but others may look while no change is on its way.
type subscriber struct {
	group    *Group
	user     int
	name     []byte // the user's ID as it is in events
	conn     net.Conn
	lines    *bufio.Reader
	last     []int // number of the last change of each writer
	count    int   // of changes
	bytes    int   // of their events
	receipts []Receipt
}

// The buffers hold an event; there are many of them.
const buffer = 1 << 10

// dial connects and waits until the server listens for changes.
func (g *Group) dial(ctx context.Context, address string, api todo.API, number int, user users.User) (*subscriber, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &subscriber{group: g, user: number, name: []byte(`"` + user.ID + `"`), conn: conn, last: slices.Repeat([]int{-1}, g.writers)}
	first, err := s.open(api.Subscribe(nil, user.Token))
	if joiner, ok := api.(todo.Joiner); ok && err == nil {
		err = join(ctx, address, joiner.Join(nil, user.Token, first))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// join sends the request that a stream needs beside it.
func join(ctx context.Context, address string, request []byte) (err error) {
	conn, err := load.Dial(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	response, err := conn.Do(request)
	if err == nil && response.Status != http.StatusNoContent {
		err = fmt.Errorf("want 204, got %d: %.500s", response.Status, response.Body)
	}
	return err
}

// open sends the request and reads the first event, of which it returns the data.
func (s *subscriber) open(request []byte) (first []byte, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := s.conn.Write(request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(s.conn, buffer), nil) //nolint:bodyclose // it is the connection's
	if err != nil {
		return nil, err
	}
	s.lines = bufio.NewReaderSize(response.Body, buffer)
	if response.StatusCode != http.StatusOK {
		text, _ := s.lines.Peek(buffer)
		return nil, fmt.Errorf("want 200, got %d: %s", response.StatusCode, text)
	}
	for {
		line, err := s.lines.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) == 1 {
			return first, s.conn.SetDeadline(time.Time{})
		}
		if bytes.HasPrefix(line, []byte("data:")) {
			first = bytes.Clone(line)
		}
	}
}

// listen takes changes until the connection ends.
func (s *subscriber) listen() {
	for {
		if err := s.event(); err != nil {
			s.group.fail(fmt.Errorf("subscriber for %s: %w", s.name, err))
			return
		}
	}
}

// event reads one, and notes it when it is a change.
func (s *subscriber) event() error {
	change, size := true, 0
	for {
		line, err := s.lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		size += len(line)
		switch {
		case len(line) == 1:
			if change {
				s.bytes += size
				s.group.took()
			}
			return nil
		case bytes.HasPrefix(line, []byte("event:")): // changes have no name, or that of the subscription
			switch string(bytes.TrimSpace(line[len("event:"):])) {
			case "todos/*":
			case "cursor":
				change = false
			default:
				return fmt.Errorf("unexpected %q", line)
			}
		case change && bytes.HasPrefix(line, []byte("data:")):
			if change, err = s.note(line); err != nil {
				return err
			}
		}
	}
}

// note checks that the change is the next one that is for the subscriber. Those that filled the table may still be on
// their way at first: they are not counted.
func (s *subscriber) note(data []byte) (counts bool, err error) {
	number, ok := todo.Number(data)
	switch {
	case !ok && s.count == 0:
		return false, nil
	case !ok:
		return false, fmt.Errorf("unexpected event %.500s", data)
	case number <= s.last[number%len(s.last)]:
		return false, fmt.Errorf("change %d came after %d", number, s.last[number%len(s.last)])
	case !s.group.public && !bytes.Contains(data, s.name):
		return false, fmt.Errorf("another user's change came: %.500s", data)
	}
	s.last[number%len(s.last)] = number
	s.count++
	s.receipts = append(s.receipts, Receipt{number, time.Now()})
	return true, nil
}
