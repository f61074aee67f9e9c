// Package todotest checks a server under test without measuring it.
package todotest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/todo"
)

// The size of the data that Run makes. Every connection needs users of its own, and lists need 20 rows.
const (
	Users       = 4
	rows        = 20
	connections = 2
)

// Run fills the server, checks its rules and asks for each scenario a few times.
func Run(t *testing.T, handler http.Handler, api todo.API) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	conns := make([]*load.Conn, connections)
	for i := range conns {
		var err error
		if conns[i], err = load.Dial(t.Context(), server.Listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conns[i].Close(); err != nil {
				t.Error(err)
			}
		})
	}
	data, err := todo.Seed(t.Context(), api, conns, Users, rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := todo.CheckRules(conns[0], data); err != nil {
		t.Fatal(err)
	}
	for _, scenario := range todo.Scenarios() {
		works := make([]load.Work, connections)
		for i := range works {
			works[i] = scenario.Work(data, i, connections, 1)
		}
		if _, err := load.Run(t.Context(), conns, works, 50); err != nil {
			t.Fatalf("%s: %v", scenario.Name, err)
		}
		if err := load.Close(conns, works); err != nil {
			t.Fatalf("%s: %v", scenario.Name, err)
		}
	}
}
