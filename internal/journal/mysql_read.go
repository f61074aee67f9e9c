package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// mysqlPlace is an id with its position.
type mysqlPlace struct {
	id   int64
	mark Mark
}

// places finds the ids of the positions after one, at most limit.
func (s *mysqlSource) places(ctx context.Context, c *sqldriver.Conn, after int64, limit int) (places []mysqlPlace, err error) {
	const query = "SELECT `first_pos`, `nonce`, `ids` FROM cape_tick WHERE `last_pos` > ? AND `last_pos` > `first_pos` ORDER BY `last_pos` LIMIT ?"
	err = each(ctx, c, query, arguments(after, int64(limit)), func(row []driver.Value) error {
		if len(places) >= limit {
			return nil
		}
		ids, err := parseIDs(textOf(row[2]))
		if err != nil {
			return fmt.Errorf("cape_tick: %w", err)
		}
		at := mysqlMark(row[0], row[1])
		skip := max(0, after-at.Position)
		at.Position += skip
		ids.each(skip, func(id int64) bool {
			at.Position++
			places = append(places, mysqlPlace{id, at})
			return len(places) < limit
		})
		return nil
	})
	return places, err
}

// mysqlSets divides the ids of places into sets for mysqlWithin.
func mysqlSets(places []mysqlPlace) []idSet {
	ids := make([]int64, len(places))
	for i, p := range places {
		ids[i] = p.id
	}
	slices.Sort(ids)
	return slices.Collect(slices.Chunk(setOf(ids), mysqlRanges))
}

// read implements source.
func (s *mysqlSource) read(ctx context.Context, after int64, limit int) (records []record, err error) {
	var places []mysqlPlace
	found := make(map[int64]record)
	err = s.db.Read(sqldriver.Outside(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		if places, err = s.places(ctx, c, after, limit); err != nil {
			return err
		}
		for _, set := range mysqlSets(places) {
			where, args := mysqlWithin(set)
			err := each(ctx, c, mysqlEntry+"WHERE "+where, args, func(row []driver.Value) error {
				found[intOf(row[0])] = mysqlRecord(row)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.assemble(ctx, places, found)
}

func mysqlRecord(row []driver.Value) record {
	r := record{
		source: uint64(intOf(row[0])), //nolint:gosec // ids are positive
		format: int(intOf(row[2])), table: textOf(row[3]), key: textOf(row[5]), before: textOf(row[6]), after: textOf(row[7]),
		tx: textOf(row[8]), actor: textOf(row[9]), user: textOf(row[10]),
	}
	if at, ok := row[1].(time.Time); ok {
		r.at = at.UTC()
	}
	if op := textOf(row[4]); len(op) == 1 {
		r.op = op[0]
	}
	return r
}

// assemble puts entries into their order. One that is not there was pruned meanwhile, or removed by hand: the latter is a
// gap of all tables.
func (s *mysqlSource) assemble(ctx context.Context, places []mysqlPlace, found map[int64]record) ([]record, error) {
	var floor Mark
	if len(found) < len(places) {
		var err error
		if floor, _, err = s.bounds(ctx); err != nil {
			return nil, err
		}
	}
	records := make([]record, 0, len(places))
	for _, p := range places {
		r, ok := found[p.id]
		if !ok {
			if p.mark.Position <= floor.Position {
				continue
			}
			r = record{source: uint64(p.id), format: format, op: 'G', at: time.Now().UTC()} //nolint:gosec // ids are positive
		}
		r.mark = p.mark
		records = append(records, r)
	}
	return records, nil
}

// snapshot implements source. Where the journal stands is read before the consistent read begins: what has a position
// then is in it. What else the read sees is told by its ids.
func (s *mysqlSource) snapshot(ctx context.Context, _ []int, fn func(ctx context.Context, c *sqldriver.Conn) error) (snapshot Snapshot, err error) {
	outside := sqldriver.Outside(ctx)
	if err := s.sequence.catchUp(outside); err != nil {
		return snapshot, err
	}
	var base *mysqlTick
	err = s.db.Read(outside, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		base, err = s.sequence.newest(ctx, c)
		return err
	})
	if err != nil {
		return snapshot, err
	}
	var seen idSet
	err = s.db.Snapshot(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		if seen, err = s.visible(ctx, c, base); err != nil {
			return err
		}
		return fn(ctx, c)
	})
	if err != nil {
		return snapshot, err
	}
	snapshot.Mark = mysqlMark(base.last, base.mark)
	snapshot.Settled = base.last
	if len(seen) == 0 {
		return snapshot, nil
	}
	if err := s.sequence.catchUp(outside); err != nil { // now all of these have positions
		return snapshot, err
	}
	_, head, err := s.bounds(ctx)
	if err != nil {
		return snapshot, err
	}
	snapshot.Settled = head.Position
	snapshot.Seen = func(source uint64) bool { return seen.has(int64(source)) } //nolint:gosec // ids are positive
	return snapshot, nil
}

// visible reads the ids that a tick does not know of yet.
func (s *mysqlSource) visible(ctx context.Context, c *sqldriver.Conn, base *mysqlTick) (idSet, error) {
	var ids []int64
	collect := func(row []driver.Value) error {
		ids = append(ids, intOf(row[0]))
		return nil
	}
	if err := each(ctx, c, "SELECT `id` FROM cape_journal WHERE `id` > ?", arguments(base.high), collect); err != nil {
		return nil, err
	}
	for part := range slices.Chunk(base.holes, mysqlRanges) {
		where, args := mysqlWithin(rangesOf(part))
		if err := each(ctx, c, "SELECT `id` FROM cape_journal WHERE "+where, args, collect); err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	return setOf(ids), nil
}

// prune implements source. The row of the floor is locked first: processes take turns. Nothing beyond the removed ids is
// touched, for a lock at the journal's end would hold up every write.
func (s *mysqlSource) prune(ctx context.Context, upTo int64, before time.Time, limit int) (removed int, err error) {
	err = s.db.UpdateRetry(own(sqldriver.Outside(ctx)), func(ctx context.Context, c *sqldriver.Conn) error {
		removed = 0
		var floor Mark
		var latest int64
		query := "SELECT `value` FROM cape_meta WHERE `key` = '" + metaFloor + "' FOR UPDATE"
		err := each(ctx, c, query, nil, func(row []driver.Value) (err error) {
			latest, _ = timeIn(textOf(row[0]), 2)
			floor, err = parseFloor(textOf(row[0]))
			return err
		})
		if err != nil {
			return err
		}
		places, err := s.places(ctx, c, floor.Position, limit)
		if err != nil {
			return err
		}
		places, last, err := s.outdated(ctx, c, places, upTo, before)
		if err != nil || len(places) == 0 {
			return err
		}
		removed = len(places)
		return s.remove(ctx, c, places, max(latest, last))
	})
	return removed, err
}

// outdated shortens places to those that can go, and returns their latest time in microseconds. An entry that is not there
// any more can go.
func (s *mysqlSource) outdated(ctx context.Context, c *sqldriver.Conn, places []mysqlPlace, upTo int64, before time.Time) (old []mysqlPlace, latest int64, err error) {
	times := make(map[int64]time.Time)
	for _, set := range mysqlSets(places) {
		where, args := mysqlWithin(set)
		err := each(ctx, c, "SELECT `id`, `at` FROM cape_journal WHERE "+where, args, func(row []driver.Value) error {
			if at, ok := row[1].(time.Time); ok {
				times[intOf(row[0])] = at
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	for i, p := range places {
		at, known := times[p.id]
		if p.mark.Position > upTo || known && !at.Before(before) {
			return places[:i], latest, nil
		}
		if known {
			latest = max(latest, at.UnixMicro())
		}
	}
	return places, latest, nil
}

func (s *mysqlSource) remove(ctx context.Context, c *sqldriver.Conn, places []mysqlPlace, latest int64) error {
	for _, set := range mysqlSets(places) {
		for _, r := range set {
			// With the limit the statement never looks at the row after the last.
			const remove = "DELETE FROM cape_journal WHERE `id` BETWEEN ? AND ? ORDER BY `id` LIMIT ?"
			if _, err := c.Exec(ctx, remove, arguments(r.low, r.high, r.high-r.low+1)); err != nil {
				return err
			}
		}
	}
	floor := places[len(places)-1].mark
	// The row is there from the beginning; to replace it would need two more rights.
	const set = "UPDATE cape_meta SET `value` = ? WHERE `key` = '" + metaFloor + "'"
	if _, err := c.Exec(ctx, set, arguments(floorText(floor, latest))); err != nil {
		return err
	}
	// The newest tick stays, and is not looked at: others write the one after it.
	newest, err := number(ctx, c, "SELECT MAX(`id`) FROM cape_tick")
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "DELETE FROM cape_tick WHERE `last_pos` <= ? AND `id` < ?", arguments(floor.Position, newest))
	return err
}
