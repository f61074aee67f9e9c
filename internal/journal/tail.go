package journal

import (
	"context"
	"errors"
	"time"
)

const (
	pageSize     = 500 // entries read at once
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 5 * time.Second
	// From one look to the next where changes follow close upon each other, and the same while nobody waits for them.
	pace     = time.Millisecond
	slowPace = 10 * time.Millisecond
)

// Run is the tailer: it calls deliver with all entries after a place, in order, in pages of at most 500, until ctx
// ends, which is no error. It outlives restarts of the database. Where entries were pruned before it could read them,
// and where triggers went missing, it delivers a gap. While nobody watches it passes entries over. Its error is ErrReplaced, after which the Journal is of no more
// use: see Rejoin. Only one Run may be active.
func (j *Journal) Run(ctx context.Context, after Mark, deliver func(entries []Entry)) error {
	ctx, cancel := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		j.watch(ctx)
	}()
	defer func() {
		cancel()
		<-watching
	}()
	t := &tailer{Journal: j, at: after, deliver: deliver, memory: continuity{anchor: after, looked: time.Now()}}
	backoff := firstBackoff
	for {
		select {
		case <-j.wake: // the step will see it
		default:
		}
		began := time.Now()
		more, err := t.step(ctx)
		t.note()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrReplaced):
			return err
		}
		j.health.stepped(err)
		if err != nil {
			j.log.WarnContext(ctx, "journal: the tailer will try again", "error", err, "after", backoff)
			pause(ctx, backoff)
			backoff = min(2*backoff, lastBackoff)
			continue
		}
		backoff = firstBackoff
		if more {
			continue
		}
		select {
		case <-j.wake:
			between := pace
			if t.alone() {
				between = slowPace
			}
			pause(ctx, between-time.Since(began))
		case <-ctx.Done():
			return nil
		}
	}
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch listens for changes until the context ends.
func (j *Journal) watch(ctx context.Context) {
	backoff := firstBackoff
	for {
		began := time.Now()
		err := j.source.watch(ctx, j.wakeAt)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastBackoff {
			backoff = firstBackoff
		}
		j.log.WarnContext(ctx, "journal: listening for changes broke", "error", err, "after", backoff)
		pause(ctx, backoff)
		backoff = min(2*backoff, lastBackoff)
		j.Wake() // what was committed meanwhile, and a look at whether the database is back
	}
}

// wakeAt wakes the tailer, unless it has read up to where the journal ends; the zero Mark is that nobody knows.
func (j *Journal) wakeAt(head Mark) {
	if at := j.tailed.Load(); at == nil || head == (Mark{}) || head != *at {
		j.Wake()
	}
}

// tailer is the state of a Run.
type tailer struct {
	*Journal
	at      Mark // of the last entry that was delivered
	deliver func(entries []Entry)
	memory  continuity
	unsound bool // the catalogue has changed, and not all that follows from it is done
}

// step delivers a page and tells whether there may be more.
func (t *tailer) step(ctx context.Context) (more bool, err error) {
	if err := t.verify(ctx); err != nil {
		return false, err
	}
	if err := t.source.advance(ctx); err != nil {
		return false, err
	}
	if skipped, err := t.skip(ctx); skipped || err != nil {
		return false, err
	}
	entries, err := t.Read(ctx, t.at.Position, pageSize)
	if errors.Is(err, ErrPruned) {
		floor, err := t.Floor(ctx)
		if err != nil {
			return false, err
		}
		t.log.ErrorContext(ctx, "journal: entries were pruned before this process read them; subscribers start again",
			"after", t.at.Position, "floor", floor.Position)
		t.hand([]Entry{{Mark: floor, Table: AllTables, Op: Gap, Time: time.Now().UTC()}})
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if len(entries) > 0 {
		t.hand(entries)
	}
	return len(entries) == pageSize, nil
}

// alone tells whether nobody waits for entries.
func (t *tailer) alone() bool { return t.options.Audience != nil && !t.options.Audience.Watches() }

// skip goes to the journal's head unless somebody waits for what is before it: to read and decode an entry costs a tenth of
// what it costs to write one.
func (t *tailer) skip(ctx context.Context) (skipped bool, err error) {
	if !t.alone() {
		return false, nil
	}
	head, err := t.Head(ctx)
	if err != nil {
		return false, err
	}
	if head.Position <= t.at.Position {
		return true, nil
	}
	if !t.options.Audience.Skip(head) {
		return false, nil
	}
	t.at = head
	return true, nil
}

// note tells the watch how far the tailer is, so that it is not woken for nothing.
func (t *tailer) note() {
	if t.unsound {
		t.tailed.Store(nil)
		return
	}
	at := t.at
	t.tailed.Store(&at)
}

func (t *tailer) hand(entries []Entry) {
	t.at = entries[len(entries)-1].Mark
	t.deliver(entries)
}

// verify looks at the journal's own parts when the catalogue has changed, and from time to time at whether it is the same.
func (t *tailer) verify(ctx context.Context) error {
	changed, err := t.source.changed(ctx)
	if err != nil {
		return err
	}
	if !changed && !t.unsound {
		if time.Since(t.memory.looked) < continuityEvery {
			return nil
		}
		return t.memory.check(ctx, t.Journal, t.at)
	}
	t.unsound = true
	epoch, err := t.readEpoch(ctx)
	if err != nil {
		return err
	}
	if epoch != t.Epoch() {
		return ErrReplaced
	}
	if err := t.memory.check(ctx, t.Journal, t.at); err != nil {
		return err
	}
	statements, err := t.recording(ctx)
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		// What can be read is delivered all the same.
		t.health.records(err)
		t.log.ErrorContext(ctx, "journal: some changes are not recorded any more", "error", err)
		t.unsound = false
	case err != nil:
		return err
	case len(statements) == 0:
		t.health.records(nil)
		t.unsound = false
	case t.options.Fixed:
		err := &MissingError{Statements: statements}
		t.health.records(err)
		t.log.ErrorContext(ctx, "journal: changes are not recorded any more", "error", err)
		t.unsound = false // said once for each change of the catalogue
	default:
		if err := t.install(ctx); err != nil {
			// What can be read is delivered all the same; the next wake-up tries again.
			t.health.records(err)
			t.log.ErrorContext(ctx, "journal: changes are not recorded any more, and the triggers cannot be reinstalled", "error", err)
			return nil
		}
		t.health.records(nil)
		t.unsound = false
	}
	return nil
}
