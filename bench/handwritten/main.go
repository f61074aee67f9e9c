// Command handwritten is the todo server that CapeBase is measured against: what a careful engineer writes by hand with
// net/http, database/sql and encoding/json. It has the same routes, the same table and index, the same driver with the
// same settings, and the same rule: a caller sees and changes only rows of their own.
//
// It keeps no journal, computes no ETag and has no filters, and its live stream sends everything to everybody.
package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/users"
)

func main() { child.Main(open) }

func open(ctx context.Context, c child.Config) (http.Handler, func() error, error) {
	s, err := openStore(ctx, c.Database, c.Durable)
	if err != nil {
		return nil, nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return newServer(s, users.ByToken(c.Users)), s.Close, nil
}
