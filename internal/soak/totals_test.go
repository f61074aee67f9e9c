package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

type counter = atomic.Int64

// totals counts what happened; most of it by many goroutines.
type totals struct {
	transactions, committed, rolledBack, unknown counter // of writers
	acknowledged                                 counter // rows written by committed transactions
	journaled                                    counter // entries of the journal
	delivered, rows, snapshots, heartbeats       counter // events, rows of snapshots
	connects, reconnects, interrupted            counter // interrupted: by the other side
	moved                                        counter // resets of an identity that changes
	consumed, repeated, moves                    counter // changes handed to the consumer; moves: to another process

	lost, doubled, reordered, broken, wrong, resets counter // faults, of which the first are described

	mu      sync.Mutex
	reasons map[string]int
	faults  []string
}

const describedFaults = 20

func newTotals() *totals { return &totals{reasons: map[string]int{}} }

func (t *totals) fault(kind *counter, format string, args ...any) {
	kind.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) < describedFaults {
		t.faults = append(t.faults, fmt.Sprintf(format, args...))
	}
}

func (t *totals) reset(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reasons[reason]++
}

func (t *totals) described() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.faults)
}

// String is the report that a run ends with.
func (t *totals) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	line := func(name string, of ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", name, strings.TrimSpace(fmt.Sprintln(of...)))
	}
	line("transactions", t.transactions.Load(), "committed", t.committed.Load(), "rolled back", t.rolledBack.Load(), "cut off", t.unknown.Load())
	line("acknowledged", t.acknowledged.Load(), "rows written; the journal has", t.journaled.Load(), "entries")
	line("delivered", t.delivered.Load(), "events, and", t.rows.Load(), "rows in", t.snapshots.Load(), "snapshots;", t.heartbeats.Load(), "heartbeats")
	line("connects", t.connects.Load(), "of which reconnects", t.reconnects.Load(), "interrupted", t.interrupted.Load())
	line("consumed", t.consumed.Load(), "changes, of which again", t.repeated.Load(), "and moved between processes", t.moves.Load())
	resets := []string{fmt.Sprintf("%d and for a changed identity %d", t.resets.Load(), t.moved.Load())}
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		resets = append(resets, fmt.Sprintf("%s %d", reason, t.reasons[reason]))
	}
	line("resets", strings.Join(resets, ", "))
	line("lost", t.lost.Load(), "doubled", t.doubled.Load(), "reordered", t.reordered.Load(), "broken chains", t.broken.Load(), "wrong", t.wrong.Load())
	return b.String()
}
