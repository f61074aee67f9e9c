// Follows streams with the npm packages eventsource and ws, and prints a line of JSON for each event.
//
//   node tools/node/follow.mjs clients.mjs '[{"name":"…","kind":"…","url":"…"}]'
//
// The module exports start(job, report); it finds EventSource and WebSocket where browsers have them. The program ends
// when its standard input does.
import { pathToFileURL } from 'node:url';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';

const [module, jobs] = process.argv.slice(2);
if (jobs === undefined) {
  console.error('usage: node follow.mjs clients.mjs jobs');
  process.exit(2);
}
Object.assign(globalThis, { EventSource, WebSocket });
const { start } = await import(pathToFileURL(module).href);
process.stdin.resume().on('end', () => process.exit(0));
for (const job of JSON.parse(jobs)) start(job, (line) => process.stdout.write(`${line}\n`));
