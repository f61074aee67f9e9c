package dbtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	randv2 "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	startAttempts = 5
	stopTimeout   = 30 * time.Second
	pollInterval  = 20 * time.Millisecond
	adminName     = "cape"
)

// errExited says that a server ended while it was starting.
var errExited = errors.New("the server ended")

// ServerConfig configures a private server; the zero value is what tests share.
type ServerConfig struct {
	// Durable makes each commit wait for the disk, as production settings do; default false.
	Durable bool
	// Settings are the server's own, such as "max_connections": "20" in PostgreSQL; they overrule those of the test bed.
	Settings map[string]string
}

// product is one make of database server.
type product interface {
	// initialise makes the data directory; it is called once.
	initialise(ctx context.Context, s *Server) error
	// command starts a server on the data directory.
	command(s *Server) *exec.Cmd
	// adminURL is the administrator's.
	adminURL(s *Server) string
	// account lists names of accounts to run as where the server refuses to run as root; the first that exists is taken.
	accounts() []string
	// stopSignal asks for a clean stop; abandonSignal ends the server at once and makes it let go of system resources.
	stopSignal() syscall.Signal
	abandonSignal() syscall.Signal
}

// Server is a private database server, for tests that stop, kill or configure one. Its methods must not be called at
// the same time.
type Server struct {
	config   ServerConfig
	product  product
	dir      string // of everything that the server owns
	password string
	port     int
	admin    adminURL
	account  *account // nil: the account of this process
	janitor  *janitor
	process  *process // nil: not running
	served   bool     // it was ready once, so that clients know the port
}

// NewServer starts a private server for one test and gives it up when the test ends.
func NewServer(t testing.TB, engine string, config ServerConfig) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	server, err := Launch(ctx, engine, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// Launch starts a private server of PostgreSQL or MariaDB on a new, empty data directory; Close gives it up.
func Launch(ctx context.Context, engine string, config ServerConfig) (*Server, error) {
	product, err := findProduct(ctx, engine)
	if err != nil {
		return nil, err
	}
	server := &Server{config: config, product: product, password: rand.Text()}
	if err := server.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("dbtest: start a private %s: %w", engine, err), server.Close())
	}
	return server, nil
}

func findProduct(ctx context.Context, engine string) (product, error) {
	switch engine {
	case Postgres:
		return findPostgres(ctx)
	case MariaDB:
		return findMariaDB(ctx)
	default:
		return nil, fmt.Errorf("dbtest: there is no private server of engine %q", engine)
	}
}

// create makes the data directory and starts the server for the first time.
func (s *Server) create(ctx context.Context) error {
	account, err := runAs(s.product.accounts())
	if err != nil {
		return err
	}
	s.account = account
	if s.dir, err = os.MkdirTemp("", "cape-dbtest-"); err != nil {
		return err
	}
	if s.janitor, err = startJanitor(s.dir); err != nil {
		return err
	}
	if err := s.account.own(s.dir); err != nil {
		return err
	}
	if err := s.product.initialise(ctx, s); err != nil {
		return err
	}
	return s.Start(ctx)
}

// URL is the administrator's, for work on the server itself: roles, settings, locks.
func (s *Server) URL() string { return s.admin.url.String() }

// Pid is the process id of the running server, or 0.
func (s *Server) Pid() int {
	if s.process == nil {
		return 0
	}
	return s.process.command.Process.Pid
}

// New makes a database on the server. It goes with the server.
func (s *Server) New(t testing.TB) Target {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), databaseTimeout)
	defer cancel()
	name, err := createDatabase(ctx, s.admin)
	if err != nil {
		t.Fatalf("dbtest: create a database: %v", err)
	}
	engine := Postgres
	if !s.admin.postgres() {
		engine = MariaDB
	}
	return Target{Engine: engine, URL: s.admin.database(name)}
}

// Start starts a stopped or killed server again, on the port that it had, and returns when it takes connections. A
// running server is left alone. It gives up when ctx ends, and after two minutes.
func (s *Server) Start(ctx context.Context) error {
	if s.process != nil && !s.process.over() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("the server takes no connections"))
	defer cancel()
	var err error
	for attempt := range startAttempts {
		// What stands in the way may go by itself: another program on the port, or workers of a killed server.
		if err := wait(ctx, time.Duration(attempt)*10*pollInterval); err != nil {
			return err
		}
		if err = s.tryStart(ctx); !errors.Is(err, errExited) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.lastWords())
	}
	s.served = true
	return nil
}

func (s *Server) tryStart(ctx context.Context) error {
	if !s.served {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		s.port = port
		if s.admin, err = parseAdminURL(s.product.adminURL(s)); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own descriptor; nothing was written through this one
	command := s.product.command(s)
	command.Dir, command.Stdout, command.Stderr = s.dir, log, log
	process, err := startProcess(command, s.account, s.product.abandonSignal())
	if err != nil {
		return err
	}
	s.process = process
	if err := s.janitor.watch(s.Pid()); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// await returns when the server takes connections, or has ended.
func (s *Server) await(ctx context.Context) error {
	pool, err := s.admin.open()
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }() // it closes idle connections; there is nothing to lose
	ctx, cancel := s.process.whileRunning(ctx)
	defer cancel()
	for {
		// The answer of another program that took the port is an error too: it does not know the password.
		answer := pool.PingContext(ctx)
		if answer == nil {
			return nil
		}
		if err := wait(ctx, pollInterval); err != nil {
			return errors.Join(context.Cause(ctx), answer)
		}
	}
}

// Stop stops the server cleanly: clients are cut off, everything is written to disk. A server that does not stop
// within ctx, and at most 30 seconds, is killed, and that is an error.
func (s *Server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.process.signal(s.product.stopSignal()); err != nil {
		return fmt.Errorf("dbtest: stop the server: %w", err)
	}
	select {
	case <-s.process.ended:
		return s.forget()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("dbtest: stop the server: %w", ctx.Err()), s.Kill())
	}
}

// Kill ends the server and all its worker processes with SIGKILL, and returns when they are gone.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	if err := s.process.kill(); err != nil {
		return fmt.Errorf("dbtest: kill the server: %w", err)
	}
	return s.forget()
}

// Restart stops the server if it runs, and starts it.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Close ends the server without ceremony and removes its directory. It may be called twice.
func (s *Server) Close() error {
	var errs []error
	if s.process != nil {
		if err := s.process.signal(s.product.abandonSignal()); err != nil {
			errs = append(errs, err)
		}
		select {
		case <-s.process.ended:
			errs = append(errs, s.forget())
		case <-time.After(stopTimeout):
			errs = append(errs, errors.New("the server did not end when asked to"), s.Kill())
		}
	}
	if s.janitor != nil {
		errs = append(errs, s.janitor.finish())
		s.janitor = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("dbtest: close the server: %w", err)
	}
	return nil
}

// forget notes that the process is gone.
func (s *Server) forget() error {
	s.process = nil
	return s.janitor.watch(0)
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logPath() string { return filepath.Join(s.dir, "server.log") }

// run runs a program that prepares the data directory, as the server's account.
func (s *Server) run(ctx context.Context, program string, arguments ...string) error {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = s.dir
	s.account.apply(command)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, output)
	}
	return nil
}

// write writes a file that the server's account can read.
func (s *Server) write(name, content string) (string, error) {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return "", err
	}
	return path, s.account.own(path)
}

// lastWords are the last lines of the server's log.
func (s *Server) lastWords() []byte {
	const lines = 20
	log, err := os.ReadFile(s.logPath())
	if errors.Is(err, fs.ErrNotExist) {
		return []byte("(the server has no log)")
	}
	if err != nil {
		return []byte(err.Error())
	}
	all := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}

// freePort finds a port of 127.0.0.1 below those that systems hand out to outgoing connections: a client that calls a
// stopped server again and again would sooner or later be given the server's own port and connect to itself.
func freePort(ctx context.Context) (int, error) {
	const low, high, tries = 20_000, 32_000, 100
	var config net.ListenConfig
	var err error
	for range tries {
		port := low + randv2.IntN(high-low) //nolint:gosec // a port is no secret
		var listener net.Listener
		listener, err = config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// wait waits unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
