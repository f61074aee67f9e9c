// Reading an OpenAPI 3.1 document: references, operations, schemas.
import { readFile } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

/** The id under which a validator knows the document. */
const root = 'openapi.json';

/** Reads a JSON document. */
export async function load(file) {
  return JSON.parse(await readFile(file, 'utf8'));
}

/** Appends member names to a JSON pointer. */
export function pointer(base, ...names) {
  return base + names.map((name) => '/' + String(name).replaceAll('~', '~0').replaceAll('/', '~1')).join('');
}

/** Returns what a pointer names and the pointer of where it is really written, following references. */
export function resolve(document, at) {
  for (const seen = new Set(); ; ) {
    let value = document;
    for (const name of at.split('/').slice(1)) {
      value = value?.[name.replaceAll('~1', '/').replaceAll('~0', '~')];
    }
    const reference = value?.$ref;
    if (reference === undefined) return { value, at };
    if (!reference.startsWith('#/')) throw new Error(`${at}: the reference ${reference} leaves the document`);
    if (seen.has(reference)) throw new Error(`${at}: the reference ${reference} leads back to itself`);
    seen.add(reference);
    at = decodeURIComponent(reference.slice(1));
  }
}

/** Lists the document's operations, each with its parameters, those of its path included. */
export function operations(document) {
  const all = [];
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of methods.filter((name) => item[name] !== undefined)) {
      const at = pointer('', 'paths', path, method);
      const parameters = [];
      for (const [base, list] of [[pointer('', 'paths', path), item.parameters], [at, item[method].parameters]]) {
        for (const index of (list ?? []).keys()) parameters.push(resolve(document, pointer(base, 'parameters', index)));
      }
      all.push({ path, method: method.toUpperCase(), at, parameters });
    }
  }
  return all;
}

/**
 * Makes a strict JSON Schema 2020-12 validator that knows the document: a keyword that neither JSON Schema nor
 * OpenAPI 3.1 has is an error (a misspelt one checks nothing), x- extensions aside. Formats without a check are notes.
 */
export function validator(document) {
  const ajv = new Ajv2020({ allErrors: true, strictTypes: false, strictTuples: false, strictRequired: false });
  addFormats.default(ajv);
  for (const keyword of ['discriminator', 'xml', 'externalDocs', 'example']) ajv.addKeyword(keyword);
  for (const { key, value } of members(document)) {
    if (key.startsWith('x-') && !ajv.getKeyword(key)) ajv.addKeyword(key);
    if (key === 'format' && typeof value === 'string' && !(value in ajv.formats)) ajv.addFormat(value, true);
  }
  // A reference into the document makes the validator compile the document, too, as if it were a schema.
  for (const member of Object.keys(document)) if (!ajv.getKeyword(member)) ajv.addKeyword(member);
  ajv.addSchema(document, root);
  return ajv;
}

/** Compiles the schema at a pointer. */
export function compile(ajv, at) {
  return ajv.compile({ $ref: root + '#' + at.split('/').map(encodeURIComponent).join('/') });
}

/** Lists the pointers of all schemas that operations and components hold directly. */
export function schemas(document) {
  const found = [];
  const visit = (value, at) => {
    if (value === null || typeof value !== 'object') return;
    for (const [key, member] of Object.entries(value)) {
      const here = pointer(at, key);
      if (at === '/components/schemas' || key === 'schema') found.push(here);
      else if (!['example', 'examples', 'default', 'enum', 'const'].includes(key)) visit(member, here);
    }
  };
  visit(document, '');
  return found;
}

/** Lists every member of every object in a JSON value. */
function* members(value) {
  if (value === null || typeof value !== 'object') return;
  for (const [key, member] of Object.entries(value)) {
    if (!Array.isArray(value)) yield { key, value: member };
    yield* members(member);
  }
}
