//go:build unix

package dbtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// janitorScript reads process ids, one a line, until its input ends, as it does however this process ends. Then it
// ends the last one, gently at first so that the server lets go of what is not in the directory, and removes the
// directory. PostgreSQL's shared memory segment, whose id is on line 7 of its postmaster.pid, outlives a SIGKILL.
const janitorScript = `
trap '' HUP INT TERM
pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 0 ] && kill -QUIT "$pid"; then
	tries=50
	while kill -0 "$pid" && [ "$tries" -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	kill -KILL "$pid"
fi
segment=$(sed -n '7s/.*[[:space:]]//p' "$1/data/postmaster.pid")
[ -n "$segment" ] && ipcrm -m "$segment"
for try in 1 2 3 4 5 6 7 8 9 10; do
	rm -rf -- "$1" && exit 0
	sleep 0.3
done
exit 1
`

// janitor is a small process that outlives this one, to clean up after it.
type janitor struct {
	command *exec.Cmd
	input   io.WriteCloser
}

// startJanitor makes dir the janitor's; it is removed when the janitor cannot be started.
func startJanitor(dir string) (*janitor, error) {
	command := exec.Command("/bin/sh", "-c", janitorScript, "sh", dir)
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a signal to the group of the tests is not for it
	input, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the janitor: %w", err), os.RemoveAll(dir))
	}
	return &janitor{command, input}, nil
}

// watch names the process to end; 0 is none.
func (j *janitor) watch(pid int) error {
	if _, err := fmt.Fprintln(j.input, pid); err != nil {
		return fmt.Errorf("tell the janitor: %w", err)
	}
	return nil
}

// finish has the directory removed.
func (j *janitor) finish() error {
	if err := errors.Join(j.input.Close(), j.command.Wait()); err != nil {
		return fmt.Errorf("wait for the janitor: %w", err)
	}
	return nil
}
