SELECT id FROM "todos" ORDER BY id;
SELECT id FROM [todos] ORDER BY id;
SELECT id FROM `todos` ORDER BY id;
SELECT id FROM 'todos' ORDER BY id;
SELECT [t].[id] FROM [todos] AS [t] ORDER BY [t].[id];
SELECT id FROM mixedcase ORDER BY id;
SELECT id FROM MIXEDCASE AS m ORDER BY m.ID;
SELECT id FROM "toDOS" ORDER BY id;
SELECT 'todos', "id" FROM todos ORDER BY id;
SELECT id 'lists' FROM todos ORDER BY id;
SELECT id FROM todos WHERE id = ?; -- with [5]
SELECT id FROM todos WHERE id > ? AND id < ? ORDER BY id; -- with [3, 20]
SELECT id FROM todos WHERE id > ?2 AND id < ?1 ORDER BY id; -- with [20, 3]
SELECT id, ?3, ? FROM todos WHERE id > ?1 AND id < ? ORDER BY id; -- with [2, "b", "c", "d", 20]
SELECT id FROM todos WHERE id = ?1 OR id = ?1 + 1 OR list_id = ? ORDER BY id; -- with [1, 3]
SELECT id FROM todos WHERE user_id = :name OR id = :id ORDER BY id; -- with [{"name": "alice"}, {"id": 2}]
SELECT id FROM todos WHERE user_id = @name OR id < $id ORDER BY id; -- with [{"id": 4}, {"name": "bob"}]
SELECT id FROM todos WHERE user_id = :name OR user_id = :name || '' ORDER BY id; -- with [{"name": "alice"}]
SELECT id FROM todos WHERE user_id = :name OR id > ? ORDER BY id; -- with ["alice", 9]
SELECT id FROM todos WHERE user_id IN (?, ?, ?) ORDER BY id LIMIT ? OFFSET ?; -- with ["alice", "bob", "carol", 5, 1]
WITH x AS (SELECT ? AS v) SELECT id, v FROM todos, x WHERE id > ? ORDER BY id; -- with ["v", 4]
WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) SELECT i FROM n JOIN todos ON todos.id = i ORDER BY i; -- with [1, 9]
SELECT ? FROM todos UNION ALL SELECT ? FROM lists ORDER BY 1; -- with ["t", "l"]
SELECT (SELECT count(*) FROM lists WHERE id > ?), id FROM todos WHERE id > ? ORDER BY id; -- with [1, 6]
SELECT id, '?', "id?" FROM (SELECT id, id AS "id?" FROM todos) WHERE id = ? /* ? */ -- ?
; -- with [7]
SELECT ?, ?, ?; -- with [1, "todos", null]
SELECT id FROM todos WHERE ? IS NULL AND id > ? ORDER BY id; -- with [null, 2]
SELECT id FROM todos LEFT JOIN colors USING (id) ORDER BY id;
SELECT todos.id, lists.id FROM todos FULL JOIN lists ON todos.id = lists.id ORDER BY 1, 2;
WITH ids AS (SELECT id FROM todos) SELECT id FROM lists WHERE id IN ids ORDER BY id;
SELECT rowid, id FROM todos ORDER BY rowid; -- refused
SELECT group_concat(id) FROM (SELECT id FROM todos ORDER BY id);
SELECT json_group_array(id) FROM (SELECT id FROM todos ORDER BY id);
SELECT value FROM todos, json_each('[1, 2]') WHERE todos.id = value ORDER BY 1;
SELECT count(*) FILTER (WHERE done) FROM todos;
SELECT id, total({rank}) OVER (ORDER BY id GROUPS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM todos ORDER BY id;
SELECT id FROM todos NATURAL LEFT JOIN colors ORDER BY id;
VALUES (1), (2);
SELECT * FROM (VALUES (1, 'todos'), (2, 'lists')) AS v JOIN todos ON todos.id = v.column1 ORDER BY todos.id;
SELECT id FROM todos WHERE task GLOB 'task*' ORDER BY id;
SELECT id FROM todos WHERE task == 'task 01' OR id IS 3 ORDER BY id;
SELECT id FROM todos WHERE (id, task) IN (VALUES (1, 'task 00'), (2, 'task 01'));
WITH a AS MATERIALIZED (SELECT id FROM todos), b AS NOT MATERIALIZED (SELECT id FROM a) SELECT id FROM b ORDER BY id;
SELECT x'00ff', X'74', id FROM todos ORDER BY id;
SELECT id->>'a' FROM (SELECT '{"a": "todos"}' AS id);
SELECT iif(done, 1, 0), id FROM todos ORDER BY id;
SELECT likely(id > 3), id FROM todos ORDER BY id;
SELECT name FROM sqlite_master WHERE name = 'todos';
SELECT name FROM pragma_table_info('todos') ORDER BY cid;
SELECT todos."id", "todos".'id' FROM todos ORDER BY 1;
SELECT id FROM todos ORDER BY id COLLATE nocase LIMIT 2, 3;
EXPLAIN QUERY PLAN SELECT id FROM todos; -- runs
EXPLAIN SELECT id FROM todos JOIN lists USING (id); -- runs
EXPLAIN QUERY PLAN WITH a AS (SELECT * FROM todos) SELECT * FROM a; -- runs
