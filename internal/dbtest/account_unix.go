//go:build unix

package dbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is who a server runs as; nil is whoever runs the tests.
type account struct {
	user, group uint32
}

// runAs picks the first account that exists where this process is root's, which database servers refuse to be.
func runAs(names []string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the account of this process, and its methods know that
	}
	for _, name := range names {
		found, err := user.Lookup(name)
		if unknown := user.UnknownUserError(""); errors.As(err, &unknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		id, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		group, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &account{uint32(id), uint32(group)}, nil
	}
	return nil, fmt.Errorf("no account to run the server as: tried %q", names)
}

// own gives a file to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.user), int(a.group))
}

// apply makes a command run as the account.
func (a *account) apply(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	// Nothing of the environment of the tests steers the server: neither PGDATA nor LC_ALL, nor the home of another user.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + command.Dir, "TMPDIR=" + command.Dir, "LC_ALL=C"}
	if a != nil {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: a.user, Gid: a.group}
	}
}
