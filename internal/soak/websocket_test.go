package soak

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// The opcodes of RFC 6455 that are used.
const (
	opContinuation = 0
	opText         = 1
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// closeError is a close frame of the server's.
type closeError struct {
	code   int
	reason string
}

func (e *closeError) Error() string { return fmt.Sprintf("closed with %d: %s", e.code, e.reason) }

// webSocket is a client of RFC 6455, as far as the protocol of streams needs one.
type webSocket struct {
	conn  net.Conn
	input *bufio.Reader
	write sync.Mutex
	stop  func() bool
}

// openSocket opens a WebSocket; it ends with the context.
func openSocket(ctx context.Context, address, path, token string) (_ *webSocket, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &webSocket{conn: conn, input: bufio.NewReaderSize(conn, 4<<10)}
	s.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // which is what ends reads
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	authorize(r.Header, token)
	nonce := base64.StdEncoding.EncodeToString(key)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": nonce, "Sec-WebSocket-Protocol": "capebase.v1",
	} {
		r.Header.Set(name, value)
	}
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(s.input, r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // what there is of it is told
		return nil, &statusError{answer.StatusCode, string(text)}
	}
	sum := sha1.Sum([]byte(nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got, want := answer.Header.Get("Sec-WebSocket-Accept"), base64.StdEncoding.EncodeToString(sum[:]); got != want {
		return nil, fmt.Errorf("Sec-WebSocket-Accept: %q, want %q", got, want)
	}
	if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "capebase.v1" {
		return nil, fmt.Errorf("Sec-WebSocket-Protocol: %q", got)
	}
	return s, nil
}

func (s *webSocket) close() {
	s.stop()
	_ = s.conn.Close() // a client that is cut off does no more
}

// message is what the server sends.
type message struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Cursor  string          `json:"cursor"`
	Table   string          `json:"table"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
	Reason  string          `json:"reason"`
	Problem json.RawMessage `json:"problem"`
}

// next reads a message and answers pings.
func (s *webSocket) next() (message, error) {
	var text []byte
	for {
		opcode, final, content, err := s.frame()
		if err != nil {
			return message{}, err
		}
		switch opcode {
		case opPing:
			if err := s.send(opPong, content); err != nil {
				return message{}, err
			}
		case opClose:
			code := 1005
			if len(content) >= 2 {
				code, content = int(binary.BigEndian.Uint16(content)), content[2:]
			}
			return message{}, &closeError{code, string(content)}
		case opText, opContinuation:
			text = append(text, content...)
			if !final {
				continue
			}
			var m message
			if err := json.Unmarshal(text, &m); err != nil {
				return message{}, fmt.Errorf("%w: %q", err, text)
			}
			return m, nil
		}
	}
}

func (s *webSocket) frame() (opcode byte, final bool, content []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(s.input, head[:2]); err != nil {
		return 0, false, nil, err
	}
	opcode, final = head[0]&0x0f, head[0]&0x80 != 0
	if head[0]&0x70 != 0 || head[1]&0x80 != 0 {
		return 0, false, nil, errors.New("a frame with reserved bits or a mask")
	}
	size := uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(s.input, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(s.input, head[:8])
		size = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return 0, false, nil, err
	}
	if size > 16<<20 {
		return 0, false, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	content = make([]byte, size)
	_, err = io.ReadFull(s.input, content)
	return opcode, final, content, err
}

// send writes a frame, masked as clients must.
func (s *webSocket) send(opcode byte, content []byte) error {
	frame := []byte{0x80 | opcode}
	switch {
	case len(content) < 126:
		frame = append(frame, 0x80|byte(len(content)))
	case len(content) < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(content)))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(len(content)))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // it never fails
	frame = append(frame, mask[:]...)
	for i, b := range content {
		frame = append(frame, b^mask[i%len(mask)])
	}
	s.write.Lock()
	defer s.write.Unlock()
	_, err := s.conn.Write(frame)
	return err
}

// tell sends a message.
func (s *webSocket) tell(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(opText, text)
}
