package soak

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestMain runs the tests, or a backend where a test started this program as one.
func TestMain(m *testing.M) {
	if os.Getenv(engineVariable) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "backend:", err)
			os.Exit(1)
		}
		return
	}
	dbtest.Main(m)
}

// setting reads an environment variable; what is set and wrong fails the test.
func setting[T any](t testing.TB, name string, fallback T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	v, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// seed is what all random choices of a test begin with.
func seed(t testing.TB) uint64 {
	t.Helper()
	return setting(t, "CAPE_SOAK_SEED", uint64(time.Now().UnixNano()), func(s string) (uint64, error) {
		return strconv.ParseUint(s, 10, 64)
	})
}
