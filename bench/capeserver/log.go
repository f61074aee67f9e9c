package main

import (
	"bufio"
	"errors"
	"os"
	"sync"
	"time"
)

// flushEvery bounds how long a line waits in memory.
const flushEvery = 100 * time.Millisecond

// logFile is a log whose lines share writes to the file: a write of its own costs more than the rest of a line.
type logFile struct {
	mu     sync.Mutex
	file   *os.File
	buffer *bufio.Writer
	timer  *time.Timer // runs while there is something to flush
	failed error
}

func createLog(path string) (*logFile, error) {
	const size = 64 << 10
	file, err := os.Create(path) //nolint:gosec // the load driver names the file
	if err != nil {
		return nil, err
	}
	l := &logFile{file: file, buffer: bufio.NewWriterSize(file, size)}
	l.timer = time.AfterFunc(flushEvery, l.flush)
	return l, nil
}

// Write implements io.Writer.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buffer.Buffered() == 0 {
		l.timer.Reset(flushEvery)
	}
	return l.buffer.Write(line)
}

func (l *logFile) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = errors.Join(l.failed, l.buffer.Flush())
}

// Close writes what is left.
func (l *logFile) Close() error {
	l.timer.Stop()
	l.flush()
	return errors.Join(l.failed, l.file.Close())
}
