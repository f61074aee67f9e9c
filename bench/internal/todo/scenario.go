package todo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/users"
)

// Data is what a server was filled with.
type Data struct {
	API   API
	Users []users.User
	IDs   [][][]byte // the ids of each user's rows
}

// Scenario is one kind of request.
type Scenario struct {
	Name string
	// Goal is the most processor time that CapeBase may use, as a multiple of the hand-written server's; 0: there is none.
	Goal float64
	// Usual is the multiple that it uses at present: bench-check fails where that grows by a tenth. Lower it with each
	// improvement to what bench-check prints, or a later loss as great goes unnoticed. 0: it is not checked.
	Usual float64
	// Work makes the work of one connection of several. Equal seeds give equal requests.
	Work func(d *Data, connection, connections int, seed uint64) load.Work
}

// Inserter is work that makes rows.
type Inserter interface {
	load.Work
	// Inserted is how many rows it has made.
	Inserted() int
}

// listed is the number of rows that a list asks for.
const listed = 20

// Scenarios lists what is measured, in the order in which it is.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "read-one", Goal: 1.1, Usual: 1.2, Work: func(d *Data, connection, connections int, seed uint64) load.Work {
			return &readOne{base: newBase(d, connection, connections, seed)}
		}},
		{Name: "list-20", Goal: 0.9, Usual: 0.72, Work: func(d *Data, connection, connections int, seed uint64) load.Work {
			return &list{base: newBase(d, connection, connections, seed)}
		}},
		{Name: "create", Goal: 1.6, Usual: 1.3, Work: func(d *Data, connection, connections int, seed uint64) load.Work {
			return &create{base: newBase(d, connection, connections, seed)}
		}},
		{Name: "update", Goal: 1.9, Usual: 1.25, Work: func(d *Data, connection, connections int, seed uint64) load.Work {
			return &update{base: newBase(d, connection, connections, seed)}
		}},
		{Name: "mixed", Work: func(d *Data, connection, connections int, seed uint64) load.Work {
			return newMixed(newBase(d, connection, connections, seed))
		}},
	}
}

// base is what all work has. Each connection speaks for users of its own, so that no other connection changes the row
// that it has just written.
type base struct {
	data        *Data
	connection  int
	connections int
	random      *rand.Rand
	number      uint64
}

func newBase(d *Data, connection, connections int, seed uint64) base {
	random := rand.New(rand.NewPCG(seed, uint64(connection))) //nolint:gosec // nothing is kept secret by it
	return base{data: d, connection: connection, connections: connections, random: random}
}

// user picks one of the connection's users.
func (w *base) user() int {
	mine := (len(w.data.Users) - w.connection + w.connections - 1) / w.connections
	return w.connection + w.connections*w.random.IntN(mine)
}

// row picks one of the connection's rows.
func (w *base) row() (token string, id []byte) {
	user := w.user()
	ids := w.data.IDs[user]
	return w.data.Users[user].Token, ids[w.random.IntN(len(ids))]
}

// task makes a text that no other request has.
func (w *base) task() string {
	w.number++
	return fmt.Sprintf("water the plants on the %016x. floor (%d.%d)", w.random.Uint64(), w.connection, w.number)
}

type readOne struct {
	base
	id []byte
}

func (w *readOne) Next(b []byte) []byte {
	token, id := w.row()
	w.id = id
	return w.data.API.ReadOne(b, token, id)
}

func (w *readOne) Check(r load.Response) error { return isRow(w.data.API, r, 200, w.id, "") }

type list struct{ base }

func (w *list) Next(b []byte) []byte {
	return w.data.API.List(b, w.data.Users[w.user()].Token, listed)
}

func (w *list) Check(r load.Response) error {
	if rows := w.data.API.Rows(r.Body); r.Status != 200 || rows != listed {
		return fmt.Errorf("want 200 with %d rows, got %d with %d: %.500s", listed, r.Status, rows, r.Body)
	}
	return nil
}

type create struct {
	base
	text string
	made int
}

func (w *create) Next(b []byte) []byte {
	w.text = w.task()
	return w.data.API.Create(b, w.data.Users[w.user()].Token, w.text)
}

func (w *create) Check(r load.Response) error {
	w.made++
	return isRow(w.data.API, r, w.data.API.Statuses().Created, nil, w.text)
}

func (w *create) Inserted() int { return w.made }

type update struct {
	base
	token, text string
	id          []byte
}

func (w *update) Next(b []byte) []byte {
	w.token, w.id = w.row()
	w.text = w.task()
	return w.data.API.Update(b, w.token, w.id, w.text)
}

func (w *update) Check(r load.Response) error { return isRow(w.data.API, r, 200, w.id, w.text) }

// Last reads the last change back.
func (w *update) Last(b []byte) []byte {
	if w.id == nil {
		return b
	}
	return w.data.API.ReadOne(b, w.token, w.id)
}

func (w *update) CheckLast(r load.Response) error { return isRow(w.data.API, r, 200, w.id, w.text) }

// isRow wants an answer with one row, with the id unless it is nil, and with the text.
func isRow(api API, r load.Response, status int, id []byte, text string) error {
	got := api.ID(r.Body)
	if r.Status != status || len(got) == 0 || id != nil && !bytes.Equal(got, id) || !bytes.Contains(r.Body, []byte(text)) {
		return fmt.Errorf("want %d with id %s and %q, got %d: %.500s", status, orAny(id), text, r.Status, r.Body)
	}
	return nil
}

func orAny(id []byte) string {
	if id == nil {
		return "any"
	}
	return strconv.Quote(string(id))
}
