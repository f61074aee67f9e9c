package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// patience bounds what takes a moment on an idle machine.
const patience = time.Minute

// process is a program that runs beside the test.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

// launch starts a program, which is killed when the test ends.
func launch(t testing.TB, command *exec.Cmd) *process {
	t.Helper()
	bindToParent(command)
	p := &process{command, make(chan struct{})}
	started := make(chan error)
	go func() {
		// The thread that starts the process must live as long as it does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // its state tells the same
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// kill ends the process with SIGKILL.
func (p *process) kill() error {
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

// wait returns when the process has ended well.
func (p *process) wait() error {
	select {
	case <-p.ended:
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s does not end", p.command.Path), p.kill())
	}
	if state := p.command.ProcessState; !state.Success() {
		return fmt.Errorf("%s ended with %v", p.command.Path, state)
	}
	return nil
}

// eventually tries until there is no error, or the process has ended.
func (p *process) eventually(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended with %v: %w", p.command.Path, p.command.ProcessState, err)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.command.Path, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logFile is what a program prints; its end is shown when the test fails.
func logFile(t testing.TB, name string) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s ends with:\n%s", name, ending(t, file))
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return file
}

func ending(t testing.TB, file *os.File) []byte {
	t.Helper()
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	const shown = 8 << 10
	return text[max(0, len(text)-shown):]
}
