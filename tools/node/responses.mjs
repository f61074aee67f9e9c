// Checks recorded HTTP exchanges against the OpenAPI document that promises them.
//
//   node tools/node/responses.mjs [--ignore /path]… (openapi.json exchanges.ndjson)…
//
// Each line of the second file is {"method", "path", "status", "contentType", "body"}: path with its query as it was
// sent, body as the text that was answered. A fault is a status, content type or body that the operation does not
// document, and a query parameter that was accepted (the status is below 400) without being documented. An exchange
// that no operation documents must be an error, OPTIONS or below an ignored path.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { compile, load, operations, pointer, resolve, validator } from './lib/document.mjs';
import { main, together, UsageError } from './lib/report.mjs';

class Checker {
  constructor(document, ignored) {
    this.document = document;
    this.ignored = ignored;
    this.ajv = validator(document);
    this.operations = operations(document);
    // Operations of more literal segments come first: /todo/subscribe before /todo/{id}.
    this.routes = this.operations
      .map((operation) => ({ operation, segments: operation.path.split('/'), pattern: expression(operation.path) }))
      .sort((a, b) => compareSegments(a.segments, b.segments));
    this.prefixes = (document.servers ?? []).map(serverPath).filter((path) => path !== '');
    this.compiled = new Map();
    this.seen = new Set();
    this.answers = new Set();
    this.problem = problemSchema(document, this.operations);
  }

  /** Returns the faults of one exchange. */
  check({ method, path, status, contentType = '', body = '' }) {
    const url = new URL(path, 'http://localhost');
    if (this.ignored.some((prefix) => url.pathname === prefix || url.pathname.startsWith(prefix + '/'))) return [];
    const operation = this.find(method, url.pathname);
    if (operation === undefined) return this.unrouted(method, status, contentType, body);
    this.seen.add(operation.at);
    const faults = status < 400 ? this.parameters(operation, url.searchParams) : [];
    const response = this.response(operation, status);
    if (response === undefined) return [...faults, `status ${status} is not documented`];
    this.answers.add(`${operation.at} ${response.name}`);
    const bodiless = method === 'HEAD' || status === 204 || status === 304;
    if (bodiless) return body === '' ? faults : [...faults, 'there is a body where none may be'];
    return [...faults, ...this.content(response, contentType, body)];
  }

  find(method, pathname) {
    for (const prefix of ['', ...this.prefixes]) {
      if (!pathname.startsWith(prefix + '/')) continue;
      const rest = pathname.slice(prefix.length);
      // As in net/http, HEAD is answered by GET's operation unless it has one of its own.
      for (const wanted of method === 'HEAD' ? ['HEAD', 'GET'] : [method]) {
        const route = this.routes.find((each) => each.operation.method === wanted && each.pattern.test(rest));
        if (route !== undefined) return route.operation;
      }
    }
    return undefined;
  }

  unrouted(method, status, contentType, body) {
    if (method === 'OPTIONS' && status < 400) return [];
    if (status < 400) return ['no operation documents it, but it was accepted'];
    if (method === 'HEAD' || body === '') return [];
    if (mediaType(contentType) !== 'application/problem+json') return [`an error of the type ${contentType || 'none'}`];
    return this.problem === undefined ? [] : this.value(this.problem, body);
  }

  parameters(operation, query) {
    const known = new Set(operation.parameters.filter(({ value }) => value.in === 'query').map(({ value }) => value.name));
    return [...new Set(query.keys())]
      .filter((name) => !known.has(name))
      .map((name) => `the query parameter ${JSON.stringify(name)} was accepted, but is not documented`);
  }

  response(operation, status) {
    for (const name of [String(status), `${Math.floor(status / 100)}XX`, 'default']) {
      const found = resolve(this.document, pointer(operation.at, 'responses', name));
      if (found.value !== undefined) return { name, ...found };
    }
    return undefined;
  }

  content(response, contentType, body) {
    const content = Object.keys(response.value.content ?? {});
    if (content.length === 0) return body === '' ? [] : [`there is a body, but none is documented`];
    const type = mediaType(contentType);
    const documented = content.find((range) => covers(mediaType(range), type));
    if (documented === undefined) return [`the content type ${contentType || 'none'} is not documented; want ${content.join(' or ')}`];
    const schema = pointer(response.at, 'content', documented, 'schema');
    if (!isJSON(type) || resolve(this.document, schema).value === undefined) return [];
    return this.value(schema, body);
  }

  value(schema, body) {
    let value;
    try {
      value = JSON.parse(body);
    } catch (error) {
      return [`the body is not JSON: ${error.message}`];
    }
    let validate = this.compiled.get(schema);
    if (validate === undefined) {
      validate = compile(this.ajv, schema);
      this.compiled.set(schema, validate);
    }
    if (validate(value)) return [];
    return validate.errors.map((error) => `body${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`);
  }

  /** Says how much of the document the exchanges reached. */
  coverage() {
    const missed = this.operations.filter((operation) => !this.seen.has(operation.at));
    const names = missed.map((operation) => `${operation.method} ${operation.path}`).join(', ');
    const operationsSeen = `${this.seen.size} of ${this.operations.length} operations`;
    return `${operationsSeen}, ${this.answers.size} answers${names === '' ? '' : `, never asked: ${names}`}`;
  }
}

function expression(path) {
  const quoted = path.split(/\{[^}]*\}/).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${quoted.join('[^/]+')}$`);
}

/** Orders literal segments before templates, from the left. */
function compareSegments(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = Number(a[i].includes('{')) - Number(b[i].includes('{'));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function serverPath(server) {
  return new URL(server.url, 'http://localhost').pathname.replace(/\/$/, '');
}

function mediaType(contentType) {
  return contentType.split(';')[0].trim().toLowerCase();
}

function covers(range, type) {
  if (range === '*/*' || range === type) return true;
  return range.endsWith('/*') && type.startsWith(range.slice(0, -1));
}

function isJSON(type) {
  return type === 'application/json' || type.endsWith('+json');
}

/** The schema of the document's problems: what errors must fit where no operation answers. */
function problemSchema(document, all) {
  for (const operation of all) {
    const responses = document.paths[operation.path][operation.method.toLowerCase()].responses ?? {};
    for (const status of Object.keys(responses)) {
      const { value, at } = resolve(document, pointer(operation.at, 'responses', status));
      if (value?.content?.['application/problem+json']?.schema) return pointer(at, 'content', 'application/problem+json', 'schema');
    }
  }
  return undefined;
}

function arguments_() {
  const { values, positionals } = parseArgs({
    options: { ignore: { type: 'string', multiple: true, default: [] } },
    allowPositionals: true,
  });
  if (positionals.length === 0 || positionals.length % 2 !== 0) throw new UsageError();
  return { ignored: values.ignore, positionals };
}

async function replay(ignored, from, recorded) {
  const checker = new Checker(await load(from), ignored);
  const faults = [];
  let line = 0;
  let count = 0;
  for await (const text of createInterface({ input: createReadStream(recorded), crlfDelay: Infinity })) {
    line++;
    if (text.trim() === '') continue;
    count++;
    const exchange = JSON.parse(text);
    const about = `${recorded}:${line}: ${exchange.method} ${exchange.path} ${exchange.status}`;
    faults.push(...checker.check(exchange).map((fault) => `${about}: ${fault}`));
  }
  // A recording that stayed empty has shown nothing.
  if (count === 0) faults.push(`${recorded}: there is no exchange in it`);
  return { checked: `${recorded}: ${count} exchanges, ${checker.coverage()}`, faults };
}

await main('node responses.mjs [--ignore /path]… (openapi.json exchanges.ndjson)…', async () => {
  const { ignored, positionals } = arguments_();
  const results = [];
  for (let i = 0; i < positionals.length; i += 2) results.push(await replay(ignored, positionals[i], positionals[i + 1]));
  return together(results);
});
