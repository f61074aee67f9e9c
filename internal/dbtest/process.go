package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a running server process.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when the process was reaped
	err     error         // how it ended; read it after ended
}

// startProcess starts a server. Where the system can, it sends death to it when this process dies.
func startProcess(command *exec.Cmd, account *account, death syscall.Signal) (*process, error) {
	account.apply(command)
	if err := bindToParent(command, death); err != nil {
		return nil, err
	}
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go p.hold(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// hold starts the process, and keeps the thread that did until the process ends: Linux takes the end of that thread
// for the death of the parent.
func (p *process) hold(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.command.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.command.Wait()
	if p.err == nil {
		p.err = errors.New("exit status 0")
	}
	close(p.ended)
}

// whileRunning returns a context that ends with the process too; its cause says how.
func (p *process) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.ended:
			cancel(fmt.Errorf("%w: %w", errExited, p.err))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// over tells whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// signal sends a signal; a process that has ended already is no error.
func (p *process) signal(s os.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send signal %v: %w", s, err)
	}
	return nil
}

// kill ends the process and its children at once, and returns when they are gone.
func (p *process) kill() error {
	children, err := freeze(p)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := child.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill worker process: %w", err)
		}
	}
	if err := p.signal(os.Kill); err != nil {
		return err
	}
	<-p.ended
	return awaitEnd(children)
}
