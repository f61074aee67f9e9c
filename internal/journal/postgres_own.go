package journal

// postgresOwnTables are the journal's own, and the function that gives positions.
//
// A tick is what was committed between two snapshots: the entries that are visible in its own and not in that of the tick
// before. Its entries have the positions up to pos_hi. What is in a tick never changes, on whichever node it is read.
//
// An entry's depth is above 1 where a statement within a trigger made the change: see untangle.
func postgresOwnTables() []string {
	return []string{
		`CREATE TABLE cape.journal (
	seq bigint GENERATED ALWAYS AS IDENTITY,
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	depth smallint NOT NULL DEFAULT pg_trigger_depth(),
	v smallint NOT NULL, tbl text NOT NULL, op "char" NOT NULL,
	key jsonb, old jsonb, new jsonb, actor text, db_user text)`,
		`CREATE INDEX ON cape.journal (xid, seq)`,
		`CREATE TABLE cape.tick (
	id bigint PRIMARY KEY, snap pg_snapshot NOT NULL, pos_hi bigint NOT NULL, nonce bigint NOT NULL,
	at timestamptz NOT NULL, seq bigint NOT NULL)`,
		`CREATE INDEX ON cape.tick (pos_hi)`,
		`INSERT INTO cape.tick VALUES (0, pg_current_snapshot(), 0, 0, clock_timestamp(), 0)`,
		postgresAdvance,
		postgresBehind,
	}
}

// The locks of the journal are advisory, and per database.
const (
	postgresAdvanceLock = "4846523847521106"
	postgresPruneLock   = "4846523847521107"
	postgresInstallLock = "4846523847521108"
)

// postgresChannel is what the sequencer notifies of each tick: "position teller".
const postgresChannel = "capebase_journal"

// postgresAdvance makes a tick of what was committed since the last one. It needs READ COMMITTED: whoever waited for the
// lock must see the ticks of those before. A waiting process finds nothing to do most often, which costs no write.
//
// Without statistics the planner would take the new entries for a third of the table, and read it all.
//
// Where there is nothing, the last tick's snapshot is moved up now and then, which leaves what is in it the same:
// otherwise each look would go through the entries of a long transaction that began after the tick.
const postgresAdvance = `CREATE OR REPLACE FUNCTION cape.advance(teller text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $capebase$
DECLARE
	newest cape.tick; present pg_snapshot; entries bigint;
BEGIN
	PERFORM pg_advisory_xact_lock(` + postgresAdvanceLock + `);
	SELECT * INTO STRICT newest FROM cape.tick ORDER BY id DESC LIMIT 1;
	SELECT pg_current_snapshot(),
		(SELECT count(*) FROM cape.journal WHERE xid >= pg_snapshot_xmax(newest.snap)) +
		(SELECT count(*) FROM cape.journal WHERE xid = ANY (ARRAY(SELECT x FROM pg_snapshot_xip(newest.snap) AS x
			WHERE pg_visible_in_snapshot(x, pg_current_snapshot()))))
		INTO present, entries;
	IF entries > 0 THEN
		INSERT INTO cape.tick (id, snap, pos_hi, nonce, at, seq) VALUES (newest.id + 1, present, newest.pos_hi + entries,
			hashtextextended(gen_random_uuid()::text, 0), clock_timestamp(),
			` + postgresLastSeq + `);
		PERFORM pg_notify('` + postgresChannel + `', (newest.pos_hi + entries) || ' ' || teller);
	ELSIF ` + postgresStale + ` THEN
		PERFORM set_config('synchronous_commit', 'off', true);
		UPDATE cape.tick AS last SET snap = present, at = clock_timestamp(),
			seq = ` + postgresLastSeq + `
			WHERE last.id = newest.id;
	END IF;
END $capebase$`

// postgresLastSeq is the last number that an entry got, whether it is committed or not.
const postgresLastSeq = `coalesce(pg_sequence_last_value(pg_get_serial_sequence('cape.journal', 'seq')::regclass), 0)`

// postgresStale tells that transactions may have written entries since the tick, or before it, that are not committed.
const postgresStale = `newest.at < clock_timestamp() - interval '1 second' AND (newest.seq < ` + postgresLastSeq + `
		OR EXISTS (SELECT FROM pg_snapshot_xip(present) AS x WHERE x >= pg_snapshot_xmax(newest.snap)))`

// postgresBehind tells the head, and whether advance has something to do.
const postgresBehind = `CREATE OR REPLACE FUNCTION cape.behind(OUT head bigint, OUT behind boolean) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $capebase$
DECLARE
	newest cape.tick; present pg_snapshot := pg_current_snapshot();
BEGIN
	SELECT * INTO STRICT newest FROM cape.tick ORDER BY id DESC LIMIT 1;
	head := newest.pos_hi;
	behind := EXISTS (SELECT FROM cape.journal WHERE xid >= pg_snapshot_xmax(newest.snap))
		OR EXISTS (SELECT FROM cape.journal WHERE xid = ANY (ARRAY(SELECT x FROM pg_snapshot_xip(newest.snap) AS x
			WHERE pg_visible_in_snapshot(x, present))))
		OR ` + postgresStale + `;
END $capebase$`
