package journal

import (
	"cmp"
	"context"
	"database/sql/driver"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	mysqlHistoryIndex = "cape_journal_row"
	// metaHistory and a table's recorded name: the table needs the index.
	metaHistory = "journal.history."
	// mysqlKeyPrefix is how many characters of a key are in the index.
	mysqlKeyPrefix = "191"
)

// online implements source.
func (s *mysqlSource) online(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	return s.exclusive(ctx, fn)
}

// indexes implements source. There are no indexes of some rows here: one is for all tables, and goes with the last that
// needs it.
func (s *mysqlSource) indexes(ctx context.Context, c *sqldriver.Conn) (missing, surplus []string, err error) {
	meta, err := s.meta(ctx, c)
	if err != nil || otherFormat(meta) {
		return nil, nil, err
	}
	const query = "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'cape_journal' AND INDEX_NAME = '" + mysqlHistoryIndex + "'"
	present, err := number(ctx, c, query)
	if err != nil {
		return nil, nil, err
	}
	needed := make(map[string]bool) // also by tables of other programs
	for key := range meta {
		if name, ok := strings.CutPrefix(key, metaHistory); ok {
			needed[name] = true
		}
	}
	for _, t := range s.tables {
		name := t.recordedName()
		switch {
		case t.history && !needed[name]:
			missing = append(missing, mysqlSetMeta(metaHistory+name, strconv.Itoa(format)))
			needed[name] = true
		case !t.history && needed[name]:
			surplus = append(surplus, "DELETE FROM cape_meta WHERE `key` = "+mysqlString(metaHistory+name))
			delete(needed, name)
		}
		if unknownSince(t, meta) {
			missing = append(missing, s.noteTable(t))
		}
	}
	switch {
	case len(needed) > 0 && present == 0:
		missing = append([]string{"CREATE INDEX " + mysqlHistoryIndex + " ON cape_journal (`tbl`, `key`(" + mysqlKeyPrefix + ")) ALGORITHM=INPLACE LOCK=NONE"}, missing...)
	case len(needed) == 0 && present != 0:
		surplus = append(surplus, "DROP INDEX "+mysqlHistoryIndex+" ON cape_journal")
	}
	return missing, surplus, nil
}

// noteTable returns a statement that notes that the table's changes are journaled, and since when.
func (s *mysqlSource) noteTable(t *table) string {
	return "REPLACE INTO cape_meta (`key`, `value`) VALUES (" + mysqlString(metaTable+t.recordedName()) + ", CONCAT('" + tableNote + "', " + s.now() + "))"
}

// hold implements source: TRUNCATE waits for transactions that have read the table, and makes those that come later fail.
func (s *mysqlSource) hold(context.Context, *sqldriver.Conn, *table) error { return nil }

// ofRow reads the ids of a row's entries. The index is named: for the sake of ORDER BY the optimizer would rather look
// through all entries of the journal.
func (s *mysqlSource) ofRow(t *table, key []predicate.Value, hint, rest string) (query string, args []driver.NamedValue) {
	parts, args := rowKey(s.db.Dialect(), key, func(kind predicate.Kind, placeholder string) string {
		switch kind {
		case predicate.Int, predicate.Bool:
			return placeholder
		case predicate.Bytes:
			return "'\"', HEX(" + placeholder + "), '\"'"
		default:
			return "JSON_QUOTE(CONVERT(" + placeholder + " USING utf8mb4))"
		}
	})
	return "SELECT `id` AS `n` FROM cape_journal" + hint + " WHERE `tbl` = " + mysqlString(t.recordedName()) +
		" AND `key` = CONCAT('[', " + strings.Join(parts, ", ',', ") + ", ']') " + rest, args
}

const mysqlHistoryHint = " FORCE INDEX (" + mysqlHistoryIndex + ")"

// versions implements source.
func (s *mysqlSource) versions(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, before int64, limit int) ([]version, error) {
	return s.rowVersions(ctx, c, t, key, "AND `id` < ? ORDER BY `id` DESC LIMIT ?", before, int64(limit))
}

// changedAfter implements source.
func (s *mysqlSource) changedAfter(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, at time.Time) (*version, error) {
	found, err := s.rowVersions(ctx, c, t, key, "AND `at` > ? ORDER BY `id` LIMIT ?", at.UTC().Format("2006-01-02 15:04:05.000000"), int64(1))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// rowVersions reads a row's entries, newest first. Where another build has dropped the index it takes longer.
func (s *mysqlSource) rowVersions(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, rest string, values ...driver.Value) ([]version, error) {
	var err error
	for _, hint := range [...]string{mysqlHistoryHint, ""} {
		ids, args := s.ofRow(t, key, hint, rest)
		var found []version
		err = each(ctx, c, strings.TrimSuffix(mysqlEntry, "cape_journal ")+"("+ids+") AS `found` JOIN cape_journal ON `id` = `n`", also(args, values...), func(row []driver.Value) error {
			found = append(found, version{mysqlRecord(row), intOf(row[0])})
			return nil
		})
		if err == nil {
			slices.SortFunc(found, func(a, b version) int { return cmp.Compare(b.id, a.id) })
			return found, nil
		}
		if !strings.Contains(err.Error(), "Error 1176 ") {
			break
		}
	}
	return nil, err
}

// reach implements source.
func (s *mysqlSource) reach(ctx context.Context, c *sqldriver.Conn, t *table) (r Reach, err error) {
	micros := func(column string) string { return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', " + column + ")" }
	query := "SELECT (SELECT `value` FROM cape_meta WHERE `key` = '" + metaFloor + "'), (SELECT `value` FROM cape_meta WHERE `key` = " + mysqlString(metaTable+t.recordedName()) + "), " +
		"(SELECT " + micros("MAX(`at`)") + " FROM cape_journal WHERE `tbl` = " + mysqlString(t.recordedName()) + " AND `key` IS NULL), " +
		"(SELECT " + micros("`at`") + " FROM cape_journal ORDER BY `id` LIMIT 1), " + s.now()
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		r = reachOf(row)
		return nil
	})
	r.Grain = time.Microsecond
	return r, err
}
