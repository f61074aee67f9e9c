package todo

import "github.com/capebase/capebase/bench/internal/load"

// The shares of a mixed load in percent; the rest are updates.
const (
	shareOfReads   = 60
	shareOfLists   = 25
	shareOfCreates = 8
)

// mixed asks for one thing or another, by chance.
type mixed struct {
	base
	readOne readOne
	list    list
	create  create
	update  update
	last    load.Work // the one that asked last
}

// newMixed makes works that all draw from one source of chance.
func newMixed(b base) *mixed {
	return &mixed{base: b, readOne: readOne{base: b}, list: list{b}, create: create{base: b}, update: update{base: b}}
}

func (w *mixed) Next(b []byte) []byte {
	switch n := w.random.IntN(100); {
	case n < shareOfReads:
		w.last = &w.readOne
	case n < shareOfReads+shareOfLists:
		w.last = &w.list
	case n < shareOfReads+shareOfLists+shareOfCreates:
		w.last = &w.create
	default:
		w.last = &w.update
	}
	return w.last.Next(b)
}

func (w *mixed) Check(r load.Response) error { return w.last.Check(r) }

// Last reads the last change back.
func (w *mixed) Last(b []byte) []byte { return w.update.Last(b) }

func (w *mixed) CheckLast(r load.Response) error { return w.update.CheckLast(r) }

func (w *mixed) Inserted() int { return w.create.Inserted() }
