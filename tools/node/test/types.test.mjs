import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { document, files, run } from './run.mjs';

test('types of a good document compile and say what it says', async (t) => {
  const write = await files(t);
  const out = await write('out.ts', '');
  const { code, stdout, stderr } = await run('types.mjs', await write('openapi.json', await document()), out);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.match(stdout, /tsc --strict: no fault\n$/);
  const types = await readFile(out, 'utf8');
  assert.match(types, /Todo: \{[^}]*task: string;/);
  assert.match(types, /"\/todo\/\{id\}"/);
});

test('types finds a reference to nothing', async (t) => {
  const write = await files(t);
  const bad = await document();
  bad.paths['/todo'].post.responses[201].content['application/json'].schema.$ref = '#/components/schemas/No';
  const { code, stderr } = await run('types.mjs', await write('openapi.json', bad), await write('out.ts', ''));
  assert.equal(code, 1);
  assert.match(stderr, /resolve \$ref at #\/paths\/~1todo\/post/);
});

test('types finds what does not compile', async (t) => {
  const write = await files(t);
  const bad = await document();
  // Resolvable, but no type: it is defined as itself.
  bad.components.schemas.Loop = { allOf: [{ $ref: '#/components/schemas/Loop' }] };
  const { code, stderr } = await run('types.mjs', await write('openapi.json', bad), await write('out.ts', ''));
  assert.equal(code, 1);
  assert.match(stderr, /out\.ts:\d+: .*'Loop'/);
});
