package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// source is the journal of one engine: its tables, its triggers, and how commit order is found. Its errors are the
// driver's; the caller names the journal. Methods that take a Conn use it for all that they do; the others borrow one.
// All but advance, changed and watch, which the tailer's goroutines alone call, may be called by several goroutines.
type source interface {
	// exclusive runs fn while no other process runs one: where DDL is transactional in one transaction, which an error
	// rolls back. It waits for others up to a minute.
	exclusive(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error

	// plan compares what is installed with what the tables need. It reads catalogues and changes nothing. A published
	// table that does not exist yet is planned from its model alone. What the triggers could not follow is a *refusedError.
	plan(ctx context.Context, c *sqldriver.Conn) (*plan, error)

	// gap returns a statement that writes a gap entry for the table's recorded name; "" is all tables.
	gap(table string) (statement string, args []driver.NamedValue)

	// uninstall returns the statements that drop the triggers of all tables, of whichever build, and the journal's own
	// tables, except the installation's meta table, which package migrate owns.
	uninstall(ctx context.Context, c *sqldriver.Conn) ([]string, error)

	// epoch reads what identifies this journal: what plan's statements put into the meta table under metaEpoch, and
	// whatever else changes when positions may mean other entries than before (PostgreSQL: system_identifier and
	// timeline). It consists of letters, digits and '-'. It is "" while nothing is installed.
	epoch(ctx context.Context, c *sqldriver.Conn) (string, error)

	// advance gives positions to what has been committed since, where the database does not give them by itself. Any
	// number of processes may try; one does it, for all. It is called by every tailer before it reads, and by Snapshot.
	// Once it returns nil, whatever was committed before the call has a position, or will get it from the process that
	// holds the right to give them.
	advance(ctx context.Context) error

	// read returns the entries after a position, at most limit, in order and without holes: fewer than limit only when
	// there are no more. It does not look at the floor.
	read(ctx context.Context, after int64, limit int) ([]record, error)

	// bounds reads, in one consistent view, the place of the newest entry that has a position, and the floor: the place
	// from which on nothing is missing. They are equal in an empty journal.
	bounds(ctx context.Context) (floor, head Mark, err error)

	// nonce reads the nonce of a position above the floor; ok is false when there is no such entry.
	nonce(ctx context.Context, position int64) (nonce uint64, ok bool, err error)

	// snapshot runs fn in one consistent read of tables, by their indices, and says how a stream goes on from it.
	snapshot(ctx context.Context, tables []int, fn func(ctx context.Context, c *sqldriver.Conn) error) (Snapshot, error)

	// watch calls wake once it has begun to listen, and then soon after each commit of any program. It may say where the
	// journal ends; the zero Mark is that it does not know, or that there is something else to look at. It returns when
	// the context ends or listening broke; the tailer calls it again after a pause.
	watch(ctx context.Context, wake func(head Mark)) error

	// changed tells, cheaply, whether the catalogue may have changed in a way that plan would see since the last call;
	// the first call tells true. The tailer calls it each time it is woken.
	changed(ctx context.Context) (bool, error)

	// prune removes the oldest entries in one short transaction and moves the floor up to the last of them: at most
	// limit, none above the position upTo, and none from before that on whose time is not before the given one. It
	// returns how many it removed: 0 when nothing qualifies.
	prune(ctx context.Context, upTo int64, before time.Time, limit int) (int, error)

	// statement notes how far the transaction of c has written, and returns what reads the records that the transaction
	// has written since, in order, at most limit.
	statement(ctx context.Context, c *sqldriver.Conn) (written func(ctx context.Context, limit int) ([]record, error), err error)

	// indexes compares the indexes by row with what the tables need. missing makes them, surplus drops those of tables that
	// need none.
	indexes(ctx context.Context, c *sqldriver.Conn) (missing, surplus []string, err error)

	// online is exclusive for statements that keep nobody waiting for long, and may not be in a transaction.
	online(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error

	// hold is the first statement of a consistent read: it keeps away from the table what would not be seen as it was.
	hold(ctx context.Context, c *sqldriver.Conn, t *table) error

	// versions reads the entries of a row below an id, newest first, at most limit; fewer only when there are no more. The
	// ids are in the order of the row's changes: of two transactions that change a row the second waits for the first.
	versions(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, before int64, limit int) ([]version, error)

	// changedAfter reads a row's first entry, in the order of ids, whose time is after at. A statement that waited for
	// another's lock may have the earlier time of the two: times are not in that order.
	changedAfter(ctx context.Context, c *sqldriver.Conn, t *table, key []predicate.Value, at time.Time) (*version, error)

	// reach reads since when a table's changes are all there, and the clock.
	reach(ctx context.Context, c *sqldriver.Conn, t *table) (Reach, error)

	// convert turns a value of an image into what the driver gives for a column of the kind.
	convert(kind predicate.Kind, t token) (driver.Value, error)

	// name is the quoted name of one of CapeBase's own tables: name("consumer") is "cape_consumer" or cape.consumer.
	name(table string) string

	// now is an expression: the microseconds since 1970 by the database's clock, as a 64-bit integer.
	now() string
}

// plan is what an installation lacks.
type plan struct {
	statements []string // in the order in which they run
	// gaps are the recorded names of those whose triggers had been installed before, and were missing, disabled or
	// spoiled: changes may have been missed. A trigger that is replaced while it works is no gap.
	gaps     []string
	warnings []string // what the log should say, with the fix
}

// refusedError is an error of plan that lasts until somebody changes the schema or the server.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// record is a journal entry as a source reads it, before its images are decoded.
type record struct {
	mark          Mark
	source        uint64
	tx            string
	at            time.Time
	format        int    // of the trigger that wrote it
	table         string // recorded name
	op            byte   // 'I', 'U', 'D' or 'G'
	key           string
	before, after string // images; "" is no row
	actor         string // JSON, or ""
	user          string
}

// Keys of rows of the meta table. A trigger's signature is not among them: the trigger itself says it.
const (
	metaFormat = "journal.format" // the format of the journal's tables
	metaEpoch  = "journal.epoch"  // random
	// metaFloor is the floor's position and nonce, and the latest time of an entry that was pruned, in decimal. PostgreSQL
	// has a tick for it.
	metaFloor = "journal.floor"
	// metaTable and a table's recorded name: its triggers had been installed. The value is tableNote and the time.
	metaTable = "journal.table."
)

// tableNote begins the value of a table's row of the meta table. Microseconds follow: since then its changes are journaled.
const tableNote = "1 "

// otherFormat tells whether the journal is another version's affair.
func otherFormat(meta map[string]string) bool {
	found := meta[metaFormat]
	return found != "" && found != strconv.Itoa(format)
}

// unknownSince tells whether an older build has installed a table's triggers, and noted no time.
func unknownSince(t *table, meta map[string]string) bool {
	value, installed := meta[metaTable+t.recordedName()]
	_, known := timeIn(value, 1)
	return t.history && installed && !known
}

// format is the version of the triggers and of the tables that they write to. Each change of either, also of the text of
// a trigger, is a new one. A program leaves alone what has a higher format than its own.
const format = 1

func newSource(db *sqldriver.DB, tables []*table, o *Options) (source, error) {
	switch name := db.Dialect().Name(); name {
	case "sqlite":
		return newSQLiteSource(db, tables, o), nil
	case "postgres":
		return newPostgresSource(db, tables, o), nil
	case "mysql":
		return newMySQLSource(db, tables, o), nil
	default:
		return nil, fmt.Errorf("journal: no journal for the engine %s", name)
	}
}
