package dbtest

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// postgresProduct is PostgreSQL.
type postgresProduct struct {
	server program
	initdb string
}

func findPostgres(ctx context.Context) (product, error) {
	oldest := version{13, 0}
	says := regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)
	directories := []string{
		"/usr/lib/postgresql/*/bin", // Debian
		"/usr/pgsql-*/bin",          // Red Hat
		"/usr/libexec/postgresql*",  // Alpine
		"/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
	}
	server, err := newest(ctx, []string{"postgres"}, directories, says)
	if err != nil {
		return nil, fmt.Errorf("dbtest: PostgreSQL: no server program (scripts/install installs one): %w", err)
	}
	if slices.Compare(server.version[:], oldest[:]) < 0 {
		return nil, fmt.Errorf("dbtest: %s is PostgreSQL %s: want %s or newer", server.path, server.version, oldest)
	}
	initdb, err := beside(server.path, "initdb")
	if err != nil {
		return nil, fmt.Errorf("dbtest: PostgreSQL: %w", err)
	}
	return &postgresProduct{server, initdb}, nil
}

func (p *postgresProduct) initialise(ctx context.Context, s *Server) error {
	password, err := s.write("password", s.password)
	if err != nil {
		return err
	}
	arguments := []string{
		"--pgdata=" + s.data(), "--username=" + adminName, "--pwfile=" + password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-sync",
	}
	// A server whose text order is a language's, as most are. Earlier versions have no such default.
	if p.server.version[0] >= 15 {
		arguments = append(arguments, "--locale-provider=icu", "--icu-locale=en-US")
	}
	return s.run(ctx, p.initdb, arguments...)
}

func (p *postgresProduct) command(s *Server) *exec.Cmd {
	onOff := map[bool]string{false: "off", true: "on"}
	settings := map[string]string{
		"listen_addresses":           "127.0.0.1",
		"port":                       strconv.Itoa(s.port),
		"unix_socket_directories":    "",
		"max_connections":            "300",
		"shared_buffers":             "64MB",
		"dynamic_shared_memory_type": "mmap", // in the directory, so that nothing is left elsewhere
		"timezone":                   "<+0530>-05:30",
		"log_timezone":               "UTC",
		"fsync":                      onOff[s.config.Durable],
	}
	maps.Copy(settings, s.config.Settings)
	arguments := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		arguments = append(arguments, "-c", name+"="+settings[name])
	}
	return exec.Command(p.server.path, arguments...)
}

func (*postgresProduct) adminURL(s *Server) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(adminName, s.password),
		Host: fmt.Sprintf("127.0.0.1:%d", s.port), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (*postgresProduct) accounts() []string { return []string{"postgres", "nobody"} }

// stopSignal is PostgreSQL's fast shutdown.
func (*postgresProduct) stopSignal() syscall.Signal { return syscall.SIGINT }

// abandonSignal is PostgreSQL's immediate shutdown.
func (*postgresProduct) abandonSignal() syscall.Signal { return syscall.SIGQUIT }
