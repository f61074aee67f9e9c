package apitest

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http/httptest"

	"pgregory.net/rapid"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
)

// stage is where a check of a property plays: a backend, and a second program on its database.
type stage struct {
	t      *rapid.T
	engine string
	cape   *capebase.Cape
	server *httptest.Server
	pool   *sql.DB
	ctx    context.Context
	end    context.CancelFunc
}

func openStage(rt *rapid.T, target dbtest.Target, declare func(c *capebase.Cape)) *stage {
	s := &stage{t: rt, engine: target.Engine}
	s.ctx, s.end = context.WithTimeout(context.Background(), livePatience)
	var err error
	s.cape, err = capebase.Open(engines.Of(target.URL), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		rt.Fatal(err)
	}
	s.cape.UseAuth(callers())
	declare(s.cape)
	if err := s.cape.Start(s.ctx); err != nil {
		rt.Fatal(err)
	}
	s.server = httptest.NewServer(s.cape)
	s.pool = openPlain(rt, target)
	return s
}

func (s *stage) close() {
	s.end()
	if s.pool != nil {
		_ = s.pool.Close() // the test's own
	}
	if err := s.cape.Close(); err != nil {
		s.t.Error(err)
	}
	s.server.Close()
}

// openPlain opens a target as a program would that knows nothing of CapeBase.
func openPlain(t rapid.TB, target dbtest.Target) *sql.DB {
	pool, err := engines.Plain(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}
