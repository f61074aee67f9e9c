package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/fill"
	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/server"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/users"
)

// What figures count.
const (
	cpuTime   = "µs of processor time"
	startTime = "ms until it serves"
	eachHeap  = "KiB a subscriber"
	heap      = "MiB after start"
)

// bed starts servers on databases that it fills.
type bed struct {
	options
	log       *slog.Logger
	directory string
	program   string
	template  string // a database with a row that a server wrote
	started   int
}

func newBed(ctx context.Context, o options, log *slog.Logger) (b *bed, err error) {
	b = &bed{options: o, log: log}
	if b.directory, err = os.MkdirTemp("", "capebase-growth-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(b.directory))
		}
	}()
	b.program = filepath.Join(b.directory, "growthserver")
	const source = "github.com/capebase/capebase/bench/growthserver"
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", b.program, source).CombinedOutput(); err != nil { //nolint:gosec // the package is ours
		return nil, fmt.Errorf("build the server: %w\n%s", err, output)
	}
	b.template = b.file("template")
	return b, b.makeTemplate(ctx)
}

func (b *bed) makeTemplate(ctx context.Context) error {
	s, err := b.open(ctx, b.template, 1)
	if err != nil {
		return err
	}
	response, err := s.conns[0].Do(s.api.Create(nil, s.users[0].Token, "the first"))
	if err == nil && response.Status != http.StatusCreated {
		err = fmt.Errorf("create a row: got %d: %.500s", response.Status, response.Body)
	}
	return errors.Join(err, s.stop())
}

// file names a database.
func (b *bed) file(name string) string { return filepath.Join(b.directory, name+".db") }

// remove removes a database.
func (b *bed) remove(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) { //nolint:gosec // it is in a directory that it made
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fill makes a database of n rows.
func (b *bed) fill(ctx context.Context, name string, n, users int) (path string, err error) {
	path = b.file(name)
	began := time.Now()
	if err := fill.Rows(ctx, b.template, path, n, users); err != nil {
		return "", errors.Join(err, b.remove(path))
	}
	b.log.Info("filled", "rows", n, "took", time.Since(began).Round(time.Millisecond))
	return path, nil
}

// site is a server that runs.
type site struct {
	process *server.Process
	conns   []*load.Conn
	users   []users.User
	api     todo.REST
}

// connections send at the same time, as in the other benchmark.
const connections = 8

// open starts a server for n users on a database.
func (b *bed) open(ctx context.Context, path string, n int, arguments ...string) (s *site, err error) {
	s = &site{users: users.Make(n)}
	arguments = append([]string{"-database", "sqlite:" + path, "-users", strconv.Itoa(n)}, arguments...)
	if b.profiles != "" {
		b.started++
		arguments = append(arguments, "-profile", filepath.Join(b.profiles, fmt.Sprintf("growth%03d.pprof", b.started)))
		b.log.Info("profile", "number", b.started, "arguments", arguments)
	}
	if s.process, err = server.Start(ctx, b.program, arguments...); err != nil {
		return nil, err
	}
	for range connections {
		conn, err := load.Dial(ctx, s.process.Address)
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		s.conns = append(s.conns, conn)
		// The server hangs up where the first request of a connection is long in coming.
		response, err := conn.Do(s.api.Ask(nil, "", "/healthz", ""))
		if err == nil {
			err = wantStatus(http.StatusOK)(response)
		}
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

func (s *site) stop() error {
	var errs []error
	for _, conn := range s.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(append(errs, s.process.Stop())...)
}

// starting measures how long a server takes until it serves, with the process's own beginning, and the processor time that
// it uses until then. Before each start prepare is called.
func (b *bed) starting(ctx context.Context, f *curve.Family, size int, name, path string, prepare func() error, arguments ...string) error {
	var took, used []float64
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	for range b.rounds {
		if err := prepare(); err != nil {
			return err
		}
		began := time.Now()
		process, err := server.Start(ctx, b.program, append([]string{"-database", "sqlite:" + path}, arguments...)...)
		if err != nil {
			return err
		}
		took = append(took, milliseconds(time.Since(began)))
		cpu, err := process.CPU()
		if err := errors.Join(err, process.Stop()); err != nil {
			return err
		}
		used = append(used, milliseconds(cpu))
	}
	at(f, size, name, startTime, summed(took))
	at(f, size, name+", processor time", startTime, summed(used))
	return nil
}

// nothing is what there is to prepare where a server is started again.
func nothing() error { return nil }
