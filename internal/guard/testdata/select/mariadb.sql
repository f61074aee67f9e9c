SELECT id FROM `todos` ORDER BY id;
SELECT `todos`.`id` FROM `todos` ORDER BY `todos`.`id`;
SELECT id FROM MixedCase ORDER BY id;
SELECT m.id FROM `MixedCase` m ORDER BY m.id;
SELECT "todos", 'lists', id FROM todos ORDER BY id;
SELECT "to\"dos", 'li\'sts', id FROM todos ORDER BY id;
SELECT N'todos', _utf8mb4'lists', x'746f646f73', id FROM todos ORDER BY id;
SELECT id # todos
FROM todos # lists
ORDER BY id;
SELECT 5--1 AS n, id FROM todos ORDER BY id;
SELECT id FROM todos WHERE id = ?; -- with [5]
SELECT id FROM todos WHERE id > ? AND id < ? ORDER BY id; -- with [3, 20]
SELECT id FROM todos WHERE user_id IN (?, ?, ?) ORDER BY id LIMIT ? OFFSET ?; -- with ["alice", "bob", "carol", 5, 1]
WITH x AS (SELECT ? AS v) SELECT id, v FROM todos, x WHERE id > ? ORDER BY id; -- with ["v", 4]
SELECT ? AS a, id FROM todos WHERE id > ? UNION ALL SELECT ?, id FROM lists ORDER BY 1, 2; -- with ["t", 3, "l"]
SELECT (SELECT count(*) FROM lists WHERE id > ?) AS n, id FROM todos WHERE id > ? ORDER BY id; -- with [1, 6]
SELECT id, '?', "?" FROM todos WHERE id > ? /* ? */ -- ?
ORDER BY id; -- with [7]
SELECT ?, ?; -- with [1, "todos"]
SELECT id FROM todos WHERE ? IS NULL AND id > ? ORDER BY id; -- with [null, 2]
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n JOIN todos ON todos.id = i WHERE i > ? ORDER BY i; -- with [9, 1]
SELECT STRAIGHT_JOIN t.id, l.id FROM todos t JOIN lists l ON l.id = t.list_id ORDER BY t.id;
SELECT t.id, l.id FROM todos t STRAIGHT_JOIN lists l ON l.id = t.list_id ORDER BY t.id;
SELECT t.id FROM (todos t, lists l) WHERE l.id = t.list_id ORDER BY t.id;
SELECT t.id FROM (todos t JOIN lists l ON l.id = t.list_id) ORDER BY t.id;
SELECT group_concat(id ORDER BY id SEPARATOR ',') FROM todos;
SELECT group_concat(DISTINCT user_id ORDER BY user_id SEPARATOR 'todos') FROM todos;
SELECT user_id, done, count(*) FROM todos GROUP BY user_id, done WITH ROLLUP;
SELECT SQL_NO_CACHE id FROM todos ORDER BY id;
SELECT DISTINCTROW user_id FROM todos ORDER BY 1;
SELECT HIGH_PRIORITY id FROM todos ORDER BY id LIMIT 2, 3;
SELECT id FROM todos WHERE task REGEXP '^task' ORDER BY id;
SELECT id FROM todos WHERE user_id <=> 'alice' ORDER BY id;
SELECT id FROM todos WHERE done = TRUE && public = FALSE || id = 3 ORDER BY id;
SELECT IF(done, 'todos', 'lists'), IFNULL(note, '-'), id FROM todos ORDER BY id;
SELECT id DIV 2, id MOD 2, id FROM todos ORDER BY id;
SELECT date_format(at, '%Y-%m'), count(*) FROM todos GROUP BY 1 ORDER BY 1;
SELECT id FROM todos WHERE at > timestamp '2024-01-05 00:00:00' ORDER BY id;
SELECT id, at + INTERVAL 1 DAY FROM todos ORDER BY id;
SELECT id FROM todos WHERE id = ANY (SELECT list_id FROM todos) ORDER BY id;
SELECT id FROM todos WHERE id > ALL (SELECT id FROM lists) ORDER BY id;
SELECT json_arrayagg(id) FROM (SELECT id FROM todos ORDER BY id LIMIT 100) t;
SELECT json_object('todos', (SELECT count(*) FROM todos));
SELECT INSERT('todos', 1, 2, 'x'), REPLACE(task, 'task', 'todos'), id FROM todos ORDER BY id;
SELECT * FROM (WITH todos AS (SELECT 7 AS id) SELECT id FROM todos) AS q; -- refused
SELECT id FROM colors WHERE id IN (WITH a AS (SELECT list_id FROM todos WHERE EXISTS (SELECT 1 FROM lists)) SELECT list_id FROM a WHERE list_id IN (WITH b AS (SELECT id FROM lists) SELECT id FROM b)) ORDER BY id;
(SELECT id FROM todos ORDER BY id LIMIT 3) UNION ALL (SELECT id FROM lists ORDER BY id LIMIT 2) ORDER BY 1;
(SELECT id FROM todos);
VALUES (1), (2);
SELECT * FROM (VALUES (1), (2)) AS v JOIN todos ON todos.id = v.`1` ORDER BY todos.id;
SELECT id FROM todos FOR UPDATE;
SELECT id FROM todos ORDER BY id FOR UPDATE;
SELECT id FROM todos WHERE id < 9 ORDER BY id LOCK IN SHARE MODE;
SELECT id FROM todos WHERE id < 9 ORDER BY id FOR UPDATE NOWAIT;
SELECT id FROM todos WHERE id < 9 ORDER BY id FOR UPDATE SKIP LOCKED;
SELECT id FROM todos WHERE id < 9 ORDER BY id LOCK IN SHARE MODE SKIP LOCKED;
SELECT t.id, l.id FROM todos t JOIN lists l ON l.id = t.list_id ORDER BY t.id FOR UPDATE;
SELECT id FROM lists WHERE id IN (SELECT list_id FROM todos) ORDER BY id FOR UPDATE;
SELECT q.id FROM (SELECT id FROM todos WHERE id < 20 FOR UPDATE) q ORDER BY q.id;
WITH a AS (SELECT id FROM todos WHERE done) SELECT id FROM a ORDER BY id FOR UPDATE;
SELECT id FROM todos LIMIT 0;
SELECT id FROM todos UNION SELECT id FROM lists EXCEPT SELECT id FROM MixedCase WHERE id > 3 ORDER BY 1;
SELECT id FROM todos EXCEPT ALL SELECT id FROM lists ORDER BY 1;
SELECT id FROM todos INTERSECT ALL SELECT id FROM lists ORDER BY 1;
SELECT todos.id FROM todos NATURAL LEFT JOIN MixedCase ORDER BY todos.id;
SELECT t.id FROM todos t LEFT JOIN (lists l JOIN MixedCase m ON m.list = l.id) ON l.id = t.list_id GROUP BY t.id ORDER BY t.id;
SELECT @x := id FROM todos ORDER BY id;
SELECT count(*) FROM information_schema.tables WHERE table_name = 'todos' AND table_schema = DATABASE();
SELECT CONVERT(id, CHAR(10)), CAST(id AS CHAR), id FROM todos ORDER BY id;
SELECT id, percent_rank() OVER (ORDER BY id), ntile(3) OVER (ORDER BY id) FROM todos ORDER BY id;
SELECT id, median(`rank`) OVER (PARTITION BY user_id) FROM todos ORDER BY id;
SELECT id FROM todos PROCEDURE ANALYSE(); -- refused
SELECT b'01' + 0, 0x10 + 0, id FROM todos ORDER BY id;
SELECT 'to' 'dos', id FROM todos ORDER BY id;
SELECT id AS 'todos' FROM todos ORDER BY id;
SELECT id AS "lists" FROM todos ORDER BY id;
SELECT `id``todos` FROM (SELECT id AS `id``todos` FROM todos) q ORDER BY 1;
SELECT id FROM todos WHERE MATCH (task) AGAINST ('x'); -- refused
EXPLAIN SELECT * FROM todos; -- runs
EXPLAIN EXTENDED SELECT * FROM todos JOIN lists USING (id); -- runs
EXPLAIN FORMAT=JSON SELECT * FROM todos; -- runs
ANALYZE SELECT * FROM todos; -- runs
ANALYZE FORMAT=JSON SELECT * FROM todos; -- runs
DESCRIBE todos; -- runs
DESC todos task; -- runs
SHOW COLUMNS FROM todos; -- runs
SHOW TABLES LIKE 'todos'; -- runs
EXPLAIN todos; -- runs
