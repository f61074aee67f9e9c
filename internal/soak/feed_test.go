package soak

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// feed is what one cursor stands for, as its client knows it: an SSE connection, or a subscription of a WebSocket.
type feed struct {
	name     string
	who      *identity
	tables   []int
	filter   filter // with one table
	snapshot bool   // it can begin anew with the rows; otherwise it knows all since the tables were empty
	totals   *totals

	mu       sync.Mutex
	cursor   string // to resume from; "" where the feed must begin anew
	position int64  // of the cursor; -1 while there is none
	rows     map[rowID]shown
	began    bool // a resume is not a beginning
	inRows   bool // between ready or reset and snapshot-end
	segments []*segment
}

// segment is what came without a new beginning: every event after a place.
type segment struct {
	from  int64
	state uint64 // hash of the rows at from
	log   []delivery
}

// delivery is an event: its place, and a hash of what it says.
type delivery struct {
	position int64
	hash     uint64
}

// positionOf looks into a cursor, which is opaque to clients but not to a test.
func positionOf(cursor string) (int64, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, fmt.Errorf("cursor %q: %w", cursor, err)
	}
	parts := strings.Split(string(text), ".")
	if len(parts) != 5 {
		return 0, fmt.Errorf("cursor %q has %d parts", text, len(parts))
	}
	return strconv.ParseInt(parts[2], 10, 64)
}

// open prepares a connection and tells what it resumes from; "" asks for a snapshot where the feed takes one.
func (f *feed) open() (cursor string, snapshot bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor == "" {
		f.inRows = f.snapshot
		clear(f.rows)
	}
	return f.cursor, f.snapshot
}

// forget lets a feed that can begin anew do so.
func (f *feed) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.snapshot {
		f.cursor, f.position = "", -1
	}
}

// at is the position up to which the client was told everything, and -1 while it knows nothing.
func (f *feed) at() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

func (f *feed) fault(kind *counter, format string, args ...any) {
	f.totals.fault(kind, "%s: %s", f.name, fmt.Sprintf(format, args...))
}

// advance takes a cursor.
func (f *feed) advance(cursor string) bool {
	if cursor == "" {
		return true
	}
	position, err := positionOf(cursor)
	if err != nil {
		f.fault(&f.totals.wrong, "%v", err)
		return false
	}
	f.cursor, f.position = cursor, position
	return true
}

func (f *feed) ready(cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, resumed := f.position, f.cursor != ""
	if cursor == "" {
		if !f.inRows && !resumed {
			f.fault(&f.totals.wrong, "ready has no cursor, and no snapshot follows")
		}
		return
	}
	if !f.advance(cursor) {
		return
	}
	switch {
	case resumed && f.position != before:
		f.fault(&f.totals.wrong, "resumed at %d from %d", f.position, before)
	case !resumed && f.inRows:
		f.fault(&f.totals.wrong, "ready has a cursor, though a snapshot follows")
	case !resumed && !f.began:
		f.begin()
	case !resumed:
		f.fault(&f.totals.wrong, "a second beginning")
	}
}

// begin notes that the feed knows the rows at its position.
func (f *feed) begin() {
	f.began = true
	s := &segment{from: f.position}
	for id, r := range f.rows {
		s.state += rowHash(id, r.v, r.tx)
	}
	f.segments = append(f.segments, s)
}

func (f *feed) snapshotEnd(cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.inRows || cursor == "" {
		f.fault(&f.totals.wrong, "snapshot-end out of place, with cursor %q", cursor)
		return
	}
	f.inRows = false
	if f.advance(cursor) {
		f.begin()
		f.totals.snapshots.Add(1)
	}
}

func (f *feed) heartbeat(cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.totals.heartbeats.Add(1)
	if cursor == "" {
		return
	}
	before := f.position
	if f.inRows {
		f.fault(&f.totals.wrong, "a cursor within a snapshot")
	}
	if f.advance(cursor) && f.position < before {
		f.fault(&f.totals.reordered, "the cursor went back from %d to %d", before, f.position)
	}
}

// reset tells whether the client can go on over this connection.
func (f *feed) reset(reason, cursor string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.totals.reset(reason)
	if f.who.versions != nil && (reason == "identity" || reason == "unknown_cursor") {
		f.totals.moved.Add(1) // it sees other rows now
	} else {
		f.fault(&f.totals.resets, "reset at %d: %s", f.position, reason)
	}
	clear(f.rows)
	f.cursor, f.position = "", -1
	if !f.snapshot {
		f.snapshot = true // it has to read again, and a snapshot is how
		return false
	}
	if cursor != "" {
		f.fault(&f.totals.wrong, "a reset with a cursor, though a snapshot follows")
	}
	f.inRows = true
	return true
}

// change takes an event.
func (f *feed) change(name, kind string, payload json.RawMessage, cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	table := -1
	for _, t := range f.tables {
		if resourceName(t) == name {
			table = t
		}
	}
	if table < 0 {
		f.fault(&f.totals.wrong, "an event of table %q", name)
		return
	}
	key, r, err := parsePayload(table, payload)
	if err != nil {
		f.fault(&f.totals.wrong, "%v", err)
		return
	}
	id := rowID{table, key}
	switch {
	case cursor == "" && !f.inRows:
		f.fault(&f.totals.wrong, "a change of %v without a cursor", id)
	case cursor != "" && f.inRows:
		f.fault(&f.totals.wrong, "a change of %v with a cursor within a snapshot", id)
	case cursor == "":
		f.totals.rows.Add(1)
	default:
		f.note(eventHash(kind, id, r.v, r.tx), cursor)
	}
	f.apply(kind, id, r)
}

// note adds an event to the segment.
func (f *feed) note(hash uint64, cursor string) {
	before := f.position
	if !f.advance(cursor) || len(f.segments) == 0 {
		return
	}
	f.totals.delivered.Add(1)
	s := f.segments[len(f.segments)-1]
	if f.position <= before {
		kind := &f.totals.reordered
		for _, d := range s.log {
			if d.position == f.position {
				kind = &f.totals.doubled
			}
		}
		f.fault(kind, "event %d came after %d", f.position, before)
	}
	s.log = append(s.log, delivery{f.position, hash})
}

// apply changes the rows that the client holds: each event must fit what came before.
func (f *feed) apply(kind string, id rowID, r shown) {
	old, there := f.rows[id]
	switch {
	case kind == "INSERT" && there:
		f.fault(&f.totals.broken, "INSERT of %v (v %d, tx %s) which is there (v %d, tx %s)", id, r.v, r.tx, old.v, old.tx)
	case kind == "UPDATE" && !there:
		f.fault(&f.totals.broken, "UPDATE of %v (v %d, tx %s) which is not there", id, r.v, r.tx)
	case kind == "UPDATE" && r.v != old.v+1:
		f.fault(&f.totals.broken, "UPDATE of %v from v %d (tx %s) to v %d (tx %s)", id, old.v, old.tx, r.v, r.tx)
	case kind == "DELETE" && !there:
		f.fault(&f.totals.broken, "DELETE of %v (v %d, tx %s) which is not there", id, r.v, r.tx)
	case kind == "DELETE" && r != old:
		f.fault(&f.totals.broken, "DELETE of %v at v %d, not as last seen at v %d", id, r.v, old.v)
	}
	if kind == "DELETE" {
		delete(f.rows, id)
	} else {
		f.rows[id] = r
	}
}
