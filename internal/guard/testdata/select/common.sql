SELECT * FROM todos ORDER BY id;
SELECT id, task FROM todos WHERE done ORDER BY id;
SELECT count(*) FROM todos;
SELECT t.id FROM todos t WHERE t.id > 3 OR t.id < 100 ORDER BY t.id;
SELECT t.id, l.name FROM todos AS t JOIN lists AS l ON l.id = t.list_id ORDER BY t.id;
SELECT t.id, l.name FROM todos t LEFT JOIN lists l ON l.id = t.list_id ORDER BY t.id;
SELECT a.id, b.id FROM todos a JOIN todos b ON a.task = b.task AND a.id < b.id ORDER BY 1, 2;
SELECT * FROM lists WHERE id IN (SELECT list_id FROM todos WHERE done) ORDER BY id;
SELECT id FROM lists l WHERE EXISTS (SELECT 1 FROM todos WHERE todos.list_id = l.id) ORDER BY id;
SELECT id, (SELECT count(*) FROM todos WHERE todos.list_id = lists.id) FROM lists ORDER BY id;
SELECT id FROM todos UNION ALL SELECT id FROM lists ORDER BY 1;
WITH mine AS (SELECT * FROM todos WHERE done) SELECT mine.id FROM mine ORDER BY 1;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, (SELECT count(*) FROM todos WHERE id > i) FROM n ORDER BY i;
SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id) FROM todos ORDER BY id;
SELECT id, 'todos' FROM todos -- todos
WHERE id > /* lists */ 2 ORDER BY id;
SELECT * FROM (SELECT id, task FROM todos) AS todos ORDER BY id;
SELECT todos.id AS lists FROM todos ORDER BY lists;
SELECT todos FROM colors ORDER BY id;
SELECT c.todos, t.id FROM colors c JOIN todos t ON t.id = c.id ORDER BY 2;
SELECT user_id, count(*), sum({rank}) FROM todos GROUP BY user_id HAVING count(*) > 1 ORDER BY user_id;
SELECT * FROM todos, lists WHERE todos.list_id = lists.id ORDER BY todos.id, lists.id;
SELECT DISTINCT user_id FROM todos ORDER BY user_id;
SELECT todos.* FROM todos ORDER BY id LIMIT 3 OFFSET 1;
SELECT id FROM TODOS WHERE ID > 1 ORDER BY id; -- not mariadb, mysql

SELECT id FROM todos;
SELECT sum(id), min(id), max(id), avg({rank}) FROM todos;
SELECT count(*), count(note), count(DISTINCT note) FROM todos;
SELECT count(*) FROM lists;
SELECT count(*) FROM {MixedCase};
SELECT * FROM {MixedCase} ORDER BY id;
SELECT {MixedCase}.id, {MixedCase}.list FROM {MixedCase} ORDER BY {MixedCase}.id;
SELECT m.id, l.id FROM {MixedCase} m INNER JOIN lists l ON m.list = l.id ORDER BY m.id;
SELECT m.id, t.id FROM {MixedCase} AS m CROSS JOIN {todos} AS t WHERE m.id = t.id ORDER BY 1;
SELECT {todos}.{id} FROM {todos} ORDER BY {todos}.{id};
SELECT {t}.{id} FROM {todos} {t} ORDER BY {t}.{id};
SELECT {todos}.id FROM todos ORDER BY todos.{id};
SELECT id {todos} FROM todos ORDER BY 1;
SELECT id AS {todos} FROM lists ORDER BY 1;
SELECT lists.id FROM todos AS lists ORDER BY lists.id;
SELECT todos.id FROM lists AS todos ORDER BY todos.id;
SELECT todos.id, lists.id FROM lists AS todos JOIN todos AS lists ON lists.list_id = todos.id ORDER BY 2;
SELECT colors.id FROM todos AS colors ORDER BY 1;
SELECT todos.id FROM colors AS todos ORDER BY 1;
SELECT c.lists, l.id FROM colors c JOIN lists l ON l.id = c.lists ORDER BY 2;
SELECT lists FROM colors WHERE lists IN (SELECT id FROM lists) ORDER BY 1;
SELECT id FROM colors ORDER BY id;
SELECT name FROM colors WHERE name IS NULL OR name <> 'todos' ORDER BY id;

SELECT task FROM todos WHERE task LIKE 'task%' ORDER BY task, id;
SELECT id FROM todos WHERE task = 'SELECT * FROM todos' OR id = 1;
SELECT id, 'FROM lists' AS s FROM todos WHERE '--' <> '/*' ORDER BY id;
SELECT id, 'it''s todos; DROP TABLE todos' FROM todos ORDER BY id;
SELECT 'todos';
SELECT 'a;b', id FROM todos ORDER BY id;
SELECT id FROM todos WHERE note IS NULL ORDER BY id;
SELECT id FROM todos WHERE note IS NOT NULL AND note <> 'note 1' ORDER BY id;
SELECT coalesce(note, 'none'), id FROM todos ORDER BY id;
SELECT nullif(task, 'task 01'), id FROM todos ORDER BY id;
SELECT CASE WHEN done THEN 'todos' ELSE 'lists' END, id FROM todos ORDER BY id;
SELECT CASE user_id WHEN 'alice' THEN 1 WHEN 'bob' THEN 2 END AS who, count(*) FROM todos GROUP BY user_id ORDER BY user_id;
SELECT id FROM todos WHERE id BETWEEN 2 AND 15 ORDER BY id DESC;
SELECT id FROM todos WHERE id IN (1, 2, 3, 4, 5, 6, 7) ORDER BY id;
SELECT id FROM todos WHERE NOT (id IN (1, 2, 3)) ORDER BY id;
SELECT id FROM todos WHERE id NOT IN (SELECT list_id FROM todos WHERE list_id IS NOT NULL) ORDER BY id;
SELECT id FROM todos WHERE (id > 5 AND done) OR (id < 5 AND NOT done) OR public ORDER BY id;
SELECT id FROM todos WHERE 1 = 1 OR 1 = 1 ORDER BY id;
SELECT id FROM todos WHERE (1 = 1) OR (user_id = 'carol') ORDER BY id;
SELECT id FROM todos WHERE user_id = 'carol' OR user_id = 'alice' ORDER BY id;
SELECT id FROM todos WHERE user_id <> 'alice' ORDER BY id;
SELECT DISTINCT todos.user_id, lists.name FROM todos JOIN lists ON todos.list_id = lists.id ORDER BY 1, 2;
SELECT lower(task), upper(user_id), length(task) FROM todos ORDER BY id;
SELECT abs({rank} - 1), {rank} % 2, id FROM todos ORDER BY id;
SELECT id FROM todos ORDER BY {rank}, id LIMIT 5;
SELECT id FROM todos ORDER BY at DESC LIMIT 4;
SELECT max(at) FROM todos;

SELECT t.id, l.id FROM todos t INNER JOIN lists l ON t.list_id = l.id AND l.name <> 'todos' ORDER BY t.id;
SELECT t.id, l.id FROM lists l RIGHT JOIN todos t ON t.list_id = l.id ORDER BY t.id;
SELECT l.id, t.id FROM lists l LEFT OUTER JOIN todos t ON t.list_id = l.id AND t.done ORDER BY l.id, t.id;
SELECT l.id, count(t.id) FROM lists l LEFT JOIN todos t ON t.list_id = l.id GROUP BY l.id ORDER BY l.id;
SELECT count(*) FROM todos CROSS JOIN lists;
SELECT count(*) FROM todos a, todos b;
SELECT count(*) FROM todos a, lists b, {MixedCase} c;
SELECT id FROM todos JOIN {MixedCase} USING (id) ORDER BY id;
SELECT id, user_id FROM todos JOIN {MixedCase} USING (id, user_id) ORDER BY id;
SELECT id, user_id, task FROM todos NATURAL JOIN {MixedCase} ORDER BY id;
SELECT t.id, l.id, m.id FROM todos t JOIN lists l ON l.id = t.list_id JOIN {MixedCase} m ON m.list = l.id ORDER BY 1, 2, 3;
SELECT t.id FROM todos t JOIN (SELECT id FROM lists WHERE org = 'red') AS l ON l.id = t.list_id ORDER BY 1;
SELECT x.n FROM (SELECT count(*) AS n FROM todos) AS x;
SELECT x.n, y.n FROM (SELECT count(*) AS n FROM todos) AS x, (SELECT count(*) AS n FROM lists) AS y;
SELECT q.id FROM (SELECT z.id FROM (SELECT id FROM todos WHERE done) AS z WHERE z.id > 2) AS q ORDER BY 1;
SELECT todos.id FROM (SELECT id FROM lists) AS todos ORDER BY 1;
SELECT a.id FROM todos a WHERE a.id = (SELECT max(b.id) FROM todos b WHERE b.user_id = a.user_id) ORDER BY 1;
SELECT a.id FROM todos a WHERE a.{rank} >= (SELECT avg(b.{rank}) FROM todos b WHERE b.list_id = a.list_id) ORDER BY 1;
SELECT (SELECT count(*) FROM todos), (SELECT count(*) FROM lists), (SELECT count(*) FROM {MixedCase});
SELECT (SELECT max(id) FROM todos) + (SELECT min(id) FROM todos) AS s;
SELECT id, (SELECT name FROM lists WHERE lists.id = todos.list_id) AS name FROM todos ORDER BY id;
SELECT id FROM todos t WHERE NOT EXISTS (SELECT * FROM lists WHERE lists.id = t.list_id) ORDER BY id;
SELECT id FROM lists WHERE EXISTS (SELECT * FROM todos WHERE list_id = lists.id AND EXISTS (SELECT * FROM {MixedCase} WHERE list = lists.id)) ORDER BY id;
SELECT id FROM colors WHERE id IN (SELECT id FROM todos) ORDER BY id;
SELECT id FROM colors WHERE NOT EXISTS (SELECT 1 FROM todos WHERE todos.id = colors.id) ORDER BY id;
SELECT c.id, (SELECT count(*) FROM todos t WHERE t.{rank} = c.id) FROM colors c ORDER BY c.id;
SELECT EXISTS (SELECT 1 FROM todos WHERE user_id = 'bob' AND NOT public);
SELECT count(*) FROM (SELECT 1 AS one FROM todos UNION ALL SELECT 1 FROM lists) AS u;
SELECT id FROM todos WHERE (user_id, list_id) IN (SELECT user_id, list FROM {MixedCase}) ORDER BY id;

SELECT user_id FROM todos UNION SELECT owner FROM lists ORDER BY 1;
SELECT user_id FROM todos INTERSECT SELECT owner FROM lists ORDER BY 1;
SELECT user_id FROM todos EXCEPT SELECT owner FROM lists ORDER BY 1;
SELECT id FROM todos EXCEPT SELECT id FROM {MixedCase} ORDER BY 1;
SELECT id FROM todos INTERSECT SELECT list FROM {MixedCase} ORDER BY 1;
SELECT id FROM todos WHERE done UNION SELECT id FROM todos WHERE public UNION SELECT id FROM lists ORDER BY 1;
SELECT 'todo' AS kind, id FROM todos UNION ALL SELECT 'list', id FROM lists UNION ALL SELECT 'mixed', id FROM {MixedCase} ORDER BY 1, 2;
SELECT n FROM (SELECT task AS n FROM todos UNION SELECT name FROM lists) AS u ORDER BY n;
SELECT id FROM colors UNION SELECT id FROM lists ORDER BY 1;

WITH a AS (SELECT id FROM todos), b AS (SELECT id FROM lists) SELECT a.id FROM a JOIN b ON a.id = b.id ORDER BY 1;
WITH a AS (SELECT id, list_id FROM todos), b AS (SELECT a.id FROM a JOIN lists ON lists.id = a.list_id) SELECT * FROM b ORDER BY 1;
WITH a(x, y) AS (SELECT id, user_id FROM todos) SELECT y, count(x) FROM a GROUP BY y ORDER BY y;
WITH a AS (SELECT 1 AS id) SELECT todos.id FROM todos JOIN a ON todos.id > a.id ORDER BY 1;
WITH a AS (SELECT 1 AS id) SELECT id FROM a;
WITH a AS (SELECT id FROM todos) SELECT count(*) FROM a AS todos;
WITH a AS (WITH b AS (SELECT id FROM todos WHERE done) SELECT id FROM b) SELECT id FROM a ORDER BY id;
WITH a AS (SELECT count(*) AS n FROM todos) SELECT n, (SELECT count(*) FROM todos) FROM a;
WITH a AS (SELECT id FROM todos UNION SELECT id FROM lists) SELECT sum(id) FROM a;
WITH a AS (SELECT id FROM todos) SELECT id FROM a UNION SELECT id FROM lists ORDER BY 1;
WITH {Quoted Name} AS (SELECT id FROM todos) SELECT id FROM {Quoted Name} ORDER BY id;
WITH RECURSIVE tree(id, depth) AS (SELECT id, 0 FROM todos WHERE list_id IS NULL UNION ALL SELECT t.id, tree.depth + 1 FROM todos t JOIN tree ON t.list_id = tree.id WHERE tree.depth < 3) SELECT id, depth FROM tree ORDER BY depth, id;
WITH RECURSIVE up AS (SELECT id, list_id FROM todos WHERE id = 24 UNION SELECT t.id, t.list_id FROM todos t JOIN up ON up.list_id = t.id) SELECT id FROM up ORDER BY id;
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT count(*) FROM lists)) SELECT count(*) FROM n;
WITH RECURSIVE a AS (SELECT id FROM todos) SELECT count(*) FROM a;
SELECT * FROM (WITH a AS (SELECT id FROM todos) SELECT id FROM a) AS q ORDER BY id;
SELECT id FROM lists WHERE id IN (WITH a AS (SELECT list_id FROM todos) SELECT list_id FROM a) ORDER BY id;
SELECT * FROM (WITH todos AS (SELECT 7 AS id) SELECT id FROM todos) AS q; -- not mariadb, mysql
SELECT q.id, t.id FROM (WITH todos AS (SELECT 7 AS id) SELECT id FROM todos) AS q JOIN todos AS t ON t.id <= q.id ORDER BY t.id; -- not mariadb, mysql
SELECT * FROM (WITH lists AS (SELECT id FROM todos) SELECT id FROM lists) AS q ORDER BY id; -- not mariadb, mysql

SELECT id, rank() OVER (ORDER BY user_id) FROM todos ORDER BY id;
SELECT id, dense_rank() OVER (PARTITION BY done ORDER BY user_id, task) FROM todos ORDER BY id;
SELECT id, lag(id) OVER (ORDER BY id), lead(id, 2) OVER (ORDER BY id) FROM todos ORDER BY id;
SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM todos ORDER BY id;
SELECT id, count(*) OVER () FROM todos ORDER BY id;
SELECT id, count(*) OVER w FROM todos WINDOW w AS (PARTITION BY user_id) ORDER BY id;
SELECT id, first_value(id) OVER (PARTITION BY list_id ORDER BY id DESC) FROM todos ORDER BY id;
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS n FROM todos) AS r WHERE n = 1 ORDER BY id;
SELECT user_id, m FROM (SELECT user_id, max(count(*)) OVER () AS m FROM todos GROUP BY user_id) AS x ORDER BY user_id;

SELECT list_id, done, count(*) FROM todos GROUP BY list_id, done ORDER BY list_id, done;
SELECT count(*) FROM todos HAVING count(*) > 100;
SELECT user_id FROM todos GROUP BY user_id HAVING count(*) > (SELECT count(*) FROM lists) ORDER BY 1;
SELECT length(task) AS n, count(*) FROM todos GROUP BY length(task) ORDER BY 1;
SELECT user_id, sum(CASE WHEN done THEN 1 ELSE 0 END) AS done FROM todos GROUP BY user_id ORDER BY user_id;

/* todos */ SELECT id FROM todos ORDER BY id;
-- SELECT * FROM lists
SELECT id FROM lists ORDER BY id;
SELECT/**/id/**/FROM/**/todos/**/ORDER/**/BY/**/id;
SELECT id FROM todos/* t */t WHERE t.id>0/**/ORDER BY t.id;
SELECT todos . id FROM todos ORDER BY todos . id; -- not mariadb, mysql
SELECT todos.id FROM todos -- 'unclosed
ORDER BY id;
SELECT id -- "unclosed
FROM todos -- (
ORDER BY id;
SELECT	id
FROM
	todos

WHERE	id > 2
ORDER	BY	id;
select Id, uSeR_iD from todos where DONE order by iD;
SELECT(id)FROM(todos)ORDER BY(id); -- not postgres
SELECT((id))FROM todos WHERE((id)>(3))ORDER BY((id));
SELECT id FROM todos WHERE id = 1 OR id = 2 -- and nothing else
;
SELECT id FROM todos WHERE task <> '/* todos */' AND task <> '-- lists' ORDER BY id;
SELECT 1;
SELECT 1 AS todos;
SELECT count(*) AS {count(*) FROM lists} FROM todos;
SELECT 'e', id, 1e2, .5, 5., 0.25 FROM todos ORDER BY id;
