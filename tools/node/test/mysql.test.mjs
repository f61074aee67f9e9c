import assert from 'node:assert/strict';
import { test } from 'node:test';
import { files, run } from './run.mjs';

const good = `
CREATE TABLE \`todos\` (
  \`id\` bigint AUTO_INCREMENT,
  \`user_id\` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, -- what's this; a comment?
  \`task\` longtext COLLATE utf8mb4_0900_bin,
  \`price\` decimal(20,4),
  \`data\` json,
  \`at\` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (\`id\`),
  UNIQUE INDEX \`i\` (\`user_id\`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin;
CREATE TRIGGER \`cape_todos_update\` AFTER UPDATE ON \`todos\` FOR EACH ROW
BEGIN
  IF NOT (OLD.\`task\` <=> NEW.\`task\`) THEN
    INSERT INTO \`cape_journal\` (\`tx\`, \`actor\`, \`op\`, \`new\`)
    VALUES (@cape_tx, @cape_actor, 'U', JSON_OBJECT('id', NEW.\`id\`, 'task', NEW.\`task\`, 'blob', TO_BASE64(NEW.\`data\`)));
  END IF;
  SET @seen = 1;
END;
INSERT INTO \`todos\` () VALUES ();
INSERT INTO \`todos\` (\`task\`, \`user_id\`) VALUES (?, ?), ('why?', 'it''s; \\'me\\'');
SELECT \`id\` FROM \`todos\` WHERE \`user_id\` = ? AND \`user_id\` COLLATE utf8mb4_0900_bin = ?
  AND \`task\` COLLATE utf8mb4_0900_bin REGEXP '(?s)\\\\A[aA]\\\\z'
  ORDER BY \`task\` IS NULL, \`task\` COLLATE utf8mb4_0900_bin DESC LIMIT ? OFFSET ? FOR UPDATE;
SELECT GET_LOCK(?, 10);
SET @cape_actor = ?, @cape_tx = ?, autocommit = 0;
`;

test('mysql accepts MySQL 8', async (t) => {
  const write = await files(t);
  const { code, stdout, stderr } = await run('mysql.mjs', await write('a.sql', good), await write('b.sql', 'SELECT 1'));
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.equal(stdout, '2 files, 8 statements of MySQL: no fault\n');
});

const faults = {
  'a misspelt word': ['SELECT 1;\nSELEC 2;\n', 2],
  'a type of PostgreSQL': ['CREATE TABLE t (\n  a bigint,\n  b text[]\n);', 3],
  'RETURNING': ['INSERT INTO t (a)\nVALUES (1)\nRETURNING a;', 3],
  'a trigger that does not end': ['CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW\nBEGIN\n  SET @a = 1;\n', 2],
  'a clause of SQLite': ['CREATE TABLE t (a integer primary key)\nWITHOUT ROWID;', 2],
  'a stray placeholder': ['SELECT * FROM t\nWHERE a = 1 ?', 2],
  'an empty file': ['-- nothing\n', 1],
};

for (const [name, [sql, line]] of Object.entries(faults)) {
  test(`mysql finds ${name}`, async (t) => {
    const write = await files(t);
    const file = await write('a.sql', sql);
    const { code, stderr } = await run('mysql.mjs', await write('good.sql', good), file);
    assert.equal(code, 1, stderr);
    assert.ok(stderr.startsWith(`${file}:${line}: `), stderr);
  });
}
