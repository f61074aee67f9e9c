package todo

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/capebase/capebase/bench/internal/load"
)

// Seed makes rows for each of n users through the API, so that they are what the server itself writes.
func Seed(ctx context.Context, api API, conns []*load.Conn, n, rows int) (*Data, error) {
	d := &Data{API: api, Users: api.Users(n), IDs: make([][][]byte, n)}
	for i := range d.IDs {
		d.IDs[i] = make([][]byte, rows)
	}
	var next atomic.Int64
	works := make([]load.Work, len(conns))
	for i := range works {
		works[i] = &seed{data: d, next: &next}
	}
	if _, err := load.Run(ctx, conns, works, n*rows); err != nil {
		return nil, fmt.Errorf("fill the table: %w", err)
	}
	return d, nil
}

// seed makes the rows that no other connection has made yet, user by user.
type seed struct {
	data *Data
	next *atomic.Int64
	row  int
}

func (w *seed) Next(b []byte) []byte {
	w.row = int(w.next.Add(1)) - 1
	task := fmt.Sprintf("todo %06d: buy oat milk, bread and a birthday card", w.row)
	return w.data.API.Create(b, w.data.Users[w.row%len(w.data.Users)].Token, task)
}

func (w *seed) Check(r load.Response) error {
	if err := isRow(w.data.API, r, w.data.API.Statuses().Created, nil, ""); err != nil {
		return err
	}
	n := len(w.data.Users)
	w.data.IDs[w.row%n][w.row/n] = bytes.Clone(w.data.API.ID(r.Body))
	return nil
}
