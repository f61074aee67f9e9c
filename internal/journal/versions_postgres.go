package journal

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// postgresHistoryName begins the names of the indexes by row, which are in the schema cape.
const postgresHistoryName = "history "

func postgresHistoryIndex(t *table) string {
	const longest = 63
	name := postgresHistoryName + t.recordedName()
	if len(name) > longest {
		sum := sha256.Sum256([]byte(name))
		name = strings.ToValidUTF8(name[:longest-17], "") + " " + hex.EncodeToString(sum[:8])
	}
	return name
}

// postgresIndexLock is the advisory lock, per database, of those who make and drop indexes.
const postgresIndexLock = "4846523847521109"

// online implements source. CREATE INDEX CONCURRENTLY, which lets others write, cannot be part of a transaction, and it
// waits for those that are open: whoever waits for the lock must not be in one.
func (s *postgresSource) online(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	const between = 50 * time.Millisecond
	return s.db.Apart(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		if _, err := c.Exec(ctx, "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '1min', false)", nil); err != nil {
			return err
		}
		for {
			got, err := number(ctx, c, "SELECT pg_try_advisory_lock("+postgresIndexLock+")::int")
			if err != nil {
				return err
			}
			if got != 0 {
				break
			}
			pause(ctx, between)
		}
		err := fn(ctx, c)
		// The session's end, which would release it too, may be seen later.
		_, unlock := c.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock("+postgresIndexLock+")", nil)
		return errors.Join(err, unlock)
	})
}

// indexes implements source. An index holds one table's entries: writes to other tables pay next to nothing for it. It has
// a number in place of the key, which may be longer than an index can hold. One that is not valid is what a failure left,
// or is being made by another process, which has the lock then.
func (s *postgresSource) indexes(ctx context.Context, c *sqldriver.Conn) (missing, surplus []string, err error) {
	meta, err := s.meta(ctx, c)
	if err != nil || otherFormat(meta) {
		return nil, nil, err
	}
	valid := make(map[string]bool)
	const query = "SELECT c.relname::text, i.indisvalid::int FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid " +
		"WHERE i.indrelid = to_regclass('cape.journal') AND c.relname LIKE '" + postgresHistoryName + "%'"
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		valid[textOf(row[0])] = intOf(row[1]) != 0
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, t := range s.tables {
		index := postgresHistoryIndex(t)
		drop := "DROP INDEX CONCURRENTLY IF EXISTS cape." + postgresQuote(index)
		whole, present := valid[index]
		switch {
		case t.history && whole:
		case t.history:
			if present {
				missing = append(missing, drop)
			}
			missing = append(missing, "CREATE INDEX CONCURRENTLY "+postgresQuote(index)+" ON cape.journal ("+postgresRowNumber+", seq) WHERE tbl = "+postgresText(t.recordedName()))
		case present:
			surplus = append(surplus, drop)
		}
		if unknownSince(t, meta) {
			missing = append(missing, s.noteTable(t))
		}
	}
	return missing, surplus, nil
}

// historyIndexes returns the names of the indexes by row, of all programs.
func (s *postgresSource) historyIndexes(ctx context.Context, c *sqldriver.Conn) (names []string, err error) {
	const query = "SELECT c.relname::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid " +
		"WHERE i.indrelid = to_regclass('cape.journal') AND c.relname LIKE '" + postgresHistoryName + "%' ORDER BY 1"
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		names = append(names, textOf(row[0]))
		return nil
	})
	return names, err
}

// noteTable returns a statement that notes that the table's changes are journaled, and since when.
func (s *postgresSource) noteTable(t *table) string {
	return "INSERT INTO cape.meta (key, value) VALUES (" + postgresText(metaTable+t.recordedName()) + ", " + s.tableNote() + ") ON CONFLICT (key) DO UPDATE SET value = excluded.value"
}

func (s *postgresSource) tableNote() string { return "'" + tableNote + "' || " + s.now() }

// hold implements source. A table that was truncated since is empty to all, however old their snapshots are.
func (s *postgresSource) hold(ctx context.Context, c *sqldriver.Conn, t *table) error {
	_, err := c.Exec(ctx, s.lock([]int{t.index}), nil)
	return err
}

// postgresRowNumber is an expression for what the index has of the key.
const postgresRowNumber = "jsonb_hash_extended(key, 0)"

// ofRow is a condition for the entries of a row.
func (s *postgresSource) ofRow(t *table, key []predicate.Value) (where string, args []driver.NamedValue) {
	parts, args := rowKey(s.db.Dialect(), key, func(kind predicate.Kind, placeholder string) string {
		switch kind {
		case predicate.Int:
			return "to_jsonb(" + placeholder + "::bigint)"
		case predicate.Bool:
			return "to_jsonb(" + placeholder + "::boolean)"
		case predicate.Bytes:
			return `to_jsonb('\x' || encode(` + placeholder + "::bytea, 'hex'))"
		default:
			return "to_jsonb(" + placeholder + "::text)"
		}
	})
	whole := "jsonb_build_array(" + strings.Join(parts, ", ") + ")"
	return "WHERE tbl = " + postgresText(t.recordedName()) + " AND " + strings.Replace(postgresRowNumber, "key", whole, 1) + " = " + postgresRowNumber +
		" AND key = " + whole, args
}

// versions implements source.
func (s *postgresSource) versions(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, before int64, limit int) ([]version, error) {
	where, args := s.ofRow(t, key)
	all := also(args, before, int64(limit))
	query := fmt.Sprintf("%s%s AND seq < $%d::bigint ORDER BY seq DESC LIMIT $%d::bigint", postgresEntry, where, len(all)-1, len(all))
	rows, err := s.rows(ctx, c, query, all)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	slices.Reverse(rows)
	low := rows[0].seq
	// A transaction at either end may be there in part.
	if len(rows) == limit {
		if rows, err = s.complete(ctx, c, where, args, rows, rows[0].source); err != nil {
			return nil, err
		}
	}
	if before != Newest {
		if rows, err = s.complete(ctx, c, where, args, rows, rows[len(rows)-1].source); err != nil {
			return nil, err
		}
	}
	settle(rows)
	var found []version
	for i := len(rows) - 1; i >= 0; i-- {
		if seq := rows[i].seq; seq >= low && seq < before {
			found = append(found, version{rows[i].record, seq})
		}
	}
	return found, nil
}

// changedAfter implements source.
func (s *postgresSource) changedAfter(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, at time.Time) (*version, error) {
	where, args := s.ofRow(t, key)
	query := fmt.Sprintf("%s%s AND at > $%d::timestamptz ORDER BY seq LIMIT 1", postgresEntry, where, len(args)+1)
	rows, err := s.rows(ctx, c, query, also(args, at))
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if rows, err = s.complete(ctx, c, where, args, rows, rows[0].source); err != nil {
		return nil, err
	}
	settle(rows)
	for i := range rows {
		if rows[i].at.After(at) {
			return &version{rows[i].record, rows[i].seq}, nil
		}
	}
	return nil, nil //nolint:nilnil // it cannot be: there was one
}

// complete adds to a row's entries, which are in order, the others of a transaction, where these may be tangled.
func (s *postgresSource) complete(ctx context.Context, c *sqldriver.Conn, where string, args []driver.NamedValue, rows []postgresRow, xid uint64) ([]postgresRow, error) {
	mine := fmt.Sprintf("%s AND xid = $%d::text::xid8 ", where, len(args)+1)
	args = also(args, strconv.FormatUint(xid, 10))
	tangled, err := number(ctx, c, fmt.Sprintf("SELECT (max(depth) > 1 AND count(*) BETWEEN 2 AND %d)::int FROM cape.journal %s", tangleLimit, mine), args...)
	if err != nil || tangled == 0 {
		return rows, err
	}
	whole, err := s.rows(ctx, c, postgresEntry+mine+"ORDER BY seq", args)
	if err != nil {
		return nil, err
	}
	first := slices.IndexFunc(rows, func(r postgresRow) bool { return r.source == xid })
	n := 0
	for first+n < len(rows) && rows[first+n].source == xid {
		n++
	}
	return slices.Replace(rows, first, first+n, whole...), nil
}

// settle puts a row's entries of each transaction into the order of their images. The numbers stay where they are: what
// came later has the higher one.
func settle(rows []postgresRow) {
	for len(rows) > 0 {
		n, deep := 0, false
		for n < len(rows) && rows[n].source == rows[0].source {
			deep = deep || rows[n].deep
			n++
		}
		if chain := rows[:n]; deep && n <= tangleLimit {
			for i, r := range untangled(slices.Clone(chain)) {
				r.seq = chain[i].seq
				chain[i] = r
			}
		}
		rows = rows[n:]
	}
}

// reach implements source. The time of the oldest tick is not before that of any entry that was pruned.
func (s *postgresSource) reach(ctx context.Context, c *sqldriver.Conn, t *table) (r Reach, err error) {
	micros := func(column string) string { return "(extract(epoch FROM " + column + ") * 1000000)::bigint" }
	query := "SELECT (SELECT pos_hi || ' 0 ' || " + micros("at") + " FROM cape.tick ORDER BY id LIMIT 1), (SELECT value FROM cape.meta WHERE key = " + postgresText(metaTable+t.recordedName()) + "), " +
		"(SELECT " + micros("max(at)") + " FROM cape.journal WHERE tbl = " + postgresText(t.recordedName()) + " AND " + postgresRowNumber + " IS NULL AND key IS NULL), NULL, " + s.now()
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		r = reachOf(row)
		return nil
	})
	r.Grain = time.Microsecond
	return r, err
}
