// Parses MySQL 8 statements with a grammar of MySQL's.
//
//   node tools/node/mysql.mjs file.sql…
//
// Statements end with a semicolon. Placeholders (?) are taken; DELIMITER, a command of the mysql client, is not.
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { main, UsageError } from './lib/report.mjs';
import { mask } from './lib/mask.mjs';

register('./lib/extensionless.mjs', import.meta.url);
const { MySQL } = await import('dt-sql-parser/dist/parser/mysql/index.js');

// The channel of characters that the lexer does not know; its parser would pass over them in silence.
const unknown = 3;

/** Returns the number of statements in a text and its faults, each with a line. */
function parse(parser, sql) {
  // A listener of our own keeps the parser from printing, and sees the grammar's errors as they are.
  const faults = [];
  const tree = parser.parse(sql, ({ startLine, message }) => faults.push({ line: startLine, message }));
  for (const token of parser.getAllTokens(sql)) {
    if (token.channel === unknown) faults.push({ line: token.line, message: `unexpected ${JSON.stringify(token.text)}` });
  }
  const statements = tree.singleStatement().filter((statement) => statement.sqlStatement() !== null);
  // The grammar's semicolon is optional: without this a trigger's BEGIN without END would pass for a transaction's.
  for (const statement of statements.slice(0, -1)) {
    if (statement.SEMI() !== null) continue;
    faults.push({ line: statement.stop.line, message: `no semicolon after ${JSON.stringify(statement.stop.text)}` });
  }
  if (statements.length === 0 && faults.length === 0) faults.push({ line: 1, message: 'there is no statement' });
  return { statements: statements.length, faults: faults.sort((a, b) => a.line - b.line) };
}

await main('node mysql.mjs file.sql...', async (files) => {
  if (files.length === 0) throw new UsageError();
  const parser = new MySQL();
  const all = [];
  let statements = 0;
  for (const file of files) {
    const parsed = parse(parser, mask(await readFile(file, 'utf8')));
    all.push(...parsed.faults.map(({ line, message }) => `${file}:${line}: ${message}`));
    statements += parsed.statements;
  }
  return { checked: `${files.length} files, ${statements} statements of MySQL`, faults: all };
});
