package capebase

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
)

// history is a journal and what this process reads of it. Where another journal takes its place, such as that of a
// restored backup, positions mean other changes, and another history begins.
type history struct {
	journal   *journal.Journal
	head      journal.Mark // where it begins for this process
	feed      *journal.Feed
	hub       *hub.Hub
	tracer    Tracer              // may be nil
	consumers []*journal.Consumer // in the order of Cape.consumers
	replaced  chan struct{}       // closed once another history has taken its place
}

// install prepares the journal of the models' tables, and what reads it.
func (c *Cape) install(ctx context.Context, all []*published) error {
	if c.live.Load() != nil {
		return nil // by a Start that failed after this
	}
	j, err := c.openJournal(all)
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
	h, err := c.newHistory(ctx, j)
	if err == nil {
		c.live.Store(h)
	}
	return err
}

func (c *Cape) openJournal(all []*published) (*journal.Journal, error) {
	return journal.Open(c.db, c.journaled(all), journal.Options{
		History: withHistory(all),
		Logger:  c.config.Logger, Stamp: c.stamp, Retention: c.config.Retention, Fixed: c.config.Migrate == MigrateNone,
		Audience: audience{c},
	})
}

// audience is who follows changes in this process.
type audience struct{ cape *Cape }

// Watches implements journal.Audience. A tracer follows each change to its delivery.
func (a audience) Watches() bool {
	c := a.cape
	if len(c.handlers) > 0 || len(c.consumers) > 0 || c.config.Tracer != nil {
		return true
	}
	h := c.live.Load()
	return h == nil || h.hub.Subscribed()
}

// Skip implements journal.Audience.
func (a audience) Skip(to journal.Mark) bool {
	h := a.cape.live.Load()
	if !h.hub.Skip(hub.Mark(to)) {
		return false
	}
	h.feed.Skip(to)
	return true
}

// newHistory begins at the journal's head.
func (c *Cape) newHistory(ctx context.Context, j *journal.Journal) (*history, error) {
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	return &history{
		journal: j, head: head, feed: journal.NewFeed(j, head), hub: hub.New(hub.Options{Head: hub.Mark(head)}),
		tracer: c.config.Tracer, replaced: make(chan struct{}),
	}, nil
}

// runLive starts the tailer and the handlers, from the head that install found.
func (c *Cape) runLive(all []*published) {
	c.tasks.Go(func() {
		for h := c.live.Load(); h != nil; {
			err := h.journal.Run(c.life, h.head, h.deliver)
			if err == nil {
				return
			}
			h = c.replace(h, err)
		}
	})
	for _, h := range c.handlers {
		for table, p := range all {
			if p.declaration == h.decl {
				c.handling.Go(func() { c.followAll(table, p.model, h) })
			}
		}
	}
}

// The pauses between looks for a journal that is to come back.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = 5 * time.Second
)

// replace puts another history into the place of one whose tailer ended: streams, handlers and consumers begin again. It
// waits for the journal as long as that is not there, and returns nil at the end of the program.
func (c *Cape) replace(h *history, cause error) *history {
	c.fail(cause)
	h.feed.End()
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		next, err := c.successor(c.life, h)
		switch {
		case c.life.Err() != nil:
			return nil
		case err == nil:
			c.live.Store(next)
			c.streams.Rebase(next.hub)
			close(h.replaced)
			c.failure.Store(nil)
			c.config.Logger.Warn("the journal was replaced by another one, and changes are delivered again: subscribers read anew",
				"epoch", next.journal.Epoch(), "position", next.head.Position)
			return next
		}
		c.fail(err)
		select {
		case <-time.After(wait):
		case <-c.life.Done():
			return nil
		}
	}
}

// fail notes why no changes are delivered, and logs it unless that is known.
func (c *Cape) fail(err error) {
	if last := c.failure.Swap(&err); last == nil || (*last).Error() != err.Error() {
		c.config.Logger.Error("no changes are delivered now", "error", err)
	}
}

// successor makes the history of the journal that took another one's place.
func (c *Cape) successor(ctx context.Context, h *history) (*history, error) {
	j, err := c.openJournal(c.published)
	if err != nil {
		return nil, err
	}
	if err := j.Rejoin(ctx, h.journal.Epoch()); err != nil {
		return nil, err
	}
	next, err := c.newHistory(ctx, j)
	if err != nil {
		return nil, err
	}
	return next, c.register(ctx, next, true)
}

// after waits for the history that takes a history's place; nil when the program ends first.
func (c *Cape) after(h *history) *history {
	select {
	case <-h.replaced:
		return c.live.Load()
	case <-c.serving.Done():
		return nil
	}
}

// changeID is a Change's ID: the same for each reader, also in a restored backup, and another one for a change that comes
// to have the position after that.
func changeID(m journal.Mark) string {
	const base = 36
	return strconv.FormatInt(m.Position, 10) + "-" + strconv.FormatUint(m.Nonce, base)
}

// deliver hands a page of the journal to everybody in this process. Only the tailer calls it.
func (h *history) deliver(entries []journal.Entry) {
	defer h.trace(entries, time.Now())
	h.feed.Deliver(entries)
	events := make([]hub.Event, 0, len(entries))
	for i := range entries {
		if e := &entries[i]; e.Op != journal.Secret {
			events = append(events, hubEvent(e))
		}
	}
	h.hub.Publish(events)
	h.hub.Advance(hub.Mark(entries[len(entries)-1].Mark))
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
	if h := c.live.Load(); h != nil {
		h.journal.Wake()
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

// liveFailure tells why changes are not delivered now.
func (c *Cape) liveFailure() error {
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return nil
}
