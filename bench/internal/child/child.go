// Package child is what the servers under test have in common: how the load driver starts and ends them.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"time"
)

// Greeting is what a server prints, followed by its address and a newline, when it serves.
const Greeting = "listening on "

// Config is what a server is told on its command line.
type Config struct {
	Database string  // sqlite:PATH, postgres://… or mysql://…
	Users    int     // how many of package users' users may call
	Public   bool    // whether everybody may read every row
	Followed int     // how many users, the first, whose rows each user may read by a claim; CapeBase alone
	Durable  bool    // whether SQLite waits for the disk with each commit
	Log      string  // a file for a line a request; with it, and where there are metrics, these are on; neither where empty
	Profile  string  // a file for a CPU profile; none where empty
	Slowdown float64 // the share of processor time that is wasted on top of what requests need
}

// Opener makes a server's handler and what closes it.
type Opener func(ctx context.Context, c Config) (http.Handler, func() error, error)

// Lines of standard input that a server answers with one line of JSON.
const (
	AskMemory      = "memory"      // a Memory
	AskAllocations = "allocations" // an Allocations
)

// Memory is what a server holds once all garbage is collected.
type Memory struct {
	InUse      uint64 // bytes of heap and stacks
	Goroutines int
}

// Allocations are those on the heap since the server started.
type Allocations struct {
	Objects, Bytes uint64
}

// Main runs a server on a free port of 127.0.0.1 until its standard input ends, so that none outlives the load driver.
func Main(open Opener) {
	var c Config
	flag.StringVar(&c.Database, "database", "", "sqlite:PATH, postgres://… or mysql://…")
	flag.IntVar(&c.Users, "users", 1, "number of users")
	flag.BoolVar(&c.Public, "public", false, "everybody may read every row")
	flag.IntVar(&c.Followed, "followed", 0, "the first so many users' rows may be read by all, by a claim of each")
	flag.BoolVar(&c.Durable, "durable", false, "SQLite waits for the disk with each commit")
	flag.StringVar(&c.Log, "log", "", "a `file` for a line a request; metrics are on with it")
	flag.StringVar(&c.Profile, "profile", "", "a `file` for a CPU profile")
	flag.Float64Var(&c.Slowdown, "slowdown", 0, "waste this share of processor time on top of what requests need")
	flag.Parse()
	if err := run(c, open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(c Config, open Opener) (err error) {
	if c.Profile != "" {
		stop, err := profile(c.Profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	return serve(c, open)
}

// profile writes a CPU profile until stop is called.
func profile(path string) (stop func(), err error) {
	file, err := os.Create(path) //nolint:gosec // the load driver names the file
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}, nil
}

func serve(c Config, open Opener) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handler, closeAll, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if c.Slowdown > 0 {
		handler = &slow{Handler: handler, share: c.Slowdown}
	}

	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Printf("%s%s\n", Greeting, listener.Addr())

	ended := make(chan error, 1)
	go func() { ended <- obey(os.Stdin, os.Stdout) }()
	select {
	case err := <-served:
		return err
	case err := <-ended:
		return errors.Join(err, server.Close())
	}
}

// obey answers what the load driver asks, until there is no more.
func obey(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var err error
		switch lines.Text() {
		case AskMemory:
			err = json.NewEncoder(out).Encode(memory())
		case AskAllocations:
			err = json.NewEncoder(out).Encode(allocations())
		default:
			err = fmt.Errorf("unexpected line %q", lines.Text())
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

// memory collects garbage as often as it takes to empty pools and to shrink stacks, which each collection halves.
func memory() Memory {
	const collections = 4
	for range collections {
		debug.FreeOSMemory()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return Memory{InUse: stats.HeapInuse + stats.StackInuse, Goroutines: runtime.NumGoroutine()}
}

func allocations() Allocations {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	return Allocations{Objects: samples[0].Value.Uint64() + samples[1].Value.Uint64(), Bytes: samples[2].Value.Uint64()}
}
