package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
)

// catchUpBuffer is how many bytes a feed that lags takes from the journal before its client must take them.
const catchUpBuffer = 64 << 10

// catchUp rejoins the hub, or goes on with a page of the journal.
func (f *feed) catchUp(ctx context.Context) (again bool, err error) {
	if f.subscription.Rejoin(f.mark) {
		f.lagging = false
		return true, nil
	}
	s := f.connection.server
	if err := s.catchUps.acquire(ctx); err != nil {
		return false, err
	}
	void, err := f.readPage(ctx)
	s.catchUps.release()
	switch {
	case void:
		return true, f.restart(ctx, gap)
	case err == nil:
		f.pause = 0
		return f.retryAt.IsZero(), nil
	case errors.Is(err, journal.ErrPruned):
		return true, f.restart(ctx, expiredCursor)
	case ctx.Err() == nil && errors.Is(err, errJournal):
		f.pause = min(max(2*f.pause, shortestPause), longestPause)
		f.retryAt = time.Now().Add(f.pause)
		s.logger.WarnContext(ctx, "a stream cannot read the journal; trying again", "error", err, "pause", f.pause)
		return false, nil
	}
	return false, err
}

var errJournal = errors.New("stream: the journal")

// readPage hands the next entries to the output as far as they fit, and drops the others: what a client does not take
// must not be kept for it. It writes nothing, since others wait for their pages.
func (f *feed) readPage(ctx context.Context) (void bool, err error) {
	c := f.connection
	events, err := c.server.pages.read(ctx, c.server, f.mark.Position)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errJournal, err)
	}
	if len(events) == 0 {
		f.retryAt = time.Now().Add(emptyPause) // the hub is further, and this database not yet
		return false, nil
	}
	if c.asked.Load() != 0 {
		return false, nil // what the page has may not be for who asked
	}
	var messages []hub.Message
	for i := range events {
		if c.out.collected() >= catchUpBuffer {
			break
		}
		messages = f.subscription.Match(messages, &events[i])
		if void, err = f.deliver(messages, events[i].Mark, false); void || err != nil {
			return void, err
		}
	}
	return false, nil
}
