package audit

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Resource is a journaled table.
type Resource struct {
	Name  string // "" where it is private
	Model *model.Model
}

// Table is the table's name as the journal has it.
func (r *Resource) Table() string { return tableName(r.Model) }

func tableName(m *model.Model) string {
	if m.Table.Schema != "" {
		return m.Table.Schema + "." + m.Table.Name
	}
	return m.Table.Name
}

// Called is what queries and entries call it.
func (r *Resource) Called() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Table()
}

// Trail reads the journal. Its methods may be called by several goroutines.
type Trail struct {
	journal   func() *journal.Journal
	resources []Resource // at the numbers of the journal's tables; that of events follows them
	names     []string   // sorted
}

// NewTrail returns the trail of resources, which stand at the numbers that the journal's entries have for their tables.
// The table of events comes after them. The present journal is asked for with each call.
func NewTrail(present func() *journal.Journal, resources []Resource) *Trail {
	t := &Trail{journal: present, resources: resources}
	for i := range resources {
		t.names = append(t.names, resources[i].Called())
	}
	slices.Sort(t.names)
	return t
}

// Page is a part of the entries.
type Page struct {
	Entries []Entry
	Next    string    // where the next page begins after; "" when there is none
	Floor   time.Time // of the oldest entry that is kept; zero when there is none
}

// A page that finds little ends all the same, so that no request takes long.
const (
	maxScanned = 20_000
	maxTaken   = 2 * time.Second
)

// Page returns at most limit entries: fewer, even none, where it has looked at many. Next tells whether there are more.
func (t *Trail) Page(ctx context.Context, q *Query, limit int) (Page, error) {
	ctx = sqldriver.Outside(ctx)
	p := Page{Entries: []Entry{}}
	s, err := t.scan(ctx, q)
	if err != nil {
		return p, err
	}
	if p.Floor, err = s.oldest(ctx); err != nil {
		return p, err
	}
	began, scanned := time.Now(), 0
	for scanned < maxScanned && time.Since(began) < maxTaken {
		found, err := s.read(ctx)
		if err != nil {
			return p, err
		}
		for i := range found {
			e, ok := s.entry(ctx, &found[i])
			if ok {
				p.Entries = append(p.Entries, e)
			}
			if len(p.Entries) == limit && (i < len(found)-1 || !s.done()) {
				p.Next = formatID(found[i].Mark)
				return p, nil
			}
		}
		scanned += len(found)
		if s.done() {
			return p, nil
		}
		if len(found) > 0 {
			p.Next = formatID(found[len(found)-1].Mark)
		}
	}
	return p, nil
}

// All yields every entry that the query wants and that was committed when the reading began, reading a little at a time.
// An error ends it.
func (t *Trail) All(ctx context.Context, q *Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		ctx := sqldriver.Outside(ctx)
		s, err := t.scan(ctx, q)
		yielded := 0
		for err == nil && !s.done() {
			var found []journal.Raw
			found, err = s.read(ctx)
			for i := range found {
				e, ok := s.entry(ctx, &found[i])
				if !ok {
					continue
				}
				yielded++
				if !yield(e, nil) || yielded == q.Limit {
					return
				}
			}
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// scan is a pass through the journal: of the entries after low, up to high, from one end.
type scan struct {
	*filter
	low, high int64
	page      int // entries that are read at a time
}

// How many entries are read at a time: not many bytes of them.
const (
	firstPage = 64
	lastPage  = 512
	pageBytes = 4 << 20
)

// slack is how far an entry's time may be from that of its commit: whoever looks for a time looks that much further.
const slack = time.Hour

// scan finds out where to look.
func (t *Trail) scan(ctx context.Context, q *Query) (*scan, error) {
	f, err := t.filter(q)
	if err != nil {
		return nil, err
	}
	s := &scan{filter: f, page: firstPage}
	// What has been committed before has a position from here on.
	view, err := s.journal.Snapshot(ctx, nil, func(context.Context, *sqldriver.Conn) error { return nil })
	if err != nil {
		return nil, err
	}
	floor, err := s.journal.Floor(ctx)
	if err != nil {
		return nil, err
	}
	s.low, s.high = floor.Position, view.Settled
	if err := s.resume(ctx, q); err != nil {
		return nil, err
	}
	if !q.Since.IsZero() {
		if s.low, _, err = s.seek(ctx, q.Since.Add(-slack)); err != nil {
			return nil, err
		}
	}
	if !q.Until.IsZero() {
		if _, s.high, err = s.seek(ctx, q.Until.Add(slack)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// resume begins after the query's cursor.
func (s *scan) resume(ctx context.Context, q *Query) error {
	if q.After == "" {
		return nil
	}
	at, ok := parseID(q.After)
	if !ok {
		return invalid("after", "expected the id of an entry, or next of the page before")
	}
	state, _, err := s.journal.State(ctx, at)
	switch {
	case err != nil:
		return err
	case state == journal.Expired:
		return s.expired(ctx)
	case state != journal.OK:
		return invalid("after", "this is no entry of the present journal: expected the id of an entry, or next of the page before")
	case q.Ascending:
		s.low = at.Position
	default:
		s.high = at.Position - 1
	}
	return nil
}

// expired says that entries are wanted that have been pruned.
func (s *scan) expired(ctx context.Context) error {
	back := "is empty"
	oldest, err := s.oldest(ctx)
	if err != nil {
		return err
	}
	if !oldest.IsZero() {
		back = "reaches back to " + oldest.Format(time.RFC3339)
	}
	return invalid("after", "the entry is older than Config.Retention and was pruned: the audit trail "+back)
}

// oldest is the time of the first entry that is kept.
func (s *scan) oldest(ctx context.Context) (time.Time, error) {
	for {
		floor, err := s.journal.Floor(ctx)
		if err != nil {
			return time.Time{}, err
		}
		found, err := s.journal.ReadRaw(ctx, floor.Position, 1)
		if errors.Is(err, journal.ErrPruned) {
			continue // since the floor was read
		}
		if err != nil || len(found) == 0 {
			return time.Time{}, err
		}
		return found[0].Time, nil
	}
}

// seek narrows low and high to a place where times pass one. Times are not in the order of positions, which is that of
// commits: the caller allows for that.
func (s *scan) seek(ctx context.Context, passing time.Time) (low, high int64, err error) {
	const enough, look = 512, 16
	low, high = s.low, s.high
	for high-low > enough {
		middle := low + (high-low)/2
		found, err := s.journal.ReadRaw(ctx, middle, look)
		if errors.Is(err, journal.ErrPruned) {
			low = middle
			continue
		}
		if err != nil {
			return low, high, err
		}
		// A gap that stands for an entry that somebody deleted by hand does not know when that was.
		i := slices.IndexFunc(found, func(r journal.Raw) bool { return r.Op != journal.Gap })
		switch {
		case i < 0:
			return low, high, nil
		case found[i].Time.Before(passing):
			low = middle
		default:
			high = found[i].Position
		}
	}
	return low, high, nil
}

func (s *scan) done() bool { return s.low >= s.high }

// read returns the next entries, in the order of the query.
func (s *scan) read(ctx context.Context) ([]journal.Raw, error) {
	if s.done() {
		return nil, nil
	}
	n := min(int64(s.page), s.high-s.low)
	from := s.low
	if !s.query.Ascending {
		from = s.high - n
	}
	found, err := s.journal.ReadRaw(ctx, from, int(n))
	switch {
	case errors.Is(err, journal.ErrPruned) && s.query.Ascending:
		return nil, s.expired(ctx)
	case errors.Is(err, journal.ErrPruned):
		// What is older than the rest has gone: so has the end.
		floor, err := s.journal.Floor(ctx)
		s.low = max(s.low, floor.Position)
		return nil, err
	case err != nil:
		return nil, err
	}
	s.adapt(found)
	if s.query.Ascending {
		s.low += n
		return found, nil
	}
	s.high = from
	slices.Reverse(found)
	return found, nil
}

// adapt chooses the size of the next page by that of the entries of this one.
func (s *scan) adapt(found []journal.Raw) {
	size := 1
	for i := range found {
		size += found[i].Size
	}
	s.page = max(1, min(2*s.page, lastPage, pageBytes*len(found)/size))
}
