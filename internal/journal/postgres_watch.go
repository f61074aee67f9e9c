package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// postgresCatalogueEvery is how often the catalogue is looked at, at most.
const postgresCatalogueEvery = time.Second

// postgresCatalogue is a query that changes its answer when our triggers, their functions or tables change, when the
// server was started anew, and when another one took its place.
const postgresCatalogue = `SELECT pg_postmaster_start_time()::text || ' ' || ` + postgresHistory + ` || ' ' || coalesce((
	SELECT md5(string_agg(concat_ws(' ', t.oid, t.xmin, t.tgenabled, c.xmin, p.xmin), ',' ORDER BY t.oid))
	FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid
	WHERE t.tgname IN ('` + postgresRowTrigger + `', '` + postgresTruncateTrigger + `')), '')`

// watch listens for the ticks of other processes, and looks for commits of programs that make none. Own commits wake the
// tailer without it.
func (s *postgresSource) watch(ctx context.Context, wake func(head Mark)) error {
	return s.db.Apart(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := c.Exec(ctx, "LISTEN "+postgresChannel, nil); err != nil {
			return err
		}
		w := postgresWatch{postgresSource: s, conn: c}
		first := true
		for {
			news, err := w.look(ctx)
			if err != nil {
				return err
			}
			if news || first {
				first = false
				wake(Mark{})
			}
			if err := w.listen(ctx, wake, time.Now().Add(s.poll)); err != nil {
				return err
			}
		}
	})
}

// postgresWatch is the state of a watch.
type postgresWatch struct {
	*postgresSource
	conn   *sqldriver.Conn
	head   int64 // of the last tick that the tailer was woken for
	looked time.Time
}

// listen wakes the tailer for the ticks of others until the time comes.
func (w *postgresWatch) listen(ctx context.Context, wake func(head Mark), until time.Time) error {
	timed, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		payload, err := w.conn.Wait(timed)
		switch {
		case err == nil:
			position, teller, _ := strings.Cut(payload, " ")
			if head, err := strconv.ParseInt(position, 10, 64); err == nil {
				w.head = max(w.head, head)
			}
			if teller != w.teller { // the tailer reads what itself made
				wake(Mark{})
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case timed.Err() != nil:
			return nil
		case errors.Is(err, errors.ErrUnsupported):
			pause(ctx, time.Until(until))
			return ctx.Err()
		default:
			return err
		}
	}
}

// look tells whether there is something for the tailer.
func (w *postgresWatch) look(ctx context.Context) (news bool, err error) {
	if now := time.Now(); now.Sub(w.looked) >= postgresCatalogueEvery {
		w.looked = now
		err := each(ctx, w.conn, postgresCatalogue, nil, func(row []driver.Value) error {
			catalogue := textOf(row[0])
			if last := w.catalogue.Swap(&catalogue); last == nil || *last != catalogue {
				news = true
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	err = each(ctx, w.conn, "SELECT head, behind::int FROM cape.behind()", nil, func(row []driver.Value) error {
		head := intOf(row[0])
		if head > w.head || intOf(row[1]) != 0 {
			w.head, news = head, true
		}
		return nil
	})
	return news, err
}

// changed implements source: it tells what watch saw, without a look of its own.
func (s *postgresSource) changed(context.Context) (bool, error) {
	catalogue := s.catalogue.Load()
	changed := !s.looked || catalogue != nil && (s.seen == nil || *s.seen != *catalogue)
	s.looked, s.seen = true, catalogue
	return changed, nil
}
