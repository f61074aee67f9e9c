// Package journal records every change of the published tables, whoever makes it, and reads them back in commit order.
//
// Triggers write each change into the journal's table within the transaction that makes it. A source per engine installs
// them and knows how entries come into an order that holds: positions without holes, the same on every node. One tailer
// per process ([Journal.Run]) hands new entries on; [Journal.Read] serves whoever is behind. A cursor of a client is a
// token ([Journal.Token]), and [Journal.Snapshot] joins a consistent read to the entries after it.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

var (
	// ErrPruned says that entries after the position are no longer there.
	ErrPruned = errors.New("the journal has been pruned beyond the position")
	// ErrReplaced ends Run: the journal is another one than before (it was made anew, or the database was restored or
	// failed over), and positions may mean other entries. Whoever holds positions must start again from Head.
	ErrReplaced = errors.New("the journal was replaced by another one")
	// ErrNotInstalled says that the database has no journal.
	ErrNotInstalled = errors.New("the journal is not installed")
)

// Options configures Open; the zero value is ready for use.
type Options struct {
	Logger *slog.Logger // default slog.Default()
	// Stamp is told once the journal is there; nil: changes carry no actor.
	Stamp *Stamp
	// Poll is the pause between looks for changes of other programs: default 10 ms on SQLite, 100 ms on MySQL; on
	// PostgreSQL, where CapeBase notifies and others do not, it is the pause between looks for theirs: default 100 ms.
	Poll time.Duration
	// Retention is the age from which entries are pruned; default 30 days, negative: never.
	Retention time.Duration
	// MaxEntries is the number of entries above which the oldest are pruned, whatever their age; 0: no limit.
	MaxEntries int64
	// Hold is the age up to which an entry is kept for a durable consumer that has not passed it; default 4 times
	// Retention (120 days where that is negative), and never less than it. Beyond it the consumer is lost.
	Hold time.Duration
	// History are the numbers of the tables whose rows' versions will be read: see Past. They get an index each (one for all
	// on MySQL), which those without lose.
	History []int
	// Audience is who waits for what Run delivers; nil: somebody who always does.
	Audience Audience
	// Fixed forbids Run to reinstall triggers that went missing: it logs an error instead.
	Fixed bool
}

// Audience is who waits for what Run delivers. Run calls its methods, between pages.
type Audience interface {
	// Watches tells whether somebody waits. Where nobody does, Run looks less often and reads no entries.
	Watches() bool
	// Skip passes over the entries up to a mark, which nobody has read. It returns false where somebody has come meanwhile, who
	// gets them after all.
	Skip(to Mark) bool
}

// Journal is the journal of some models' tables. Its methods may be called by several goroutines.
type Journal struct {
	db      *sqldriver.DB
	options Options
	log     *slog.Logger
	source  source
	tables  []*table
	byName  map[string]*table // by recorded name, in lower case
	wake    chan struct{}
	tailed  atomic.Pointer[Mark] // where Run is; nil where there is something else for it to look at
	epoch   atomic.Pointer[string]
	health  health

	actors    sync.Mutex // guards the following
	actorText string     // the last one that was decoded
	actor     Actor
}

// Open prepares a journal; the index of a model is its table's number in entries. It touches nothing in the database.
func Open(db *sqldriver.DB, models []*model.Model, o Options) (*Journal, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	const retention = 30 * 24 * time.Hour
	if o.Retention == 0 {
		o.Retention = retention
	}
	switch {
	case o.Hold <= 0 && o.Retention < 0:
		o.Hold = 4 * retention
	case o.Hold <= 0:
		o.Hold = 4 * o.Retention
	}
	o.Hold = max(o.Hold, o.Retention)
	j := &Journal{db: db, options: o, log: o.Logger, byName: make(map[string]*table), wake: make(chan struct{}, 1)}
	for i, m := range models {
		t := newTable(i, m)
		t.history = slices.Contains(o.History, i)
		j.tables = append(j.tables, t)
		j.byName[recorded(m.Table.Schema, m.Table.Name)] = t
	}
	var err error
	if j.source, err = newSource(db, j.tables, &j.options); err != nil {
		return nil, err
	}
	return j, nil
}

// recorded is how entries name a table: by its name, or schema.name where the model says a schema, in lower case.
func recorded(schema, name string) string {
	if schema != "" {
		name = schema + "." + name
	}
	return strings.ToLower(name)
}

// recordedName is the name by which entries know the table.
func (t *table) recordedName() string { return recorded(t.model.Table.Schema, t.model.Table.Name) }

// Epoch identifies the journal; "" before Install or Check.
func (j *Journal) Epoch() string {
	if epoch := j.epoch.Load(); epoch != nil {
		return *epoch
	}
	return ""
}

// Wake makes the tailer look at once. It never blocks; it is for sqldriver.Options.After.
func (j *Journal) Wake() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Read returns the entries after a position, at most limit, in order and without holes. ErrPruned says that after is
// below the floor.
func (j *Journal) Read(ctx context.Context, after int64, limit int) ([]Entry, error) {
	records, err := j.records(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(records))
	for i := range records {
		j.decode(ctx, &records[i], &entries[i])
	}
	return entries, nil
}

// Head is the place of the newest entry.
func (j *Journal) Head(ctx context.Context) (Mark, error) {
	_, head, err := j.bounds(ctx)
	return head, err
}

// Floor is the place from which on the journal is complete: Read from there gives all that it has.
func (j *Journal) Floor(ctx context.Context) (Mark, error) {
	floor, _, err := j.bounds(ctx)
	return floor, err
}

func (j *Journal) bounds(ctx context.Context) (floor, head Mark, err error) {
	floor, head, err = j.source.bounds(ctx)
	if err != nil {
		return floor, head, fmt.Errorf("journal: %w", err)
	}
	return floor, head, nil
}

// Snapshot is where a stream goes on after a consistent read: with the entries after Mark, except those up to Settled
// for which Seen holds. A client's cursor within (Mark, Settled) would say too little: hand none out before the stream
// has passed Settled.
type Snapshot struct {
	Mark
	// Settled is the position after which the read has seen nothing; equal to Mark's on SQLite.
	Settled int64
	// Seen tells whether the read has seen the change of an entry after Mark, by the entry's Source. Nil: none.
	Seen func(source uint64) bool
}

// Sees tells whether the read has seen the change at a place.
func (s *Snapshot) Sees(position int64, source uint64) bool {
	return position <= s.Position || position <= s.Settled && s.Seen != nil && s.Seen(source)
}

// Snapshot runs fn in one consistent read of the tables of these numbers, which calls with fn's context join. It may last
// as long as it must, but an open read keeps the database from cleaning up behind it.
func (j *Journal) Snapshot(ctx context.Context, tables []int, fn func(ctx context.Context, c *sqldriver.Conn) error) (Snapshot, error) {
	return j.source.snapshot(ctx, tables, fn)
}
