//go:build !linux

package dbtest

import (
	"os"
	"os/exec"
	"syscall"
)

// bindToParent does nothing here: the janitor alone ends what is left.
func bindToParent(*exec.Cmd, syscall.Signal) error { return nil }

// freeze finds no children here: those of a killed PostgreSQL end by themselves, and Start tries again until they have.
func freeze(*process) ([]*os.Process, error) { return nil, nil }

func awaitEnd([]*os.Process) error { return nil }
