// Package child is what the servers under test have in common: how the load driver starts and ends them.
package child

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"time"
)

// Greeting is what a server prints, followed by its address and a newline, when it serves.
const Greeting = "listening on "

// Config is what a server is told on its command line.
type Config struct {
	Database string // sqlite:PATH, postgres://… or mysql://…
	Users    int    // how many of package users' users may call
	Profile  string // a file for a CPU profile; none where empty
}

// Opener makes a server's handler and what closes it.
type Opener func(ctx context.Context, c Config) (http.Handler, func() error, error)

// Main runs a server on a free port of 127.0.0.1 until its standard input ends, so that none outlives the load driver.
func Main(open Opener) {
	var c Config
	flag.StringVar(&c.Database, "database", "", "sqlite:PATH, postgres://… or mysql://…")
	flag.IntVar(&c.Users, "users", 1, "number of users")
	flag.StringVar(&c.Profile, "profile", "", "a `file` for a CPU profile")
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
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	select {
	case err := <-served:
		return err
	case err := <-ended:
		return errors.Join(err, server.Close())
	}
}
