CREATE TABLE cape.consumer ("name" varchar(191) COLLATE "C" NOT NULL, "position" bigint NOT NULL, "nonce" bigint NOT NULL, "tries" bigint NOT NULL, "owner" text COLLATE "C" NOT NULL, "leased" bigint NOT NULL, "fence" bigint NOT NULL, "registered" bigint NOT NULL, PRIMARY KEY ("name"));
CREATE TABLE cape.dead_letter ("consumer" varchar(191) COLLATE "C" NOT NULL, "position" bigint NOT NULL, "nonce" bigint NOT NULL, "tries" bigint NOT NULL, "error" text COLLATE "C" NOT NULL, "at" bigint NOT NULL, "entry" text COLLATE "C" NOT NULL, PRIMARY KEY ("consumer", "position", "nonce"));
CREATE TABLE cape.event ("id" varchar(40) COLLATE "C" NOT NULL, "document" text COLLATE "C" NOT NULL, PRIMARY KEY ("id"));
CREATE TABLE cape.journal (
	seq bigint GENERATED ALWAYS AS IDENTITY,
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	depth smallint NOT NULL DEFAULT pg_trigger_depth(),
	v smallint NOT NULL, tbl text NOT NULL, op "char" NOT NULL,
	key jsonb, old jsonb, new jsonb, actor text, db_user text);
CREATE INDEX ON cape.journal (xid, seq);
CREATE TABLE cape.tick (
	id bigint PRIMARY KEY, snap pg_snapshot NOT NULL, pos_hi bigint NOT NULL, nonce bigint NOT NULL,
	at timestamptz NOT NULL, seq bigint NOT NULL);
CREATE INDEX ON cape.tick (pos_hi);
INSERT INTO cape.tick VALUES (0, pg_current_snapshot(), 0, 0, clock_timestamp(), 0);
CREATE OR REPLACE FUNCTION cape.advance(teller text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $capebase$
DECLARE
	newest cape.tick; present pg_snapshot; entries bigint;
BEGIN
	PERFORM pg_advisory_xact_lock(4846523847521106);
	SELECT * INTO STRICT newest FROM cape.tick ORDER BY id DESC LIMIT 1;
	SELECT pg_current_snapshot(),
		(SELECT count(*) FROM cape.journal WHERE xid >= pg_snapshot_xmax(newest.snap)) +
		(SELECT count(*) FROM cape.journal WHERE xid = ANY (ARRAY(SELECT x FROM pg_snapshot_xip(newest.snap) AS x
			WHERE pg_visible_in_snapshot(x, pg_current_snapshot()))))
		INTO present, entries;
	IF entries > 0 THEN
		INSERT INTO cape.tick (id, snap, pos_hi, nonce, at, seq) VALUES (newest.id + 1, present, newest.pos_hi + entries,
			hashtextextended(gen_random_uuid()::text, 0), clock_timestamp(),
			coalesce(pg_sequence_last_value(pg_get_serial_sequence('cape.journal', 'seq')::regclass), 0));
		PERFORM pg_notify('capebase_journal', (newest.pos_hi + entries) || ' ' || teller);
	ELSIF newest.at < clock_timestamp() - interval '1 second' AND (newest.seq < coalesce(pg_sequence_last_value(pg_get_serial_sequence('cape.journal', 'seq')::regclass), 0)
		OR EXISTS (SELECT FROM pg_snapshot_xip(present) AS x WHERE x >= pg_snapshot_xmax(newest.snap))) THEN
		PERFORM set_config('synchronous_commit', 'off', true);
		UPDATE cape.tick AS last SET snap = present, at = clock_timestamp(),
			seq = coalesce(pg_sequence_last_value(pg_get_serial_sequence('cape.journal', 'seq')::regclass), 0)
			WHERE last.id = newest.id;
	END IF;
END $capebase$;
CREATE OR REPLACE FUNCTION cape.behind(OUT head bigint, OUT behind boolean) LANGUAGE plpgsql SECURITY DEFINER
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
		OR newest.at < clock_timestamp() - interval '1 second' AND (newest.seq < coalesce(pg_sequence_last_value(pg_get_serial_sequence('cape.journal', 'seq')::regclass), 0)
		OR EXISTS (SELECT FROM pg_snapshot_xip(present) AS x WHERE x >= pg_snapshot_xmax(newest.snap)));
END $capebase$;
INSERT INTO cape.meta (key, value) VALUES ('journal.format', '1') ON CONFLICT (key) DO UPDATE SET value = excluded.value;
INSERT INTO cape.meta (key, value) VALUES ('journal.epoch', '1826949d05e1325c') ON CONFLICT (key) DO UPDATE SET value = excluded.value;
CREATE OR REPLACE FUNCTION cape."record public.items"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $capebase$ /* capebase journal 1 {"columns":["id","name","count"],"secret":["token"],"shape":"key [\"id\"]"} */
DECLARE
	old_row jsonb; new_row jsonb; old_image jsonb; new_image jsonb;
BEGIN
	IF TG_OP <> 'INSERT' THEN
		old_row := to_jsonb(OLD);
		old_image := jsonb_build_object('id', old_row -> 'id', 'name', old_row -> 'name', 'count', old_row -> 'count');
	END IF;
	IF TG_OP <> 'DELETE' THEN
		new_row := to_jsonb(NEW);
		new_image := jsonb_build_object('id', new_row -> 'id', 'name', new_row -> 'name', 'count', new_row -> 'count');
	END IF;
	IF TG_OP = 'UPDATE' THEN
		IF old_image = new_image AND old_row -> 'token' IS NOT DISTINCT FROM new_row -> 'token' THEN
			RETURN NULL;
		END IF;
		IF jsonb_build_array(old_row -> 'id') = jsonb_build_array(new_row -> 'id') THEN
			INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'items', 'U', jsonb_build_array(new_row -> 'id'), old_image, new_image, nullif(current_setting('capebase.actor', true), ''), session_user);
			RETURN NULL;
		END IF;
	END IF;
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'items', 'D', jsonb_build_array(old_row -> 'id'), old_image, NULL, nullif(current_setting('capebase.actor', true), ''), session_user);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'items', 'I', jsonb_build_array(new_row -> 'id'), NULL, new_image, nullif(current_setting('capebase.actor', true), ''), session_user);
	END IF;
	RETURN NULL;
END $capebase$;
CREATE OR REPLACE FUNCTION cape."truncate public.items"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET row_security = off
AS $capebase$ /* capebase journal 1 {"columns":["id","name","count"],"secret":["token"],"shape":"key [\"id\"]"} */
DECLARE
	gone record; gone_row jsonb; gone_image jsonb;
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		INSERT INTO cape.journal (v, tbl, op) VALUES (1, 'items', 'G');
		RETURN NULL;
	END IF;
	FOR gone IN EXECUTE format('SELECT * FROM ONLY %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) LOOP
		gone_row := to_jsonb(gone);
		gone_image := jsonb_build_object('id', gone_row -> 'id', 'name', gone_row -> 'name', 'count', gone_row -> 'count');
		INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'items', 'D', jsonb_build_array(gone_row -> 'id'), gone_image, NULL, nullif(current_setting('capebase.actor', true), ''), session_user);
	END LOOP;
	RETURN NULL;
END $capebase$;
DROP TRIGGER IF EXISTS "!capebase" ON "public"."items";
CREATE TRIGGER "!capebase" AFTER INSERT OR UPDATE OR DELETE ON "public"."items" FOR EACH ROW EXECUTE FUNCTION cape."record public.items"();
ALTER TABLE "public"."items" ENABLE ALWAYS TRIGGER "!capebase";
DROP TRIGGER IF EXISTS "!capebase_truncate" ON "public"."items";
CREATE TRIGGER "!capebase_truncate" BEFORE TRUNCATE ON "public"."items" FOR EACH STATEMENT EXECUTE FUNCTION cape."truncate public.items"();
ALTER TABLE "public"."items" ENABLE ALWAYS TRIGGER "!capebase_truncate";
INSERT INTO cape.meta (key, value) VALUES ('journal.table.items', '1 ' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
CREATE OR REPLACE FUNCTION cape."record public.everythings"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET bytea_output = 'hex' SET extra_float_digits = 1 SET timezone = 'UTC'
AS $capebase$ /* capebase journal 1 {"columns":["id","flag","number","double","price","text","uuid","data","at","doc","comment"],"shape":"key [\"id\"]\nset bytea_output = 'hex'\nset extra_float_digits = 1\nset timezone = 'UTC'\njsonb doc"} */
DECLARE
	old_row jsonb; new_row jsonb; old_image jsonb; new_image jsonb;
BEGIN
	IF TG_OP <> 'INSERT' THEN
		old_row := to_jsonb(OLD);
		old_image := old_row;
		IF jsonb_typeof(old_image -> 'doc') IN ('null', 'string') AND old_row ? 'doc' THEN
			IF OLD."doc" IS NOT NULL THEN
				old_image := old_image || jsonb_build_object('doc', OLD."doc"::text);
			END IF;
		END IF;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		new_row := to_jsonb(NEW);
		new_image := new_row;
		IF jsonb_typeof(new_image -> 'doc') IN ('null', 'string') AND new_row ? 'doc' THEN
			IF NEW."doc" IS NOT NULL THEN
				new_image := new_image || jsonb_build_object('doc', NEW."doc"::text);
			END IF;
		END IF;
	END IF;
	IF TG_OP = 'UPDATE' THEN
		IF old_image = new_image THEN
			RETURN NULL;
		END IF;
		IF jsonb_build_array(old_row -> 'id') = jsonb_build_array(new_row -> 'id') THEN
			INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'everythings', 'U', jsonb_build_array(new_row -> 'id'), old_image, new_image, nullif(current_setting('capebase.actor', true), ''), session_user);
			RETURN NULL;
		END IF;
	END IF;
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'everythings', 'D', jsonb_build_array(old_row -> 'id'), old_image, NULL, nullif(current_setting('capebase.actor', true), ''), session_user);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'everythings', 'I', jsonb_build_array(new_row -> 'id'), NULL, new_image, nullif(current_setting('capebase.actor', true), ''), session_user);
	END IF;
	RETURN NULL;
END $capebase$;
CREATE OR REPLACE FUNCTION cape."truncate public.everythings"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET bytea_output = 'hex' SET extra_float_digits = 1 SET timezone = 'UTC' SET row_security = off
AS $capebase$ /* capebase journal 1 {"columns":["id","flag","number","double","price","text","uuid","data","at","doc","comment"],"shape":"key [\"id\"]\nset bytea_output = 'hex'\nset extra_float_digits = 1\nset timezone = 'UTC'\njsonb doc"} */
DECLARE
	gone record; gone_row jsonb; gone_image jsonb;
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		INSERT INTO cape.journal (v, tbl, op) VALUES (1, 'everythings', 'G');
		RETURN NULL;
	END IF;
	FOR gone IN EXECUTE format('SELECT * FROM ONLY %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) LOOP
		gone_row := to_jsonb(gone);
		gone_image := gone_row;
		IF jsonb_typeof(gone_image -> 'doc') IN ('null', 'string') AND gone_row ? 'doc' THEN
			IF gone."doc" IS NOT NULL THEN
				gone_image := gone_image || jsonb_build_object('doc', gone."doc"::text);
			END IF;
		END IF;
		INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (1, 'everythings', 'D', jsonb_build_array(gone_row -> 'id'), gone_image, NULL, nullif(current_setting('capebase.actor', true), ''), session_user);
	END LOOP;
	RETURN NULL;
END $capebase$;
DROP TRIGGER IF EXISTS "!capebase" ON "public"."everythings";
CREATE TRIGGER "!capebase" AFTER INSERT OR UPDATE OR DELETE ON "public"."everythings" FOR EACH ROW EXECUTE FUNCTION cape."record public.everythings"();
ALTER TABLE "public"."everythings" ENABLE ALWAYS TRIGGER "!capebase";
DROP TRIGGER IF EXISTS "!capebase_truncate" ON "public"."everythings";
CREATE TRIGGER "!capebase_truncate" BEFORE TRUNCATE ON "public"."everythings" FOR EACH STATEMENT EXECUTE FUNCTION cape."truncate public.everythings"();
ALTER TABLE "public"."everythings" ENABLE ALWAYS TRIGGER "!capebase_truncate";
INSERT INTO cape.meta (key, value) VALUES ('journal.table.everythings', '1 ' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
CREATE INDEX CONCURRENTLY "history items" ON cape.journal (jsonb_hash_extended(key, 0), seq) WHERE tbl = 'items';
