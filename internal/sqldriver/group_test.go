package sqldriver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// crowd starts writes that find the writer taken, and lets them go once all of them wait.
func (b bed) crowd(writes ...func() error) []error {
	b.t.Helper()
	errs := make([]error, len(writes))
	var crowd sync.WaitGroup
	err := b.Update(b.t.Context(), func(context.Context, *sqldriver.Conn) error {
		for i, write := range writes {
			crowd.Go(func() { errs[i] = write() })
		}
		for b.Waiting() < len(writes) {
			runtime.Gosched()
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	crowd.Wait()
	return errs
}

// write is an insertion through UpdateGroup, after which fn may fail.
func (b bed) write(ctx context.Context, id int64, fn func(ctx context.Context, c *sqldriver.Conn) error) func() error {
	return func() error {
		return b.UpdateGroup(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			if err := b.insert(ctx, c, id); err != nil {
				return err
			}
			if fn == nil {
				return nil
			}
			return fn(ctx, c)
		})
	}
}

func TestGroupIsOneTransaction(t *testing.T) {
	t.Parallel()
	var commits atomic.Int64
	b := onSQLite(t, sqldriver.Options{After: func(context.Context) { commits.Add(1) }})
	var writes []func() error
	const n = 20
	for id := range int64(n) {
		writes = append(writes, b.write(t.Context(), id, nil))
	}
	before := commits.Load()
	for i, err := range b.crowd(writes...) {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	b.want(n)
	// One was the crowd's, and time may have parted the group.
	if made := commits.Load() - before - 1; made >= n/2 {
		t.Errorf("%d writes took %d transactions", n, made)
	}
}

func TestGroupUndoesEachAlone(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	gone, cancel := context.WithCancel(t.Context())
	fails := func(context.Context, *sqldriver.Conn) error { return errMine }
	var caught any
	errs := b.crowd(
		b.write(t.Context(), 0, nil),
		b.write(t.Context(), 1, fails),
		b.write(t.Context(), 2, nil),
		b.write(t.Context(), 2, nil), // one of these two
		func() error {
			defer func() { caught = recover() }()
			return b.write(t.Context(), 3, func(context.Context, *sqldriver.Conn) error { panic("boom") })()
		},
		b.write(gone, 4, func(ctx context.Context, _ *sqldriver.Conn) error {
			cancel() // too late: what is being run is run to its end
			return ctx.Err()
		}),
		b.write(t.Context(), 5, nil),
	)
	cancel()
	if errs[0] != nil || errs[5] != nil || errs[6] != nil {
		t.Errorf("got %v", errs)
	}
	wantError(t, errs[1], errMine)
	if caught != "boom" {
		t.Errorf("recovered %v", caught)
	}
	if (errs[2] == nil) == (errs[3] == nil) || b.Dialect().Classify(errors.Join(errs[2], errs[3])).Class != engine.UniqueViolation {
		t.Errorf("two rows with one key: %v, %v", errs[2], errs[3])
	}
	b.want(4)
}

func TestGroupOutlivesItsTransaction(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{})
	b.exec(t.Context(), "CREATE TABLE part (item BIGINT REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)")
	errs := b.crowd(
		b.write(t.Context(), 1, nil),
		b.write(t.Context(), 2, func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := c.Exec(ctx, "INSERT INTO part VALUES (99)", nil) // found out when the whole is committed
			return err
		}),
		b.write(t.Context(), 3, func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := c.Exec(ctx, "ROLLBACK", nil) // as SQLite does by itself when the disk is full
			return errors.Join(err, errMine)
		}),
		b.write(t.Context(), 4, nil),
	)
	if errs[0] != nil || errs[3] != nil {
		t.Errorf("got %v", errs)
	}
	if class := b.Dialect().Classify(errs[1]).Class; class != engine.ForeignKey {
		t.Errorf("got %v", errs[1])
	}
	wantError(t, errs[2], errMine)
	b.want(2)
}

func TestGroupWaitsNoLongerThanOthers(t *testing.T) {
	t.Parallel()
	b := onSQLite(t, sqldriver.Options{WriteWait: 500 * time.Millisecond})
	gone, cancel := context.WithCancel(t.Context())
	err := b.Update(t.Context(), func(context.Context, *sqldriver.Conn) error {
		var crowd sync.WaitGroup
		var errs [5]error
		for i := range errs {
			ctx := t.Context()
			if i > 2 {
				ctx = gone
			}
			crowd.Go(func() { errs[i] = b.write(ctx, int64(i), nil)() })
		}
		for b.Waiting() < len(errs) {
			runtime.Gosched()
		}
		cancel()
		crowd.Wait()
		for i, err := range errs {
			if i > 2 && errors.Is(err, context.Canceled) {
				continue
			}
			wantError(t, err, sqldriver.ErrBusy)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.write(t.Context(), 1, nil)(); err != nil { // nobody leads any more
		t.Error(err)
	}
	b.want(1)
}

// Each member is begun and ended by itself, with its own context.
func TestGroupFramesEach(t *testing.T) {
	t.Parallel()
	type key struct{}
	var present any
	var log []string
	b := onSQLite(t, sqldriver.Options{
		Begin: func(ctx context.Context, _ *sqldriver.Conn) error {
			present = ctx.Value(key{})
			return nil
		},
		Commit: func(ctx context.Context, c *sqldriver.Conn) error {
			if ctx.Value(key{}) != present {
				log = append(log, fmt.Sprintf("%v ended within %v", ctx.Value(key{}), present))
			}
			if ctx.Value(key{}) == int64(3) {
				return errMine
			}
			return nil
		},
	})
	var writes []func() error
	for id := range int64(6) {
		writes = append(writes, b.write(context.WithValue(t.Context(), key{}, id), id, nil))
	}
	for i, err := range b.crowd(writes...) {
		if i == 3 {
			wantError(t, err, errMine)
		} else if err != nil {
			t.Error(err)
		}
	}
	if len(log) > 0 {
		t.Error(log)
	}
	b.want(5)
}

func TestGroupHammer(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		const writers, each = 8, 40
		var kept atomic.Int64
		var all sync.WaitGroup
		for w := range writers {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			all.Go(func() {
				for i := range each {
					id := int64(w*each + i)
					ctx, cancel := context.WithCancel(t.Context())
					failing := random.IntN(4) == 0
					if random.IntN(8) == 0 {
						cancel()
					}
					err := b.write(ctx, id, func(context.Context, *sqldriver.Conn) error {
						if failing {
							return errMine
						}
						return nil
					})()
					cancel()
					switch {
					case err == nil && failing:
						t.Error("a write that fails was answered as done")
					case err == nil:
						kept.Add(1)
					case !errors.Is(err, errMine) && !errors.Is(err, context.Canceled):
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		b.want(int(kept.Load()))
	})
}
