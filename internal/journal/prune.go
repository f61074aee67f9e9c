package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	// pruneBatch is how many entries go in one transaction: on SQLite all writes of others wait for it.
	pruneBatch = 500
	// farAhead is beyond the time of every entry.
	farAhead = 24 * time.Hour
)

// Prune removes the oldest entries, in batches, and returns how many: those older than Options.Retention and those
// beyond Options.MaxEntries, but none that a consumer has not passed, unless it is older than Options.Hold too. The
// program calls it from time to time; where several do so at once, each removes a part.
func (j *Journal) Prune(ctx context.Context) (removed int, err error) {
	limits, err := j.readLimits(ctx)
	if err != nil {
		return 0, fmt.Errorf("journal: prune: %w", err)
	}
	o := &j.options
	older := func(age time.Duration) time.Time { return limits.now.Add(-age) }
	type sweep struct {
		upTo   int64
		before time.Time
	}
	var sweeps []sweep
	if o.Retention > 0 {
		sweeps = append(sweeps, sweep{limits.consumed, older(o.Retention)}, sweep{limits.head.Position, older(o.Hold)})
	}
	if surplus := limits.head.Position - o.MaxEntries; o.MaxEntries > 0 && surplus > limits.floor.Position {
		sweeps = append(sweeps, sweep{min(surplus, limits.consumed), limits.now.Add(farAhead)}, sweep{surplus, older(o.Hold)})
	}
	for _, s := range sweeps {
		for s.upTo > limits.floor.Position {
			n, err := j.source.prune(ctx, s.upTo, s.before, pruneBatch)
			if err != nil {
				return removed, fmt.Errorf("journal: prune: %w", err)
			}
			if n == 0 {
				break
			}
			removed += n
			if err := ctx.Err(); err != nil {
				return removed, err
			}
		}
	}
	if removed > 0 {
		return removed, j.reportLost(ctx)
	}
	return 0, nil
}

// limits are what pruning depends on.
type limits struct {
	now         time.Time // by the database's clock
	floor, head Mark
	consumed    int64 // what all consumers have passed
}

func (j *Journal) readLimits(ctx context.Context) (l limits, err error) {
	// The consumers come first: one that registers later begins at a later position.
	d := j.db.Dialect()
	l.consumed = math.MaxInt64
	query := "SELECT " + j.source.now() + ", min(" + d.Quote("position") + ") FROM " + j.source.name(consumerTable)
	err = j.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query, nil, func(row []driver.Value) error {
			l.now = time.UnixMicro(intOf(row[0]))
			if row[1] != nil {
				l.consumed = intOf(row[1])
			}
			return nil
		})
	})
	if err != nil {
		return l, err
	}
	if l.floor, l.head, err = j.source.bounds(ctx); err != nil {
		return l, err
	}
	l.consumed = min(l.consumed, l.head.Position)
	return l, nil
}

// reportLost logs the consumers that have lost entries. They log it themselves too, if they ever run again.
func (j *Journal) reportLost(ctx context.Context) error {
	floor, err := j.Floor(ctx)
	if err != nil {
		return err
	}
	d := j.db.Dialect()
	query := "SELECT " + d.Quote("name") + ", " + d.Quote("position") + " FROM " + j.source.name(consumerTable) +
		" WHERE " + d.Quote("position") + " < " + d.Placeholder(1)
	err = j.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query, arguments(floor.Position), func(row []driver.Value) error {
			j.log.ErrorContext(ctx, "journal: entries were pruned that a consumer has not handled; delete its row if it is not used any more",
				"consumer", textOf(row[0]), "position", intOf(row[1]), "floor", floor.Position, "hold", j.options.Hold)
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("journal: prune: %w", err)
	}
	return nil
}
