package dbtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience bounds what takes a moment on an idle machine.
const patience = time.Minute

func TestServersDieWithTheTests(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := exec.CommandContext(t.Context(), program)
	tests.Env = append(os.Environ(), holdVariable+"=1")
	if _, err := tests.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := tests.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tests.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	pids, directories := make([]int, 2), make([]string, 2)
	for i := range pids {
		lines.Scan()
		if _, err := fmt.Sscan(lines.Text(), &pids[i], &directories[i]); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if stat, err := readStat(pids[i]); err != nil || stat.parent == 0 {
			t.Fatalf("server %d does not run: %v", pids[i], err)
		}
	}
	if err := tests.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := tests.Wait(); err == nil {
		t.Fatal("the killed program ended well")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range pids {
		for {
			stat, err := readStat(pids[i])
			if err != nil {
				t.Fatal(err)
			}
			// It stays a zombie until the system's first process gets round to it.
			running := stat.parent != 0 && stat.state != 'Z'
			_, err = os.Stat(directories[i])
			if !running && errors.Is(err, fs.ErrNotExist) {
				break
			}
			if wait(ctx, pollInterval) != nil {
				t.Fatalf("server %d runs: %v; its directory %s: %v", pids[i], running, directories[i], err)
			}
		}
	}
}
