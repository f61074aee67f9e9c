//go:build unix

package server

import "golang.org/x/sys/unix"

// OpenFiles is how many files, and connections among them, a process may have open.
func OpenFiles() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return int(min(uint64(limit.Cur), 1<<30)), nil //nolint:unconvert // some systems have it as another type
}
