package child

import (
	"time"

	"golang.org/x/sys/unix"
)

// processTime is the processor time that this process has used.
func processTime() (time.Duration, error) { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

// threadTime is that of the calling thread.
func threadTime() (time.Duration, error) { return clock(unix.CLOCK_THREAD_CPUTIME_ID) }

func clock(which int32) (time.Duration, error) {
	var spent unix.Timespec
	err := unix.ClockGettime(which, &spent)
	return time.Duration(spent.Nano()), err
}
