package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/server"
	"github.com/capebase/capebase/internal/dbtest"
)

// asChild makes the test program a server of package child.
const asChild = "CAPEBASE_BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		child.Main(func(_ context.Context, c child.Config) (http.Handler, func() error, error) {
			if c.Database == "" {
				return nil, nil, fmt.Errorf("no database")
			}
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, "%s for %d", c.Database, c.Users)
				for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
					runtime.Gosched() // keep the processor busy
				}
			}), func() error { return nil }, nil
		})
		return
	}
	dbtest.Main(m)
}

func TestProcess(t *testing.T) {
	t.Setenv(asChild, "1")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	profile := t.TempDir() + "/cpu.pprof"
	p, err := server.Start(t.Context(), program, "-database", "sqlite:x", "-users", "3", "-profile", profile)
	if err != nil {
		t.Fatal(err)
	}
	before, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + p.Address)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	if string(body) != "sqlite:x for 3" {
		t.Errorf("got %q", body)
	}
	after, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	if used := after - before; used <= 0 {
		t.Errorf("it was busy for 20 ms, but used %s", used)
	}
	for range 2 {
		if m, err := p.Memory(); err != nil || m.InUse < 100_000 || m.Goroutines < 3 {
			t.Errorf("got %+v, %v", m, err)
		}
	}
	if a, err := p.Allocations(); err != nil || a.Objects < 100 || a.Bytes < 10_000 {
		t.Errorf("got %+v, %v", a, err)
	}
	if err := p.ResetPeak(); err != nil {
		t.Error(err)
	}
	if peak, err := p.Peak(); err != nil || peak < 1<<20 || peak > 1<<30 {
		t.Errorf("got a peak of %d bytes, %v", peak, err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := p.Peak(); err == nil {
		t.Error("want an error once the process is gone")
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("want a profile, got %v", err)
	}
	if _, err := p.CPU(); err == nil {
		t.Error("want an error once the process is gone")
	}
}

func TestStartOfWhatDoesNotServe(t *testing.T) {
	t.Setenv(asChild, "1")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context(), program); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v", err)
	}
}

func TestFreshOnSQLite(t *testing.T) {
	d, err := server.Fresh(t.Context(), "sqlite", "/somewhere", "it")
	if err != nil || d.URL != "sqlite:/somewhere/it.db" {
		t.Fatalf("got %v, %v", d, err)
	}
	if err := d.Drop(); err != nil {
		t.Error(err)
	}
}

func TestFreshOnServers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine == dbtest.SQLite {
			return
		}
		d, err := server.Fresh(t.Context(), target.URL, "", "it")
		if err != nil {
			t.Fatal(err)
		}
		if d.URL == target.URL || server.Kind(d.URL) != server.Kind(target.URL) {
			t.Errorf("got %s", server.Kind(d.URL))
		}
		if _, err := d.Count(t.Context(), "todos"); err == nil {
			t.Error("want an error: there is no table yet")
		}
		if err := d.Drop(); err != nil {
			t.Error(err)
		}
		if err := d.Drop(); err == nil {
			t.Error("want an error: the database is gone")
		}
	})
}

func TestFreshRefuses(t *testing.T) {
	for _, address := range []string{"", "oracle://host/x", "postgres:", "%"} {
		if _, err := server.Fresh(t.Context(), address, "", "it"); err == nil {
			t.Errorf("%q: want an error", address)
		}
	}
}

func TestOpenFiles(t *testing.T) {
	if n, err := server.OpenFiles(); err != nil || n < 100 {
		t.Errorf("got %d, %v", n, err)
	}
}
