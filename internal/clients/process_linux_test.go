package clients

import (
	"os/exec"
	"syscall"
)

// bindToParent makes the kernel kill the process when the thread that starts it ends.
func bindToParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
