package audit

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	// window is how long equal events of a caller are counted before their number is written.
	window = time.Minute
	// maxFolds bounds the events that are told apart within a window; the others are counted by their kind.
	maxFolds = 1000
	// maxWaiting bounds the events that wait to be written.
	maxWaiting = 10_000
	// flushEvery is how long an event waits at most while the database takes writes.
	flushEvery = time.Second
	// writeWait bounds one write, and lastWait the last one.
	writeWait = 10 * time.Second
	lastWait  = 5 * time.Second
	// batch is how many events are written by one statement, and atOnce by one transaction: a queue that a database has
	// not taken for long is to get shorter, however slow that is.
	batch  = 50
	atOnce = 500
)

// Recorder writes events. Its methods may be called by several goroutines.
type Recorder struct {
	db    *sqldriver.DB
	trail *Trail
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex // guards what follows
	waiting []document
	folds   map[string]*fold
	lost    int64 // events that were given up since the last one was written
	ended   bool
	wake    chan struct{}
}

// fold is what equal events become.
type fold struct {
	document       // the last one
	pending  int64 // those that have not been written
	first    bool  // none has
	ends     time.Time
}

// NewRecorder returns a recorder of events about a trail's resources. Run writes what Record does not wait for.
func NewRecorder(db *sqldriver.DB, t *Trail, log *slog.Logger) *Recorder {
	return &Recorder{db: db, trail: t, log: log, now: time.Now, folds: map[string]*fold{}, wake: make(chan struct{}, 1)}
}

// Record writes an event in a transaction of its own, so that it stays when that of the context is rolled back. Where the
// context has a transaction, which may be what other writers wait for, or where the event may fold, it is written soon
// after, by Run.
func (r *Recorder) Record(ctx context.Context, e Event) error {
	if err := e.check(r.trail); err != nil {
		return err
	}
	d := document{
		Version: documentVersion, At: r.now().UTC().Truncate(time.Microsecond), Kind: e.Kind, Resource: e.Resource, Key: e.Key, Detail: e.Detail,
		Actor: journal.ActorOf(ctx),
	}
	switch {
	case e.Fold:
		r.fold(&d)
		return nil
	case sqldriver.InTransaction(ctx):
		return r.enqueue(d)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWait)
	defer cancel()
	return r.write(limited, []document{d})
}

func (r *Recorder) enqueue(d document) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || len(r.waiting) >= maxWaiting {
		return problem.New(problem.Unavailable, "the event cannot be recorded: too many are waiting, or the backend is shutting down")
	}
	r.waiting = append(r.waiting, d)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

func (r *Recorder) fold(d *document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		r.lost++
		return
	}
	id := d.identity()
	f := r.folds[id]
	if f == nil && len(r.folds) >= maxFolds {
		// Of these it is known that they were, and how many.
		*d = document{Version: d.Version, At: d.At, Kind: d.Kind, Detail: map[string]string{"callers": "others"}}
		id = d.identity()
		f = r.folds[id]
	}
	if f == nil {
		f = &fold{first: true, document: *d, ends: r.now().Add(window)}
		r.folds[id] = f
	}
	f.document = *d
	f.pending++
}

// Run writes what waits, until ctx ends and then once more.
func (r *Recorder) Run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			r.last(ctx)
			return
		case <-ticker.C:
		case <-r.wake:
		}
		limited, cancel := context.WithTimeout(ctx, writeWait)
		if err := r.flush(limited, false); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "audit events wait: they could not be written", "error", err)
		}
		cancel()
	}
}

// last writes what is left.
func (r *Recorder) last(ctx context.Context) {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
	defer cancel()
	if err := r.flush(limited, true); err != nil {
		r.mu.Lock()
		n := len(r.waiting)
		r.mu.Unlock()
		r.log.ErrorContext(ctx, "audit events are lost: they could not be written before the end", "events", n, "error", err)
	}
}

// flush writes what is due. What cannot be written waits for the next time.
func (r *Recorder) flush(ctx context.Context, last bool) error {
	r.mu.Lock()
	r.due(last)
	events, lost := r.waiting, r.lost
	r.waiting, r.lost = nil, 0
	r.mu.Unlock()
	if lost > 0 {
		events = append(events, document{Version: documentVersion, At: r.now().UTC(), Kind: "events-lost", Count: lost})
	}
	if len(events) == 0 {
		return nil
	}
	var err error
	for len(events) > 0 && err == nil {
		part := events[:min(len(events), atOnce)]
		if err = r.write(ctx, part); err == nil {
			events = events[len(part):]
		}
	}
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if lost > 0 { // it is the last one, and has not been written
		events = events[:len(events)-1]
		r.lost += lost
	}
	r.waiting = append(events, r.waiting...)
	if surplus := len(r.waiting) - maxWaiting; surplus > 0 {
		r.lost += int64(surplus)
		r.waiting = append([]document(nil), r.waiting[surplus:]...)
	}
	return err
}

// due moves the folds whose time has come: at once for the first of its kind, then once a window.
func (r *Recorder) due(all bool) {
	now := r.now()
	for id, f := range r.folds {
		over := all || !now.Before(f.ends)
		if f.pending > 0 && (f.first || over) {
			d := f.document
			d.Count = f.pending
			r.waiting = append(r.waiting, d)
			f.pending, f.first = 0, false
			if over {
				f.ends = now.Add(window)
			}
		} else if over {
			delete(r.folds, id)
		}
	}
}

// write inserts events and deletes them again, in a transaction of their own: what stays is their entries in the journal.
func (r *Recorder) write(ctx context.Context, events []document) error {
	ctx = caller.WithInternal(sqldriver.Outside(ctx))
	return r.db.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		for part := range slices.Chunk(events, batch) {
			if err := r.insert(ctx, c, part); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Recorder) insert(ctx context.Context, c *sqldriver.Conn, events []document) error {
	d := r.db.Dialect()
	table := qualified(d)
	var ids, rows []driver.NamedValue
	var values, among []string
	for i := range events {
		doc, err := json.Marshal(&events[i])
		if err != nil {
			return err
		}
		id := rand.Text()
		values = append(values, "("+d.Placeholder(2*i+1)+", "+d.Placeholder(2*i+2)+")")
		among = append(among, d.Placeholder(i+1))
		rows = append(rows, driver.NamedValue{Ordinal: 2*i + 1, Value: id}, driver.NamedValue{Ordinal: 2*i + 2, Value: string(doc)})
		ids = append(ids, driver.NamedValue{Ordinal: i + 1, Value: id})
	}
	if _, err := c.Exec(ctx, "INSERT INTO "+table+" (id, document) VALUES "+strings.Join(values, ", "), rows); err != nil {
		return err
	}
	_, err := c.Exec(ctx, "DELETE FROM "+table+" WHERE id IN ("+strings.Join(among, ", ")+")", ids)
	return err
}

// qualified is the quoted name of the table of events.
func qualified(d engine.Dialect) string {
	schema, name := journal.EventTable(d)
	if schema != "" {
		return d.Quote(schema) + "." + d.Quote(name)
	}
	return d.Quote(name)
}
