package journal

import (
	"context"
	"database/sql/driver"
	"slices"
	"strconv"

	"github.com/capebase/capebase/internal/sqldriver"
)

// A tick can be large: by one transaction that changed a million rows, or by many that came while no process ran. Such a
// one is read in parts: its layout says at which positions its transactions stand, and the end of each page is kept, so
// that the next one need not count up to it.

const (
	postgresLayouts = 4
	postgresPages   = 64
)

// postgresLayout is the order of a tick's transactions.
type postgresLayout struct {
	tick  int64
	nonce uint64
	start int64 // the position before its first entry, which moves when it is pruned
	parts []postgresPart
}

// postgresPart is a transaction: its entries have the positions after start, up to end.
type postgresPart struct {
	xid        uint64
	start, end int64
	deep       bool // it must be read as a whole
}

// postgresPage is where a page ended within a transaction, with the last number that was in it, or began after, with the
// first one.
type postgresPage struct {
	mark Mark
	seq  int64
}

// part reads entries of a large tick, the second of two, after a position within it.
func (s *postgresSource) part(ctx context.Context, c *sqldriver.Conn, ticks []postgresTick, after int64, limit int) (page []postgresRow, whole bool, err error) {
	before, tick := &ticks[0], &ticks[1]
	layout, err := s.layout(ctx, c, before, tick)
	if err != nil {
		return nil, false, err
	}
	var rows []postgresRow
	end := min(after+int64(limit), tick.high)
	at, _ := slices.BinarySearchFunc(layout.parts, after, func(p postgresPart, after int64) int {
		if p.end <= after {
			return -1
		}
		return 1
	})
	position := after
	for at < len(layout.parts) && position < end {
		p := layout.parts[at]
		var more []postgresRow
		if position > p.start || p.end > end {
			more, err = s.within(ctx, c, tick, p, position, min(end, p.end)-position)
			at++
		} else {
			n := at
			var xids []uint64
			for n < len(layout.parts) && layout.parts[n].end <= end {
				xids = append(xids, layout.parts[n].xid)
				n++
			}
			more, err = s.rows(ctx, c, postgresEntry+"WHERE xid = ANY ($1::text::xid8[])", arguments(postgresXids(xids)))
			sortPostgresRows(more)
			at, p = n, layout.parts[n-1]
		}
		if err != nil {
			return nil, false, err
		}
		wanted := min(end, p.end) - position
		if int64(len(more)) != wanted { // pruned, or deleted by hand since the layout was read
			s.forget(tick)
			return nil, false, nil
		}
		rows = append(rows, more...)
		position += wanted
	}
	if position < end {
		if there, err := s.has(ctx, c, before); err != nil || !there {
			return nil, false, err
		}
	}
	bounds := [2]postgresTick{{high: after}, *tick}
	bounds[1].high = end
	return appendPostgresTick(nil, &bounds[0], &bounds[1], rows), true, nil
}

// layout reads the transactions of a tick, or knows them.
func (s *postgresSource) layout(ctx context.Context, c *sqldriver.Conn, before, tick *postgresTick) (*postgresLayout, error) {
	s.mu.Lock()
	for _, l := range s.layouts {
		if l.tick == tick.id && l.nonce == tick.nonce && l.start == before.high {
			s.mu.Unlock()
			return l, nil
		}
	}
	s.mu.Unlock()
	l := &postgresLayout{tick: tick.id, nonce: tick.nonce, start: before.high}
	query := "SELECT xid::text, count(*), (max(depth) > 1)::int FROM (SELECT xid, seq, depth FROM cape.journal " + postgresFirst +
		"UNION ALL SELECT xid, seq, depth FROM cape.journal " + postgresSecond + ") AS e GROUP BY xid ORDER BY max(seq)"
	end := before.high
	err := each(ctx, c, query, postgresRange(&before.snap, &tick.snap), func(row []driver.Value) error {
		xid, err := strconv.ParseUint(textOf(row[0]), 10, 64)
		n := intOf(row[1])
		p := postgresPart{xid, end, end + n, intOf(row[2]) != 0 && n <= tangleLimit}
		end = p.end
		l.parts = append(l.parts, p)
		return err
	})
	if err != nil || end != tick.high {
		return l, err // not one to keep
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layouts = append(s.layouts, l)
	if len(s.layouts) > postgresLayouts {
		s.layouts = slices.Delete(s.layouts, 0, 1)
	}
	return l, nil
}

func (s *postgresSource) forget(tick *postgresTick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layouts = slices.DeleteFunc(s.layouts, func(l *postgresLayout) bool { return l.tick == tick.id })
}

// within reads some entries of one transaction.
func (s *postgresSource) within(ctx context.Context, c *sqldriver.Conn, tick *postgresTick, p postgresPart, after, limit int64) (rows []postgresRow, err error) {
	xid := strconv.FormatUint(p.xid, 10)
	if p.deep {
		rows, err = s.rows(ctx, c, postgresEntry+"WHERE xid = $1::text::xid8", arguments(xid))
		sortPostgresRows(rows)
		first := min(after-p.start, int64(len(rows)))
		return rows[first:min(first+limit, int64(len(rows)))], err
	}
	if seq, ok := s.known(&s.pages, Mark{after, tick.nonce}); ok && after > p.start {
		rows, err = s.rows(ctx, c, postgresEntry+"WHERE xid = $1::text::xid8 AND seq > $2::bigint ORDER BY seq LIMIT $3::bigint", arguments(xid, seq, limit))
	} else if seq, ok := s.known(&s.starts, Mark{after + limit, tick.nonce}); ok && after+limit < p.end { // whoever reads backwards
		rows, err = s.rows(ctx, c, postgresEntry+"WHERE xid = $1::text::xid8 AND seq < $2::bigint ORDER BY seq DESC LIMIT $3::bigint", arguments(xid, seq, limit))
		slices.Reverse(rows)
	} else {
		rows, err = s.rows(ctx, c, postgresEntry+"WHERE xid = $1::text::xid8 ORDER BY seq OFFSET $2::bigint LIMIT $3::bigint", arguments(xid, after-p.start, limit))
	}
	if err != nil || int64(len(rows)) < limit {
		return rows, err
	}
	if after > p.start {
		s.keep(&s.starts, postgresPage{Mark{after, tick.nonce}, rows[0].seq})
	}
	if after+limit < p.end {
		s.keep(&s.pages, postgresPage{Mark{after + limit, tick.nonce}, rows[limit-1].seq})
	}
	return rows, nil
}

func (s *postgresSource) keep(pages *[]postgresPage, page postgresPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*pages = append(*pages, page)
	if len(*pages) > postgresPages {
		*pages = slices.Delete(*pages, 0, 1)
	}
}

func (s *postgresSource) known(pages *[]postgresPage, at Mark) (seq int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(*pages) - 1; i >= 0; i-- {
		if (*pages)[i].mark == at {
			return (*pages)[i].seq, true
		}
	}
	return 0, false
}
