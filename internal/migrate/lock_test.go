package migrate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestLock holds the lock as another process would.
func TestLock(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b, other := open(t, target), open(t, target)
		all := b.models(Owner{}, Item{})
		held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		ctx := context.WithoutCancel(t.Context())
		go func() {
			p, err := newPlanner(other.db, other.gorm, nil)
			if err == nil {
				err = p.system.locked(ctx, other.db, func(context.Context, *session) error {
					close(held)
					<-release
					return nil
				})
			}
			done <- err
		}()
		select {
		case <-held:
		case err := <-done:
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := Run(short, b.db, b.gorm, all, All, b.logger()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another holds the lock: %v", err)
		}
		if plan := b.make(All, all); len(plan.Steps) < 4 {
			t.Errorf("something was made without the lock; left: %s", steps(plan))
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.run(All, all)
		b.run(None, all)
	})
}

// TestLockIsGivenBack after a failure, also of the context.
func TestLockIsGivenBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b, other := open(t, target), open(t, target)
		p, err := newPlanner(b.db, b.gorm, nil)
		if err != nil {
			t.Fatal(err)
		}
		failure := errors.New("failure")
		ctx, cancel := context.WithCancel(t.Context())
		for _, fn := range []func(context.Context, *session) error{
			func(context.Context, *session) error { return failure },
			func(ctx context.Context, _ *session) error { cancel(); return context.Cause(ctx) },
		} {
			if err := p.system.locked(ctx, b.db, fn); err == nil {
				t.Error("the failure was lost")
			}
		}
		other.run(All, other.models(Owner{}))
	})
}
