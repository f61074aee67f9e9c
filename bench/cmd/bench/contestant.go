package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/server"
	"github.com/capebase/capebase/bench/internal/todo"
)

// contestant is a server that can be measured.
type contestant struct {
	name    string
	program string // its package
	table   string
	api     todo.API
	logs    bool   // it writes a line a request, and counts for Prometheus
	slowed  bool   // it wastes processor time, for bench-check to notice
	module  string // the directory of the module that its program is, where that is not this one
}

func (c contestant) label() string { return c.name }

// injected is how much slower a slowed server is.
const injected = "0.2"

// contestants lists the servers; the first that runs is the one that the others are compared with.
func contestants() []contestant {
	const module = "github.com/capebase/capebase/bench/"
	return []contestant{
		{name: "hand-written", program: module + "handwritten", table: "todos", api: todo.REST{}},
		{name: "capebase", program: module + "capeserver", table: "todos", api: todo.REST{}},
		{name: "observed", program: module + "capeserver", table: "todos", api: todo.REST{}, logs: true},
		{name: "slowed", program: module + "capeserver", table: "todos", api: todo.REST{}, slowed: true},
		{name: "pocketbase", program: module + "pocketbase", table: "todos", api: todo.PocketBase{}, module: "pocketbase"},
	}
}

// bed builds servers and starts them, each on a database of its own.
type bed struct {
	options
	directory string
	programs  map[string]string // by package
	started   int
}

// build builds a contestant, once.
func (b *bed) build(ctx context.Context, c contestant) (string, error) {
	if program, ok := b.programs[c.program]; ok {
		return program, nil
	}
	program := filepath.Join(b.directory, filepath.Base(c.program))
	build := exec.CommandContext(ctx, "go", "build", "-o", program, c.program) //nolint:gosec // the packages are ours
	if c.module != "" {
		build.Dir, build.Env = c.module, append(os.Environ(), "GOWORK=off")
	}
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build it: %w\n%s", err, output)
	}
	b.programs[c.program] = program
	return program, nil
}

// size is what a server's table is filled with.
type size struct {
	users, rows int  // rows of each user
	public      bool // everybody may read them all
	followed    int  // everybody may read those of so many users, by a claim
}

// running is a contestant that serves, with its data.
type running struct {
	contestant
	database *server.Database
	process  *server.Process
	conns    []*load.Conn
	data     *todo.Data
	rows     int // how many its table must have
}

// start starts a contestant on a fresh database, fills that and checks its rules.
func (b *bed) start(ctx context.Context, c contestant, s size) (r *running, err error) {
	r = &running{contestant: c}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", c.name, errors.Join(err, r.stop()))
		}
	}()
	program, err := b.build(ctx, c)
	if err != nil {
		return r, err
	}
	b.started++
	name := filepath.Base(c.program) + strconv.Itoa(b.started)
	if r.database, err = server.Fresh(ctx, b.database, b.directory, name); err != nil {
		return r, err
	}
	arguments := []string{"-database", r.database.URL, "-users", strconv.Itoa(s.users), "-public=" + strconv.FormatBool(s.public),
		"-followed", strconv.Itoa(s.followed)}
	if b.durable {
		arguments = append(arguments, "-durable")
	}
	if c.logs {
		arguments = append(arguments, "-log", filepath.Join(b.directory, name+".log"))
	}
	if c.slowed {
		arguments = append(arguments, "-slowdown", injected)
	}
	if b.profiles != "" {
		arguments = append(arguments, "-profile", filepath.Join(b.profiles, name+".pprof"))
	}
	if r.process, err = server.Start(ctx, program, arguments...); err != nil {
		return r, err
	}
	for range b.connections {
		conn, err := load.Dial(ctx, r.process.Address)
		if err != nil {
			return r, err
		}
		r.conns = append(r.conns, conn)
	}
	if r.data, err = todo.Seed(ctx, c.api, r.conns, s.users, s.rows); err != nil {
		return r, err
	}
	r.rows = s.users * s.rows
	if s.public || s.followed > 0 {
		return r, nil
	}
	return r, todo.CheckRules(r.conns[0], r.data)
}

// count checks that the table has as many rows as were made.
func (r *running) count(ctx context.Context) error {
	n, err := r.database.Count(ctx, r.table)
	if err == nil && n != r.rows {
		err = fmt.Errorf("want %d rows in the table, got %d", r.rows, n)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}

// stop ends what was started of it.
func (r *running) stop() error {
	var errs []error
	for _, conn := range r.conns {
		errs = append(errs, conn.Close())
	}
	if r.process != nil {
		errs = append(errs, r.process.Stop())
	}
	if r.database != nil {
		errs = append(errs, r.database.Drop())
	}
	return errors.Join(errs...)
}
