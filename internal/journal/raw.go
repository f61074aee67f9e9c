package journal

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Raw is an entry whose images have not been decoded: enough to decide whether it is of interest.
type Raw struct {
	Mark
	Tx   string
	Time time.Time
	// Table and Name are as in an Entry.
	Table int
	Name  string
	// Op is Insert, Update, Delete or Gap. An Update may turn out to be Secret once it is decoded, and anything a Gap.
	Op    Op
	Key   string // the key's columns as a JSON array, as the database writes them
	Actor Actor
	// Stamped says that a program with a Stamp made the change. Any program can claim to have one.
	Stamped bool
	User    string
	Size    int // of the images, in bytes

	record record
}

// ReadRaw is Read for who wants few of many entries.
func (j *Journal) ReadRaw(ctx context.Context, after int64, limit int) ([]Raw, error) {
	records, err := j.records(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	all := make([]Raw, len(records))
	for i := range records {
		r := &records[i]
		all[i] = Raw{
			Mark: r.mark, Tx: r.tx, Time: r.at, Table: AllTables, Name: r.table, Op: Gap, Key: r.key,
			Actor: j.decodeActor(ctx, r), Stamped: r.actor != "", User: r.user, Size: len(r.before) + len(r.after), record: *r,
		}
		if t := j.byName[strings.ToLower(r.table)]; t != nil {
			all[i].Table = t.index
		}
		switch r.op {
		case 'I':
			all[i].Op = Insert
		case 'U':
			all[i].Op = Update
		case 'D':
			all[i].Op = Delete
		}
	}
	return all, nil
}

// Decode decodes the images.
func (j *Journal) Decode(ctx context.Context, r *Raw) Entry {
	var e Entry
	j.decode(ctx, &r.record, &e)
	return e
}

// State tells whether a place is one of this journal's, whether the entries after it are all there, and where the floor is.
func (j *Journal) State(ctx context.Context, at Mark) (state State, floor Mark, err error) {
	return j.stateOf(ctx, at)
}

// records reads entries as they are stored.
func (j *Journal) records(ctx context.Context, after int64, limit int) ([]record, error) {
	records, err := j.source.read(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	// Pruning takes the oldest: what is missing is missing at the front.
	if len(records) == 0 || records[0].mark.Position != after+1 {
		floor, err := j.Floor(ctx)
		if err != nil {
			return nil, err
		}
		if after < floor.Position {
			return nil, fmt.Errorf("%w: it begins after %d, and %d was asked for", ErrPruned, floor.Position, after)
		}
	}
	return records, nil
}
