package journal

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// mysqlSource is the journal of MySQL and MariaDB. Ids are given out in the order of the changes of a row, but are not
// seen in that order, and rollbacks leave holes among them: positions are given by ticks, see mysql_tick.go.
type mysqlSource struct {
	db     *sqldriver.DB
	tables []*table
	log    *slog.Logger
	times  mysqlTimes

	sequence mysqlSequence
	catalog  mysqlLook
}

// mysqlTimes are the source's pauses.
type mysqlTimes struct {
	poll time.Duration // between looks for changes
	look time.Duration // between looks at the catalogue
	// settle is how long a hole is left in peace after it was found, since times of information_schema are whole seconds.
	settle time.Duration
	// patience is how long a hole is kept where this user may not ask which transactions are open.
	patience time.Duration
}

func newMySQLSource(db *sqldriver.DB, tables []*table, o *Options) *mysqlSource {
	s := &mysqlSource{db: db, tables: tables, log: o.Logger, times: mysqlTimes{
		poll: o.Poll, look: 2 * time.Second, settle: 3 * time.Second, patience: 10 * time.Minute,
	}}
	if s.times.poll <= 0 {
		s.times.poll = 100 * time.Millisecond
	}
	s.sequence.source, s.catalog.source = s, s
	return s
}

func (s *mysqlSource) name(table string) string { return "cape_" + table }

func (s *mysqlSource) now() string {
	return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"
}

// lockWait is the longest wait for other processes that migrate or install.
const mysqlLockWait = time.Minute

// exclusive implements source, with the lock of package migrate: DDL of both never runs at the same time. The session is
// thrown away: settings, locks of tables and the lock itself end with it.
func (s *mysqlSource) exclusive(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	return s.db.Apart(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		lock := fmt.Sprintf("SELECT GET_LOCK(CONCAT('capebase ', MD5(DATABASE())), %d)", int(mysqlLockWait/time.Second))
		got, err := number(ctx, c, lock)
		if err != nil {
			return err
		}
		if got != 1 {
			return fmt.Errorf("another process has been migrating for %v", mysqlLockWait)
		}
		// A trigger keeps the mode in which it was made. DDL that waits for a transaction makes all others wait, too: it
		// gives up before long.
		if _, err := c.Exec(ctx, "SET SESSION sql_mode = 'STRICT_TRANS_TABLES', SESSION lock_wait_timeout = 20", nil); err != nil {
			return err
		}
		err = fn(ctx, c)
		if err != nil && strings.Contains(err.Error(), "Error 1419 ") {
			return fmt.Errorf("the server writes a binary log and lets only privileged users make triggers: run SET GLOBAL log_bin_trust_function_creators = 1, "+
				"or grant this user SUPER (MariaDB: BINLOG ADMIN): %w", err)
		}
		return err
	})
}

func (s *mysqlSource) gap(table string) (string, []driver.NamedValue) {
	return "INSERT INTO cape_journal (`at`, `v`, `tbl`, `op`) VALUES (UTC_TIMESTAMP(6), " + strconv.Itoa(format) + ", ?, 'G')", arguments(table)
}

func (s *mysqlSource) epoch(ctx context.Context, c *sqldriver.Conn) (string, error) {
	meta, err := s.meta(ctx, c)
	if err != nil || meta[metaFormat] == "" {
		return "", err
	}
	return meta[metaEpoch], nil
}

// advance implements source.
func (s *mysqlSource) advance(ctx context.Context) error {
	ctx = sqldriver.Outside(ctx)
	if err := s.catalog.reconcile(ctx); err != nil {
		return err
	}
	return s.sequence.advance(ctx)
}

// changed implements source.
func (s *mysqlSource) changed(ctx context.Context) (bool, error) {
	return s.catalog.changed(sqldriver.Outside(ctx))
}

// watch implements source. Nothing of the server's tells of commits: it looks for new ids and new ticks. While there are
// holes, any of them may be filled, and each look wakes.
func (s *mysqlSource) watch(ctx context.Context, wake func(head Mark)) error {
	ctx = sqldriver.Outside(ctx)
	const query = "SELECT (SELECT MAX(`id`) FROM cape_journal), `id`, `holes` <> '' FROM cape_tick ORDER BY `id` DESC LIMIT 1"
	ticker := time.NewTicker(s.times.poll)
	defer ticker.Stop()
	last, looked := [2]int64{-1, -1}, time.Now()
	for {
		err := s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			return each(ctx, c, query, nil, func(row []driver.Value) error {
				found := [2]int64{intOf(row[0]), intOf(row[1])}
				if found != last || intOf(row[2]) != 0 || time.Since(looked) > s.times.look {
					last, looked = found, time.Now()
					wake(Mark{})
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bounds implements source.
func (s *mysqlSource) bounds(ctx context.Context) (floor, head Mark, err error) {
	query := "SELECT (SELECT `value` FROM cape_meta WHERE `key` = '" + metaFloor + "'), `last_pos`, `mark` FROM cape_tick ORDER BY `id` DESC LIMIT 1"
	err = s.db.Read(sqldriver.Outside(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query, nil, func(row []driver.Value) (err error) {
			floor, err = parseFloor(textOf(row[0]))
			head = mysqlMark(row[1], row[2])
			return err
		})
	})
	return floor, head, err
}

func mysqlMark(position, nonce driver.Value) Mark {
	return Mark{Position: intOf(position), Nonce: uint64(intOf(nonce))} //nolint:gosec // nonces are not negative
}

func parseFloor(text string) (floor Mark, err error) {
	if text == "" {
		return floor, nil
	}
	if _, err := fmt.Sscan(text, &floor.Position, &floor.Nonce); err != nil {
		return floor, fmt.Errorf("the meta table says %q: %w", text, err)
	}
	return floor, nil
}

// nonce implements source.
func (s *mysqlSource) nonce(ctx context.Context, position int64) (nonce uint64, ok bool, err error) {
	const query = "SELECT `first_pos`, `last_pos`, `nonce` FROM cape_tick WHERE `last_pos` >= ? AND `last_pos` > `first_pos` ORDER BY `last_pos` LIMIT 1"
	err = s.db.Read(sqldriver.Outside(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query, arguments(position), func(row []driver.Value) error {
			nonce, ok = mysqlMark(row[1], row[2]).Nonce, intOf(row[0]) < position
			return nil
		})
	})
	return nonce, ok, err
}

// convert implements source.
func (s *mysqlSource) convert(kind predicate.Kind, t token) (driver.Value, error) {
	switch t.kind {
	case tokenNumber:
		return mysqlNumberOf(kind, t.text)
	case tokenString:
		// The driver gives no error for it, but the first moment of its calendar.
		if kind == predicate.Time && strings.HasPrefix(t.text, "0000-00-00") {
			return time.Time{}, nil
		}
		return t.text, nil
	case tokenNested:
		var value driver.Value
		err := members(t.text, func(name string, t token) (err error) {
			if name != "$blob" || t.kind != tokenString {
				return errImage
			}
			value, err = base64.StdEncoding.DecodeString(t.text)
			return err
		})
		return value, err
	default:
		return nil, errImage
	}
}

func mysqlNumberOf(kind predicate.Kind, text string) (driver.Value, error) {
	switch kind {
	case predicate.Float:
		return strconv.ParseFloat(text, 64)
	case predicate.Time:
		return mysqlSeconds(text)
	case predicate.Int, predicate.Bool:
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, nil
		}
		return strconv.ParseUint(text, 10, 64)
	default:
		return text, nil
	}
}

// mysqlSeconds reads what UNIX_TIMESTAMP gave: 1577934245.000000. It gives 0 for a zero date, and no other timestamp is 0.
func mysqlSeconds(text string) (driver.Value, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return nil, errImage
	}
	nanoseconds, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return nil, errImage
	}
	if seconds == 0 && nanoseconds == 0 {
		return time.Time{}, nil
	}
	return time.Unix(seconds, nanoseconds).UTC(), nil
}

// mysqlStamp sets what the triggers write into each entry. It is cleared with the end of the transaction: what follows
// on the connection is not the actor's.
type mysqlStamp struct{}

const mysqlUnstamp = "@cape_actor = NULL, @cape_tx = NULL"

// frame begins a transaction with the statement that sets the actor, and ends it with the one that clears it: to set
// autocommit commits. The text holds no quote and no backslash of others, whatever sql_mode makes of these.
func (mysqlStamp) frame(actor string) sqldriver.Frame {
	value := "NULL"
	if actor != "" {
		value = "_utf8mb4 x'" + hex.EncodeToString([]byte(actor)) + "'"
	}
	return sqldriver.Frame{
		Begin:    "SET @cape_actor = " + value + ", @cape_tx = '" + rand.Text() + "', autocommit = 0",
		Commit:   "SET autocommit = 1, " + mysqlUnstamp,
		Rollback: []string{"ROLLBACK", "SET autocommit = 1, " + mysqlUnstamp},
	}
}

// variables implements namer.
func (mysqlStamp) variables(actor string) []engine.Variable {
	return []engine.Variable{{Name: "@cape_actor", Value: actor}, {Name: "@cape_tx", Value: rand.Text()}}
}

// begin is for transactions that have no frame.
func (mysqlStamp) begin(ctx context.Context, c *sqldriver.Conn, actor string) error {
	if c.Framed() {
		return nil
	}
	var value driver.Value
	if actor != "" {
		value = actor
	}
	_, err := c.Exec(ctx, "SET @cape_actor = ?, @cape_tx = ?", arguments(value, rand.Text()))
	return err
}

func (mysqlStamp) commit(ctx context.Context, c *sqldriver.Conn) error {
	if c.Framed() {
		return nil
	}
	_, err := c.Exec(ctx, "SET "+mysqlUnstamp, nil)
	return err
}
