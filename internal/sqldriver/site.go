package sqldriver

import (
	"fmt"
	"runtime"
	"strings"
)

// site is where a transaction was begun: a stack, of which the first frame that is not a library's counts.
type site struct {
	frames [16]uintptr
	count  int
}

// record takes the stack above its caller's caller. It costs about a microsecond; the names are looked up when an error
// needs them.
func (s *site) record() { s.count = runtime.Callers(3, s.frames[:]) }

// String returns "file:line (function)", of ours where only ours is on the stack.
func (s *site) String() string {
	if s == nil {
		return "a generated route"
	}
	frames := runtime.CallersFrames(s.frames[:s.count])
	nearest := "unknown code"
	for {
		frame, more := frames.Next()
		text := fmt.Sprintf("%s:%d (%s)", frame.File, frame.Line, frame.Function)
		if !library(frame) && frame.Function != "" {
			return text
		}
		if nearest == "unknown code" && !strings.HasPrefix(frame.Function, "github.com/capebase/capebase/internal/sqldriver.") {
			nearest = text
		}
		if !more {
			return nearest
		}
	}
}

// library tells whether the frame belongs to what lies between the developer's code and the driver.
func library(frame runtime.Frame) bool {
	if strings.HasSuffix(frame.File, "_test.go") {
		return false
	}
	for _, prefix := range []string{
		"database/sql.", "runtime.", "net/http.", "gorm.io/", "github.com/jmoiron/sqlx",
		"github.com/capebase/capebase.", "github.com/capebase/capebase/internal/",
	} {
		if strings.HasPrefix(frame.Function, prefix) {
			return true
		}
	}
	return false
}
