package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Holes of transactions that were rolled back stay empty for ever, and must be told from those whose transactions are
// still open. The transaction that owns a hole began before the hole was found. So a hole is dead when all transactions
// that are open began after that, and a look after that question finds nothing. Who may not ask (PROCESS) waits for long.
// In either case a row that is there, but not committed, keeps its hole alive: its lock tells.

// mysqlAskEvery is the pause between questions for open transactions.
const mysqlAskEvery = time.Second

var (
	errUnknownTransactions = errors.New("which transactions are open is not known")
	errOccupied            = errors.New("a row that is not committed")
)

// horizon returns a function that tells, for a time of the database's clock after the coming look, which holes can be
// dead: those that were found before the time that it returns.
func (q *mysqlSequence) horizon(ctx context.Context) (dead func(now int64) int64, err error) {
	never := func(int64) int64 { return 0 }
	if q.tick == nil || len(q.tick.holes) == 0 || time.Since(q.asked) < mysqlAskEvery {
		return never, nil
	}
	q.asked = time.Now()
	oldest, err := q.oldest(ctx)
	switch {
	case err == nil:
		return func(int64) int64 { return oldest - q.source.times.settle.Microseconds() }, nil
	case !errors.Is(err, errUnknownTransactions):
		return nil, err
	}
	if !q.warned {
		q.warned = true
		q.source.log.WarnContext(ctx, "journal: this user may not see which transactions are open, and so what was rolled back is watched for long: GRANT PROCESS ON *.* would help",
			"for", q.source.times.patience)
	}
	return func(now int64) int64 { return now - q.source.times.patience.Microseconds() }, nil
}

// oldest is when the oldest transaction that is open began, in microseconds since 1970: in whole seconds, and never
// later than now; 0 is that there is no telling this time. Only those count that hold locks: who has an id of the journal has changed or locked a row before. The question is asked in a transaction that must find itself in the answer, which is cached by the
// server: an answer that is too old, or cut short, tells nothing. Times of that table are the server's local ones or the
// session's; what counts is their distance to the asking transaction's.
func (q *mysqlSequence) oldest(ctx context.Context) (at int64, err error) {
	const (
		begin = "SELECT `id` FROM cape_tick LIMIT 1"
		mine  = "MAX(IF(trx_mysql_thread_id = CONNECTION_ID(), trx_started, NULL))"
		ask   = "SELECT TIMESTAMPDIFF(SECOND, MIN(IF(trx_lock_structs > 0 OR trx_mysql_thread_id = CONNECTION_ID(), trx_started, NULL)), " + mine + "), TIMESTAMPDIFF(SECOND, " + mine + ", UTC_TIMESTAMP()), " +
			"TIMESTAMPDIFF(SECOND, " + mine + ", CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')), "
		fresh = 2 // seconds
	)
	err = q.source.db.Snapshot(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := number(ctx, c, begin); err != nil { // now there is a transaction
			return err
		}
		return each(ctx, c, ask+q.source.now()+" FROM information_schema.innodb_trx", nil, func(row []driver.Value) error {
			near := func(age driver.Value) bool { return age != nil && intOf(age) >= -fresh && intOf(age) <= fresh }
			if row[0] != nil && (near(row[1]) || near(row[2])) {
				at = intOf(row[3]) - intOf(row[0])*time.Second.Microseconds()
			}
			return nil
		})
	})
	if err != nil && strings.Contains(err.Error(), "Error 1227 ") {
		return 0, errUnknownTransactions
	}
	return at, err
}

// expire takes out the holes that were found before a time and are dead.
func (q *mysqlSequence) expire(ctx context.Context, c *sqldriver.Conn, next *mysqlTick, before int64) (some bool, err error) {
	var old, rest []hole
	for _, h := range next.holes {
		if h.seen < before {
			old = append(old, h)
		} else {
			rest = append(rest, h)
		}
	}
	for part := range slices.Chunk(old, mysqlRanges) {
		alive, err := q.alive(ctx, c, part)
		if err != nil {
			return false, err
		}
		rest = append(rest, alive...)
		some = some || len(alive) < len(part)
	}
	slices.SortFunc(rest, func(a, b hole) int { return int(a.low - b.low) })
	next.holes = rest
	return some, nil
}

// alive returns the parts of holes in which there is a row that is not committed.
func (q *mysqlSequence) alive(ctx context.Context, c *sqldriver.Conn, holes []hole) ([]hole, error) {
	err := q.vacant(ctx, c, rangesOf(holes))
	if err == nil || !errors.Is(err, errOccupied) {
		return nil, err
	}
	var first, second []hole
	switch h := holes[0]; {
	case len(holes) > 1:
		first, second = holes[:len(holes)/2], holes[len(holes)/2:]
	case h.low < h.high:
		middle := h.low + (h.high-h.low)/2
		first, second = []hole{{idRange{h.low, middle}, h.seen}}, []hole{{idRange{middle + 1, h.high}, h.seen}}
	default:
		return holes, nil
	}
	if first, err = q.alive(ctx, c, first); err != nil {
		return nil, err
	}
	second, err = q.alive(ctx, c, second)
	return append(slices.Clone(first), second...), err
}

// vacant locks what is in holes, and gives up where another transaction has. Ids by themselves are better than ranges,
// whose end may be locked with the row after it, which is of no interest.
func (q *mysqlSequence) vacant(ctx context.Context, c *sqldriver.Conn, holes idSet) error {
	where, args := mysqlWithin(holes)
	if holes.count() <= mysqlRanges {
		where, args = mysqlAmong(holes)
	}
	err := each(ctx, c, "SELECT `id` FROM cape_journal FORCE INDEX (PRIMARY) WHERE "+where+" FOR UPDATE NOWAIT", args, func([]driver.Value) error {
		return errOccupied // it has just been committed
	})
	if err != nil && q.source.db.Dialect().Classify(err).Class == engine.Busy {
		return errOccupied
	}
	return err
}

// mysqlAmong is mysqlWithin with the ids of a small set one by one.
func mysqlAmong(s idSet) (where string, args []driver.NamedValue) {
	var values []driver.Value
	s.each(0, func(id int64) bool {
		values = append(values, id)
		return true
	})
	size := mysqlSize(len(values))
	for len(values) < size {
		values = append(values, values[len(values)-1])
	}
	return "`id` IN (" + strings.Repeat("?, ", size-1) + "?)", arguments(values...)
}
