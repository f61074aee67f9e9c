package sqldriver_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// TestPoolStats: connections that are in use are counted, and so are the waits for SQLite's writer.
func TestPoolStats(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		const patience = 2 * time.Second
		var mu sync.Mutex
		var waits []time.Duration
		b := newBed(t, target, sqldriver.Options{WriteWait: patience, Waited: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, d)
		}})
		waits = nil
		pool := func(name string) sqldriver.PoolStats {
			for _, s := range b.Stats() {
				if s.Name == name {
					return s
				}
			}
			t.Fatalf("there is no pool %q in %+v", name, b.Stats())
			return sqldriver.PoolStats{}
		}
		writer := "shared"
		if target.Engine == dbtest.SQLite {
			writer = "writer"
		}
		err := b.Update(t.Context(), func(_ context.Context, _ *sqldriver.Conn) error {
			if s := pool(writer); s.InUse != 1 || s.Max < 1 {
				t.Errorf("within a transaction: %+v", s)
			}
			if target.Engine != dbtest.SQLite {
				return nil
			}
			// The outer context is another call, which waits in vain.
			err := b.Update(t.Context(), func(context.Context, *sqldriver.Conn) error { return nil })
			if !errors.Is(err, sqldriver.ErrBusy) {
				t.Errorf("the second writer: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := pool(writer); s.InUse != 0 || s.Idle < 1 {
			t.Errorf("after it: %+v", s)
		}
		if target.Engine != dbtest.SQLite {
			if len(waits) != 0 {
				t.Errorf("waits for a writer: %v", waits)
			}
			return
		}
		if s := pool(writer); s.Waits < 1 {
			t.Errorf("waits were not counted: %+v", s)
		}
		if len(waits) != 2 || waits[0] >= patience || waits[1] < patience {
			t.Errorf("waits %v, want a short and a long one", waits)
		}
	})
}
