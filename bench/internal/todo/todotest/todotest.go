// Package todotest checks a server under test without measuring it.
package todotest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/todo"
)

// The size of the data that Check makes. Every connection needs users of its own, and lists need 20 rows.
const (
	Users       = 4
	rows        = 20
	connections = 2
)

// Check fills the server, checks its rules and asks for each scenario a few times.
func Check(ctx context.Context, handler http.Handler, api todo.API) (err error) {
	server := httptest.NewServer(handler)
	defer server.Close()
	conns := make([]*load.Conn, connections)
	for i := range conns {
		if conns[i], err = load.Dial(ctx, server.Listener.Addr().String()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conns[i].Close()) }()
	}
	data, err := todo.Seed(ctx, api, conns, Users, rows)
	if err != nil {
		return err
	}
	if err := todo.CheckRules(conns[0], data); err != nil {
		return err
	}
	for _, scenario := range todo.Scenarios() {
		works := make([]load.Work, connections)
		for i := range works {
			works[i] = scenario.Work(data, i, connections, 1)
		}
		if _, err := load.Run(ctx, conns, works, 50); err != nil {
			return fmt.Errorf("%s: %w", scenario.Name, err)
		}
		if err := load.Close(conns, works); err != nil {
			return fmt.Errorf("%s: %w", scenario.Name, err)
		}
	}
	return nil
}
