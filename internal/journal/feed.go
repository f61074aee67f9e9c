package journal

import (
	"context"
	"sync"
)

// feedSize is how many of the newest entries a Feed keeps at least; it keeps up to twice as many.
const feedSize = 1024

// Feed hands the tailer's entries to readers within this process, each at its own pace: the newest from memory, older
// ones from the journal. A slow reader costs nothing but its own reads.
type Feed struct {
	journal *Journal

	mu      sync.Mutex
	entries []Entry // the newest, in order
	floor   int64   // all entries above it, up to head, are in entries
	head    int64
	grown   chan struct{} // closed when the head moves, and replaced
	ended   bool
}

// NewFeed returns a feed that begins after head; Deliver gets what follows.
func NewFeed(j *Journal, head Mark) *Feed {
	return &Feed{journal: j, floor: head.Position, head: head.Position, grown: make(chan struct{})}
}

// Deliver adds the entries that the tailer read. Their order is the journal's; one goroutine calls it.
func (f *Feed) Deliver(entries []Entry) {
	if len(entries) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	if all := len(f.entries) + len(entries); all > 2*feedSize {
		// Readers may hold the old array. Half of the new one is free, so that an entry is not copied each time.
		if surplus := min(all-feedSize, len(f.entries)); surplus > 0 {
			f.floor = f.entries[surplus-1].Position
			f.entries = append(make([]Entry, 0, 2*feedSize), f.entries[surplus:]...)
		}
	}
	f.entries = append(f.entries, entries...)
	f.head = entries[len(entries)-1].Position
	close(f.grown)
	f.grown = make(chan struct{})
}

// Skip goes on after a mark, with entries that nobody has read before it: who comes for them reads the journal.
func (f *Feed) Skip(to Mark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended && to.Position > f.head {
		f.entries, f.floor, f.head = nil, to.Position, to.Position
	}
}

// End ends the feed: the journal was replaced, and its positions mean nothing any more. Next fails from then on.
func (f *Feed) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.grown)
	}
}

// Next returns entries after a position, at least one and at most a page, and waits for them when there are none yet.
// Nobody may change them. Its errors are the context's, those of Journal.Read, ErrPruned among them, and ErrReplaced
// after End.
func (f *Feed) Next(ctx context.Context, after int64) ([]Entry, error) {
	for {
		f.mu.Lock()
		entries, floor, head, grown, ended := f.entries, f.floor, f.head, f.grown, f.ended
		f.mu.Unlock()
		switch {
		case ended:
			return nil, ErrReplaced
		case head <= after:
			select {
			case <-grown:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case after < floor:
			page, err := f.journal.Read(ctx, after, pageSize)
			if err != nil || len(page) > 0 {
				return page, err
			}
			after = floor // nothing of the published tables up to there
		default:
			at := 0
			for at < len(entries) && entries[at].Position <= after {
				at++
			}
			return entries[at:min(len(entries), at+pageSize)], nil
		}
	}
}

// Head is the position of the newest entry that was delivered.
func (f *Feed) Head() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head
}
