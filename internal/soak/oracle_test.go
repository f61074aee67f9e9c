package soak

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sort"
	"sync"
	"testing"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// entry is a change of the journal, as the oracle sees it.
type entry struct {
	position      int64
	id            rowID
	before, after *row
}

// reader reads the journal beside the backend, with connections of its own.
type reader struct {
	db      *sqldriver.DB
	journal *journal.Journal
	columns [tables]map[string]int
	entries []entry
}

func openReader(t testing.TB, target dbtest.Target) *reader {
	t.Helper()
	b, err := engines.Of(target.URL).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{}
	if r.db, err = sqldriver.Open(b, sqldriver.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
	var all []*model.Model
	for table, of := range []reflect.Type{reflect.TypeFor[Task](), reflect.TypeFor[Memo](), reflect.TypeFor[Reading](), reflect.TypeFor[Part]()} {
		m, err := model.Parse(of, schema.NamingStrategy{}, &sync.Map{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
		r.columns[table] = map[string]int{}
		for _, f := range m.Fields {
			r.columns[table][f.Name] = f.Column
		}
	}
	if r.journal, err = journal.Open(r.db, all, journal.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if err := r.journal.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// read takes what is new in the journal.
func (r *reader) read(ctx context.Context) error {
	const page = 2000
	for {
		after := int64(0)
		if n := len(r.entries); n > 0 {
			after = r.entries[n-1].position
		}
		entries, err := r.journal.Read(ctx, after, page)
		if err != nil {
			return err
		}
		for i := range entries {
			e := &entries[i]
			if e.Op == journal.Gap || e.Table == journal.AllTables {
				return fmt.Errorf("the journal has a gap at %d", e.Position)
			}
			if e.Position != after+1 {
				return fmt.Errorf("the journal goes on with %d after %d", e.Position, after)
			}
			after = e.Position
			found := entry{position: e.Position, before: r.row(e.Table, e.Before), after: r.row(e.Table, e.After)}
			if known := found.after; known != nil {
				found.id = rowID{e.Table, known.key}
			} else {
				found.id = rowID{e.Table, found.before.key}
			}
			r.entries = append(r.entries, found)
		}
		if len(entries) < page {
			return nil
		}
	}
}

// row reads an image.
func (r *reader) row(table int, image []predicate.Value) *row {
	if image == nil {
		return nil
	}
	at := func(name string) predicate.Value { return image[r.columns[table][name]] }
	found := &row{v: at("v").Int(), tx: at("tx").Content()}
	switch table {
	case tasks:
		found.key = fmt.Sprint(at("id").Int())
		found.owner, found.level, found.hidden = at("owner_id").Content(), at("level").Int(), at("note").Content()
	case memos:
		found.key = at("id").Content()
		found.owner, found.public, found.deleted = at("org_id").Content(), at("public").Bool(), !at("deleted_at").IsNull()
	case readings:
		found.key = fmt.Sprint(at("id").Int())
		found.score, found.hidden = at("score").Float(), at("label").Content()
	case parts:
		found.key = fmt.Sprint(at("id").Int())
		found.level, found.score = at("task_id").Int(), float64(at("slot").Int())
		if memo := at("memo_id"); !memo.IsNull() {
			found.hidden = memo.Content()
		}
	}
	return found
}

// final is what the tables hold after all entries; each must go on from the one before it.
func (r *reader) final(totals *totals) map[rowID]row {
	last := map[rowID]row{}
	for i := range r.entries {
		e := &r.entries[i]
		known, there := last[e.id]
		switch {
		case there != (e.before != nil):
			totals.fault(&totals.broken, "journal: entry %d of %v: it was there: %v, and the entry says %v", e.position, e.id, there, e.before != nil)
		case there && known != *e.before:
			totals.fault(&totals.broken, "journal: entry %d of %v: before is %+v, and was %+v", e.position, e.id, *e.before, known)
		}
		if e.after == nil {
			delete(last, e.id)
		} else {
			last[e.id] = *e.after
		}
	}
	totals.journaled.Store(int64(len(r.entries)))
	return last
}

// writes counts the rows that each transaction wrote, by its tag: inserts, and updates that counted up.
func (r *reader) writes() map[string]int64 {
	found := map[string]int64{}
	for i := range r.entries {
		e := &r.entries[i]
		if e.after != nil && (e.before == nil || e.before.v != e.after.v) {
			found[e.after.tx]++
		}
	}
	return found
}

// expectation is an event that a feed must be sent, and the hash of the rows that its client knows then.
type expectation struct {
	delivery
	state uint64
	text  string // of the first few, for faults
}

// expect is all that a feed could have been sent since the journal began.
func (f *feed) expect(who *identity, entries []entry) []expectation {
	var found []expectation
	var state uint64
	sees := func(id rowID, r *row) bool {
		return r != nil && who.mayRead(id.table, r) && (len(f.tables) > 1 || f.filter.holds(r))
	}
	for i := range entries {
		e := &entries[i]
		if !slices.Contains(f.tables, e.id.table) {
			continue
		}
		before, after := sees(e.id, e.before), sees(e.id, e.after)
		if before {
			state -= rowHash(e.id, e.before.v, e.before.tx)
		}
		if after {
			state += rowHash(e.id, e.after.v, e.after.tx)
		}
		kind, told := "UPDATE", e.after
		switch {
		case !before && !after:
			continue
		case !before:
			kind = "INSERT"
		case !after:
			kind, told = "DELETE", e.before
		case sameToClients(e.before, e.after):
			continue
		}
		found = append(found, expectation{
			delivery: delivery{e.position, eventHash(kind, e.id, told.v, told.tx)}, state: state,
			text: fmt.Sprintf("%s of %v v %d tx %s", kind, e.id, told.v, told.tx),
		})
	}
	return found
}

func sameToClients(a, b *row) bool {
	x, y := *a, *b
	x.hidden, y.hidden = "", ""
	return x == y
}

// expectAll is what a feed had to be sent, by the versions of its identity.
func (f *feed) expectAll(entries []entry) [][]expectation {
	if f.who.versions == nil {
		return [][]expectation{f.expect(f.who, entries)}
	}
	all := make([][]expectation, len(f.who.versions))
	for i, who := range f.who.versions {
		all[i] = f.expect(who, entries)
	}
	return all
}

// verify compares what a feed was sent with what it had to be. Each segment is one version's of the identity, and the
// last one must be complete for the present version.
func (f *feed) verify(all [][]expectation, present int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, s := range f.segments {
		if n == len(f.segments)-1 {
			f.report(s.faults(all[present], true))
			break
		}
		var faults []mistake
		for _, expected := range all {
			if faults = s.faults(expected, false); faults == nil {
				break
			}
		}
		f.report(faults)
	}
	state := uint64(0)
	if expected := all[present]; len(expected) > 0 {
		state = expected[len(expected)-1].state
	}
	for id, r := range f.rows {
		state -= rowHash(id, r.v, r.tx)
	}
	if state != 0 {
		f.fault(&f.totals.wrong, "the client's rows at the end are not those of the table")
	}
}

func (f *feed) report(faults []mistake) {
	for _, fault := range faults {
		kind := &f.totals.wrong
		if fault.lost {
			kind = &f.totals.lost
		}
		f.fault(kind, "%s", fault.text)
	}
}

// mistake is a difference between what was sent and what was expected.
type mistake struct {
	lost bool
	text string
}

// faults compares a segment with what the feed had to be sent, up to the end of one of them.
func (s *segment) faults(expected []expectation, complete bool) (faults []mistake) {
	upTo := func(position int64) int {
		return sort.Search(len(expected), func(i int) bool { return expected[i].position > position })
	}
	first, last := upTo(s.from), len(expected)
	state := uint64(0)
	if first > 0 {
		state = expected[first-1].state
	}
	if state != s.state {
		faults = append(faults, mistake{false, fmt.Sprintf("the rows at %d are not those of the table", s.from)})
	}
	if !complete {
		last = first
		if len(s.log) > 0 {
			last = max(first, upTo(s.log[len(s.log)-1].position))
		}
	}
	sent := make(map[int64]uint64, len(s.log))
	for _, d := range s.log {
		sent[d.position] = d.hash
	}
	for i := first; i < last; i++ {
		e := &expected[i]
		hash, there := sent[e.position]
		switch {
		case !there:
			faults = append(faults, mistake{true, fmt.Sprintf("event %d was not sent: %s", e.position, e.text)})
		case hash != e.hash:
			faults = append(faults, mistake{false, fmt.Sprintf("event %d was sent as another one: %s", e.position, e.text)})
		}
		delete(sent, e.position)
	}
	for position := range sent {
		faults = append(faults, mistake{false, fmt.Sprintf("event %d was sent and is none of the feed's", position)})
	}
	return faults
}
