package dbtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreeAddress is an address of this machine for a program that is stopped and started again: its port is below those of
// outgoing connections, so that no client takes it meanwhile.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const low, high = 20_000, 32_000
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low))) //nolint:gosec // no secret
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("found no free port")
	return ""
}
