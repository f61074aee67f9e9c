// Running a check the way its users do: as a program, on files.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Reads the good document anew, so that each test may spoil its own. */
export async function document() {
  return JSON.parse(await readFile(new URL('data/openapi.json', import.meta.url), 'utf8'));
}

/** Makes a directory that the test's end removes, and returns a function that writes files there. */
export async function files(t) {
  const directory = await mkdtemp(join(tmpdir(), 'capebase-checks-'));
  t.after(() => rm(directory, { recursive: true }));
  return async (name, content) => {
    const file = join(directory, name);
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  };
}

/** Runs a check and returns its exit code and what it printed. */
export function run(script, ...args) {
  const program = fileURLToPath(new URL(`../${script}`, import.meta.url));
  return new Promise((done) => {
    execFile(process.execPath, [program, ...args], (error, stdout, stderr) => {
      done({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}
