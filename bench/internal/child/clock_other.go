//go:build !linux

package child

import (
	"errors"
	"time"
)

var errNoClock = errors.New("a server can be slowed down on Linux only")

func processTime() (time.Duration, error) { return 0, errNoClock }

func threadTime() (time.Duration, error) { return 0, errNoClock }
