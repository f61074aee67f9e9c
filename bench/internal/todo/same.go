package todo

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/capebase/capebase/bench/internal/load"
)

// CheckRules asks for what a server must refuse: a server that does less work is not measured against one that does
// it all. It wants data of at least two users.
func CheckRules(conn *load.Conn, d *Data) error {
	mine, other := d.Users[0].Token, d.IDs[1][0]
	const text = "not mine"
	want := d.API.Statuses()
	for _, each := range []struct {
		what    string
		request []byte
		status  int
	}{
		{"a token that nobody has", d.API.ReadOne(nil, "nobody", d.IDs[0][0]), want.BadToken},
		{"another user's row", d.API.ReadOne(nil, mine, other), want.Missing},
		{"a change of another user's row", d.API.Update(nil, mine, other, text), want.Missing},
		{"a row that does not exist", d.API.ReadOne(nil, mine, []byte("999999999")), want.Missing},
		{"an empty task", d.API.Create(nil, mine, ""), want.Invalid},
		{"a change to an empty task", d.API.Update(nil, mine, d.IDs[0][0], ""), want.Invalid},
		{"an unknown field", body(d.API.Create(nil, mine, text), `{"task":"x","is_complete":false,"owner":1}`), want.Unknown},
		{"another user's name", body(d.API.Create(nil, mine, text), `{"task":"x","is_complete":false,"user_id":"`+d.Users[1].ID+`"}`), want.Foreign},
		{"half a body", body(d.API.Create(nil, mine, text), `{"task":"x`), want.Malformed},
	} {
		if each.status == 0 {
			continue
		}
		response, err := conn.Do(each.request)
		if err != nil {
			return fmt.Errorf("%s: %w", each.what, err)
		}
		if response.Status != each.status {
			return fmt.Errorf("%s: want %d, got %d: %.500s", each.what, each.status, response.Status, response.Body)
		}
	}
	response, err := conn.Do(d.API.ReadOne(nil, d.Users[1].Token, other))
	if err != nil {
		return err
	}
	if bytes.Contains(response.Body, []byte(text)) {
		return fmt.Errorf("another user's change was written: %.500s", response.Body)
	}
	return isRow(d.API, response, 200, other, "")
}

// body replaces a request's body.
func body(request []byte, with string) []byte {
	head, _, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	head = head[:bytes.LastIndex(head, []byte(" "))+1] // the length comes last
	head = strconv.AppendInt(head, int64(len(with)), 10)
	return append(append(head, "\r\n\r\n"...), with...)
}
