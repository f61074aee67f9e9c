package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// bindToParent makes the kernel send death to the server when this process dies. Changing accounts would undo that in
// the server, so it must be started under the account that it is to run as.
func bindToParent(command *exec.Cmd, death syscall.Signal) error {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = death
	command.SysProcAttr.Setsid = true // Ctrl-C is for the tests, which stop the server themselves
	return nil
}

// freeze stops a process from making children, and returns those that it has.
func freeze(p *process) ([]*os.Process, error) {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var children []*os.Process
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		stat, err := readStat(pid)
		if err != nil {
			return nil, err
		}
		if stat.parent != p.command.Process.Pid {
			continue
		}
		child, err := os.FindProcess(pid)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// awaitEnd returns when killed processes have ended. They are no children of ours to wait for, and one whose parent
// does not reap it stays as a zombie.
func awaitEnd(killed []*os.Process) error {
	for _, process := range killed {
		for {
			stat, err := readStat(process.Pid)
			if err != nil {
				return err
			}
			if stat.parent == 0 || stat.state == 'Z' {
				break
			}
			<-time.After(pollInterval)
		}
		if err := process.Release(); err != nil {
			return err
		}
	}
	return nil
}

// stat is a part of /proc/PID/stat; its zero value is a process that does not exist.
type stat struct {
	state  byte
	parent int
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return stat{}, nil
	}
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may hold anything; state and parent follow it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return stat{}, fmt.Errorf("/proc/%d/stat: unknown format", pid)
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return stat{fields[0][0], parent}, err
}
