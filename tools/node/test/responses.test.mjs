import assert from 'node:assert/strict';
import { test } from 'node:test';
import { document, files, run } from './run.mjs';

const row = { id: 1, task: 'x', price: '1.50', inserted_at: '2026-01-02T03:04:05.000006Z' };
const json = 'application/json; charset=utf-8';
const problem = { contentType: 'application/problem+json', body: '{"status":404,"code":"not_found"}' };

function exchange(changes) {
  return { method: 'GET', path: '/todo/1', status: 200, contentType: json, body: JSON.stringify(row), ...changes };
}

async function check(t, exchanges, ...flags) {
  const write = await files(t);
  const recorded = exchanges.map((each) => JSON.stringify(each)).join('\n');
  return run('responses.mjs', ...flags, await write('openapi.json', await document()), await write('x.ndjson', recorded));
}

test('responses accepts what is documented', async (t) => {
  const { code, stdout, stderr } = await check(t, [
    exchange({}),
    exchange({ path: '/api/v1/todo/1' }),
    exchange({ method: 'HEAD', body: '' }),
    exchange({ path: '/todo?limit=3&task=eq.x&task=not.is.null', body: JSON.stringify([row]) }),
    exchange({ path: '/todo', body: 'null' }),
    exchange({ path: '/todo', status: 304, contentType: '', body: '' }),
    exchange({ path: '/todo?order=x', status: 400, ...problem }),
    exchange({ method: 'POST', path: '/todo', status: 503, ...problem }),
    exchange({ method: 'DELETE', status: 204, contentType: '', body: '' }),
    exchange({ path: '/todo/subscribe', contentType: 'text/event-stream', body: 'event: ready\n\n' }),
    exchange({ path: '/nothing', status: 404, ...problem }),
    exchange({ method: 'PUT', status: 405, ...problem }),
    exchange({ method: 'OPTIONS', status: 204, contentType: '', body: '' }),
  ]);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.match(stdout, /13 exchanges, 5 of 5 operations, 7 answers: no fault\n$/);
});

const faults = {
  'an undocumented status': [{ status: 206 }, /status 206 is not documented/],
  'an undocumented content type': [{ contentType: 'text/html', body: '<p>' }, /content type text\/html is not documented/],
  'no content type': [{ contentType: undefined }, /content type none is not documented/],
  'an undocumented parameter that was accepted': [{ path: '/todo?since=1', body: '[]' }, /parameter "since"/],
  'an unknown field': [{ body: JSON.stringify({ ...row, secret: 1 }) }, /:1: .*additional/],
  'a field of another type': [{ body: JSON.stringify({ ...row, task: 1 }) }, /body\/task: must be string/],
  'a missing field': [{ body: '{"id":1,"task":"x"}' }, /inserted_at/],
  'a time that is not RFC 3339': [{ body: JSON.stringify({ ...row, inserted_at: 'now' }) }, /date-time/],
  'a body that is not JSON': [{ body: '{' }, /not JSON/],
  'a missing body': [{ body: '' }, /not JSON/],
  'a body where none may be': [{ method: 'DELETE', status: 204 }, /there is a body/],
  'the wrong operation': [{ path: '/todo/subscribe' }, /want text\/event-stream/],
  'an accepted request to nowhere': [{ path: '/nothing' }, /no operation/],
  'an error that is no problem': [{ path: '/nothing', status: 404, contentType: 'text/plain', body: '404' }, /text\/plain/],
  'a problem without a code': [{ path: '/nothing', status: 404, ...problem, body: '{"status":404}' }, /code/],
};

for (const [name, [changes, want]] of Object.entries(faults)) {
  test(`responses finds ${name}`, async (t) => {
    const { code, stderr } = await check(t, [exchange(changes)]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, want);
  });
}

test('responses leaves ignored paths alone', async (t) => {
  const page = exchange({ path: '/docs/page.js', contentType: 'text/javascript', body: '' });
  assert.equal((await check(t, [page])).code, 1);
  assert.equal((await check(t, [page], '--ignore', '/docs')).code, 0);
});

test('responses wants at least one exchange', async (t) => {
  const { code, stderr } = await check(t, []);
  assert.equal(code, 1);
  assert.match(stderr, /there is no exchange/);
});
