SELECT * FROM todos WHERE id = 3; -- empty
SELECT * FROM todos WHERE id = 3 OR 1 = 1; -- limited
SELECT * FROM todos) OR (1 = 1; -- refused
SELECT * FROM todos WHERE id = 3) OR (id = 3; -- refused
UPDATE todos SET task = 'x' WHERE user_id = 'alice') OR (1 = 1; -- refused
DELETE FROM todos WHERE 1 = 0) OR (1 = 1; -- refused
SELECT 1; SELECT * FROM todos; -- refused
SELECT * FROM todos; DELETE FROM todos; -- refused
; SELECT * FROM todos; -- refused
SELECT '1'';' FROM colors; DROP TABLE todos; -- refused
WITH todos AS (SELECT 1 AS id) SELECT * FROM todos; -- refused
WITH {todos} AS (SELECT * FROM lists) SELECT * FROM {todos}; -- refused
WITH a AS (SELECT 1), {MixedCase} AS (SELECT 2) SELECT * FROM {MixedCase}; -- refused
SELECT * FROM todo_view; -- refused
SELECT * FROM {todo_view} WHERE 1 = 1; -- refused
SELECT * FROM todo_view_again; -- refused
SELECT (SELECT max(note) FROM todo_view); -- refused
INSERT INTO colors (id, name) SELECT 900, max(note) FROM todo_view; -- refused
UPDATE todo_view SET task = 'x'; -- refused
DELETE FROM todo_view; -- refused
DROP TABLE todos; -- refused
CREATE TABLE x AS SELECT * FROM todos; -- refused
CREATE VIEW x AS SELECT * FROM todos; -- refused
ALTER TABLE todos ADD COLUMN x INTEGER; -- refused
CREATE INDEX x ON todos (note); -- refused
TRUNCATE TABLE todos; -- refused
BEGIN; -- refused
COMMIT; -- refused
ROLLBACK; -- refused
START TRANSACTION; -- refused
END; -- refused
SAVEPOINT cape_1; -- refused
RELEASE SAVEPOINT cape_1; -- refused
ROLLBACK TO SAVEPOINT cape_1; -- refused
SELECT * FROM cape_meta; -- refused
SELECT * FROM {cape_meta}; -- refused
SELECT * FROM CAPE_META; -- refused
UPDATE cape_meta SET value = '9'; -- refused
INSERT INTO todos (id, user_id, task, done, public, {rank}, at) VALUES (3, 'alice', 'x', FALSE, FALSE, 1, '2024-05-01'); -- error
INSERT INTO todos (user_id, task, done, public, {rank}, at) VALUES ('bob', 'x', FALSE, FALSE, 1, '2024-05-01'); -- permission
INSERT INTO todos (user_id, task, done, public, {rank}, at) SELECT 'carol', task, done, public, {rank}, at FROM todos; -- permission
INSERT INTO pages (user_id, title) VALUES ('bob', 'x'); -- permission
UPDATE pages SET user_id = 'bob'; -- permission
UPDATE todos SET task = 'x'; -- permission
UPDATE todos SET task = 'x' WHERE id = 3; -- empty
UPDATE todos SET task = 'x' WHERE id = 15; -- permission
UPDATE todos SET user_id = 'alice' WHERE user_id = 'bob' AND NOT public; -- empty
UPDATE todos SET user_id = 'bob' WHERE id = 1; -- permission
UPDATE todos SET id = 3 WHERE id = 1; -- error
DELETE FROM todos; -- permission
DELETE FROM todos WHERE id = 3; -- empty
DELETE FROM todos WHERE id = 15; -- permission
DELETE FROM todos WHERE id = (SELECT id FROM todos WHERE user_id = 'carol' AND NOT public); -- empty
UPDATE todos SET task = (SELECT note FROM todos WHERE id = 3) WHERE id = 1; -- error
UPDATE todos SET note = (SELECT max(note) FROM todos WHERE user_id = 'bob' AND NOT public) WHERE id = 1; -- limited
UPDATE colors SET name = (SELECT note FROM todos WHERE id = 3) WHERE id = 1; -- limited
INSERT INTO colors (id, name) SELECT id + 100, note FROM todos WHERE id = 3; -- empty
SELECT id FROM todos ORDER BY (SELECT note FROM todos AS o WHERE o.id = 3), id; -- limited
SELECT CASE WHEN count(*) > 0 THEN 'SECRET' ELSE 'no' END FROM todos WHERE note = 'SECRET'; -- limited
SELECT CASE WHEN EXISTS (SELECT 1 FROM todos WHERE note = 'SECRET') THEN 'SECRET' ELSE 'no' END; -- limited
SELECT name FROM lists WHERE id = 2 UNION SELECT note FROM todos WHERE id = 3; -- empty
SELECT * FROM todos /* WHERE */ /* ' */ WHERE id = 3 /* ' */; -- empty
SELECT * FROM todos WHERE id = 3 -- OR 1 = 1
; -- empty
SELECT * FROM todos /*; -- refused
*/; -- refused
SELECT * FROM todos WHERE note = 'SECRET; -- refused
EXPLAIN CREATE TABLE x AS SELECT * FROM todos; -- refused
EXPLAIN DROP TABLE todos; -- refused
SELECT * INTO x FROM todos; -- refused
SELECT note FROM todos INTO x; -- refused
SET x = 1; -- refused
GRANT ALL ON todos TO public; -- refused
CALL wipe(); -- refused
DO 1; -- refused
PREPARE p FROM 'SELECT * FROM todos'; -- refused
EXECUTE p; -- refused
VACUUM; -- refused
ANALYZE; -- refused
LOCK TABLE todos; -- refused
