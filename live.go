package capebase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
)

// install prepares the journal of the models' tables, and what reads it.
func (c *Cape) install(ctx context.Context, all []*model.Model) error {
	if c.hub != nil {
		return nil // by a Start that failed after this
	}
	j, err := journal.Open(c.db, all, journal.Options{
		Logger: c.config.Logger, Stamp: c.stamp, Retention: c.config.Retention, Fixed: c.config.Migrate == MigrateNone,
	})
	if err != nil {
		return err
	}
	if c.config.Migrate == MigrateNone {
		err = j.Check(ctx)
	} else {
		err = j.Install(ctx)
	}
	if err != nil {
		return err
	}
	head, err := j.Head(ctx)
	if err != nil {
		return err
	}
	c.journal = j
	c.feed = journal.NewFeed(j, head)
	c.hub = hub.New(hub.Options{Head: hub.Mark(head)})
	return nil
}

// runLive starts the tailer and the handlers, from the head that install found.
func (c *Cape) runLive(all []*published) {
	from := c.feed.Head()
	c.tasks.Go(func() {
		if err := c.journal.Run(c.life, from, c.deliver); err != nil {
			c.failure.Store(&err)
			c.config.Logger.Error("no changes are delivered any more; start the program again", "error", err)
		}
	})
	for _, h := range c.handlers {
		for table, p := range all {
			if p.declaration == h.decl {
				c.handling.Go(func() { c.follow(c.serving, c.life, table, p.model, h, from) })
			}
		}
	}
}

// deliver hands a page of the journal to everybody in this process. Only the tailer calls it.
func (c *Cape) deliver(entries []journal.Entry) {
	c.feed.Deliver(entries)
	events := make([]hub.Event, 0, len(entries))
	for i := range entries {
		if e := &entries[i]; e.Op != journal.Secret {
			events = append(events, hubEvent(e))
		}
	}
	c.hub.Publish(events)
	c.hub.Advance(hub.Mark(entries[len(entries)-1].Mark))
}

// hubEvent is an entry as the hub matches it.
func hubEvent(e *journal.Entry) hub.Event {
	return hub.Event{
		Mark: hub.Mark(e.Mark), Source: e.Source, Table: e.Table, Time: e.Time,
		Before: e.Before, After: e.After, Gap: e.Op == journal.Gap,
	}
}

// wake makes the tailer look: a transaction of this process was committed.
func (c *Cape) wake(context.Context) {
	if j := c.waker.Load(); j != nil {
		j.Wake()
	}
}

// drain waits for handlers to finish what they began, at most Limits.Shutdown, and then cancels their context.
func (c *Cape) drain() error {
	if c.streams != nil {
		limit, cancel := context.WithTimeout(context.Background(), c.config.Limits.Shutdown)
		defer cancel()
		if err := c.streams.Close(limit); err != nil {
			c.config.Logger.Warn("streams were cut off", "error", err)
		}
	}
	c.endServing()
	done := make(chan struct{})
	go func() {
		c.handling.Wait()
		close(done)
	}()
	timer := time.NewTimer(c.config.Limits.Shutdown)
	defer timer.Stop()
	var err error
	select {
	case <-done:
	case <-timer.C:
		err = fmt.Errorf("capebase: handlers were still running after %v; their context is canceled", c.config.Limits.Shutdown)
	}
	c.end()
	<-done
	c.tasks.Wait()
	return err
}

// liveFailure tells why changes are no longer delivered.
func (c *Cape) liveFailure() error {
	if err := c.failure.Load(); err != nil && !errors.Is(*err, context.Canceled) {
		return *err
	}
	return nil
}
