package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

func kills(t *testing.T) int {
	t.Helper()
	return setting(t, "CAPE_SOAK_KILLS", 2, strconv.Atoi)
}

// awaitKill waits until so many rows were written and acknowledged since the last kill: CAPE_SOAK_WRITES, 300 unless it
// is set.
func (r *run) awaitKill() {
	r.t.Helper()
	r.awaitWrites(setting(r.t, "CAPE_SOAK_WRITES", 300, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }))
}

// TestKillProgram kills the backend under load CAPE_SOAK_KILLS times, every second time within a transaction of its own.
func TestKillProgram(t *testing.T) {
	n := kills(t)
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		r := newRun(t, target, 1, false)
		within := 0
		for i := range n {
			r.awaitKill()
			if i%2 == 0 && r.request(r.rand(5000+i), fmt.Sprintf("bulk-%d", i)) {
				within++
			}
			if err := r.nodes[0].kill(); err != nil {
				t.Fatal(err)
			}
			if err := r.nodes[0].launch(); err != nil {
				t.Fatal(err)
			}
		}
		r.awaitKill()
		r.finish()
		t.Logf("%s: the program was killed %d times, %d of them while it wrote", target.Engine, n, within)
		if within == 0 {
			t.Error("no kill came within a transaction of the program")
		}
	})
}

// TestKillNode kills the one of two nodes that has the consumer, half of CAPE_SOAK_KILLS times: the consumer moves to the
// other, which takes seconds.
func TestKillNode(t *testing.T) {
	n := (kills(t) + 1) / 2
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		r := newRun(t, target, 2, false)
		var longest time.Duration
		for range n {
			r.awaitKill()
			owner, alive := r.audit.owner()
			if !alive {
				t.Fatal("nobody has the consumer")
			}
			node := r.nodes[owner.node]
			began := time.Now()
			if err := node.kill(); err != nil {
				t.Fatal(err)
			}
			r.await("the consumer has moved", 30*time.Second, func() error {
				if now, _ := r.audit.owner(); now == owner {
					return fmt.Errorf("it is with %+v", now)
				}
				return nil
			})
			longest = max(longest, time.Since(began))
			if err := node.launch(); err != nil {
				t.Fatal(err)
			}
		}
		r.awaitKill()
		r.finish()
		if moves := r.totals.moves.Load(); moves < int64(n) {
			t.Errorf("the consumer moved %d times", moves)
		}
		t.Logf("%s: the node of the consumer was killed %d times; another had it after %v at most", target.Engine, n, longest.Round(time.Millisecond))
	})
}

// TestKillServer kills PostgreSQL and MariaDB under load, and on SQLite, which has no server, the programs that write.
func TestKillServer(t *testing.T) {
	n := kills(t)
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		kill := func(r *run) error { return r.program.kill() }
		if target.Engine != dbtest.SQLite {
			server := dbtest.NewServer(t, target.Engine, dbtest.ServerConfig{Durable: true})
			target = server.New(t)
			kill = func(*run) error {
				if err := server.Kill(); err != nil {
					return err
				}
				return server.Start(context.Background())
			}
		}
		r := newRun(t, target, 1, target.Engine == dbtest.SQLite)
		for range n {
			r.awaitKill()
			r.await("a transaction is open", time.Minute, func() error {
				if target.Engine != dbtest.SQLite && r.shared.open.Load() == 0 || target.Engine == dbtest.SQLite && !r.program.runs() {
					return fmt.Errorf("none is")
				}
				return kill(r)
			})
		}
		r.awaitKill()
		r.finish()
		t.Logf("%s: killed %d times, with open transactions", target.Engine, n)
	})
}

// awaitWrites waits until so many more rows were written.
func (r *run) awaitWrites(n int64) {
	r.t.Helper()
	goal := r.totals.acknowledged.Load() + n
	r.await(fmt.Sprintf("%d acknowledged writes", n), 10*time.Minute, func() error {
		if got := r.totals.acknowledged.Load(); got < goal {
			return fmt.Errorf("%d are missing", goal-got)
		}
		return nil
	})
}

// request sends a request that writes many rows, gives the program a moment, and tells whether it is at work.
func (r *run) request(random *rand.Rand, tag string) bool {
	const rows = 1000
	bodies := make([]map[string]any, rows)
	for i := range bodies {
		bodies[i] = map[string]any{"level": i % 10, "v": 1, "tx": tag}
	}
	answered := make(chan struct{})
	r.writing.Go(func() {
		answer, err := r.nodes[0].do(context.Background(), http.MethodPost, "/task", "u1", bodies)
		r.ledger.note(tag, told(answer, err, rows))
		close(answered)
	})
	select {
	case <-answered:
		return false
	case <-time.After(time.Duration(random.IntN(int(15 * time.Millisecond)))):
		return true
	}
}
