package capebase

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// Event is what happened to a row.
type Event string

// The events.
const (
	Inserted Event = "INSERT"
	Updated  Event = "UPDATE"
	Deleted  Event = "DELETE"
	Reset    Event = "RESET" // changes may have been missed: read again; Row is zero
)

// Change is one committed change. Fields tagged cape:"secret" are zero in it.
type Change[T any] struct {
	ID     string // unique and stable: an idempotency key
	Event  Event
	Row    T      // after; for Deleted the last version
	Before *T     // nil for Inserted
	Actor  string // Identity.ID; "" for SQL of other programs
	Time   time.Time
}

// OnChange calls fn for each change seen by this process from Start on, in the order of commits, whoever made it and
// however. Handlers run one after the other per call of OnChange, outside any transaction; their context is anonymous
// and ends when Close has waited for [Limits.Shutdown]. A panic is logged and the next change is handed on. The event
// Reset comes where changes may have been missed: a handler fell behind by more than the retention, triggers were gone for
// a while, or a backup was restored under the running program.
func (r *Resource[T]) OnChange(fn func(context.Context, Change[T])) {
	h := &handler{decl: r.decl, at: position()}
	h.call = func(ctx context.Context, m *model.Model, c *change) error {
		typed, err := typedChange[T](ctx, m, c)
		if err != nil {
			return err
		}
		fn(ctx, typed)
		return nil
	}
	r.cape.declareFunc("OnChange", h.at, fn != nil, func() { r.cape.handlers = append(r.cape.handlers, h) })
}

// handler is a declared OnChange.
type handler struct {
	decl *declaration
	at   string
	call func(context.Context, *model.Model, *change) error
}

// change is an entry as a resource sees it: a row that is marked as deleted is not there.
type change struct {
	id            string
	event         Event
	before, after []predicate.Value
	actor         string
	trace         string // the span that it was made in
	time          time.Time
}

func typedChange[T any](ctx context.Context, m *model.Model, c *change) (Change[T], error) {
	typed := Change[T]{ID: c.id, Event: c.event, Actor: c.actor, Time: c.time}
	if c.before != nil {
		typed.Before = new(T)
		if err := m.ToStruct(ctx, c.before, reflect.ValueOf(typed.Before).Elem()); err != nil {
			return typed, err
		}
	}
	switch {
	case c.after != nil:
		return typed, m.ToStruct(ctx, c.after, reflect.ValueOf(&typed.Row).Elem())
	case typed.Before != nil:
		typed.Row = *typed.Before
	}
	return typed, nil
}

// see turns an entry into what a resource's readers get; nil when it is nothing to them.
func see(m *model.Model, e *journal.Entry) *change {
	seen := &change{
		id:    changeID(e.Mark),
		actor: e.Actor.ID,
		trace: e.Actor.Trace,
		time:  e.Time,
	}
	switch e.Op {
	case journal.Gap:
		seen.event = Reset
		return seen
	case journal.Insert, journal.Update, journal.Delete:
		seen.before, seen.after = alive(m, e.Before), alive(m, e.After)
	}
	switch {
	case seen.before == nil && seen.after == nil:
		return nil
	case seen.before == nil:
		seen.event = Inserted
	case seen.after == nil:
		seen.event = Deleted
	default:
		seen.event = Updated
	}
	return seen
}

// alive is the row, or nil when gorm.DeletedAt marks it as deleted.
func alive(m *model.Model, row []predicate.Value) []predicate.Value {
	if row != nil && m.Deleted >= 0 && !row[m.Deleted].IsNull() {
		return nil
	}
	return row
}

// followAll hands a table's changes to a handler until Close begins. Where another history begins the handler gets a
// Reset.
func (c *Cape) followAll(table int, m *model.Model, h *handler) {
	f := follower{Cape: c, history: c.live.Load(), handler: h, table: table, model: m}
	for f.follow(); c.serving.Err() == nil; f.follow() {
		if f.history = c.after(f.history); f.history == nil {
			return
		}
		f.reset(f.history.head)
	}
}

// follower is what hands a table's changes of one history to a handler.
type follower struct {
	*Cape
	history *history
	handler *handler
	table   int
	model   *model.Model
}

// follow returns when the history ends, and when Close begins.
func (f *follower) follow() {
	for after := f.history.head.Position; ; {
		entries, err := f.history.feed.Next(f.serving, after)
		switch {
		case f.serving.Err() != nil || errors.Is(err, journal.ErrReplaced):
			return
		case errors.Is(err, journal.ErrPruned):
			// What was pruned cannot be handed on: say so, and go on with what is newest.
			after = f.history.feed.Head()
			f.reset(journal.Mark{Position: after})
			continue
		case err != nil:
			f.config.Logger.WarnContext(f.life, "OnChange will read the journal again", "error", err, "declared", f.handler.at)
			select {
			case <-time.After(time.Second):
			case <-f.serving.Done():
			}
			continue
		}
		for i := range entries {
			e := &entries[i]
			after = e.Position
			if e.Table != f.table && (e.Op != journal.Gap || e.Table != journal.AllTables) {
				continue
			}
			if seen := see(f.model, e); seen != nil {
				f.hand(f.life, f.model, f.handler, seen)
			}
			if f.serving.Err() != nil {
				return
			}
		}
	}
}

// reset tells the handler that changes up to a place may have been missed.
func (f *follower) reset(at journal.Mark) {
	f.hand(f.life, f.model, f.handler, &change{id: changeID(at), event: Reset, time: time.Now().UTC()})
}

// hand calls a handler; what it panics with is logged and not the end of the program.
func (c *Cape) hand(ctx context.Context, m *model.Model, h *handler, seen *change) {
	ctx, end := c.within(ctx, "OnChange "+m.Name, seen)
	var err error
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			c.config.Logger.ErrorContext(ctx, "OnChange panicked", "error", fmt.Sprint(v), "change", seen.id, "declared", h.at, "stack", string(debug.Stack()))
		}
		end(err)
	}()
	if err = h.call(ctx, m, seen); err != nil {
		c.config.Logger.ErrorContext(ctx, "OnChange: a row that its model cannot hold", "error", err, "change", seen.id, "declared", h.at)
	}
}
