package server

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpu reads the clock of a process, which counts nanoseconds where /proc/<pid>/stat counts hundredths of a second.
func cpu(pid int) (time.Duration, error) {
	// How clock_getcpuclockid(3) makes the clock's number: the pid's complement above the three bits of "all threads,
	// as the scheduler counts".
	const scheduler = 2
	clock := int32(^pid)<<3 | scheduler //nolint:gosec // a pid has at most 22 bits
	var spent unix.Timespec
	if err := unix.ClockGettime(clock, &spent); err != nil {
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}
