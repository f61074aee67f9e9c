package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// postgresSource is the journal of a PostgreSQL database. Neither the numbers of entries nor those of transactions are
// in commit order there: ticks are.
type postgresSource struct {
	db     *sqldriver.DB
	tables []*table
	poll   time.Duration
	teller string // names this source in the notifications of its ticks

	catalogue atomic.Pointer[string] // as watch saw it last
	seen      *string                // as changed saw it last; nil before the first time
	looked    bool

	mu      sync.Mutex // guards the following, which help to read large ticks
	layouts []*postgresLayout
	pages   []postgresPage // their ends
	starts  []postgresPage
}

func newPostgresSource(db *sqldriver.DB, tables []*table, o *Options) *postgresSource {
	s := &postgresSource{db: db, tables: tables, poll: o.Poll, teller: randomHex()}
	if s.poll <= 0 {
		s.poll = 100 * time.Millisecond
	}
	return s
}

func (s *postgresSource) name(table string) string { return "cape." + table }

func (s *postgresSource) now() string {
	return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
}

// exclusive implements source. Catalogues must show what others have committed since the transaction began.
func (s *postgresSource) exclusive(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	return s.db.UpdateRetry(own(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		const begin = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '1min'; SET LOCAL statement_timeout = 0; " +
			"SELECT pg_advisory_xact_lock(" + postgresInstallLock + ")"
		if _, err := c.Exec(ctx, begin, nil); err != nil {
			return err
		}
		return fn(ctx, c)
	})
}

func (s *postgresSource) gap(table string) (string, []driver.NamedValue) {
	return "INSERT INTO cape.journal (v, tbl, op) VALUES (" + strconv.Itoa(format) + ", $1::text, 'G')", arguments(table)
}

// epoch implements source. A standby that took over, and a restored backup, have another timeline; a copy by pg_dump has
// another system identifier.
func (s *postgresSource) epoch(ctx context.Context, c *sqldriver.Conn) (epoch string, err error) {
	there, err := number(ctx, c, "SELECT (to_regclass('cape.meta') IS NOT NULL AND to_regclass('cape.tick') IS NOT NULL)::int")
	if err != nil || there == 0 {
		return "", err
	}
	query := "SELECT value, " + postgresHistory + " FROM cape.meta WHERE key = $1::text"
	err = each(ctx, c, query, arguments(metaEpoch), func(row []driver.Value) error {
		epoch = textOf(row[0]) + "-" + textOf(row[1])
		return nil
	})
	return epoch, err
}

// postgresHistory is an expression for what tells one history of a cluster from another.
const postgresHistory = "to_hex((SELECT system_identifier FROM pg_control_system())) || '-' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"

// advance implements source. Only ticks that are on disk may be delivered, whatever the server's settings. The statements
// are one transaction of one trip, so that a process that stands still does not keep the lock.
func (s *postgresSource) advance(ctx context.Context) error { return s.tell(ctx, s.teller) }

func (s *postgresSource) tell(ctx context.Context, teller string) error {
	return s.db.Read(sqldriver.Outside(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		_, err := c.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL synchronous_commit = on; "+
			"SELECT cape.advance('"+teller+"')", nil)
		return err
	})
}

func (s *postgresSource) bounds(ctx context.Context) (floor, head Mark, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		query := "SELECT f.pos_hi, f.nonce, h.pos_hi, h.nonce FROM (SELECT * FROM cape.tick ORDER BY id LIMIT 1) AS f, " +
			"(SELECT * FROM cape.tick ORDER BY id DESC LIMIT 1) AS h"
		there := false
		err := each(ctx, c, query, nil, func(row []driver.Value) error {
			floor, head, there = postgresMark(row[0], row[1]), postgresMark(row[2], row[3]), true
			return nil
		})
		if err == nil && !there {
			err = errors.New("cape.tick is empty: was it changed by hand?")
		}
		return err
	})
	return floor, head, err
}

func postgresMark(position, nonce driver.Value) Mark {
	return Mark{Position: intOf(position), Nonce: uint64(intOf(nonce))} //nolint:gosec // the bits, not the number
}

func (s *postgresSource) nonce(ctx context.Context, position int64) (nonce uint64, ok bool, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		query := "SELECT nonce FROM cape.tick WHERE pos_hi >= $1::bigint ORDER BY pos_hi LIMIT 1"
		return each(ctx, c, query, arguments(position), func(row []driver.Value) error {
			nonce, ok = postgresMark(nil, row[0]).Nonce, true
			return nil
		})
	})
	return nonce, ok, err
}

// snapshot implements source. What the read sees beyond the last tick that it sees is in ticks that exist by the time
// that advance returns after it.
//
// The tables are locked against TRUNCATE before the first statement takes the snapshot: a table that was truncated since is
// empty to all, however old their snapshots are.
func (s *postgresSource) snapshot(ctx context.Context, tables []int, fn func(ctx context.Context, c *sqldriver.Conn) error) (snapshot Snapshot, err error) {
	if err := s.tell(ctx, ""); err != nil {
		return snapshot, err
	}
	behind := false
	err = s.db.Snapshot(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		if len(tables) > 0 {
			if _, err := c.Exec(ctx, s.lock(tables), nil); err != nil {
				return err
			}
		}
		query := "SELECT pg_current_snapshot()::text, t.pos_hi, t.nonce, (SELECT behind::int FROM cape.behind()) " +
			"FROM cape.tick AS t ORDER BY t.id DESC LIMIT 1"
		err := each(ctx, c, query, nil, func(row []driver.Value) error {
			view, err := parsePostgresSnapshot(textOf(row[0]))
			snapshot = Snapshot{Mark: postgresMark(row[1], row[2]), Settled: intOf(row[1]), Seen: view.sees}
			behind = intOf(row[3]) != 0
			return err
		})
		if err != nil {
			return err
		}
		return fn(ctx, c)
	})
	if err != nil || !behind {
		snapshot.Seen = nil
		return snapshot, err
	}
	if err := s.tell(ctx, ""); err != nil {
		return snapshot, err
	}
	_, head, err := s.bounds(sqldriver.Outside(ctx))
	snapshot.Settled = head.Position
	return snapshot, err
}

// lock returns a statement that keeps TRUNCATE and DDL away from tables, and nothing else.
func (s *postgresSource) lock(tables []int) string {
	names := make([]string, len(tables))
	for i, table := range tables {
		t := &s.tables[table].model.Table
		names[i] = postgresQuote(t.Name)
		if t.Schema != "" {
			names[i] = postgresQuote(t.Schema) + "." + names[i]
		}
	}
	return "LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE"
}
