INSERT INTO todos (user_id, task, done, public, `rank`, at) VALUES (?, ?, ?, FALSE, 1, '2024-05-01') RETURNING user_id, task; -- with ["alice", "third", true]
INSERT todos SET user_id = 'alice', task = 'set', done = 0, public = 0, `rank` = (SELECT count(*) FROM lists), at = '2024-05-01';
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (5, 'alice', 'up', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE task = VALUES(task);
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'up', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE task = VALUES(task);
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'up', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE id = VALUES(id) RETURNING *;
INSERT INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (8, 'alice', 'up', 0, 0, 1, '2024-05-01') ON DUPLICATE KEY UPDATE task = VALUES(task);
INSERT IGNORE INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'up', 0, 0, 1, '2024-05-01');
REPLACE INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (3, 'alice', 'up', 0, 0, 1, '2024-05-01');
REPLACE todos (id, user_id, task, done, public, `rank`, at) VALUES (5, 'alice', 'up', 0, 0, 1, '2024-05-01');
REPLACE INTO todos (id, user_id, task, done, public, `rank`, at) VALUES (8, 'alice', 'up', 0, 0, 1, '2024-05-01') RETURNING *;
UPDATE todos SET id = 3 WHERE id = 5;
UPDATE IGNORE todos SET task = 'x' WHERE user_id = 'alice';
UPDATE LOW_PRIORITY todos AS t SET t.task = 'x' WHERE t.user_id = 'alice';
UPDATE `todos` SET `task` = 'x' WHERE `user_id` = "alice" # mine
;
UPDATE todos SET task = ? WHERE `rank` = ? AND user_id = ?; -- with ["x", 1, "alice"]
UPDATE todos SET task = 'x' WHERE user_id = 'alice' ORDER BY id DESC LIMIT 2;
UPDATE todos SET task = 'x' ORDER BY id LIMIT 3;
UPDATE colors SET name = (WITH a AS (SELECT task FROM todos) SELECT max(task) FROM a) WHERE id = 1;
UPDATE colors SET name = ? WHERE id IN (SELECT id FROM todos WHERE id > ?) AND id < ?; -- with ["x", 0, 9]
DELETE FROM todos WHERE user_id = 'alice' ORDER BY id LIMIT 1;
DELETE FROM todos ORDER BY id LIMIT 1;
DELETE FROM todos WHERE user_id = 'alice' RETURNING id, task;
DELETE FROM todos RETURNING *;
DELETE QUICK FROM todos WHERE user_id = 'bob' AND NOT public;
DELETE FROM todos WHERE id IN (WITH a AS (SELECT id FROM todos WHERE done) SELECT id FROM a) AND user_id = 'alice';
INSERT INTO colors (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = (SELECT max(task) FROM todos);
INSERT INTO colors (id, name) SELECT id, task FROM todos WHERE id = 1 ON DUPLICATE KEY UPDATE name = (SELECT count(*) FROM todos);
INSERT INTO colors (id, name) WITH a AS (SELECT * FROM todos) SELECT id + 100, task FROM a;
INSERT INTO colors (id, name) (SELECT id + 100, task FROM todos);
INSERT INTO colors (id, name) (SELECT id + 100, task FROM todos) UNION (SELECT id + 200, name FROM lists);
INSERT INTO colors (id, name) ((SELECT id + 100, task FROM todos) UNION (SELECT id + 200, name FROM lists));
INSERT INTO colors (id, name) SELECT id + 100, task FROM todos UNION SELECT id + 200, name FROM lists;
INSERT INTO colors (id, name) VALUES (80, 'x') RETURNING name;
REPLACE INTO colors (id, name) SELECT id, task FROM todos;
ANALYZE UPDATE todos SET task = 'x' WHERE user_id = 'alice';
EXPLAIN UPDATE todos SET task = 'x';
