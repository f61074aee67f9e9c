//go:build !unix

package dbtest

import (
	"errors"
	"fmt"
	"os/exec"
)

// account, janitor: private servers need Unix. Elsewhere CAPE_TEST_DATABASES must list servers.
type account struct{}

func runAs([]string) (*account, error) {
	return nil, fmt.Errorf("private servers need Unix, and %s can list running ones: %w", databasesVariable, errors.ErrUnsupported)
}

func (*account) own(string) error { return nil }
func (*account) apply(*exec.Cmd)  {}

type janitor struct{}

func startJanitor(string) (*janitor, error) { return nil, errors.ErrUnsupported }
func (*janitor) watch(int) error            { return nil }
func (*janitor) finish() error              { return nil }
