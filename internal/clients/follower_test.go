package clients

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// job says what a client is to follow, as testdata/start.mjs reads it.
type job struct {
	Name          string                       `json:"name"`
	Kind          string                       `json:"kind"` // EventSource, followEvents or followSocket
	URL           string                       `json:"url"`
	Subscriptions map[string]map[string]string `json:"subscriptions,omitempty"`
	Token         string                       `json:"token,omitempty"`
}

// streams names what the job follows, as reports do.
func (j job) streams() []string {
	if j.Subscriptions == nil {
		return []string{j.Name + " "}
	}
	var names []string
	for id := range j.Subscriptions {
		names = append(names, j.Name+" "+id)
	}
	return names
}

// report is a line of a client's.
type report struct {
	Name   string `json:"name"`
	Stream string `json:"stream"` // the id of a WebSocket's subscription
	Type   string `json:"type"`
	Cursor string `json:"cursor"`
	Data   change `json:"data"`
}

// change is what a stream says of a row.
type change struct {
	Table   string `json:"table"`
	Event   string `json:"event"`
	Payload todo   `json:"payload"`
}

// todo is a row of examples/todo.
type todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id"`
	Task       string    `json:"task"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at"`
}

// follower is one stream as a client sees it.
type follower struct {
	name      string
	changes   []change
	rows      map[int64]todo
	marks     map[string]bool
	connected int // times
	position  int64
	faults    []string
}

// followers collect the reports of all clients.
type followers struct {
	mu      sync.Mutex
	all     map[string]*follower
	strange []string
	news    chan struct{} // closed at the next report
}

func newFollowers(jobs []job) *followers {
	f := &followers{all: map[string]*follower{}, news: make(chan struct{})}
	for _, j := range jobs {
		for _, name := range j.streams() {
			f.all[name] = &follower{name: name, rows: map[int64]todo{}, marks: map[string]bool{}, position: -1}
		}
	}
	return f
}

// take takes a line.
func (f *followers) take(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		close(f.news)
		f.news = make(chan struct{})
	}()
	var r report
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		f.strange = append(f.strange, fmt.Sprintf("%v: %s", err, line))
		return
	}
	one := f.all[r.Name+" "+r.Stream]
	if one == nil {
		f.strange = append(f.strange, line)
		return
	}
	if err := one.take(r); err != nil {
		one.faults = append(one.faults, fmt.Sprintf("%v: %s", err, line))
	}
}

func (f *follower) take(r report) error {
	position, err := positionOf(r.Cursor)
	if err != nil {
		return err
	}
	before := f.position
	f.position = position
	switch r.Type {
	case "ready":
		f.connected++
		if f.connected > 1 && position != before {
			return fmt.Errorf("went on after %d, and had %d", position, before)
		}
		return nil
	case "cursor":
		if position < before {
			return fmt.Errorf("a cursor back from %d", before)
		}
		return nil
	case "message":
		if position <= before {
			return fmt.Errorf("not after %d", before)
		}
		f.changes = append(f.changes, r.Data)
		return f.apply(r.Data)
	}
	return fmt.Errorf("an unexpected %s", r.Type)
}

// apply keeps the rows that the client knows.
func (f *follower) apply(c change) error {
	row := c.Payload
	known, there := f.rows[row.ID]
	if there != (c.Event != "INSERT") {
		return fmt.Errorf("%s, and the row was there: %v", c.Event, there)
	}
	switch c.Event {
	case "INSERT":
		if mark, ok := strings.CutPrefix(row.Task, "mark "); ok {
			f.marks[mark] = true
		}
		f.rows[row.ID] = row
	case "UPDATE":
		f.rows[row.ID] = row
		return follows(known.Task, row.Task)
	case "DELETE":
		delete(f.rows, row.ID)
		if row != known {
			return fmt.Errorf("not what was known: %v", known)
		}
	default:
		return fmt.Errorf("unknown event %q", c.Event)
	}
	return nil
}

// follows tells whether a task's version is the next one, where it has versions.
func follows(before, after string) error {
	row, version, versioned := cutVersion(before)
	nextRow, next, _ := cutVersion(after)
	if versioned && (row != nextRow || next != version+1) {
		return fmt.Errorf("%q after %q", after, before)
	}
	return nil
}

func cutVersion(task string) (row string, version int, ok bool) {
	row, text, ok := strings.Cut(task, " v")
	if !ok {
		return task, 0, false
	}
	version, err := strconv.Atoi(text)
	return row, version, err == nil
}

// positionOf looks into a cursor, which clients must not: for its place in the journal.
func positionOf(cursor string) (int64, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, err
	}
	parts := strings.Split(string(text), ".")
	if len(parts) != 5 || parts[0] != "v1" {
		return 0, fmt.Errorf("not a cursor: %q", text)
	}
	return strconv.ParseInt(parts[2], 10, 64)
}

// wait returns when ok holds for each stream.
func (f *followers) wait(t *testing.T, what string, ok func(*follower) bool) {
	t.Helper()
	limit, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		f.mu.Lock()
		news := f.news
		var lacking []string
		for name, one := range f.all {
			if !ok(one) {
				lacking = append(lacking, fmt.Sprintf("%s(%d changes, connected %d times)", name, len(one.changes), one.connected))
			}
		}
		f.check(t)
		f.mu.Unlock()
		if lacking == nil {
			return
		}
		slices.Sort(lacking)
		select {
		case <-news:
		case <-limit.Done():
			t.Fatalf("waiting for %s: not yet %q", what, lacking)
		}
	}
}

// check fails the test at the first fault.
func (f *followers) check(t *testing.T) {
	t.Helper()
	faults := slices.Clone(f.strange)
	for name, one := range f.all {
		for _, fault := range one.faults {
			faults = append(faults, name+": "+fault)
		}
	}
	if faults != nil {
		f.mu.Unlock() // Fatal runs what the test defers, which may take lines
		t.Fatal(strings.Join(faults[:min(len(faults), 10)], "\n"))
	}
}
