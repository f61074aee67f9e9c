import assert from 'node:assert/strict';
import { test } from 'node:test';
import { document, files, run } from './run.mjs';

test('validate accepts a good document', async (t) => {
  const write = await files(t);
  const { code, stdout, stderr } = await run('validate.mjs', await write('openapi.json', await document()));
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.match(stdout, /^[^\n]*openapi\.json: OpenAPI 3\.1\.0, 5 operations, \d+ schemas: no fault\n$/);
});

const faults = {
  'an unknown member': [(d) => (d.paths['/todo'].get.sumary = 'x'), /sumary|unevaluated/],
  'an answer without a description': [(d) => delete d.paths['/todo'].get.responses[304].description, /304/],
  'a reference to nothing': [(d) => (d.paths['/todo'].get.parameters[0].$ref = '#/components/parameters/No'), /resolve/],
  'one operationId twice': [(d) => (d.paths['/todo'].post.operationId = 'list-todo'), /operation-operationId-unique/],
  'a path parameter that is not declared': [(d) => delete d.paths['/todo/{id}'].parameters, /path-parameters-defined/],
  'a misspelt keyword': [(d) => (d.components.schemas.Todo.properties.task.maxLenght = 3), /maxLenght/],
  'a keyword of the wrong type': [(d) => (d.components.schemas.Todo.properties.task.maxLength = 'x'), /maxLength/],
  'a type that does not exist': [(d) => (d.components.schemas.Problem.properties.code.type = 'text'), /type/],
  'a pattern that does not compile': [(d) => (d.components.schemas.Todo.properties.task.pattern = '('), /regular expression|pattern/i],
  'an example that is not valid': [(d) => (d.components.schemas.Todo.properties.task.examples = [3]), /example/],
  'a security scheme that does not exist': [(d) => (d.paths['/todo'].post.security = [{ cookie: [] }]), /cookie/],
  'another version': [(d) => (d.openapi = '3.0.3'), /3\.1\.x/],
};

for (const [name, [spoil, want]] of Object.entries(faults)) {
  test(`validate finds ${name}`, async (t) => {
    const write = await files(t);
    const bad = await document();
    spoil(bad);
    const { code, stdout, stderr } = await run('validate.mjs', await write('openapi.json', bad));
    assert.equal(code, 1, stderr);
    assert.match(stderr, want);
    assert.match(stdout, /: \d+ faults\n$/);
  });
}

test('validate without a file says how it is used', async () => {
  const { code, stderr } = await run('validate.mjs');
  assert.equal(code, 2);
  assert.match(stderr, /^usage: /);
});
