// Package load sends HTTP requests over kept connections and measures the answers. Its client is a lean one, since it
// shares the processors with the server that it measures.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Response is what a server answered. Its body is valid until the connection's next request.
type Response struct {
	Status int
	Body   []byte
}

// answerTimeout bounds the wait for one answer.
const answerTimeout = 10 * time.Second

// Conn is a connection to an HTTP/1.1 server. It is used by one goroutine at a time.
type Conn struct {
	conn   net.Conn
	reader *bufio.Reader
	body   []byte
}

// Dial connects to a server.
func Dial(ctx context.Context, address string) (*Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, reader: bufio.NewReaderSize(conn, 32<<10)}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends a request, in the form in which it goes over the wire, and reads its answer. After an error the connection
// is of no further use.
func (c *Conn) Do(request []byte) (Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return Response{}, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return Response{}, fmt.Errorf("send: %w", err)
	}
	response, err := c.read()
	if err != nil {
		return Response{}, fmt.Errorf("read the answer: %w", err)
	}
	return response, nil
}

func (c *Conn) read() (Response, error) {
	line, err := c.line()
	if err != nil {
		return Response{}, err
	}
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, ok := decimal(code)
	if string(version) != "HTTP/1.1" || !ok {
		return Response{}, fmt.Errorf("unexpected status line %q", line)
	}
	length, chunked, err := c.header()
	if err != nil {
		return Response{}, err
	}
	c.body = c.body[:0]
	switch {
	case status == 204 || status == 304:
	case chunked:
		err = c.chunks()
	case length >= 0:
		err = c.take(length)
	default:
		err = errors.New("the answer has neither a length nor chunks")
	}
	return Response{Status: status, Body: c.body}, err
}

// header reads up to the empty line; the length is -1 where none is given.
func (c *Conn) header() (length int, chunked bool, err error) {
	length = -1
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return length, chunked, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, ok := decimal(value)
			if !ok {
				return 0, false, fmt.Errorf("unexpected length %q", value)
			}
			length = n
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close")):
			return 0, false, errors.New("the server does not keep the connection")
		}
	}
}

func (c *Conn) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("unexpected chunk size %q", line)
		}
		if err := c.take(int(size)); err != nil {
			return err
		}
		end, err := c.line()
		if err != nil {
			return err
		}
		if len(end) != 0 {
			return fmt.Errorf("unexpected %q after a chunk", end)
		}
		if size == 0 {
			return nil
		}
	}
}

// take appends n bytes to the body.
func (c *Conn) take(n int) error {
	start := len(c.body)
	for cap(c.body) < start+n {
		c.body = append(c.body[:cap(c.body)], 0)
	}
	c.body = c.body[:start+n]
	_, err := io.ReadFull(c.reader, c.body[start:])
	return err
}

// line reads a line, without its end; it is valid until the next read.
func (c *Conn) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// decimal reads a number of digits alone, below a thousand million.
func decimal(text []byte) (n int, ok bool) {
	if len(text) == 0 || len(text) > 9 {
		return 0, false
	}
	for _, digit := range text {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = n*10 + int(digit-'0')
	}
	return n, true
}
