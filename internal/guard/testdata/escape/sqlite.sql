SELECT * FROM main.todos; -- refused
SELECT * FROM "main"."todos"; -- refused
SELECT * FROM main.[todos]; -- refused
SELECT * FROM 'main'.'todos'; -- refused
SELECT * FROM main . todos; -- refused
SELECT * FROM main/**/./**/todos; -- refused
SELECT * FROM MAIN.Todos; -- refused
SELECT * FROM 'todos' WHERE id = 3; -- empty
SELECT * FROM [todos] WHERE id = 3; -- empty
SELECT * FROM `todos` WHERE id = 3; -- empty
SELECT * FROM "TODOS" WHERE id = 3; -- empty
SELECT * FROM tOdOs WHERE id = 3; -- empty
SELECT * FROM temp.todos; -- error
SELECT * FROM todos WHERE id = ?3 OR id = ? OR user_id = ?1; -- limited with ["bob", 3, 3, 3]
SELECT * FROM todos WHERE id = ? OR id = ?1; -- empty with [3]
SELECT * FROM todos WHERE id = :a OR id = @a OR id = $a OR id = ?; -- error with [{"a": 3}, 3]
SELECT :a('), note FROM todos --'); -- refused
SELECT @a(x'), note FROM todos --'); -- refused
SELECT $a::b('), note FROM todos --'); -- refused
SELECT #a, note FROM todos; -- refused
SELECT ?40000 FROM todos; -- refused
SELECT ?0 FROM todos; -- refused
SELECT * FROM 'todo_view'; -- refused
SELECT * FROM [todo_view]; -- refused
SELECT * FROM colors, 'todo_view'; -- refused
SELECT 1 IN 'todo_view'; -- refused
SELECT * FROM colors JOIN 'todo_view' USING (id); -- refused
UPDATE OR IGNORE 'todo_view' SET task = 'x'; -- refused
UPDATE OR IGNORE 'cape_journal' SET actor = 'x'; -- refused
SELECT * FROM 'cape_journal'; -- refused
SELECT * FROM [cape_journal]; -- refused
SELECT * FROM "cape_journal"; -- refused
SELECT * FROM main.'cape_journal'; -- refused
DELETE FROM 'cape_journal'; -- refused
INSERT INTO 'cape_journal' DEFAULT VALUES; -- refused
UPDATE sqlite_sequence SET seq = 0; -- refused
DELETE FROM sqlite_sequence; -- refused
UPDATE sqlite_master SET sql = ''; -- refused
UPDATE "sqlite_schema" SET sql = ''; -- refused
UPDATE 'sqlite_master' SET sql = ''; -- refused
SELECT * FROM sqlite_stat4; -- refused
SELECT data FROM sqlite_dbpage; -- refused
ATTACH 'x.db' AS x; -- refused
ATTACH DATABASE ':memory:' AS x; -- refused
DETACH main; -- refused
PRAGMA table_info(todos); -- refused
PRAGMA recursive_triggers = OFF; -- refused
EXPLAIN PRAGMA recursive_triggers = OFF; -- refused
EXPLAIN QUERY PLAN ATTACH 'x' AS x; -- refused
SELECT load_extension('x'); -- refused
SELECT writefile('x', note) FROM todos; -- refused
REINDEX todos; -- refused
CREATE TEMP VIEW todos AS SELECT * FROM main.todos; -- refused
CREATE TRIGGER x AFTER INSERT ON todos BEGIN SELECT 1; END; -- refused
INSERT OR REPLACE INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01'); -- permission
REPLACE INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01'); -- permission
REPLACE INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') RETURNING *; -- permission
UPDATE OR REPLACE todos SET id = 3 WHERE id = 1; -- permission
INSERT OR IGNORE INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01'); -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON CONFLICT (id) DO UPDATE SET task = 'x'; -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING *; -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE 1 = 1 OR 1 = 1 RETURNING *; -- empty
INSERT INTO todos (id, user_id, task, done, public, rank, at) VALUES (3, 'alice', 'x', 0, 0, 1, '2024-05-01') ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE 0 ON CONFLICT DO UPDATE SET id = excluded.id RETURNING *; -- empty
UPDATE todos SET task = task WHERE id = 3 RETURNING *; -- empty
UPDATE todos SET task = task RETURNING *; -- limited
UPDATE todos SET task = 'x' WHERE id = 1 RETURNING (SELECT group_concat(note) FROM todos); -- limited
UPDATE colors SET name = 'x' RETURNING (SELECT group_concat(note) FROM todos); -- limited
UPDATE colors SET name = o.note FROM todos AS o WHERE o.id = 3; -- empty
UPDATE todos SET task = 'x' FROM todos AS o WHERE o.id = 3; -- empty
DELETE FROM todos WHERE id = 3 RETURNING *; -- empty
WITH x AS (SELECT * FROM todos) DELETE FROM todos WHERE id IN (SELECT id + 2 FROM x WHERE id = 1); -- empty
SELECT * FROM (WITH x AS (SELECT * FROM todos) SELECT * FROM x) WHERE id = 3; -- empty
SELECT (SELECT note FROM (SELECT * FROM (SELECT * FROM todos) AS a) AS b WHERE id = 3); -- limited
SELECT b'todos', note FROM todos, colors AS b WHERE todos.id = 3; -- error
SELECT * FROM todos WHERE rowid = 3; -- error
SELECT x'00' || note FROM todos WHERE id = 3; -- empty
SELECT json_group_array(note) FROM todos; -- limited
