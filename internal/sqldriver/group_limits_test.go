package sqldriver_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// Who waits behind a member that takes long, be it for the lock of another process, waits no longer than WriteWait.
func TestGroupBoundsTheWaitOfEach(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{WriteWait: shortWait})
	runs, release := make(chan struct{}), make(chan struct{})
	var leader sync.WaitGroup
	leader.Go(func() {
		err := b.write(t.Context(), 1, func(context.Context, *sqldriver.Conn) error {
			close(runs)
			<-release
			return nil
		})()
		if err != nil {
			t.Error(err)
		}
	})
	<-runs
	ctx, cancel := context.WithTimeout(t.Context(), 10*shortWait)
	defer cancel()
	wantError(t, b.write(ctx, 2, nil)(), sqldriver.ErrBusy)
	close(release)
	leader.Wait()
	b.want(1)
}

// Who came late waits on when the leader has waited long enough.
func TestGroupLetsLateMembersWaitOn(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{WriteWait: writeWait})
	var late sync.WaitGroup
	var err error
	fail := b.Update(t.Context(), func(context.Context, *sqldriver.Conn) error {
		early := make(chan error, 1)
		go func() { early <- b.write(t.Context(), 1, nil)() }()
		<-time.After(writeWait / 2)
		late.Go(func() { err = b.write(t.Context(), 2, nil)() })
		for b.Waiting() < 2 {
			runtime.Gosched()
		}
		wantError(t, <-early, sqldriver.ErrBusy)
		return nil
	})
	late.Wait()
	if err := errors.Join(fail, err); err != nil {
		t.Error(err)
	}
	b.want(1)
}

// A group ends when its time is over, also while many wait.
func TestGroupEndsInTime(t *testing.T) {
	t.Parallel()
	var commits atomic.Int64
	b := onSQLite(t, sqldriver.Options{After: func(context.Context) { commits.Add(1) }})
	var others atomic.Bool
	var writes []func() error
	const n = 8
	for id := range int64(n) {
		writes = append(writes, b.write(t.Context(), id, func(context.Context, *sqldriver.Conn) error {
			if others.Swap(true) { // all but the leader take longer than a group may
				<-time.After(6 * time.Millisecond)
			}
			return nil
		}))
	}
	before := commits.Load()
	for _, err := range b.crowd(writes...) {
		if err != nil {
			t.Error(err)
		}
	}
	b.want(n)
	if made := commits.Load() - before - 1; made < n-1 {
		t.Errorf("%d writes that take as long as a group may took %d transactions", n, made)
	}
}

// A member's panic is seen in its own goroutine, with the stack that leads there.
func TestGroupKeepsTheStackOfPanics(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	var writes []func() error
	const n = 3
	for id := range int64(n) {
		writes = append(writes, func() (err error) {
			defer func() {
				if p, _ := recover().(error); !errors.Is(p, errMine) || !strings.Contains(string(debug.Stack()), "failingWrite") {
					t.Errorf("recovered %v at %s", p, debug.Stack())
				}
			}()
			return b.write(t.Context(), id, failingWrite)()
		})
	}
	b.crowd(writes...)
	b.want(0)
}

func failingWrite(context.Context, *sqldriver.Conn) error { panic(errMine) }

// A commit that panics has committed nothing, and a member that ends the leader's goroutine keeps nobody waiting.
func TestGroupOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	const left = "SELECT 'left open'"
	for name, end := range map[string]struct {
		fn      func(run int64, c *sqldriver.Conn) error
		observe func(sqldriver.Statement)
	}{
		"a panic at the commit": {
			fn: func(run int64, c *sqldriver.Conn) error {
				if run != 1 {
					return nil
				}
				_, err := c.Query(context.Background(), left, nil) // the commit closes them
				return err
			},
			observe: func(s sqldriver.Statement) {
				if s.Query == left {
					panic("boom")
				}
			},
		},
		"a goroutine that ends": {
			fn: func(run int64, _ *sqldriver.Conn) error {
				if run == 2 {
					runtime.Goexit()
				}
				return nil
			},
			observe: func(sqldriver.Statement) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t, sqldriver.Options{Observe: func(_ context.Context, s sqldriver.Statement) { end.observe(s) }})
			var runs, kept atomic.Int64
			var writes []func() error
			for id := range int64(5) {
				writes = append(writes, func() error {
					done := make(chan error)
					go func() {
						defer close(done)
						defer func() { _ = recover() }()
						err := b.write(t.Context(), id, func(_ context.Context, c *sqldriver.Conn) error {
							return end.fn(runs.Add(1), c)
						})()
						if err == nil {
							kept.Add(1)
						}
						done <- err
					}()
					return <-done
				})
			}
			for _, err := range b.crowd(writes...) {
				if err != nil {
					t.Error(err)
				}
			}
			if got := kept.Load(); got != 4 { // all but the first leader's, or who ended its own goroutine
				t.Errorf("%d were answered as done, want 4", got)
			}
			b.want(4)
		})
	}
}
