package soak

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// sent is an event as a stream could send it.
type sent struct {
	position int64
	kind     string
	v        int64
}

// TestFaultsAreFound spoils what an honest stream sends, and what an honest journal has.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	entries := []entry{
		{1, rowID{tasks, "1"}, nil, &row{key: "1", owner: "u1", v: 1, tx: "a"}},
		{2, rowID{tasks, "2"}, nil, &row{key: "2", owner: "u2", v: 1, tx: "a"}}, // not u1's
		{3, rowID{tasks, "1"}, &row{key: "1", owner: "u1", v: 1, tx: "a"}, &row{key: "1", owner: "u1", v: 2, tx: "b"}},
		{4, rowID{tasks, "1"}, &row{key: "1", owner: "u1", v: 2, tx: "b"}, &row{key: "1", owner: "u1", v: 2, tx: "b", hidden: "x"}},
		{5, rowID{tasks, "1"}, &row{key: "1", owner: "u1", v: 2, tx: "b", hidden: "x"}, nil},
	}
	honest := []sent{{1, "INSERT", 1}, {3, "UPDATE", 2}, {5, "DELETE", 2}}
	tests := []struct {
		name  string
		sent  []sent
		fault func(*totals) *counter
	}{
		{"honest", honest, nil},
		{"one is lost", []sent{honest[0], honest[2]}, func(t *totals) *counter { return &t.lost }},
		{"the last is lost", honest[:2], func(t *totals) *counter { return &t.lost }},
		{"one comes twice", []sent{honest[0], honest[1], honest[1], honest[2]}, func(t *totals) *counter { return &t.doubled }},
		{"two change places", []sent{honest[1], honest[0], honest[2]}, func(t *totals) *counter { return &t.reordered }},
		{"one is another", []sent{honest[0], {3, "UPDATE", 3}, honest[2]}, func(t *totals) *counter { return &t.wrong }},
		{"an invisible one", []sent{honest[0], honest[1], {4, "UPDATE", 2}, honest[2]}, func(t *totals) *counter { return &t.wrong }},
		{"a chain breaks", []sent{honest[0], {3, "INSERT", 2}, honest[2]}, func(t *totals) *counter { return &t.broken }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			totals := newTotals()
			f := &feed{
				who: &identity{id: "u1"}, tables: []int{tasks}, filter: everything(), totals: totals,
				rows: map[rowID]shown{}, position: -1,
			}
			cursor := func(position int64) string {
				return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "v1.e.%d.n.s", position))
			}
			f.open()
			f.ready(cursor(0))
			for _, e := range test.sent {
				tx := map[int64]string{1: "a"}[e.v]
				if tx == "" {
					tx = "b"
				}
				f.change("task", e.kind, fmt.Appendf(nil, `{"id":1,"v":%d,"tx":%q}`, e.v, tx), cursor(e.position))
			}
			f.verify(f.expectAll(entries), 0)
			if test.fault == nil {
				if faults := totals.described(); faults != nil {
					t.Error(faults)
				}
				return
			}
			if test.fault(totals).Load() == 0 {
				t.Errorf("not found; the report is\n%s", totals)
			}
		})
	}
}

func TestFaultsOfTheJournalAreFound(t *testing.T) {
	t.Parallel()
	one := &row{key: "1", v: 1, tx: "a"}
	two := &row{key: "1", v: 2, tx: "b"}
	three := &row{key: "1", v: 3, tx: "c"}
	id := rowID{tasks, "1"}
	totals := newTotals()
	r := &reader{entries: []entry{{1, id, nil, one}, {2, id, two, three}}}
	r.final(totals)
	if totals.broken.Load() != 1 {
		t.Errorf("an entry is missing: %v", totals.described())
	}
	l := &ledger{totals: newTotals(), outcomes: map[string]outcome{
		"a": {committed, 1}, "b": {committed, 1}, "c": {state: rolledBack}, "d": {cutOff, 2}, "e": {cutOff, 2},
	}}
	l.verify(map[string]int64{"a": 2, "c": 1, "d": 1, "e": 2, "nobody": 1})
	if got := l.totals; got.doubled.Load() != 1 || got.lost.Load() != 1 || got.wrong.Load() != 2 || got.broken.Load() != 1 {
		t.Errorf("the report is\n%s\n%v", got, got.described())
	}
}
