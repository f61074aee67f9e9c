package stream

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
)

const (
	// pagesBytes bounds what pages keep, and pageBytes what one page may have to be kept, or to be read as a whole.
	pagesBytes = 16 << 20
	pageBytes  = 2 << 20
	// smallPage is the number of entries that is read at once where they are large, or where it is not known.
	smallPage = 16
)

// pages are the journal's entries for those who are behind: cut at fixed positions and kept for a while, since those
// who come back after a restart, or lag behind the same burst of changes, all want the same ones.
type pages struct {
	mu    sync.Mutex
	kept  []page // the least recently used first
	bytes int
	mean  int // bytes of an entry, as read last; 0: not known
}

type page struct {
	hub    *hub.Hub // whose journal it is of
	start  int64
	size   int // in entries; their positions have no holes
	events []hub.Event
	bytes  int
}

// read returns some of the entries above a position, or none when there are no more yet. It is called by few at once.
func (p *pages) read(ctx context.Context, s *Server, after int64) ([]hub.Event, error) {
	wanted := page{hub: s.hub.Load(), size: p.size(s.limits.Page)}
	wanted.start = after - after%int64(wanted.size)
	if events := p.find(wanted, after); events != nil {
		return events, nil
	}
	events, err := s.journal.Read(ctx, wanted.start, wanted.size)
	if errors.Is(err, journal.ErrPruned) && after > wanted.start { // the floor may be in the middle of a page
		return s.journal.Read(ctx, after, wanted.size)
	}
	if err != nil || len(events) == 0 {
		return nil, err
	}
	wanted.events = events
	p.keep(wanted)
	above := slices.IndexFunc(events, func(e hub.Event) bool { return e.Position > after })
	if above < 0 {
		return nil, nil
	}
	return events[above:], nil
}

// size is how many entries to read at once.
func (p *pages) size(most int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 || p.mean*most > pageBytes {
		return min(smallPage, most)
	}
	return most
}

// find returns the entries above a position in the page that is kept, which may be the beginning of it: entries never
// change.
func (p *pages) find(wanted page, after int64) []hub.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.index(wanted)
	if i < 0 || after-wanted.start >= int64(len(p.kept[i].events)) {
		return nil
	}
	found := p.kept[i]
	p.kept = append(slices.Delete(p.kept, i, i+1), found)
	return found.events[after-wanted.start:]
}

func (p *pages) index(wanted page) int {
	return slices.IndexFunc(p.kept, func(kept page) bool {
		return kept.hub == wanted.hub && kept.start == wanted.start && kept.size == wanted.size
	})
}

// keep notes how large entries are, and keeps a page.
func (p *pages) keep(read page) {
	for i := range read.events {
		read.bytes += bytesOf(&read.events[i])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mean = read.bytes / len(read.events)
	if i := p.index(read); i >= 0 {
		p.drop(i)
	}
	last := read.events[len(read.events)-1].Position
	if last != read.start+int64(len(read.events)) || read.bytes > pageBytes {
		return // find counts on positions without holes
	}
	p.kept = append(p.kept, read)
	for p.bytes += read.bytes; p.bytes > pagesBytes; {
		p.drop(0)
	}
}

func (p *pages) drop(i int) {
	p.bytes -= p.kept[i].bytes
	p.kept = slices.Delete(p.kept, i, i+1)
}

// bytesOf estimates the memory of an event.
func bytesOf(e *hub.Event) int {
	const event, value = 128, 32
	size := event + value*(len(e.Before)+len(e.After))
	for _, v := range e.Before {
		size += len(v.Content())
	}
	for _, v := range e.After {
		size += len(v.Content())
	}
	return size
}
