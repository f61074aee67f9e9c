package journal

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"hash/crc64"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// sqliteSource is the journal of an SQLite file. There is one writer, so that the numbers that AUTOINCREMENT gives are
// in commit order and, since a rollback takes them back, without holes: they are the positions.
type sqliteSource struct {
	db     *sqldriver.DB
	tables []*table
	poll   time.Duration
	sums   *crc64.Table
	schema int64 // the schema's version at the last look
	looked bool
}

func newSQLiteSource(db *sqldriver.DB, tables []*table, o *Options) *sqliteSource {
	s := &sqliteSource{db: db, tables: tables, poll: o.Poll, sums: crc64.MakeTable(crc64.ECMA)}
	if s.poll <= 0 {
		s.poll = 10 * time.Millisecond
	}
	return s
}

func (s *sqliteSource) name(table string) string { return "cape_" + table }

func (s *sqliteSource) now() string {
	return "(CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)"
}

// exclusive implements source: a transaction that writes is alone.
func (s *sqliteSource) exclusive(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	return s.db.UpdateRetry(own(ctx), fn)
}

func (s *sqliteSource) gap(table string) (string, []driver.NamedValue) {
	return "INSERT INTO cape_journal (at, v, tbl, op) VALUES (" + sqliteNow + ", " + strconv.Itoa(format) + ", ?, 'G')", arguments(table)
}

func (s *sqliteSource) epoch(ctx context.Context, c *sqldriver.Conn) (string, error) {
	meta, err := s.meta(ctx, c)
	for _, row := range meta {
		if row.key == metaEpoch {
			return row.value, nil
		}
	}
	return "", err
}

// advance implements source: there is nothing to do.
func (s *sqliteSource) advance(context.Context) error { return nil }

const sqliteEntry = "SELECT seq, at, v, tbl, op, key, old, new, actor, tx FROM cape_journal "

func (s *sqliteSource) read(ctx context.Context, after int64, limit int) (records []record, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, sqliteEntry+"WHERE seq > ? ORDER BY seq"+sqliteLimit, arguments(after, int64(limit)), func(row []driver.Value) error {
			records = append(records, s.record(row))
			return nil
		})
	})
	return records, err
}

func (s *sqliteSource) record(row []driver.Value) record {
	r := record{
		at: time.UnixMilli(intOf(row[1])).UTC(), format: int(intOf(row[2])), table: textOf(row[3]), key: textOf(row[5]),
		before: textOf(row[6]), after: textOf(row[7]), actor: textOf(row[8]), tx: textOf(row[9]),
	}
	if op := textOf(row[4]); len(op) == 1 {
		r.op = op[0]
	}
	r.mark = Mark{Position: intOf(row[0]), Nonce: s.nonceOf(&r)}
	return r
}

// nonceOf is the same whenever the entry is read: it is of what never changes after the commit.
func (s *sqliteSource) nonceOf(r *record) uint64 {
	sum := uint64(0)
	for _, part := range [...]string{strconv.FormatInt(r.at.UnixMilli(), 10), r.table, string(r.op), r.key, r.before, r.after} {
		sum = crc64.Update(sum, s.sums, []byte(part))
		sum = crc64.Update(sum, s.sums, []byte{0})
	}
	return sum
}

func (s *sqliteSource) bounds(ctx context.Context) (floor, head Mark, err error) {
	err = s.db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		floor, head, err = s.boundsOn(ctx, c)
		return err
	})
	return floor, head, err
}

func (s *sqliteSource) boundsOn(ctx context.Context, c *sqldriver.Conn) (floor, head Mark, err error) {
	meta, err := s.meta(ctx, c)
	if err != nil {
		return floor, head, err
	}
	for _, row := range meta {
		if row.key == metaFloor {
			if _, err := fmt.Sscan(row.value, &floor.Position, &floor.Nonce); err != nil {
				return floor, head, fmt.Errorf("the meta table says %q: %w", row.value, err)
			}
		}
	}
	if head, err = s.last(ctx, c); head == (Mark{}) {
		head = floor
	}
	return floor, head, err
}

// last is the place of the last entry; the zero Mark where there is none.
func (s *sqliteSource) last(ctx context.Context, c *sqldriver.Conn) (head Mark, err error) {
	err = each(ctx, c, sqliteEntry+"ORDER BY seq DESC LIMIT 1", nil, func(row []driver.Value) error {
		head = s.record(row).mark
		return nil
	})
	return head, err
}

func (s *sqliteSource) nonce(ctx context.Context, position int64) (nonce uint64, ok bool, err error) {
	records, err := s.read(ctx, position-1, 1)
	if err != nil || len(records) == 0 || records[0].mark.Position != position {
		return 0, false, err
	}
	return records[0].mark.Nonce, true, nil
}

func (s *sqliteSource) snapshot(ctx context.Context, _ []int, fn func(ctx context.Context, c *sqldriver.Conn) error) (snapshot Snapshot, err error) {
	err = s.db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		_, head, err := s.boundsOn(ctx, c)
		if err != nil {
			return err
		}
		snapshot = Snapshot{Mark: head, Settled: head.Position}
		return fn(ctx, c)
	})
	return snapshot, err
}

// watch looks at data_version, on a connection of its own: it moves with the commits of all others, this program's own
// among them. Those have been delivered most often when it is looked at, so that it says where the journal ends.
func (s *sqliteSource) watch(ctx context.Context, wake func(head Mark)) error {
	return s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		ticker := time.NewTicker(s.poll)
		defer ticker.Stop()
		lastVersion, lastSchema := int64(-1), int64(-1)
		for {
			version, err := number(ctx, c, "PRAGMA data_version")
			if err != nil {
				return err
			}
			if version != lastVersion {
				schema, err := number(ctx, c, "PRAGMA schema_version")
				if err != nil {
					return err
				}
				var head Mark
				if schema == lastSchema {
					if head, err = s.last(ctx, c); err != nil {
						return err
					}
				}
				lastVersion, lastSchema = version, schema
				wake(head)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

func number(ctx context.Context, c *sqldriver.Conn, query string, args ...driver.NamedValue) (n int64, err error) {
	err = each(ctx, c, query, args, func(row []driver.Value) error {
		n = intOf(row[0])
		return nil
	})
	return n, err
}

// changed implements source. Rebuilding a table, which drops its triggers, moves the schema's version as all DDL does.
func (s *sqliteSource) changed(ctx context.Context) (changed bool, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		version, err := number(ctx, c, "PRAGMA schema_version")
		if err == nil {
			changed = !s.looked || version != s.schema
			s.looked, s.schema = true, version
		}
		return err
	})
	return changed, err
}

func (s *sqliteSource) prune(ctx context.Context, upTo int64, before time.Time, limit int) (removed int, err error) {
	err = s.db.UpdateRetry(own(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		removed = 0
		var last Mark
		latest, err := s.pruned(ctx, c)
		if err != nil {
			return err
		}
		query := sqliteEntry + "WHERE seq <= ? ORDER BY seq LIMIT ?"
		old := true
		err = each(ctx, c, query, arguments(upTo, int64(limit)), func(row []driver.Value) error {
			r := s.record(row)
			if old = old && r.at.Before(before); old {
				last, latest = r.mark, max(latest, r.at.UnixMicro())
				removed++
			}
			return nil
		})
		if err != nil || removed == 0 {
			return err
		}
		if _, err := c.Exec(ctx, "DELETE FROM cape_journal WHERE seq <= ?", arguments(last.Position)); err != nil {
			return err
		}
		// No statement is running: what ignored ones left in the stash is of no use.
		if _, err := c.Exec(ctx, "DELETE FROM cape_stash", nil); err != nil {
			return err
		}
		_, err = c.Exec(ctx, s.setMeta(metaFloor, floorText(last, latest)), nil)
		return err
	})
	return removed, err
}

// convert implements source.
func (s *sqliteSource) convert(kind predicate.Kind, t token) (driver.Value, error) {
	switch t.kind {
	case tokenNumber:
		if strings.ContainsAny(t.text, ".eE") {
			return strconv.ParseFloat(t.text, 64)
		}
		return strconv.ParseInt(t.text, 10, 64)
	case tokenString:
		return t.text, nil
	case tokenNested:
		return sqliteNested(t.text)
	default:
		return nil, errImage
	}
}

// sqliteNested reads what JSON has no form for.
func sqliteNested(text string) (value driver.Value, err error) {
	err = members(text, func(name string, t token) (err error) {
		switch {
		case name == "$blob" && t.kind == tokenString:
			value, err = hex.DecodeString(t.text)
		case name == "$real" && t.kind == tokenString:
			value, err = strconv.ParseFloat(t.text, 64)
		default:
			err = errImage
		}
		return err
	})
	return value, err
}

// sqliteStamp notes where the journal was when the transaction began: what is after it at the end is the transaction's
// own, since there is one writer. That writer is the only connection with transactions that are stamped, so one number
// will do. Where several are one transaction of the database, the next begins where the one before ended, unless something was
// undone: numbers are given out without holes.
type sqliteStamp struct {
	mark  int64
	actor string
	conn  *sqldriver.Conn // the transaction that was last stamped
	undos int             // of it, by then
}

// sqliteMark is the highest number that was given out, be it that all entries are pruned, or that sqlite_sequence is
// behind: SQLite notes numbers there when a statement has come to its end, and an INSERT OR FAIL that fails never does.
const sqliteMark = "SELECT max(coalesce((SELECT max(seq) FROM cape_journal), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cape_journal'), 0))"

func (s *sqliteStamp) begin(ctx context.Context, c *sqldriver.Conn, actor string) (err error) {
	s.actor = actor
	if actor != "" && (s.conn != c || s.undos != c.Undos()) {
		if s.mark, err = number(ctx, c, sqliteMark); err != nil {
			s.actor = ""
			return s.unlessGone(ctx, c, err)
		}
	}
	return nil
}

func (s *sqliteStamp) commit(ctx context.Context, c *sqldriver.Conn) error {
	if s.actor == "" {
		return nil
	}
	s.conn = nil
	result, err := c.Exec(ctx, "UPDATE cape_journal SET actor = ?, tx = ? WHERE seq > ?", arguments(s.actor, s.mark+1, s.mark))
	if err != nil {
		return s.unlessGone(ctx, c, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	s.mark, s.conn, s.undos = s.mark+n, c, c.Undos()
	return nil
}

// unlessGone returns an error, unless the journal was uninstalled, be it by this transaction: then there is nothing to note.
func (s *sqliteStamp) unlessGone(ctx context.Context, c *sqldriver.Conn, err error) error {
	there, lookErr := number(ctx, c, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'cape_journal'")
	if lookErr == nil && there == 0 {
		return nil
	}
	return err
}
