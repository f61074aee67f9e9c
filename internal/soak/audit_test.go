package soak

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// process is one life of a node.
type process struct{ node, launch int }

// audit is what the consumer of the backends was handed, by whichever process.
type audit struct {
	totals *totals
	strict bool // no process was killed

	mu     sync.Mutex
	lines  []auditLine
	newest auditLine
}

// auditLine is a change that was handed to the consumer.
type auditLine struct {
	process  process
	at       int64 // ns, by the clock that all processes share
	position int64
	hash     uint64
	text     string
}

// note takes a line of a process.
func (a *audit) note(p process, text string) {
	l := auditLine{process: p, text: text}
	var id, event string
	var key, v int64
	if _, err := fmt.Sscanf(text, consumed, &l.at, &id, &event, &key, &v); err != nil {
		a.totals.fault(&a.totals.wrong, "a backend says %q: %v", text, err)
		return
	}
	var err error
	position, _, _ := strings.Cut(id, "-")
	if l.position, err = strconv.ParseInt(position, 10, 64); err != nil {
		a.totals.fault(&a.totals.wrong, "a change has the id %q", id)
	}
	l.hash = eventHash(event, rowID{tasks, strconv.FormatInt(key, 10)}, v, "")
	a.totals.consumed.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, l)
	if l.at > a.newest.at {
		a.newest = l
	}
}

// owner is the process that handled the newest change.
func (a *audit) owner() (p process, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.newest.process, a.newest.at != 0
}

// verify compares what the consumer was handed with the journal; its error says that the newest entries are still to come.
func (a *audit) verify(entries []entry) error {
	var expected []auditLine
	for i := range entries {
		e := &entries[i]
		if e.id.table != tasks {
			continue
		}
		kind, row := "UPDATE", e.after
		switch {
		case e.before == nil:
			kind = "INSERT"
		case e.after == nil:
			kind, row = "DELETE", e.before
		}
		expected = append(expected, auditLine{
			position: e.position, hash: eventHash(kind, e.id, row.v, ""), text: fmt.Sprintf("%s of %v v %d", kind, e.id, row.v),
		})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(expected) > 0 && (a.newest.at == 0 || a.newest.position < expected[len(expected)-1].position) {
		return fmt.Errorf("it is at %d of %d", a.newest.position, expected[len(expected)-1].position)
	}
	slices.SortStableFunc(a.lines, func(x, y auditLine) int { return cmp.Compare(x.at, y.at) })
	a.compare(expected)
	return nil
}

// compare goes through the lines in the order of time. A consumer gets the next change, or, where it was interrupted, goes
// on from one that it had before.
func (a *audit) compare(expected []auditLine) {
	last, highest := -1, -1
	gone := map[process]bool{} // those that another process has followed
	for i, l := range a.lines {
		if i > 0 && a.lines[i-1].process != l.process {
			a.totals.moves.Add(1)
			gone[a.lines[i-1].process] = true
		}
		if gone[l.process] {
			a.totals.fault(&a.totals.wrong, "consumer: %+v had it again after another process: %s", l.process, l.text)
		}
		at, there := slices.BinarySearchFunc(expected, l.position, func(e auditLine, position int64) int { return cmp.Compare(e.position, position) })
		switch {
		case !there || expected[at].hash != l.hash:
			a.totals.fault(&a.totals.wrong, "consumer: %s is no change of the journal", l.text)
			continue
		case at > last+1:
			a.totals.fault(&a.totals.lost, "consumer: %s came before %s", l.text, expected[last+1].text)
		case at <= highest && a.strict:
			a.totals.fault(&a.totals.doubled, "consumer: %s came again", l.text)
		case at <= highest:
			a.totals.repeated.Add(1)
		}
		last, highest = at, max(highest, at)
	}
	if moves := a.totals.moves.Load(); a.strict && moves > 0 {
		a.totals.fault(&a.totals.wrong, "consumer: it moved %d times", moves)
	}
}
