package journal

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// prune implements source. Where the floor comes to be within a tick, it is the tick before that ends there: the rest is
// what remains to be seen from its snapshot.
func (s *postgresSource) prune(ctx context.Context, upTo int64, before time.Time, limit int) (removed int, err error) {
	err = s.db.UpdateRetry(own(sqldriver.Outside(ctx)), func(ctx context.Context, c *sqldriver.Conn) error {
		removed = 0
		if _, err := c.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
			return err
		}
		alone, err := number(ctx, c, "SELECT pg_try_advisory_xact_lock("+postgresPruneLock+")::int")
		if err != nil || alone == 0 {
			return err
		}
		floor, err := number(ctx, c, "SELECT pos_hi FROM cape.tick ORDER BY id LIMIT 1")
		if err != nil {
			return err
		}
		rows, err := s.readOn(ctx, c, floor, limit)
		if err != nil {
			return err
		}
		n := 0
		for n < len(rows) && rows[n].mark.Position <= upTo && rows[n].at.Before(before) {
			n++
		}
		if n == 0 {
			return nil
		}
		if err := s.remove(ctx, c, rows[:n]); err != nil {
			return err
		}
		removed = n
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	return removed, nil
}

// remove removes the oldest entries.
func (s *postgresSource) remove(ctx context.Context, c *sqldriver.Conn, rows []postgresRow) error {
	var xids, seqs []string
	latest := rows[0].at
	for i := range rows {
		if rows[i].at.After(latest) {
			latest = rows[i].at
		}
		xids = append(xids, strconv.FormatUint(rows[i].source, 10))
		seqs = append(seqs, strconv.FormatInt(rows[i].seq, 10))
	}
	const entries = "DELETE FROM cape.journal WHERE (xid, seq) IN (SELECT unnest($1::text::xid8[]), unnest($2::text::bigint[]))"
	if _, err := c.Exec(ctx, entries, arguments("{"+strings.Join(xids, ",")+"}", "{"+strings.Join(seqs, ",")+"}")); err != nil {
		return err
	}
	last := rows[len(rows)-1].mark
	const ticks = "DELETE FROM cape.tick WHERE id < (SELECT max(id) FROM cape.tick WHERE pos_hi <= $1::bigint)"
	if _, err := c.Exec(ctx, ticks, arguments(last.Position)); err != nil {
		return err
	}
	const floor = "UPDATE cape.tick SET pos_hi = $1::bigint, nonce = $2::bigint, at = greatest(at, $3::timestamptz) WHERE id = (SELECT min(id) FROM cape.tick) AND pos_hi < $1::bigint"
	_, err := c.Exec(ctx, floor, arguments(last.Position, int64(last.Nonce), latest)) //nolint:gosec // the bits, not the number
	return err
}
