// Package todo holds what the servers under test are asked.
package todo

import (
	"bytes"
	"strconv"
)

// API writes requests as one kind of server wants them and reads its answers. Methods that write append to b.
type API interface {
	ReadOne(b []byte, token string, id []byte) []byte
	List(b []byte, token string, limit int) []byte
	Create(b []byte, token, task string) []byte
	Update(b []byte, token string, id []byte, task string) []byte
	// Subscribe asks for the changes of the rows that the user may read, as server-sent events.
	Subscribe(b []byte, token string) []byte
	// ID is the id in the answer that holds one row, or nil.
	ID(body []byte) []byte
	// Rows is the number of rows in a list's answer.
	Rows(body []byte) int
}

// REST is the API that CapeBase generates for a Todo, and that the hand-written server has too.
type REST struct{}

// ReadOne asks for a row.
func (REST) ReadOne(b []byte, token string, id []byte) []byte {
	b = append(b, "GET /todo/"...)
	b = append(b, id...)
	return end(b, token, nil)
}

// List asks for the first rows.
func (REST) List(b []byte, token string, limit int) []byte {
	b = append(b, "GET /todo?limit="...)
	b = strconv.AppendInt(b, int64(limit), 10)
	return end(b, token, nil)
}

// Create makes a row.
func (REST) Create(b []byte, token, task string) []byte {
	b = append(b, "POST /todo"...)
	return end(b, token, []byte(`{"task":"`+task+`","is_complete":false}`))
}

// Update changes a row.
func (REST) Update(b []byte, token string, id []byte, task string) []byte {
	b = append(b, "PATCH /todo/"...)
	b = append(b, id...)
	return end(b, token, []byte(`{"task":"`+task+`"}`))
}

// Subscribe opens a stream.
func (REST) Subscribe(b []byte, token string) []byte {
	return end(append(b, "GET /todo/subscribe"...), token, nil)
}

// end writes what follows a request's path.
func end(b []byte, token string, body []byte) []byte {
	b = append(b, " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "...)
	b = append(b, token...)
	if body != nil {
		b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

const idMember = `"id":`

// ID reads the id of a row.
func (REST) ID(body []byte) []byte {
	_, rest, ok := bytes.Cut(body, []byte(idMember))
	if !ok {
		return nil
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	return rest[:digits]
}

// Rows counts the rows of a list.
func (REST) Rows(body []byte) int { return bytes.Count(body, []byte(idMember)) }
