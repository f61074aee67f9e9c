package journal

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// An id is given out while the row that it is about is locked, so that of two changes of a row the later one has the
// higher id. But a transaction with a lower id may commit after one with a higher id, and the one that waited for it may
// be seen before it. So ids that are missing among those that are there are holes, which are looked at again and again,
// in statements of their own, until a look finds nothing: then whatever the found ones depend on has been found, too.
//
// What was found is a tick: a row that says which ids follow those of the tick before it. A tick's number is its
// predecessor's and one, so that of several processes one succeeds; the others go on from its tick. Positions count the
// ids of the ticks, and within a tick in their order, and so they are the same for all.

// mysqlTick is a row of cape_tick.
type mysqlTick struct {
	id, nonce   int64
	first, last int64  // the positions of the ids are those after first up to last
	mark        int64  // nonce of the tick that has the position last
	high        int64  // the highest id of this tick and all before
	ids         idSet  // of the entries, in order
	holes       []hole // up to high, in order
}

const mysqlTickColumns = "`id`, `nonce`, `first_pos`, `last_pos`, `mark`, `high`, `holes`"

// mysqlBatch is the most new ids of a tick; holes that were filled come on top.
const mysqlBatch = 5000

// mysqlRanges is the most ranges of ids in one statement.
const mysqlRanges = 256

// mysqlSequence gives positions.
type mysqlSequence struct {
	source *mysqlSource

	turn     sync.Mutex // guards the following
	tick     *mysqlTick // the newest that is known; nil: none
	asked    time.Time  // when open transactions were last asked for
	warned   bool       // that they cannot be asked for
	replaced bool       // to be told to the tailer
}

// advance is for the tailer.
func (q *mysqlSequence) advance(ctx context.Context) error {
	err := q.catchUp(ctx)
	q.turn.Lock()
	defer q.turn.Unlock()
	if q.replaced {
		q.replaced, q.tick = false, nil
		return ErrReplaced
	}
	return err
}

// catchUp gives positions to all that is committed.
func (q *mysqlSequence) catchUp(ctx context.Context) error {
	q.turn.Lock()
	defer q.turn.Unlock()
	for {
		if q.replaced {
			return ErrReplaced
		}
		// Before the look: what is dead now can be told from what is only late by looking afterwards.
		dead, err := q.horizon(ctx)
		if err != nil {
			return err
		}
		var more bool
		err = q.source.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
			more, err = q.step(ctx, c, dead)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

// step makes at most one tick, and tells whether there may be another.
func (q *mysqlSequence) step(ctx context.Context, c *sqldriver.Conn, dead func(now int64) int64) (more bool, err error) {
	if q.tick == nil {
		if err := q.load(ctx, c); err != nil {
			return false, err
		}
	}
	base := q.tick
	found, newest, err := q.look(ctx, c, base)
	if err != nil {
		return false, err
	}
	if newest != [2]int64{base.id, base.nonce} {
		return true, q.load(ctx, c)
	}
	next := &mysqlTick{id: base.id + 1, first: base.last, high: base.high}
	full := len(found) == mysqlBatch
	if len(found) > 0 {
		next.high = found[len(found)-1]
	}
	next.holes = append(slices.Clone(base.holes), between(base.high, found, 0)...)
	now, err := q.confirm(ctx, c, next, &found)
	if err != nil {
		return false, err
	}
	for i := range next.holes {
		if next.holes[i].seen == 0 {
			next.holes[i].seen = now
		}
	}
	expired, err := q.expire(ctx, c, next, dead(now))
	if err != nil || len(found) == 0 && !expired {
		return false, err
	}
	next.ids = setOf(found)
	next.last = next.first + next.ids.count()
	next.mark = base.mark
	if next.nonce, err = mysqlNonce(); err != nil {
		return false, err
	}
	if len(found) > 0 {
		next.mark = next.nonce
	}
	if done, err := q.insert(ctx, c, base, next); err != nil || !done {
		return true, err
	}
	q.tick = next
	return full, nil
}

// mysqlNonce is a random number that every driver takes for what it is.
func mysqlNonce() (int64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:]) >> 1), nil
}

// load reads the newest tick. It must be one that follows the tick that was known: else the database was restored, or
// failed over to a server that lacked commits.
func (q *mysqlSequence) load(ctx context.Context, c *sqldriver.Conn) error {
	known := q.tick
	if known != nil {
		same, there := false, false
		err := each(ctx, c, "SELECT `nonce` FROM cape_tick WHERE `id` = ?", arguments(known.id), func(row []driver.Value) error {
			there, same = true, intOf(row[0]) == known.nonce
			return nil
		})
		if err != nil {
			return err
		}
		if there && !same {
			q.replaced = true
			return ErrReplaced
		}
	}
	newest, err := q.newest(ctx, c)
	if err != nil {
		return err
	}
	if known != nil && newest.id < known.id {
		q.replaced = true
		return ErrReplaced
	}
	q.tick = newest
	return nil
}

func (q *mysqlSequence) newest(ctx context.Context, c *sqldriver.Conn) (*mysqlTick, error) {
	var t *mysqlTick
	err := each(ctx, c, "SELECT "+mysqlTickColumns+" FROM cape_tick ORDER BY `id` DESC LIMIT 1", nil, func(row []driver.Value) (err error) {
		t = &mysqlTick{
			id: intOf(row[0]), nonce: intOf(row[1]), first: intOf(row[2]), last: intOf(row[3]), mark: intOf(row[4]), high: intOf(row[5]),
		}
		t.holes, err = parseHoles(textOf(row[6]))
		return err
	})
	if err == nil && t == nil {
		err = fmt.Errorf("cape_tick is empty: was it changed by hand?")
	}
	return t, err
}

// look reads the ids after those of the tick, in order, and which tick is the newest.
func (q *mysqlSequence) look(ctx context.Context, c *sqldriver.Conn, base *mysqlTick) (found []int64, newest [2]int64, err error) {
	const query = "(SELECT `id`, NULL FROM cape_journal WHERE `id` > ? ORDER BY `id` LIMIT ?) UNION ALL " +
		"(SELECT `id`, `nonce` FROM cape_tick ORDER BY `id` DESC LIMIT 1)"
	err = each(ctx, c, query, arguments(base.high, int64(mysqlBatch)), func(row []driver.Value) error {
		if row[1] == nil {
			found = append(found, intOf(row[0]))
		} else {
			newest = [2]int64{intOf(row[0]), intOf(row[1])}
		}
		return nil
	})
	slices.Sort(found)
	return found, newest, err
}

// confirm looks at the holes until there is nothing in them. It adds what it finds, and returns when it last looked.
func (q *mysqlSequence) confirm(ctx context.Context, c *sqldriver.Conn, next *mysqlTick, found *[]int64) (now int64, err error) {
	for len(next.holes) > 0 {
		var late []int64
		for part := range slices.Chunk(next.holes, mysqlRanges) {
			where, args := mysqlWithin(rangesOf(part))
			query := "SELECT 1, `id` FROM cape_journal WHERE " + where + " UNION ALL SELECT 0, " + q.source.now()
			err := each(ctx, c, query, args, func(row []driver.Value) error {
				if intOf(row[0]) == 0 {
					now = intOf(row[1])
				} else {
					late = append(late, intOf(row[1]))
				}
				return nil
			})
			if err != nil {
				return 0, err
			}
		}
		if len(late) == 0 {
			return now, nil
		}
		slices.Sort(late)
		next.holes = without(next.holes, late)
		*found = append(*found, late...)
		slices.Sort(*found)
	}
	return now, nil
}

func rangesOf(holes []hole) idSet {
	s := make(idSet, len(holes))
	for i, h := range holes {
		s[i] = h.idRange
	}
	return s
}

// mysqlWithin is a condition for ids in a set of at most mysqlRanges ranges, in one of a few texts: each is prepared once.
func mysqlWithin(s idSet) (where string, args []driver.NamedValue) {
	size := mysqlSize(len(s))
	values := make([]driver.Value, 0, 2*size)
	for i := range size {
		r := s[min(i, len(s)-1)]
		values = append(values, r.low, r.high)
	}
	return "(" + strings.Repeat("`id` BETWEEN ? AND ? OR ", size-1) + "`id` BETWEEN ? AND ?)", arguments(values...)
}

// mysqlSize is how many placeholders serve for so many values.
func mysqlSize(n int) int {
	size := 1
	for size < n {
		size *= 4
	}
	return size
}

// insert writes a tick; done is false when another process has written one.
func (q *mysqlSequence) insert(ctx context.Context, c *sqldriver.Conn, base, next *mysqlTick) (done bool, err error) {
	const statement = "INSERT INTO cape_tick (`id`, `nonce`, `first_pos`, `last_pos`, `mark`, `high`, `ids`, `holes`, `at`) " +
		"SELECT ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6) FROM cape_tick t WHERE t.`id` = ? AND t.`nonce` = ?"
	result, err := c.Exec(ctx, statement, arguments(next.id, next.nonce, next.first, next.last, next.mark, next.high,
		next.ids.String(), formatHoles(next.holes), base.id, base.nonce))
	if err != nil {
		switch q.source.db.Dialect().Classify(err).Class {
		case engine.UniqueViolation, engine.Busy:
			return false, nil
		default:
			return false, err
		}
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
