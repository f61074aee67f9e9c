package stream

import (
	"context"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/predicate"
)

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
			return out.drain()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
