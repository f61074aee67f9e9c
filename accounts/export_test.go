package accounts

import (
	"context"
	"time"
)

// SetClock replaces the clock; it is called before Start.
func (a *Accounts[U]) SetClock(now func() time.Time) { a.now = now }

// SweepOnce deletes what has expired, as Run does each hour.
func (a *Accounts[U]) SweepOnce(ctx context.Context) error { return a.sweepOnce(ctx) }
