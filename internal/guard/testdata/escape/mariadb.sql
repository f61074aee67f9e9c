SELECT * FROM .todos; -- refused
SELECT * FROM.`todos`; -- refused
SELECT * FROM .`todos`; -- refused
SELECT * FROM colors, .todos; -- refused
SELECT * FROM colors JOIN .todos; -- refused
SELECT * FROM /**/.todos; -- refused
SELECT * FROM {DATABASE}.todos; -- refused
SELECT * FROM {DATABASE}.`todos`; -- refused
SELECT * FROM {DATABASE}.todo_view; -- refused
SELECT {DATABASE}.todos.id FROM todos; -- refused
UPDATE {DATABASE}.todos SET task = 'x'; -- refused
SELECT * FROM `todos` WHERE id = 3; -- empty
SELECT * FROM TODOS WHERE id = 3; -- empty
SELECT /*! note FROM todos */; -- refused
SELECT /*!50000 note */ FROM todos; -- refused
SELECT /*M! note */ FROM todos; -- refused
SELECT note FROM todos /* /*! */ WHERE id = 3; -- refused
SELECT note FROM todos # WHERE id = 3
WHERE id = 3; -- empty
SELECT 1--1, note FROM todos WHERE id = 3; -- empty
SELECT '\'', note FROM todos WHERE id = 3 -- '
; -- empty
SELECT "\"", note FROM todos WHERE id = 3 -- "
; -- empty
SELECT \N, note FROM todos; -- refused
SELECT "todos" FROM todos WHERE id = 3; -- empty
SELECT * FROM (WITH a AS (SELECT * FROM todos) SELECT * FROM a) AS q WHERE id = 3; -- empty
SELECT (WITH a AS (SELECT note FROM todos WHERE id = 3) SELECT note FROM a); -- limited
SELECT * FROM colors WHERE EXISTS (WITH a AS (SELECT * FROM todos WHERE id = 3) SELECT * FROM a); -- empty
SELECT * FROM (WITH todos AS (SELECT 1 AS id) SELECT * FROM todos) AS q; -- refused
SELECT * FROM (SELECT * FROM colors WHERE id IN (WITH a AS (WITH b AS (SELECT * FROM todos WHERE id = 3) SELECT id FROM b) SELECT id FROM a)) AS q; -- empty
SELECT note FROM todos INTO OUTFILE '/tmp/todos'; -- refused
SELECT note INTO DUMPFILE '/tmp/todos' FROM todos; -- refused
SELECT note FROM todos INTO @x; -- refused
SELECT load_file('/etc/passwd'); -- refused
SELECT @cape_actor := 'x'; -- refused
SELECT @`cape_tx` := 'x'; -- refused
SELECT @'cape_tx' := 'x'; -- refused
SELECT @"cape_actor" := 'x'; -- refused
SELECT @CAPE_TX := 'x'; -- refused
SET @cape_actor = 'x'; -- refused
SET STATEMENT max_statement_time = 1 FOR SELECT * FROM todos; -- refused
SET sql_mode = 'ANSI_QUOTES'; -- refused
LOAD DATA INFILE '/tmp/x' INTO TABLE todos; -- refused
HANDLER todos OPEN; -- refused
HANDLER todos READ FIRST; -- refused
DO wipe(3); -- refused
CALL wipe(3); -- refused
PREPARE p FROM 'SELECT * FROM todos'; -- refused
EXECUTE IMMEDIATE 'SELECT * FROM todos'; -- refused
BEGIN NOT ATOMIC DELETE FROM todos; END; -- refused
XA START 'x'; -- refused
LOCK TABLES todos WRITE; -- refused
FLUSH TABLES; -- refused
RENAME TABLE todos TO x; -- refused
CHECKSUM TABLE todos; -- refused
ANALYZE TABLE todos; -- refused
SHOW COLUMNS FROM todos WHERE (SELECT count(*) FROM todos) > 0; -- refused
SHOW TABLES WHERE 1 IN (VALUES (1)); -- refused
SELECT wipe(3); -- permission
SELECT `wipe`(3) FROM colors; -- permission
SELECT {DATABASE}.wipe(3); -- permission
UPDATE colors SET lists = wipe(3) WHERE id = 1; -- permission
SELECT * FROM colors WHERE wipe(3) = 1; -- permission
UPDATE todos, colors SET todos.task = 'x'; -- refused
UPDATE todos JOIN colors USING (id) SET task = 'x'; -- refused
UPDATE colors JOIN todos USING (id) SET colors.name = todos.note; -- refused
UPDATE colors, (SELECT * FROM todos) AS t SET colors.name = t.note; -- refused
DELETE todos FROM todos JOIN colors USING (id); -- refused
DELETE colors FROM colors JOIN todos USING (id); -- refused
DELETE FROM todos USING todos JOIN colors USING (id); -- refused
DELETE FROM colors USING colors JOIN todos USING (id); -- refused
REPLACE INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01'); -- permission
REPLACE todos SET id = 3, user_id = 'alice', task = 'x', done = 0, public = 0, `rank` = 1, at = '2024-05-01'; -- permission
INSERT IGNORE INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01'); -- empty
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE task = 'x'; -- permission
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE id = id; -- permission
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE id = VALUES(id) RETURNING *; -- permission
INSERT INTO colors (id, name) SELECT 1, 'x' FROM colors LIMIT 1 ON DUPLICATE KEY UPDATE name = (SELECT note FROM todos WHERE id = 3); -- limited
INSERT INTO colors (id, name) SELECT id, task FROM todos WHERE id = 1 ON DUPLICATE KEY UPDATE name = (SELECT note FROM todos WHERE id = 3); -- limited
INSERT INTO colors (id, name) VALUES (902, 'x') RETURNING (SELECT note FROM todos WHERE id = 3); -- limited
DELETE FROM todos WHERE id = 3 RETURNING *; -- empty
UPDATE todos SET task = 'x' ORDER BY id DESC LIMIT 100; -- permission
DELETE FROM todos WHERE user_id <> 'alice' LIMIT 1; -- permission
ANALYZE DELETE FROM todos; -- permission
ANALYZE UPDATE todos SET task = 'x' WHERE id = 3; -- empty
SELECT note FROM todos WHERE id = 3 FOR UPDATE; -- empty
SELECT note FROM todos WHERE id = 3 LOCK IN SHARE MODE; -- empty
SELECT note FROM todos PARTITION (p0) WHERE id = 3; -- empty
EXPLAIN DELETE FROM todos; -- empty
SELECT note FROM todos FORCE INDEX (PRIMARY); -- error
SELECT note FROM todos FOR SYSTEM_TIME ALL; -- error
SELECT * FROM mysql.column_stats; -- refused
EXPLAIN FOR CONNECTION 1; -- refused
SHOW EXPLAIN FOR 1; -- error
