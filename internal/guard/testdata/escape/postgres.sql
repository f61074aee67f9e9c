WITH "PT" AS (SELECT * FROM todos) SELECT * FROM PT; -- error
WITH "TODOS" AS (SELECT 1 AS id) SELECT * FROM TODOS WHERE id = 3; -- empty
SELECT * FROM U&"\0074odos"; -- refused
SELECT * FROM u&"!0074odos" UESCAPE '!'; -- refused
SELECT U&'\0053ECRET', note FROM todos; -- refused
SELECT * FROM public.todos; -- refused
SELECT * FROM "public"."todos"; -- refused
SELECT * FROM PUBLIC . Todos; -- refused
SELECT * FROM public/**/./* x */"todos"; -- refused
SELECT public.todos.id FROM todos; -- refused
TABLE public.todos; -- refused
UPDATE public.todos SET task = 'x'; -- refused
DELETE FROM nobody.public.todos; -- refused
SELECT * FROM nobody.public.todos; -- refused
SELECT * FROM TODOS WHERE id = 3; -- empty
SELECT * FROM "TODOS"; -- error
SELECT * FROM "Todos"; -- error
TABLE todos; -- limited
TABLE todos FOR UPDATE; -- refused
TABLE ONLY todos; -- limited
SELECT * FROM ONLY (todos) WHERE id = 3; -- empty
SELECT * FROM ONLY (todos) FOR UPDATE; -- refused
SELECT * FROM todos, lists FOR UPDATE; -- refused
SELECT * FROM (todos JOIN lists USING (id)) FOR SHARE; -- refused
DELETE FROM colors USING todos WHERE EXISTS (SELECT 1 FROM colors FOR UPDATE) RETURNING todos.note; -- refused
SELECT * FROM todos WHERE id = 3 FOR UPDATE; -- empty
SELECT * FROM todos_every; -- refused
SELECT * FROM todo_stored; -- refused
SELECT * FROM todo_child; -- refused
SELECT * FROM todo_parent; -- refused
SELECT * FROM public.todo_child; -- refused
SELECT * FROM side.todo_view; -- refused
INSERT INTO todo_child SELECT * FROM todos; -- refused
SELECT * FROM very_long_name_that_is_cut_by_the_database_at_sixty_three_bytes_x; -- refused
SELECT * FROM very_long_name_that_is_cut_by_the_database_at_sixty_three_bytes_y; -- refused
SELECT * FROM cape.journal; -- refused
SELECT * FROM "cape"."journal"; -- refused
SELECT * FROM CAPE . journal; -- refused
DELETE FROM cape.tick; -- refused
SELECT query_to_xml('SELECT * FROM todos', true, true, ''); -- refused
SELECT pg_catalog.query_to_xml('SELECT * FROM todos', true, true, ''); -- refused
SELECT "query_to_xml"('SELECT * FROM todos', true, true, ''); -- refused
SELECT query_to_xml /* x */ ('SELECT * FROM todos', true, true, ''); -- refused
SELECT table_to_xml('todos', true, true, ''); -- refused
SELECT schema_to_xml('public', true, true, ''); -- refused
SELECT database_to_xml(true, true, ''); -- refused
SELECT * FROM ts_stat('SELECT to_tsvector(note) FROM todos'); -- refused
SELECT set_config('capebase.actor', 'x', true); -- refused
SELECT set_config('search_path', 'side', false); -- refused
SELECT pg_read_file('PG_VERSION'); -- refused
SELECT lo_import('/etc/passwd'); -- refused
SELECT * FROM pg_stats WHERE tablename = 'todos'; -- refused
SELECT * FROM pg_catalog.pg_statistic; -- refused
SELECT wipe(3); -- permission
SELECT side.wipe(3); -- permission
SELECT "wipe"(3) FROM colors; -- permission
SELECT * FROM wipe(3) AS w; -- permission
SELECT (SELECT wipe(3)); -- permission
SELECT 1 WHERE wipe(3) = 1; -- permission
VALUES (wipe(3)); -- permission
UPDATE colors SET lists = wipe(3) WHERE id = 1; -- permission
INSERT INTO colors (id, lists) VALUES (901, wipe(3)); -- permission
SELECT key(3); -- permission
SELECT wiped FROM colors; -- error
WITH x AS (SELECT wipe(3)) SELECT * FROM x; -- permission
DO $$ BEGIN DELETE FROM todos; END $$; -- refused
CALL nothing(); -- refused
PREPARE p AS SELECT * FROM todos; -- refused
EXECUTE p; -- refused
DEALLOCATE ALL; -- refused
DECLARE c CURSOR FOR SELECT * FROM todos; -- refused
FETCH ALL FROM c; -- refused
COPY todos TO STDOUT; -- refused
COPY (SELECT * FROM todos) TO STDOUT; -- refused
COPY todos FROM STDIN; -- refused
SELECT * INTO TEMP x FROM todos; -- refused
CREATE TEMP TABLE todos AS SELECT 1; -- refused
SET search_path = side; -- refused
SET LOCAL search_path = side; -- refused
RESET ALL; -- refused
DISCARD ALL; -- refused
LISTEN x; -- refused
NOTIFY x; -- refused
REFRESH MATERIALIZED VIEW todo_stored; -- refused
ROLLBACK PREPARED 'x'; -- refused
EXPLAIN ANALYZE CREATE TABLE x AS SELECT * FROM todos; -- refused
EXPLAIN ANALYZE DELETE FROM todos; -- permission
EXPLAIN (ANALYZE) DELETE FROM todos WHERE public; -- permission
EXPLAIN ANALYZE INSERT INTO todos (user_id, task, done, public, rank, at) VALUES ('bob', 'x', false, false, 1, now()); -- permission
EXPLAIN ANALYZE EXECUTE p; -- refused
EXPLAIN ANALYZE SELECT wipe(3); -- permission
WITH gone AS (DELETE FROM todos RETURNING *) SELECT * FROM gone; -- permission
WITH gone AS (DELETE FROM todos WHERE id = 3 RETURNING *) SELECT * FROM gone; -- empty
WITH gone AS (UPDATE todos SET task = task RETURNING *) SELECT * FROM gone; -- limited
WITH made AS (INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', false, false, 1, now()) ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING *) SELECT * FROM made; -- empty
WITH a AS (WITH b AS (DELETE FROM todos RETURNING *) SELECT 1) SELECT 1; -- error
WITH moved AS (MERGE INTO todos USING colors ON true WHEN MATCHED THEN DELETE) SELECT 1; -- refused
MERGE INTO todos USING colors ON todos.id = colors.id WHEN MATCHED THEN DELETE; -- refused
MERGE INTO colors USING todos ON todos.id = 3 WHEN MATCHED THEN UPDATE SET name = todos.note; -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', false, false, 1, now()) ON CONFLICT (id) DO UPDATE SET task = 'x' RETURNING *; -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', false, false, 1, now()) ON CONFLICT ON CONSTRAINT todos_pkey DO UPDATE SET id = excluded.id RETURNING *; -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', false, false, 1, now()) ON CONFLICT DO NOTHING RETURNING *; -- empty
UPDATE todos SET task = task WHERE id = 3 RETURNING *; -- empty
UPDATE todos t SET task = t.task FROM todos o WHERE o.id = t.id RETURNING o.*; -- limited
UPDATE colors SET name = 'x' RETURNING (SELECT string_agg(note, ',') FROM todos); -- limited
UPDATE todos SET task = 'x' WHERE CURRENT OF c; -- refused
DELETE FROM todos USING lists WHERE lists.id = 2; -- empty
SELECT * FROM todos WHERE id = $1 OR id = $2 OR $1 = 3; -- limited with [3, 3]
SELECT $q$ todos $q$, note FROM todos WHERE id = 3 OR '$q$' = $$ $$; -- empty
SELECT E'\'', note FROM todos WHERE id = 3 --'; -- empty
SELECT E'a'
'\'', note FROM todos --'; -- refused
SELECT note FROM todos /* /* */ WHERE false */ WHERE id = 3; -- empty
SELECT note FROM todos /* /* */; -- refused
SELECT (todos).note FROM todos WHERE id = 3; -- empty
SELECT (SELECT t FROM todos t WHERE id = 3); -- limited
SELECT row_to_json(todos) FROM todos WHERE id = 3; -- empty
SELECT note FROM (SELECT * FROM todos) todos WHERE id = 3; -- empty
SELECT x.note FROM colors, LATERAL (SELECT note FROM todos WHERE todos.id = colors.id) x WHERE colors.id = 3; -- empty
SHOW todos; -- error
