package stream

import (
	"context"
	"errors"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// errTwice ends a snapshot whose read had to begin again after rows were sent.
var errTwice = errors.New("the read of the snapshot was interrupted")

// snapshotBuffer is how many bytes of rows are collected before the client must take them. Most snapshots are smaller:
// a slow client does not hold their read open.
const snapshotBuffer = 256 << 10

// takeSnapshot sends the rows and subscribes to what follows them.
func (f *feed) takeSnapshot(ctx context.Context) error {
	s := f.connection.server
	limited, cancel := context.WithTimeout(ctx, s.limits.SnapshotTime)
	defer cancel()
	if err := f.await(limited, s.snapshots); err != nil {
		return f.snapshotFailed(ctx, err)
	}
	rows := snapshotRows{feed: f, at: time.Now().UTC()}
	tables := make([]int, len(f.shapes))
	for i, shape := range f.shapes {
		tables[i] = shape.Table
	}
	snapshot, err := s.journal.Snapshot(limited, tables, rows.send)
	s.snapshots.release()
	if err != nil {
		return f.snapshotFailed(ctx, err)
	}
	f.subscribe(hub.Mark(snapshot.Mark))
	if snapshot.Settled > snapshot.Position {
		f.snapshot = &snapshot
	} else {
		f.connection.out.snapshotEnd(f, f.cursor(f.mark))
	}
	return f.connection.out.drain(time.Now())
}

func (f *feed) snapshotFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, errWrite) {
		return err
	}
	return problem.Wrap(problem.Unavailable, "the rows cannot be read now, or not in time; connect again", err)
}

// await takes a place in s. A client that has to wait hears that the stream lives.
func (f *feed) await(ctx context.Context, s semaphore) error {
	out := f.connection.out
	ticker := time.NewTicker(f.connection.server.limits.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case s <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			out.heartbeat(f, "")
			out.alive()
			if err := out.drain(time.Now()); err != nil {
				return err
			}
		}
	}
}

// snapshotRows sends the rows of a feed's shapes as inserts.
type snapshotRows struct {
	feed    *feed
	at      time.Time
	scratch []byte
	sent    bool
}

// send is the callback of Journal.Snapshot.
func (r *snapshotRows) send(ctx context.Context, rows Rows) error {
	if r.sent {
		return errTwice // the database wants to begin again, and the client has some of the rows
	}
	out := r.feed.connection.out
	at := predicate.TimeValue(r.at)
	for i, shape := range r.feed.shapes {
		resource := r.feed.wants[i].resource
		err := rows(ctx, shape.Table, shape.Visible, func(row []predicate.Value) error {
			r.sent = true
			r.scratch = resource.append(r.scratch[:0], hub.Insert, row, at)
			out.change(r.feed, r.scratch, "")
			if out.collected() < snapshotBuffer {
				return nil
			}
			return r.drain()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drain makes the client take the rows more quickly than it must take changes: the database holds its read open.
func (r *snapshotRows) drain() error {
	c := r.feed.connection
	late := time.AfterFunc(c.server.limits.WriteTimeout, c.interrupt)
	defer late.Stop()
	return c.out.drain(time.Now())
}
