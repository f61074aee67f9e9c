SELECT id FROM "todos" ORDER BY id;
SELECT "todos"."id" FROM Todos ORDER BY TODOS.ID;
SELECT id FROM "MixedCase" AS "M" ORDER BY "M".id;
SELECT id FROM todos AS "MixedCase" ORDER BY "MixedCase".id;
SELECT id FROM todos WHERE id = $1; -- with [5]
SELECT id FROM todos WHERE id > $1 AND id < $2 OR list_id = $1 ORDER BY id; -- with [3, 20]
SELECT id FROM todos WHERE id > $2 AND id < $1 ORDER BY id; -- with [20, 3]
SELECT id FROM todos WHERE user_id = ANY (ARRAY[$1, $2]::text[]) ORDER BY id LIMIT $3; -- with ["alice", "bob", 4]
WITH x AS (SELECT $1::text AS v) SELECT id, v FROM todos, x WHERE id > $2 ORDER BY id; -- with ["v", 4]
SELECT $1::text, id, '$1', $$ $1 todos $$, $q$ FROM lists $q$ FROM todos ORDER BY id; -- with ["a"]
SELECT (SELECT count(*) FROM lists WHERE id > $1), id FROM todos WHERE id > $1 + $2 ORDER BY id; -- with [1, 6]
SELECT $1::int; -- with [1]
SELECT id FROM todos WHERE $1::text IS NULL ORDER BY id; -- with [null]
SELECT t.id, x.id FROM todos t, LATERAL (SELECT l.id FROM lists l WHERE l.id = t.list_id) x ORDER BY t.id;
SELECT t.id, x.id FROM todos t LEFT JOIN LATERAL (SELECT u.id FROM todos u WHERE u.user_id = t.user_id AND u.id > t.id ORDER BY u.id LIMIT 1) x ON true ORDER BY t.id;
SELECT l.id, x.n FROM lists l CROSS JOIN LATERAL (SELECT count(*) AS n FROM todos WHERE list_id = l.id) x ORDER BY l.id;
SELECT t.id, l.id FROM todos t FULL OUTER JOIN lists l ON l.id = t.id ORDER BY 1, 2;
SELECT DISTINCT ON (user_id) user_id, id FROM todos ORDER BY user_id, id DESC;
SELECT array_agg(id ORDER BY id) FROM todos;
SELECT ARRAY(SELECT id FROM todos ORDER BY id);
SELECT json_agg(t ORDER BY id) FROM (SELECT id, task FROM todos) t;
SELECT json_build_object('todos', (SELECT count(*) FROM todos));
SELECT row_to_json(t) FROM (SELECT id FROM todos) t ORDER BY id;
SELECT to_jsonb(todos) -> 'id' FROM todos ORDER BY id;
SELECT id, unnest(ARRAY[1, 2]) FROM todos ORDER BY 1, 2;
SELECT id, e.v FROM todos, unnest(ARRAY['todos', 'lists']) AS e(v) ORDER BY 1, 2;
SELECT id, e.v FROM todos, json_array_elements_text('["todos"]') e(v) ORDER BY 1;
SELECT '{"todos": 1}'::jsonb ? 'todos', '{"todos": 1}'::jsonb @> '{"todos": 1}', id FROM todos ORDER BY id;
SELECT g, (SELECT count(*) FROM todos WHERE id > g) FROM generate_series(1, 5) AS g ORDER BY g;
SELECT count(*) FILTER (WHERE done), count(*) FILTER (WHERE public) FROM todos;
SELECT string_agg(task, ',' ORDER BY id) FROM todos;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM todos;
SELECT user_id, done, count(*) FROM todos GROUP BY ROLLUP (user_id, done) ORDER BY 1, 2;
SELECT user_id, done, count(*) FROM todos GROUP BY CUBE (user_id, done) ORDER BY 1, 2, 3;
SELECT user_id, done, count(*), grouping(user_id) FROM todos GROUP BY GROUPING SETS ((user_id), (done), ()) ORDER BY 1, 2, 3;
TABLE todos;
TABLE lists ORDER BY id;
WITH a AS (TABLE todos) SELECT id FROM a ORDER BY id;
SELECT id FROM (TABLE todos) q ORDER BY id;
(SELECT id FROM todos ORDER BY id LIMIT 3) UNION ALL (SELECT id FROM lists ORDER BY id LIMIT 2) ORDER BY 1;
(SELECT id FROM todos);
((SELECT id FROM todos) EXCEPT (SELECT id FROM lists)) ORDER BY 1;
VALUES (1), (2);
VALUES ((SELECT count(*) FROM todos)), ((SELECT count(*) FROM lists));
SELECT * FROM (VALUES (1, 'todos'), (2, 'lists')) AS v(a, b) JOIN todos ON todos.id = v.a ORDER BY todos.id;
SELECT id FROM ONLY todos ORDER BY id;
SELECT id FROM todos * ORDER BY id;
SELECT todos FROM todos ORDER BY todos.id;
SELECT (todos).id FROM todos ORDER BY 1;
SELECT (t).task, t FROM todos t ORDER BY t.id;
SELECT count(todos) FROM todos;
SELECT t.* FROM todos t ORDER BY t;
SELECT id FROM todos OFFSET 0 FETCH FIRST 0 ROWS ONLY;
SELECT id FROM todos ORDER BY id FETCH FIRST 3 ROWS ONLY;
SELECT id FROM todos FOR UPDATE;
SELECT id FROM todos ORDER BY id FOR UPDATE;
SELECT id FROM todos WHERE id < 9 ORDER BY id FOR SHARE NOWAIT;
SELECT id FROM todos WHERE id < 9 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;
SELECT id FROM todos AS t WHERE t.id < 9 ORDER BY id FOR KEY SHARE OF t;
SELECT t.id, l.id FROM todos t JOIN lists l ON l.id = t.list_id ORDER BY t.id FOR UPDATE OF t NOWAIT;
SELECT todos.id, lists.id FROM todos JOIN lists ON lists.id = todos.list_id ORDER BY todos.id FOR UPDATE OF todos FOR SHARE OF lists;
SELECT id FROM lists WHERE id IN (SELECT list_id FROM todos) ORDER BY id FOR UPDATE;
SELECT id FROM todos WHERE EXISTS (SELECT 1 FROM lists WHERE lists.id = todos.list_id FOR SHARE) ORDER BY id;
SELECT q.id FROM (SELECT id FROM todos FOR UPDATE) q ORDER BY q.id;
WITH a AS (SELECT id FROM todos FOR UPDATE) SELECT id FROM a ORDER BY id;
WITH a AS (SELECT id FROM todos) SELECT lists.id FROM lists JOIN a ON a.id = lists.id ORDER BY 1 FOR UPDATE OF lists;
TABLE todos FOR UPDATE; -- refused
SELECT t.id, l.id FROM todos t, lists l FOR UPDATE; -- refused
SELECT id FROM todos WHERE id < 5 FOR UPDATE;
SELECT id, (SELECT count(*) FROM todos) FROM lists ORDER BY id FOR UPDATE;
SELECT c.todos, l.id FROM colors c JOIN lists l ON l.id = c.lists ORDER BY 2 FOR UPDATE;
SELECT id::text || 'todos', CAST(id AS numeric(10, 2)) FROM todos ORDER BY id;
SELECT E'to\'dos', id FROM todos ORDER BY id;
SELECT 'to'
'dos', id FROM todos ORDER BY id;
SELECT id FROM todos WHERE task ~ '^task' AND task !~* 'todos$' ORDER BY id;
SELECT id FROM todos WHERE at > timestamptz '2024-01-05 00:00Z' ORDER BY id;
SELECT date_trunc('month', at AT TIME ZONE 'UTC'), count(*) FROM todos GROUP BY 1 ORDER BY 1;
SELECT extract(day FROM at AT TIME ZONE 'UTC') AS d, id FROM todos ORDER BY id;
SELECT id FROM todos WHERE user_id IS DISTINCT FROM 'alice' ORDER BY id;
SELECT id FROM todos WHERE id = ANY (SELECT list_id FROM todos) ORDER BY id;
SELECT id FROM todos WHERE id > ALL (SELECT id FROM lists) ORDER BY id;
SELECT id FROM todos /* a /* nested todos */ comment */ ORDER BY id;
WITH RECURSIVE t(id) AS (SELECT id FROM todos WHERE list_id IS NULL UNION ALL SELECT x.id FROM todos x JOIN t ON x.list_id = t.id) SEARCH DEPTH FIRST BY id SET place SELECT id FROM t ORDER BY place, id;
WITH RECURSIVE t(id) AS (SELECT id FROM todos WHERE list_id IS NULL UNION ALL SELECT x.id FROM todos x JOIN t ON x.list_id = t.id) CYCLE id SET seen USING path SELECT id, seen FROM t ORDER BY id, path;
WITH RECURSIVE t(id, u) AS (SELECT id, user_id FROM todos WHERE list_id IS NULL UNION ALL SELECT x.id, x.user_id FROM todos x JOIN t ON x.list_id = t.id) SEARCH BREADTH FIRST BY id, u SET place, l AS (SELECT id FROM lists) SELECT t.id FROM t JOIN l ON l.id = t.id ORDER BY t.id;
WITH a AS MATERIALIZED (SELECT id FROM todos), b AS NOT MATERIALIZED (SELECT id FROM a) SELECT id FROM b ORDER BY id;
WITH todo AS (SELECT id FROM todos), list AS (SELECT id FROM lists) SELECT (SELECT count(*) FROM todo), (SELECT count(*) FROM list);
SELECT id FROM (WITH todos AS (SELECT id FROM todos WHERE done) SELECT id FROM todos) q ORDER BY id;
SELECT id, sum(id) OVER (ORDER BY id RANGE BETWEEN 2 PRECEDING AND 2 FOLLOWING EXCLUDE CURRENT ROW) FROM todos ORDER BY id;
SELECT coalesce(json_agg(x.id ORDER BY x.id), '[]') FROM (SELECT id FROM todos INTERSECT ALL SELECT id FROM lists) x;
SELECT todos.user_id || ':' || todos.task COLLATE "C" FROM todos ORDER BY id;
SELECT id FROM todos WHERE (id, task) = (SELECT id, task FROM todos WHERE id = 1);
SELECT xmlelement(name todos, id) FROM todos ORDER BY id;
SELECT count(*) FROM pg_class WHERE relname = 'todos';
SELECT id FROM todos t(id, who) WHERE who = 'alice' ORDER BY id;
SELECT position('todos' in 'my todos'), substring(task from 1 for 4), trim(both ' ' from task), id FROM todos ORDER BY id;
EXPLAIN SELECT * FROM todos; -- runs
EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM todos JOIN lists USING (id); -- runs
EXPLAIN ANALYZE VERBOSE WITH a AS (SELECT * FROM todos) SELECT * FROM a; -- runs
EXPLAIN (FORMAT JSON) TABLE todos; -- runs
EXPLAIN VERBOSE (SELECT * FROM todos); -- runs
SHOW server_version; -- runs
