//go:build unix

package dbtest

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func eachPrivate(t *testing.T, config map[string]ServerConfig, test func(t *testing.T, engine string, server *Server)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []string{Postgres, MariaDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, engine, NewServer(t, engine, config[engine]))
		})
	}
}

func TestKilledServerKeepsWhatWasCommitted(t *testing.T) {
	eachPrivate(t, nil, func(t *testing.T, _ string, server *Server) {
		target := server.New(t)
		pool := openTarget(t, target)
		execute(t, pool, "CREATE TABLE todos (id integer PRIMARY KEY)", "INSERT INTO todos VALUES (1)")
		tx, err := pool.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO todos VALUES (2)"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			before := server.Pid()
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if server.Pid() != 0 || syscall.Kill(before, 0) == nil {
				t.Error("the server is still there after Kill")
			}
			if err := pool.PingContext(t.Context()); err == nil {
				t.Error("a killed server answers")
			}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			// The same URL goes on working: the pool is the one from before.
			if rows := ask[int](t, pool, "SELECT count(*) FROM todos"); rows != 1 {
				t.Errorf("%d rows after the crash, want the 1 that was committed", rows)
			}
		}
		if err := tx.Commit(); err == nil {
			t.Error("a transaction outlived its server")
		}
	})
}

func TestServerStopsAndRestarts(t *testing.T) {
	eachPrivate(t, nil, func(t *testing.T, _ string, server *Server) {
		target := server.New(t)
		execute(t, openTarget(t, target), "CREATE TABLE todos (id integer PRIMARY KEY)", "INSERT INTO todos VALUES (1)")
		before, url := server.Pid(), server.URL()
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if server.Pid() == before || server.URL() != url {
			t.Errorf("pid %d → %d, URL %s → %s: want another process at the same place", before, server.Pid(), url, server.URL())
		}
		pool := openTarget(t, target)
		if rows := ask[int](t, pool, "SELECT count(*) FROM todos"); rows != 1 {
			t.Errorf("%d rows after Restart", rows)
		}
		for range 2 {
			if err := server.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := pool.PingContext(t.Context()); err == nil {
			t.Error("a stopped server answers")
		}
		for range 2 {
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(server.dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory of a closed server: %v", err)
		}
	})
}

func TestServerIsUnlikeWhatCapeBaseNeedsAndTakesSettings(t *testing.T) {
	config := map[string]ServerConfig{
		Postgres: {Durable: true, Settings: map[string]string{"max_connections": "17"}},
		MariaDB:  {Durable: true, Settings: map[string]string{"max-connections": "17"}},
	}
	eachPrivate(t, config, func(t *testing.T, engine string, server *Server) {
		pool := openTarget(t, server.New(t))
		unlike := map[string]string{
			Postgres: "SELECT (timestamptz '2000-01-01 00:00:00+00')::text = '2000-01-01 05:30:00+05:30' AND 'a' < 'B'",
			MariaDB:  "SELECT from_unixtime(0) = '1970-01-01 05:30:00' AND 'alice' = 'ALICE '",
		}
		if !ask[bool](t, pool, unlike[engine]) {
			t.Errorf("no: %s", unlike[engine])
		}
		questions := map[string]string{
			Postgres: "SELECT concat(current_setting('max_connections'), ' ', current_setting('fsync'))",
			MariaDB:  "SELECT concat(@@max_connections, ' ', @@innodb_flush_log_at_trx_commit)",
		}
		want := map[string]string{Postgres: "17 on", MariaDB: "17 1"}
		if got := ask[string](t, pool, questions[engine]); got != want[engine] {
			t.Errorf("settings %q, want %q", got, want[engine])
		}
	})
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	for engine, setting := range map[string]string{Postgres: "no_such_setting", MariaDB: "no-such-setting"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server, err := Launch(t.Context(), engine, ServerConfig{Settings: map[string]string{setting: "1"}})
			if server != nil || err == nil || !strings.Contains(err.Error(), setting) {
				t.Fatalf("got %v, %v: want an error with the log's words about %s", server, err, setting)
			}
		})
	}
}

func TestPortTakenMeanwhile(t *testing.T) {
	eachPrivate(t, nil, func(t *testing.T, _ string, server *Server) {
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		var config net.ListenConfig
		thief, err := config.Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(server.port))
		if err != nil {
			t.Fatal(err)
		}
		// Clients know the port, so a restart must wait for it, and fail rather than go elsewhere.
		if err := server.Start(t.Context()); err == nil || !errors.Is(err, errExited) {
			t.Errorf("start on a taken port: %v", err)
		}
		if err := thief.Close(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
