package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Past is what the journal has of one row, as one consistent read sees it.
type Past struct {
	journal *Journal
	conn    *sqldriver.Conn
	table   *table
	key     []predicate.Value
}

// Version is an entry of a row. It has no Mark: what is read is committed, and may have no position yet.
type Version struct {
	Entry
	// ID puts the entries of one row into the order of its changes. It is the database's own number of the entry, never
	// given twice in one journal, and greater than 0.
	ID int64
	// Had and Has tell by column whether Before and After have it. A column that was added to the table since is missing, as
	// secret ones are. They are nil where there is no image.
	Had, Has []bool
	// Size is that of the images, in bytes.
	Size int
}

// version is an entry of a row as a source reads it.
type version struct {
	record
	id int64
}

// Newest is above the ID of every version.
const Newest = math.MaxInt64

// Past runs fn in one consistent read of a row's entries and of the tables, which calls with fn's context join. The table is
// one of Options.History.
func (j *Journal) Past(ctx context.Context, table int, key []predicate.Value, fn func(ctx context.Context, p *Past) error) error {
	t := j.tables[table]
	return j.db.Snapshot(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		if err := j.source.hold(ctx, c, t); err != nil {
			return fmt.Errorf("journal: read a row's past: %w", err)
		}
		return fn(ctx, &Past{journal: j, conn: c, table: t, key: key})
	})
}

// Before returns the versions below an ID, newest first, at most limit; fewer only when there are no more.
func (p *Past) Before(ctx context.Context, id int64, limit int) ([]Version, error) {
	found, err := p.journal.source.versions(ctx, p.conn, p.table, p.key, id, limit)
	if err != nil {
		return nil, fmt.Errorf("journal: read the versions of a row: %w", err)
	}
	versions := make([]Version, len(found))
	for i := range found {
		p.decode(ctx, &found[i], &versions[i])
	}
	return versions, nil
}

// After returns the row's first version, in the order of its changes, whose time is after at: its Before is the row as it
// was then. Nil where there is none: the row is as it was.
func (p *Past) After(ctx context.Context, at time.Time) (*Version, error) {
	found, err := p.journal.source.changedAfter(ctx, p.conn, p.table, p.key, at)
	if err != nil {
		return nil, fmt.Errorf("journal: read a row's change after %v: %w", at, err)
	}
	if found == nil {
		return nil, nil //nolint:nilnil // nil is that there is none
	}
	v := &Version{}
	p.decode(ctx, found, v)
	return v, nil
}

func (p *Past) decode(ctx context.Context, from *version, v *Version) {
	p.journal.decode(ctx, &from.record, &v.Entry)
	v.ID, v.Size = from.id, len(from.before)+len(from.after)
	if v.Before != nil {
		v.Had = p.table.has(from.before)
	}
	if v.After != nil {
		v.Has = p.table.has(from.after)
	}
}

// has tells which columns an image has, which has been decoded before: there is no error in it.
func (t *table) has(doc string) []bool {
	columns := make([]bool, len(t.model.Fields))
	_ = members(doc, func(name string, _ token) error {
		if column, ok := t.columns[name]; ok {
			columns[column] = true
		}
		return nil
	})
	return columns
}

// Reach is how far the past of a table's rows can be told.
type Reach struct {
	Since time.Time // after this time every change is known
	Now   time.Time // by the database's clock
	// Grain is the clock's step: changes within one step have the same time.
	Grain time.Duration
}

// Reach reads it.
func (p *Past) Reach(ctx context.Context) (Reach, error) {
	r, err := p.journal.source.reach(ctx, p.conn, p.table)
	if err != nil {
		return r, fmt.Errorf("journal: how far it reaches: %w", err)
	}
	return r, nil
}

// reachOf makes a Reach of what the sources read alike: the meta table's texts of the floor and of the table's
// installation, and in microseconds the times of the table's last gap, of the oldest entry and of now; NULL is none.
func reachOf(row []driver.Value) (r Reach) {
	floor, installed := textOf(row[0]), textOf(row[1])
	r.Now = time.UnixMicro(intOf(row[4])).UTC()
	since := []int64{intOf(row[2])}
	if position, _, _ := strings.Cut(floor, " "); position != "" && position != "0" {
		at, known := timeIn(floor, 2)
		if !known { // an older build has pruned
			at = intOf(row[3])
		}
		if !known && row[3] == nil {
			at = r.Now.UnixMicro()
		}
		since = append(since, at)
	}
	at, known := timeIn(installed, 1)
	if !known {
		at = r.Now.UnixMicro()
	}
	for _, other := range since {
		at = max(at, other)
	}
	r.Since = time.UnixMicro(at).UTC()
	return r
}

// timeIn reads the microseconds among the words of a value of the meta table, which older builds leave out.
func timeIn(text string, word int) (at int64, known bool) {
	words := strings.Fields(text)
	if len(words) <= word {
		return 0, false
	}
	at, err := strconv.ParseInt(words[word], 10, 64)
	return at, err == nil
}

// floorText is what the meta table says of the floor: its place, and the latest time of an entry that is gone.
func floorText(floor Mark, latest int64) string {
	return fmt.Sprintf("%d %d %d", floor.Position, floor.Nonce, latest)
}

// rowKey puts a row's key into a statement as the triggers write it: each of the values by an expression around its
// placeholder. Kinds whose text depends on the column's type have none: see [HistoryKey].
func rowKey(d engine.Dialect, key []predicate.Value, expression func(kind predicate.Kind, placeholder string) string) (parts []string, args []driver.NamedValue) {
	for i, v := range key {
		args = append(args, driver.NamedValue{Ordinal: i + 1, Value: d.Bind(v)})
		parts = append(parts, expression(v.Kind(), d.Placeholder(i+1)))
	}
	return parts, args
}

// HistoryKey tells whether rows can be found in the journal by a key of the kind.
func HistoryKey(kind predicate.Kind) bool {
	switch kind {
	case predicate.Int, predicate.Text, predicate.UUID, predicate.Bool, predicate.Bytes:
		return true
	default:
		return false
	}
}
