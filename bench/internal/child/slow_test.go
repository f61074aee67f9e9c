package child

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// busy keeps a processor so long.
func busy(t *testing.T, d time.Duration) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, err := threadTime()
	for now := start; err == nil && now < start+d; {
		now, err = threadTime()
	}
	if err != nil {
		t.Error(err)
	}
}

func TestSlowWastesItsShare(t *testing.T) {
	const (
		requests = 16 * 20
		each     = time.Millisecond
		share    = 0.5
	)
	s := &slow{share: share, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { busy(t, each) })}
	for range requests {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	// The first payment begins the account.
	needed := (requests - 16) * each.Seconds()
	if got := s.wasted.Seconds(); got < share*needed || got > 2*share*needed {
		t.Errorf("want about %.3f s wasted for %.3f s, got %.3f s", share*needed, needed, got)
	}
}
