package todo

import (
	"bytes"
	"strconv"

	"github.com/capebase/capebase/bench/internal/load"
)

// numbered begins the task of a row that Write wrote; the number follows.
const numbered = "buy oat milk, bread and a birthday card, change "

// Create makes a row of the user whose task says a number.
func (d *Data) Create(conn *load.Conn, user, number int) error {
	text := numbered + strconv.Itoa(number)
	return do(conn, d.API.Create(nil, d.Users[user].Token, text), func(r load.Response) error {
		return isRow(d.API, r, d.API.Statuses().Created, nil, text)
	})
}

// Update changes the first row of the user to one whose task says a number.
func (d *Data) Update(conn *load.Conn, user, number int) error {
	text, id := numbered+strconv.Itoa(number), d.IDs[user][0]
	return do(conn, d.API.Update(nil, d.Users[user].Token, id, text), func(r load.Response) error {
		return isRow(d.API, r, 200, id, text)
	})
}

func do(conn *load.Conn, request []byte, check func(load.Response) error) error {
	response, err := conn.Do(request)
	if err == nil {
		err = check(response)
	}
	return err
}

// Number reads the number from an event about a row that Create or Update wrote; ok is false for other events.
func Number(event []byte) (n int, ok bool) {
	_, rest, ok := bytes.Cut(event, []byte(numbered))
	digits, _, end := bytes.Cut(rest, []byte(`"`))
	n, err := strconv.Atoi(string(digits))
	return n, ok && end && err == nil
}
