package capebase

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
)

// ConsumeOption changes how Consume runs.
type ConsumeOption func(*consumeOptions)

type consumeOptions struct {
	fromStart bool
	tries     int
}

// FromStart begins with the oldest journal entry instead of the first after registration.
func FromStart() ConsumeOption {
	return func(o *consumeOptions) { o.fromStart = true }
}

// Tries sets aside a change that failed n times; default 20, which takes some 12 minutes of pauses.
func Tries(n int) ConsumeOption {
	return func(o *consumeOptions) { o.tries = n }
}

// consumer is a declared Consume.
type consumer struct {
	decl    *declaration
	at      string
	name    string
	options consumeOptions
	call    func(context.Context, *model.Model, *change) error

	model *model.Model
	table int
}

// Consume calls fn at least once for each change, in commit order, in one process at a time, outside any transaction;
// its position is kept in the database under name. An error is retried with backoff, and after [Tries] the change is set
// aside: [Cape.DeadLetters] lists those, [Cape.RetryDeadLetters] calls fn with them again. [Change.ID] is the same at
// each call. A Change with the event Reset says that changes were lost to retention before they could be handed on, or may
// have been because the database was restored while the program ran: read again. The context of fn is anonymous; Close
// lets a running fn finish, at most [Limits.Shutdown].
func (r *Resource[T]) Consume(name string, fn func(context.Context, Change[T]) error, opts ...ConsumeOption) {
	d := &consumer{decl: r.decl, at: position(), name: name}
	for _, option := range opts {
		option(&d.options)
	}
	d.call = func(ctx context.Context, m *model.Model, c *change) error {
		typed, err := typedChange[T](ctx, m, c)
		if err != nil {
			return err
		}
		return fn(ctx, typed)
	}
	r.cape.declareFunc("Consume", d.at, fn != nil, func() { r.cape.consumers = append(r.cape.consumers, d) })
}

// maxConsumerName bounds names by what the databases keep in a key.
const maxConsumerName = 191

// checkConsumers finds names that cannot be meant.
func (c *Cape) checkConsumers() []error {
	var errs []error
	names := map[string]string{}
	for _, d := range c.consumers {
		if d.name == "" || len(d.name) > maxConsumerName {
			errs = append(errs, fmt.Errorf("Consume(%q) (%s): expected a name of 1 to %d bytes", d.name, d.at, maxConsumerName))
		}
		if other, taken := names[d.name]; taken {
			errs = append(errs, fmt.Errorf("Consume(%q) (%s): the name is taken at %s: a position belongs to one consumer", d.name, d.at, other))
		}
		names[d.name] = d.at
	}
	return errs
}

// registerConsumers notes where each begins, so that nothing that comes after Start is missed.
func (c *Cape) registerConsumers(ctx context.Context, all []*published) error {
	for _, d := range c.consumers {
		for table, p := range all {
			if p.declaration == d.decl {
				d.model, d.table = p.model, table
			}
		}
	}
	return c.register(ctx, c.live.Load(), false)
}

// register makes a history's consumers. Where the history took the place of another one, each is handed a gap first.
func (c *Cape) register(ctx context.Context, h *history, gap bool) error {
	h.consumers = make([]*journal.Consumer, len(c.consumers))
	for i, d := range c.consumers {
		h.consumers[i] = h.journal.Consumer(d.name, journal.ConsumerOptions{
			FromStart: d.options.fromStart, Tries: d.options.tries, Table: d.table, Gap: gap,
		})
		if err := h.consumers[i].Register(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runConsumers runs the consumers that this process may own, and prunes the journal.
func (c *Cape) runConsumers() {
	if !c.config.NoConsumers {
		for i := range c.consumers {
			c.handling.Go(func() { c.consume(i) })
		}
	}
	if c.config.Retention >= 0 {
		c.tasks.Go(c.prune)
	}
}

// consume runs a consumer until Close begins, in one history after the other.
func (c *Cape) consume(number int) {
	d := c.consumers[number]
	for h := c.live.Load(); h != nil; h = c.after(h) {
		err := h.consumers[number].Run(c.life, c.serving.Done(), h.feed.Next, c.handlerOf(d))
		if errors.Is(err, journal.ErrReplaced) {
			continue
		}
		if err != nil {
			c.config.Logger.Error("a consumer ended", "consumer", d.name, "declared", d.at, "error", err)
		}
		return
	}
}

// handlerOf shows entries to a consumer as changes of its resource.
func (c *Cape) handlerOf(d *consumer) journal.Handler {
	return func(ctx context.Context, e *journal.Entry) error {
		seen := see(d.model, e)
		if seen == nil {
			return nil
		}
		ctx, end := c.within(ctx, "Consume "+d.name, seen)
		err := d.call(ctx, d.model, seen)
		end(err)
		c.metrics.Handled(d.name, err)
		return err
	}
}

// pruneEvery is the mean time between two prunings; processes spread theirs.
const pruneEvery = time.Minute

func (c *Cape) prune() {
	for {
		timer := time.NewTimer(pruneEvery/2 + rand.N(pruneEvery)) //nolint:gosec // no secret
		select {
		case <-timer.C:
		case <-c.life.Done():
			timer.Stop()
			return
		}
		removed, err := c.live.Load().journal.Prune(c.life)
		switch {
		case c.life.Err() != nil:
			return
		case err != nil:
			c.config.Logger.Warn("the journal could not be pruned", "error", err)
		case removed > 0:
			c.config.Logger.Debug("the journal was pruned", "entries", removed)
		}
	}
}

// DeadLetter is a change that a consumer failed with too often.
type DeadLetter struct {
	ID    string // the Change's
	Tries int    // that failed
	Error string // of the last one
	Time  time.Time
}

// ErrNoConsumer is the error of calls that name a consumer which this program does not declare.
var ErrNoConsumer = errors.New("capebase: no such consumer")

// deadLetterPage bounds what DeadLetters returns.
const deadLetterPage = 1000

// DeadLetters returns the oldest changes that a consumer set aside, at most 1,000, in commit order.
func (c *Cape) DeadLetters(ctx context.Context, consumer string) ([]DeadLetter, error) {
	h, number, err := c.consumer(consumer)
	if err != nil {
		return nil, err
	}
	stored, err := h.consumers[number].DeadLetters(ctx, 0, deadLetterPage)
	if err != nil {
		return nil, fmt.Errorf("capebase: %w", err)
	}
	letters := make([]DeadLetter, len(stored))
	for i := range stored {
		letters[i] = DeadLetter{ID: changeID(stored[i].Entry.Mark), Tries: stored[i].Tries, Error: stored[i].Error, Time: stored[i].At}
	}
	return letters, nil
}

// RetryDeadLetters calls a consumer's function with the changes that it set aside, in order, and forgets those with
// which it succeeds now. It returns their number; the errors of the others are joined.
func (c *Cape) RetryDeadLetters(ctx context.Context, consumer string) (succeeded int, err error) {
	h, number, err := c.consumer(consumer)
	if err != nil {
		return 0, err
	}
	if succeeded, err = h.consumers[number].Retry(ctx, c.handlerOf(c.consumers[number])); err != nil {
		err = fmt.Errorf("capebase: %w", err)
	}
	return succeeded, err
}

// consumer finds a consumer of the present history by its name.
func (c *Cape) consumer(name string) (h *history, number int, err error) {
	if !c.started.Load() {
		return nil, 0, ErrNotStarted
	}
	for i, d := range c.consumers {
		if d.name == name {
			return c.live.Load(), i, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: %q", ErrNoConsumer, name)
}
