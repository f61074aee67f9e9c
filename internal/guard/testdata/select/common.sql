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
SELECT user_id, count(*), sum(rank) FROM todos GROUP BY user_id HAVING count(*) > 1 ORDER BY user_id;
SELECT * FROM todos, lists WHERE todos.list_id = lists.id ORDER BY todos.id, lists.id;
SELECT DISTINCT user_id FROM todos ORDER BY user_id;
SELECT todos.* FROM todos ORDER BY id LIMIT 3 OFFSET 1;
SELECT id FROM TODOS WHERE ID > 1 ORDER BY id; -- not mariadb
