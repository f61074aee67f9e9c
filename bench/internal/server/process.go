// Package server starts the servers under test, each as a process of its own on a fresh database, and reads the
// processor time that they use.
package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/capebase/capebase/bench/internal/child"
)

// patience bounds the wait for what a process prints: its address once it serves, and answers.
const patience = 2 * time.Minute

// Process is a running server.
type Process struct {
	Address string // host:port
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
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
	p := &Process{command: command, stdin: stdin, stdout: bufio.NewReader(stdout)}
	if p.Address, err = p.greeting(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), command.Process.Kill(), command.Wait())
	}
	return p, nil
}

// greeting reads the address from a server's first line.
func (p *Process) greeting() (string, error) {
	text, err := p.line()
	if err != nil {
		return "", err
	}
	address, ok := strings.CutPrefix(text, child.Greeting)
	if !ok {
		return "", fmt.Errorf("it did not say where it listens, but %q", text)
	}
	return address, nil
}

// line reads what the server prints next.
func (p *Process) line() (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := p.stdout.ReadString('\n')
		read <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-read:
		if l.err != nil {
			return "", fmt.Errorf("it said %q: %w", l.text, l.err)
		}
		return l.text, nil
	case <-time.After(patience):
		return "", fmt.Errorf("it says nothing for %s", patience)
	}
}

// Memory makes the process collect its garbage, and tells what remains.
func (p *Process) Memory() (m child.Memory, err error) {
	err = p.ask(child.AskMemory, &m)
	return m, err
}

// Allocations tells what the process has allocated so far.
func (p *Process) Allocations() (a child.Allocations, err error) {
	err = p.ask(child.AskAllocations, &a)
	return a, err
}

// ask asks the process for an answer in JSON.
func (p *Process) ask(question string, answer any) error {
	if _, err := io.WriteString(p.stdin, question+"\n"); err != nil {
		return err
	}
	text, err := p.line()
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), answer)
}

// CPU is the processor time that the process has used so far, in user and kernel mode.
func (p *Process) CPU() (time.Duration, error) { return cpu(p.command.Process.Pid) }

// ResetPeak makes Peak begin anew with what the process holds now.
func (p *Process) ResetPeak() error { return resetPeak(p.command.Process.Pid) }

// Peak is the most memory that the process has held since ResetPeak, in bytes.
func (p *Process) Peak() (int64, error) { return peak(p.command.Process.Pid) }

// Stop ends the process and waits for it.
func (p *Process) Stop() error {
	return errors.Join(p.stdin.Close(), p.command.Wait())
}
