package journal

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// idRange is ids from low to high, both included.
type idRange struct{ low, high int64 }

// idSet is a set of ids: ranges in order that do not touch.
type idSet []idRange

// add appends an id that is higher than all others.
func (s *idSet) add(id int64) {
	if n := len(*s); n > 0 && (*s)[n-1].high == id-1 {
		(*s)[n-1].high = id
		return
	}
	*s = append(*s, idRange{id, id})
}

func setOf(sorted []int64) idSet {
	var s idSet
	for _, id := range sorted {
		s.add(id)
	}
	return s
}

// count is the number of ids.
func (s idSet) count() int64 {
	n := int64(0)
	for _, r := range s {
		n += r.high - r.low + 1
	}
	return n
}

// has tells whether an id is in the set.
func (s idSet) has(id int64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].high >= id })
	return i < len(s) && s[i].low <= id
}

// each calls fn with the ids from the one after skip others on, until it returns false.
func (s idSet) each(skip int64, fn func(id int64) bool) {
	for _, r := range s {
		size := r.high - r.low + 1
		if skip >= size {
			skip -= size
			continue
		}
		for id := r.low + skip; id <= r.high; id++ {
			if !fn(id) {
				return
			}
		}
		skip = 0
	}
}

// String writes the set: "3,7-9".
func (s idSet) String() string {
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.append(b)
	}
	return string(b)
}

func (r idRange) append(b []byte) []byte {
	b = strconv.AppendInt(b, r.low, 10)
	if r.high > r.low {
		b = append(b, '-')
		b = strconv.AppendInt(b, r.high, 10)
	}
	return b
}

func parseRange(text string) (r idRange, err error) {
	low, high, ranged := strings.Cut(text, "-")
	if r.low, err = strconv.ParseInt(low, 10, 64); err != nil {
		return r, err
	}
	r.high = r.low
	if ranged {
		r.high, err = strconv.ParseInt(high, 10, 64)
	}
	if err == nil && r.high < r.low {
		err = fmt.Errorf("%q is no range", text)
	}
	return r, err
}

func parseIDs(text string) (idSet, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	s := make(idSet, len(parts))
	for i, part := range parts {
		var err error
		if s[i], err = parseRange(part); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// hole is ids that were given out before others that have been seen, and were not seen themselves: of transactions that
// are still open, or were rolled back.
type hole struct {
	idRange
	seen int64 // when it was found to be one, in microseconds since 1970 by the database's clock
}

// formatHoles writes holes: "3@1700000000000000,7-9@1700000000000001".
func formatHoles(holes []hole) string {
	var b []byte
	for i, h := range holes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(h.append(b), '@')
		b = strconv.AppendInt(b, h.seen, 10)
	}
	return string(b)
}

func parseHoles(text string) ([]hole, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	holes := make([]hole, len(parts))
	for i, part := range parts {
		ids, seen, _ := strings.Cut(part, "@")
		var err error
		if holes[i].idRange, err = parseRange(ids); err != nil {
			return nil, err
		}
		if holes[i].seen, err = strconv.ParseInt(seen, 10, 64); err != nil {
			return nil, err
		}
	}
	return holes, nil
}

// without takes ids, which are sorted, out of holes.
func without(holes []hole, found []int64) []hole {
	if len(found) == 0 {
		return holes
	}
	var rest []hole
	for _, h := range holes {
		i, _ := slices.BinarySearch(found, h.low)
		for ; i < len(found) && found[i] <= h.high; i++ {
			if found[i] > h.low {
				rest = append(rest, hole{idRange{h.low, found[i] - 1}, h.seen})
			}
			h.low = found[i] + 1
		}
		if h.low <= h.high {
			rest = append(rest, h)
		}
	}
	return rest
}

// between lists what is missing among sorted ids, beginning after low.
func between(low int64, found []int64, seen int64) []hole {
	var holes []hole
	for _, id := range found {
		if id > low+1 {
			holes = append(holes, hole{idRange{low + 1, id - 1}, seen})
		}
		low = id
	}
	return holes
}
