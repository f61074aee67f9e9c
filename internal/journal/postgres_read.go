package journal

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// postgresSnapshot says which transactions a snapshot sees: those before end, except the ones that were running.
type postgresSnapshot struct {
	text    string
	end     uint64
	running []uint64 // in order
}

// parsePostgresSnapshot reads a pg_snapshot: "10:20:10,14".
func parsePostgresSnapshot(text string) (s postgresSnapshot, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("%q is no snapshot", text)
	}
	s.text = text
	if s.end, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return s, fmt.Errorf("%q is no snapshot: %w", text, err)
	}
	for part := range strings.SplitSeq(parts[2], ",") {
		if part == "" {
			continue
		}
		xid, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return s, fmt.Errorf("%q is no snapshot: %w", text, err)
		}
		s.running = append(s.running, xid)
	}
	return s, nil
}

func (s *postgresSnapshot) sees(xid uint64) bool {
	if xid >= s.end {
		return false
	}
	_, running := slices.BinarySearch(s.running, xid)
	return !running
}

// postgresTick is one of cape.tick.
type postgresTick struct {
	id    int64
	snap  postgresSnapshot
	high  int64 // the position of its last entry
	nonce uint64
	at    time.Time
}

// read implements source.
func (s *postgresSource) read(ctx context.Context, after int64, limit int) (records []record, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		rows, err := s.readOn(ctx, c, after, limit)
		for i := range rows {
			records = append(records, rows[i].record)
		}
		return err
	})
	return records, err
}

func (s *postgresSource) readOn(ctx context.Context, c *sqldriver.Conn, after int64, limit int) (all []postgresRow, err error) {
	for len(all) < limit {
		page, err := s.page(ctx, c, after, limit-len(all))
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
		after = page[len(page)-1].mark.Position
	}
	return all, nil
}

// page reads some entries after a position, and none only when there are none.
func (s *postgresSource) page(ctx context.Context, c *sqldriver.Conn, after int64, limit int) ([]postgresRow, error) {
	const tries = 3 // ticks may be pruned while they are read
	for range tries {
		ticks, err := s.ticks(ctx, c, after, limit)
		if err != nil || len(ticks) < 2 {
			return nil, err
		}
		page, whole, err := s.pageOf(ctx, c, ticks, after, limit)
		if err != nil || whole {
			return page, err
		}
	}
	return nil, fmt.Errorf("entries after %d were removed while they were read", after)
}

// ticks reads the last tick up to a position, or the oldest, and those after it.
func (s *postgresSource) ticks(ctx context.Context, c *sqldriver.Conn, after int64, limit int) (ticks []postgresTick, err error) {
	query := `SELECT id, snap::text, pos_hi, nonce, at FROM cape.tick
		WHERE id >= coalesce((SELECT id FROM cape.tick WHERE pos_hi <= $1::bigint ORDER BY pos_hi DESC LIMIT 1), 0) ORDER BY id LIMIT $2::bigint`
	err = each(ctx, c, query, arguments(after, int64(limit)+1), func(row []driver.Value) error {
		snap, err := parsePostgresSnapshot(textOf(row[1]))
		mark := postgresMark(row[2], row[3])
		at, _ := row[4].(time.Time)
		ticks = append(ticks, postgresTick{intOf(row[0]), snap, mark.Position, mark.Nonce, at})
		return err
	})
	return ticks, err
}

// pageOf reads entries of the ticks after the first one; whole is false when some were pruned meanwhile.
func (s *postgresSource) pageOf(ctx context.Context, c *sqldriver.Conn, ticks []postgresTick, after int64, limit int) (page []postgresRow, whole bool, err error) {
	base := ticks[0].high
	after = max(after, base)
	n := 2
	for n < len(ticks) && ticks[n-1].high-after < int64(limit) && ticks[n].high-base <= 2*int64(limit) {
		n++
	}
	ticks = ticks[:n]
	var all []postgresRow
	if ticks[n-1].high-base > 4*int64(limit) { // a single one
		all, whole, err = s.part(ctx, c, ticks, after, limit)
	} else {
		all, whole, err = s.between(ctx, c, ticks)
	}
	if err != nil || !whole {
		return nil, false, err
	}
	first, _ := slices.BinarySearchFunc(all, after+1, func(r postgresRow, position int64) int { return cmp.Compare(r.mark.Position, position) })
	return all[first:min(len(all), first+limit)], true, nil
}

const (
	postgresEntry = "SELECT seq, xid::text, at, v, tbl, op::text, key::text, old::text, new::text, actor, db_user, depth FROM cape.journal "
	// The arguments, which postgresRange makes, are the end of the snapshot before, the end of the last one, that snapshot, and what was running in the
	// one before.
	postgresFirst  = "WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 AND pg_visible_in_snapshot(xid, $3::text::pg_snapshot) "
	postgresSecond = "WHERE xid = ANY ($4::text::xid8[]) AND pg_visible_in_snapshot(xid, $3::text::pg_snapshot)"
)

func postgresRange(from, to *postgresSnapshot) []driver.NamedValue {
	return arguments(strconv.FormatUint(from.end, 10), strconv.FormatUint(to.end, 10), to.text, postgresXids(from.running))
}

// postgresXids writes an array.
func postgresXids(xids []uint64) string {
	b := []byte{'{'}
	for i, xid := range xids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, xid, 10)
	}
	return string(append(b, '}'))
}

// postgresRow is an entry before its tick is known.
type postgresRow struct {
	record
	seq  int64
	last int64 // the highest seq of its transaction
	tick int   // index among the ticks that are read
	deep bool  // it was made within a trigger
}

// between reads all entries of the ticks after the first one.
func (s *postgresSource) between(ctx context.Context, c *sqldriver.Conn, ticks []postgresTick) (all []postgresRow, whole bool, err error) {
	from, to := &ticks[0], &ticks[len(ticks)-1]
	rows, err := s.rows(ctx, c, postgresEntry+postgresFirst+"UNION ALL "+postgresEntry+postgresSecond, postgresRange(&from.snap, &to.snap))
	if err != nil {
		return nil, false, err
	}
	for i := range rows {
		xid := rows[i].source
		for rows[i].tick = 1; rows[i].tick < len(ticks)-1 && !ticks[rows[i].tick].snap.sees(xid); {
			rows[i].tick++
		}
	}
	sortPostgresRows(rows)
	if int64(len(rows)) != to.high-from.high {
		if there, err := s.has(ctx, c, from); err != nil || !there {
			return nil, false, err
		}
	}
	for i := 1; i < len(ticks); i++ {
		n := 0
		for n < len(rows) && rows[n].tick == i {
			n++
		}
		all = appendPostgresTick(all, &ticks[i-1], &ticks[i], rows[:n])
		rows = rows[n:]
	}
	return all, true, nil
}

// sortPostgresRows puts the entries of ticks into their order: whole transactions, as their last entries were written.
func sortPostgresRows(rows []postgresRow) {
	last := make(map[uint64]int64)
	for i := range rows {
		last[rows[i].source] = max(last[rows[i].source], rows[i].seq)
	}
	for i := range rows {
		rows[i].last = last[rows[i].source]
	}
	slices.SortFunc(rows, func(a, b postgresRow) int {
		return cmp.Or(cmp.Compare(a.tick, b.tick), cmp.Compare(a.last, b.last), cmp.Compare(a.seq, b.seq))
	})
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].source == rows[0].source {
			n++
		}
		untangle(rows[:n])
		rows = rows[n:]
	}
}

// appendPostgresTick gives a tick's entries their positions. Somebody may have deleted some by hand: gaps stand for them.
func appendPostgresTick(all []postgresRow, before, tick *postgresTick, rows []postgresRow) []postgresRow {
	for position := before.high + 1; position <= tick.high; position++ {
		r := postgresHole(tick)
		if i := position - before.high - 1; i < int64(len(rows)) {
			r = rows[i]
		}
		r.mark = Mark{Position: position, Nonce: tick.nonce}
		all = append(all, r)
	}
	return all
}

// postgresHole stands for an entry that is not there.
func postgresHole(tick *postgresTick) postgresRow {
	return postgresRow{record: record{op: 'G', format: format, at: tick.at}}
}

// has tells whether a tick is still there, and nothing after it was pruned.
func (s *postgresSource) has(ctx context.Context, c *sqldriver.Conn, tick *postgresTick) (there bool, err error) {
	err = each(ctx, c, "SELECT 1 FROM cape.tick WHERE id = $1::bigint AND pos_hi = $2::bigint", arguments(tick.id, tick.high), func([]driver.Value) error {
		there = true
		return nil
	})
	return there, err
}

func (s *postgresSource) rows(ctx context.Context, c *sqldriver.Conn, query string, args []driver.NamedValue) (rows []postgresRow, err error) {
	err = each(ctx, c, query, args, func(cells []driver.Value) error {
		xid, err := strconv.ParseUint(textOf(cells[1]), 10, 64)
		at, _ := cells[2].(time.Time)
		r := record{
			source: xid, tx: textOf(cells[1]), at: at, format: int(intOf(cells[3])), table: textOf(cells[4]),
			key: compactJSON(textOf(cells[6])), before: textOf(cells[7]), after: textOf(cells[8]), actor: textOf(cells[9]), user: textOf(cells[10]),
		}
		if op := textOf(cells[5]); op != "" {
			r.op = op[0]
		}
		rows = append(rows, postgresRow{record: r, seq: intOf(cells[0]), deep: intOf(cells[11]) > 1})
		return err
	})
	return rows, err
}
