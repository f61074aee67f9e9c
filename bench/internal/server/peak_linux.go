package server

import (
	"bytes"
	"fmt"
	"os"
)

// resetPeak resets the "high water mark" of resident memory, as proc(5) says of clear_refs.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

func peak(pid int) (int64, error) {
	const kibi = 1 << 10
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var size int64
	if _, err := fmt.Fscan(bytes.NewReader(rest), &size); err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return size * kibi, nil
}
