// Command with starts the private database servers of package dbtest once, and runs a command that is to use them:
//
//	go build -o with ./internal/dbtest/with && ./with go test ./...
//
// Each package's tests are a process of their own and would start servers of their own otherwise. The exit code is the
// command's; 125 where the servers did not start or stop, as env(1) and timeout(1) do for their own failures.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/capebase/capebase/internal/dbtest"
)

const ownFailure = 125

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with:", err)
		code = ownFailure
	}
	os.Exit(code)
}

func run(arguments []string) (code int, err error) {
	if len(arguments) == 0 {
		return 0, errors.New("want a command to run")
	}
	// A signal is for the command; the servers must outlive it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	databases, closeAll, err := dbtest.Share(context.Background())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()

	command := exec.Command(arguments[0], arguments[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), "CAPE_TEST_DATABASES="+databases)
	if err := command.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case s := <-signals:
			if err := command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 0, err
			}
		case err := <-ended:
			return exitCode(err)
		}
	}
}

// exitCode is the command's; a command that a signal ended has 128 and the signal's number, as in a shell.
func exitCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	failure := new(exec.ExitError)
	if !errors.As(err, &failure) {
		return 0, err
	}
	if status, ok := failure.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return failure.ExitCode(), nil
}
