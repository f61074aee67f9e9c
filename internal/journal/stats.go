package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Health is how the tailer does. The zero Health is a good one.
type Health struct {
	Failing    error         // why it cannot read
	For        time.Duration // how long that has been so
	Unrecorded error         // why some changes are not journaled: triggers are missing that nobody may reinstall
}

// health is noted by the tailer.
type health struct {
	failing    atomic.Pointer[fault]
	unrecorded atomic.Pointer[error]
}

type fault struct {
	cause error
	since time.Time
}

// stepped notes how the tailer's last step ended.
func (h *health) stepped(err error) {
	last := h.failing.Load()
	switch {
	case err == nil && last != nil:
		h.failing.Store(nil)
	case err != nil && last == nil:
		h.failing.Store(&fault{err, time.Now()})
	case err != nil:
		h.failing.Store(&fault{err, last.since})
	}
}

// records notes whether all changes are journaled.
func (h *health) records(err error) {
	if err == nil {
		h.unrecorded.Store(nil)
		return
	}
	h.unrecorded.Store(&err)
}

// Health tells how Run does.
func (j *Journal) Health() Health {
	var h Health
	if f := j.health.failing.Load(); f != nil {
		h.Failing, h.For = f.cause, time.Since(f.since)
	}
	if err := j.health.unrecorded.Load(); err != nil {
		h.Unrecorded = *err
	}
	return h
}

// Stats is what a journal holds.
type Stats struct {
	Entries int64     // positions have no holes, so nobody counts them
	Oldest  time.Time // of the entry that has been there for longest; zero when there is none
	Head    int64     // position of the newest entry
	Bytes   int64     // of table and indexes, as the database knows without looking; -1 on SQLite, where it does not
	// Tailer is how far Run of this process is behind, and Consumers those that were named, where the database knows them.
	Tailer    Lag
	Consumers []ConsumerStats
}

// Lag is how far a reader is behind.
type Lag struct {
	Entries int64
	Time    time.Duration // since the oldest of them was written
}

// ConsumerStats is what the database holds of a consumer. Its position is saved some seconds late where nothing was for it.
type ConsumerStats struct {
	Name        string
	Lag         Lag
	Tries       int64 // that failed with the change it is at
	DeadLetters int64
}

// Stats reads the current figures, at a cost that does not depend on the journal's size. at is where the reader of this
// process is.
func (j *Journal) Stats(ctx context.Context, at int64, consumers []string) (Stats, error) {
	floor, head, err := j.bounds(ctx)
	if err != nil {
		return Stats{}, err
	}
	s := Stats{Entries: head.Position - floor.Position, Head: head.Position}
	if s.Oldest, err = j.timeAfter(ctx, floor.Position); err != nil {
		return s, err
	}
	if s.Tailer, err = j.lag(ctx, at, head); err != nil {
		return s, err
	}
	if s.Bytes, err = j.bytes(ctx); err != nil {
		return s, err
	}
	s.Consumers, err = j.consumerStats(ctx, head, consumers)
	return s, err
}

// lag is how far a position is behind the head.
func (j *Journal) lag(ctx context.Context, position int64, head Mark) (Lag, error) {
	if position >= head.Position {
		return Lag{}, nil
	}
	written, err := j.timeAfter(ctx, position)
	if err != nil || written.IsZero() {
		return Lag{}, err
	}
	return Lag{head.Position - position, max(0, time.Since(written))}, nil
}

// timeAfter is when the entry after a position was written; zero when there is none.
func (j *Journal) timeAfter(ctx context.Context, position int64) (time.Time, error) {
	records, err := j.source.read(ctx, position, 1)
	if err != nil || len(records) == 0 {
		return time.Time{}, j.named(err)
	}
	return records[0].at, nil
}

func (j *Journal) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal: %w", err)
}

// bytes asks for what the database keeps of sizes anyway.
func (j *Journal) bytes(ctx context.Context) (int64, error) {
	var query string
	switch j.db.Dialect().Name() {
	case "postgres":
		query = "SELECT pg_total_relation_size('cape.journal')"
	case "mysql":
		query = "SELECT COALESCE(data_length + index_length, -1) FROM information_schema.tables " +
			"WHERE table_schema = DATABASE() AND table_name = 'cape_journal'"
	default:
		return -1, nil
	}
	bytes := int64(-1)
	err := j.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query, nil, func(row []driver.Value) error {
			bytes = intOf(row[0])
			return nil
		})
	})
	return bytes, j.named(err)
}

// consumerStats reads the named consumers' rows and counts their dead letters.
func (j *Journal) consumerStats(ctx context.Context, head Mark, names []string) ([]ConsumerStats, error) {
	if len(names) == 0 {
		return nil, nil
	}
	stats := make([]ConsumerStats, len(names))
	positions := make([]int64, len(names))
	numbers := make(map[string]int, len(names))
	for i, name := range names {
		stats[i].Name, positions[i], numbers[name] = name, head.Position, i
	}
	d := j.db.Dialect()
	err := j.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		rows := engine.NewBuilder(d)
		rows.Write("SELECT ", d.Quote("name"), ", ", d.Quote("position"), ", ", d.Quote("tries"), " FROM ", j.source.name(consumerTable))
		err := each(ctx, c, rows.String(), rows.Args, func(row []driver.Value) error {
			if i, ok := numbers[textOf(row[0])]; ok {
				positions[i], stats[i].Tries = intOf(row[1]), intOf(row[2])
			}
			return nil
		})
		if err != nil {
			return err
		}
		letters := engine.NewBuilder(d)
		letters.Write("SELECT ", d.Quote("consumer"), ", COUNT(*) FROM ", j.source.name(deadLetterTable), " GROUP BY ", d.Quote("consumer"))
		return each(ctx, c, letters.String(), letters.Args, func(row []driver.Value) error {
			if i, ok := numbers[textOf(row[0])]; ok {
				stats[i].DeadLetters = intOf(row[1])
			}
			return nil
		})
	})
	if err != nil {
		return nil, j.named(err)
	}
	for i := range stats {
		if stats[i].Lag, err = j.lag(ctx, positions[i], head); err != nil {
			return nil, err
		}
	}
	return stats, nil
}
