package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Follow opens a stream, reads the event that begins it and so many changes, and hangs up. It returns the last cursor that
// came, and how many changes; a stream that begins with a reset is an error.
func Follow(ctx context.Context, address string, request []byte, changes int) (cursor string, got int, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", 0, err
	}
	if _, err := conn.Write(request); err != nil {
		return "", 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // it is the connection's
	if err != nil {
		return "", 0, err
	}
	if response.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("want 200, got %d", response.StatusCode)
	}
	lines, ready, named := bufio.NewReader(response.Body), false, false
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return "", 0, err
		}
		switch line = bytes.TrimSpace(line); {
		case bytes.HasPrefix(line, []byte("id: ")):
			cursor = string(line[len("id: "):])
		case bytes.HasPrefix(line, []byte("event: reset")):
			return "", 0, errors.New("the stream was reset")
		case bytes.HasPrefix(line, []byte("event: ")):
			named = true
			ready = ready || string(line) == "event: ready"
		case bytes.HasPrefix(line, []byte("data: ")) && !named:
			got++
		case len(line) == 0:
			if named = false; ready && got >= changes {
				return cursor, got, nil
			}
		}
	}
}
