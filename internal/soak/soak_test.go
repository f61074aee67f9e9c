package soak

import (
	"context"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestSoak lets everybody write and subscribe on two nodes for CAPE_SOAK_TIME, 20 s unless it is set.
func TestSoak(t *testing.T) {
	duration := setting(t, "CAPE_SOAK_TIME", 20*time.Second, time.ParseDuration)
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		r := newRun(t, target, 2, true)
		wait(context.Background(), duration)
		r.finish()
	})
}
