package clients

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// verify compares what each client saw with what writers did, with the table, and with each other.
func (f *followers) verify(t *testing.T, l *load, rows map[int64]todo) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	whole := f.all["Chromium's EventSource "]
	whole.verifyWrites(t, l, rows)
	open := projection(whole.changes)
	stillOpen := maps.Clone(rows)
	maps.DeleteFunc(stillOpen, func(_ int64, row todo) bool { return row.IsComplete })
	for name, one := range f.all {
		wantRows, wantChanges := rows, whole.changes
		if one.filtered() {
			wantRows, wantChanges = stillOpen, open
		}
		if !maps.Equal(wantRows, one.rows) {
			t.Errorf("%s: rows (-table +client):\n%s", name, cmp.Diff(wantRows, one.rows))
		}
		if !slices.Equal(wantChanges, one.changes) {
			t.Errorf("%s: changes (-want +got):\n%s", name, cmp.Diff(wantChanges, one.changes))
		}
		if one.connected < 3 {
			t.Errorf("%s: connected %d times, want again after each restart", name, one.connected)
		}
		t.Logf("%s: %d changes, connected %d times", name, len(one.changes), one.connected)
	}
	t.Logf("%d rows; %d requests were refused", len(rows), l.http.refused)
}

// filtered tells whether the stream has the open rows alone.
func (f *follower) filtered() bool {
	return f.name == "eventsource, plain proxy, open " || f.name == "ws open" || f.name == "Chromium's WebSocket open"
}

// verifyWrites counts the changes.
func (f *follower) verifyWrites(t *testing.T, l *load, rows map[int64]todo) {
	t.Helper()
	type count struct{ user, event string }
	got, want := map[count]int{}, map[count]int{}
	for _, c := range f.changes {
		got[count{c.Payload.UserID, c.Event}]++
		if c.Payload.Task == "rolled back" {
			t.Errorf("a rolled back change was delivered: %+v", c)
		}
	}
	want[count{"bob", "INSERT"}] = l.sql.inserts
	want[count{"bob", "UPDATE"}] = l.sql.updates
	want[count{"bob", "DELETE"}] = l.sql.deletes
	for _, row := range rows {
		if row.UserID == alice {
			want[count{alice, "INSERT"}]++
			if row.IsComplete {
				want[count{alice, "UPDATE"}]++
			}
		}
	}
	completed := map[int64]bool{}
	for _, c := range f.changes {
		if c.Payload.UserID == alice && c.Event == "DELETE" {
			completed[c.Payload.ID] = c.Payload.IsComplete
		}
	}
	for id, kept := range l.http.written {
		if _, there := rows[id]; there != kept {
			t.Errorf("row %d was written, is to be there: %v, and is: %v", id, kept, there)
		}
		if !kept {
			want[count{alice, "INSERT"}]++
			want[count{alice, "DELETE"}]++
			if completed[id] {
				want[count{alice, "UPDATE"}]++
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes by user and kind (-written +seen):\n%s", diff)
	}
}

// projection is what a client that follows the open rows is to see of the changes of all rows.
func projection(all []change) []change {
	var seen []change
	before := map[int64]todo{}
	for _, c := range all {
		row := c.Payload
		known, shown := before[row.ID]
		visible := c.Event != "DELETE" && !row.IsComplete
		switch {
		case visible && shown:
			c.Event = "UPDATE"
		case visible:
			c.Event = "INSERT"
		case shown:
			c.Event, c.Payload = "DELETE", known
		}
		if visible || shown {
			seen = append(seen, c)
		}
		delete(before, row.ID)
		if visible {
			before[row.ID] = row
		}
	}
	return seen
}
