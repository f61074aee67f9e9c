// Package server starts the servers under test, each as a process of its own on a fresh database, and reads the
// processor time that they use.
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/capebase/capebase/bench/internal/child"
)

// startTimeout bounds the time from the start of a process until it serves.
const startTimeout = 30 * time.Second

// Process is a running server.
type Process struct {
	Address string // host:port
	command *exec.Cmd
	stdin   io.Closer
}

// Start runs a program of package child and waits until it serves.
func Start(ctx context.Context, program string, arguments ...string) (*Process, error) {
	command := exec.CommandContext(ctx, program, arguments...) //nolint:gosec // programs that were just built
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &Process{command: command, stdin: stdin}
	if p.Address, err = greeting(stdout); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), command.Process.Kill(), command.Wait())
	}
	return p, nil
}

// greeting reads the address from a server's first line.
func greeting(stdout io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(stdout).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case first := <-read:
		address, ok := strings.CutPrefix(strings.TrimSpace(first.text), child.Greeting)
		if !ok {
			return "", errors.Join(fmt.Errorf("it did not say where it listens, but %q", first.text), first.err)
		}
		return address, nil
	case <-time.After(startTimeout):
		return "", fmt.Errorf("it does not serve after %s", startTimeout)
	}
}

// CPU is the processor time that the process has used so far, in user and kernel mode.
func (p *Process) CPU() (time.Duration, error) { return cpu(p.command.Process.Pid) }

// Stop ends the process and waits for it.
func (p *Process) Stop() error {
	return errors.Join(p.stdin.Close(), p.command.Wait())
}
