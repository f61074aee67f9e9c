// Package todo holds what the servers under test are asked.
package todo

import (
	"bytes"
	"strconv"

	"github.com/capebase/capebase/bench/internal/users"
)

// API writes requests as one kind of server wants them and reads its answers. Methods that write append to b.
type API interface {
	// Users makes the callers that the server knows.
	Users(n int) []users.User
	// Statuses tells how it answers what it does, and what it refuses.
	Statuses() Statuses
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

// Joiner is an API that needs another request once a stream has begun; first is the data of its first event.
type Joiner interface {
	Join(b []byte, token string, first []byte) []byte
}

// Statuses are HTTP statuses; 0 is what the server does not refuse.
type Statuses struct {
	Created   int
	BadToken  int // a token that nobody has
	Missing   int // a row that is not there, or not the caller's
	Invalid   int // a value that the rules for it do not allow
	Unknown   int // a field that there is not
	Foreign   int // another user's name in a row
	Malformed int // half a body
}

// REST is the API that CapeBase generates for a Todo, and that the hand-written server has too.
type REST struct{}

// Users makes the callers.
func (REST) Users(n int) []users.User { return users.Make(n) }

// Statuses tells how it answers.
func (REST) Statuses() Statuses {
	return Statuses{Created: 201, BadToken: 401, Missing: 404, Invalid: 422, Unknown: 422, Foreign: 403, Malformed: 400}
}

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
