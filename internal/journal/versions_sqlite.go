package journal

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// sqliteHistory begins the names of the indexes by row.
const sqliteHistory = "cape_history_"

// online implements source. An index is made while the writer waits.
func (s *sqliteSource) online(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	return s.exclusive(ctx, fn)
}

// indexes implements source. An index holds one table's entries: writes to other tables pay next to nothing for it. The
// entry's number, by which versions are ordered, is in every index.
func (s *sqliteSource) indexes(ctx context.Context, c *sqldriver.Conn) (missing, surplus []string, err error) {
	meta, err := s.meta(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	facts := make(map[string]string, len(meta))
	for _, row := range meta {
		facts[row.key] = row.value
	}
	if otherFormat(facts) {
		return nil, nil, nil
	}
	present := make(map[string]bool)
	const query = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'cape_journal' AND name GLOB '" + sqliteHistory + "*'"
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		present[textOf(row[0])] = true
		return nil
	})
	for _, t := range s.tables {
		index := sqliteHistory + t.recordedName()
		switch {
		case t.history && !present[index]:
			missing = append(missing, "CREATE INDEX "+sqliteQuote(index)+" ON cape_journal (key) WHERE tbl = "+sqliteText(t.recordedName()))
		case !t.history && present[index]:
			surplus = append(surplus, "DROP INDEX "+sqliteQuote(index))
		}
		if unknownSince(t, facts) {
			missing = append(missing, s.noteTable(t))
		}
	}
	return missing, surplus, err
}

// noteTable returns a statement that notes that the table's changes are journaled, and since when.
func (s *sqliteSource) noteTable(t *table) string {
	return `INSERT OR REPLACE INTO cape_meta ("key", value) VALUES (` + sqliteText(metaTable+t.recordedName()) + ", " + sqliteText(tableNote) + " || " + s.now() + ")"
}

// pruned reads the latest time of an entry that was pruned.
func (s *sqliteSource) pruned(ctx context.Context, c *sqldriver.Conn) (latest int64, err error) {
	meta, err := s.meta(ctx, c)
	for _, row := range meta {
		if row.key == metaFloor {
			latest, _ = timeIn(row.value, 2)
		}
	}
	return latest, err
}

// hold implements source: there is nothing to do.
func (s *sqliteSource) hold(context.Context, *sqldriver.Conn, *table) error { return nil }

// ofRow is a condition for the entries of a row.
func (s *sqliteSource) ofRow(t *table, key []predicate.Value) (where string, args []driver.NamedValue) {
	parts, args := rowKey(s.db.Dialect(), key, func(kind predicate.Kind, placeholder string) string {
		if kind == predicate.Bytes {
			return "hex(" + placeholder + ")"
		}
		return placeholder
	})
	return "WHERE tbl = " + sqliteText(t.recordedName()) + " AND key = json_array(" + strings.Join(parts, ", ") + ")", args
}

// versions implements source.
func (s *sqliteSource) versions(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, before int64, limit int) ([]version, error) {
	where, args := s.ofRow(t, key)
	return s.rowVersions(ctx, c, where+" AND seq < ? ORDER BY seq DESC"+sqliteLimit, also(args, before, int64(limit)))
}

// changedAfter implements source. Times are whole milliseconds: a change in that of at is not after it.
func (s *sqliteSource) changedAfter(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, at time.Time) (*version, error) {
	where, args := s.ofRow(t, key)
	found, err := s.rowVersions(ctx, c, where+" AND at > ? ORDER BY seq"+sqliteLimit, also(args, at.UnixMilli(), int64(1)))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (s *sqliteSource) rowVersions(ctx context.Context, c *sqldriver.Conn, where string, args []driver.NamedValue) (found []version, err error) {
	err = each(ctx, c, sqliteEntry+where, args, func(row []driver.Value) error {
		r := s.record(row)
		found = append(found, version{r, r.mark.Position})
		found[len(found)-1].mark = Mark{}
		return nil
	})
	return found, err
}

// reach implements source.
func (s *sqliteSource) reach(ctx context.Context, c *sqldriver.Conn, t *table) (r Reach, err error) {
	query := `SELECT (SELECT value FROM cape_meta WHERE "key" = '` + metaFloor + `'), (SELECT value FROM cape_meta WHERE "key" = ` + sqliteText(metaTable+t.recordedName()) + "), " +
		"(SELECT max(at) * 1000 FROM cape_journal WHERE tbl = " + sqliteText(t.recordedName()) + " AND key IS NULL), " +
		"(SELECT at * 1000 FROM cape_journal ORDER BY seq LIMIT 1), " + s.now()
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		r = reachOf(row)
		return nil
	})
	r.Grain = time.Millisecond
	return r, err
}
