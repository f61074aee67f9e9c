package journal

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/capebase/capebase/internal/sqldriver"
)

// The statements that note a mark, and those that read what came after it.
const (
	sqliteStart   = "SELECT max(seq) FROM cape_journal"
	sqliteSince   = sqliteEntry + "WHERE seq > ? ORDER BY seq" + sqliteLimit
	postgresOwn   = "WHERE xid = pg_current_xact_id_if_assigned() "
	postgresStart = "SELECT seq FROM cape.journal " + postgresOwn + "ORDER BY seq DESC LIMIT 1"
	postgresSince = postgresEntry + postgresOwn + "AND seq > $1::bigint ORDER BY seq LIMIT $2::bigint"
	mysqlStart    = "SELECT @cape_tx, (SELECT MAX(`id`) FROM cape_journal)"
	mysqlEntry    = "SELECT `id`, `at`, `v`, `tbl`, `op`, `key`, `old`, `new`, `tx`, `actor`, `db_user` FROM cape_journal "
	mysqlSince    = mysqlEntry + "WHERE `id` > ? AND `tx` = ? ORDER BY `id` LIMIT ?"
)

// sqliteLimit is a LIMIT by the next argument. SQLite would plan a statement with a plain LIMIT ? anew whenever it runs,
// which costs more than all the rest.
const sqliteLimit = " LIMIT 0 + ?"

// statement implements source. Nobody else writes meanwhile, and entries that were pruned before are no matter.
func (s *sqliteSource) statement(ctx context.Context, c *sqldriver.Conn) (func(ctx context.Context, limit int) ([]record, error), error) {
	mark, err := number(ctx, c, sqliteStart)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, limit int) (records []record, err error) {
		err = each(ctx, c, sqliteSince, arguments(mark, int64(limit)), func(row []driver.Value) error {
			records = append(records, s.record(row))
			return nil
		})
		return records, err
	}, nil
}

// statement implements source. A transaction without a number has written nothing. The numbers of entries grow within
// a transaction, also when savepoints take some back.
func (s *postgresSource) statement(ctx context.Context, c *sqldriver.Conn) (func(ctx context.Context, limit int) ([]record, error), error) {
	mark := int64(0)
	if !c.Fresh() {
		var err error
		if mark, err = number(ctx, c, postgresStart); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, limit int) ([]record, error) {
		rows, err := s.rows(ctx, c, postgresSince, arguments(mark, int64(limit)))
		sortPostgresRows(rows)
		records := make([]record, len(rows))
		for i := range rows {
			records[i] = rows[i].record
		}
		return records, err
	}, nil
}

var errUnstamped = errors.New("the transaction was not stamped when it began")

// statement implements source. Ids are given out in order, and none again: those of the statement are above all that can
// be seen before it, among them the transaction's own. The entries of others are told by their transaction's name. Both
// reads take no locks, but for transactions that asked to be SERIALIZABLE.
func (s *mysqlSource) statement(ctx context.Context, c *sqldriver.Conn) (func(ctx context.Context, limit int) ([]record, error), error) {
	var tx string
	var mark int64
	err := each(ctx, c, mysqlStart, nil, func(row []driver.Value) error {
		tx, mark = textOf(row[0]), intOf(row[1])
		return nil
	})
	if err == nil && tx == "" {
		err = errUnstamped
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, limit int) (records []record, err error) {
		err = each(ctx, c, mysqlSince, arguments(mark, tx, int64(limit)), func(row []driver.Value) error {
			records = append(records, mysqlRecord(row))
			return nil
		})
		return records, err
	}, nil
}
