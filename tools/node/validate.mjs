// Checks an OpenAPI 3.1 document three ways: against the specification's own JSON Schema, by the rules of a linter,
// and by compiling each of its schemas strictly.
//
//   node tools/node/validate.mjs openapi.json…
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { compile, load, operations, schemas, validator } from './lib/document.mjs';
import { main, together, UsageError } from './lib/report.mjs';

// The linter's rules that are about right and wrong. Those about taste are left out.
const rules = [
  'no-enum-type-mismatch',
  'no-example-value-and-externalValue',
  'no-identical-paths',
  'no-invalid-media-type-examples',
  'no-invalid-parameter-examples',
  'no-invalid-schema-examples',
  'no-path-trailing-slash',
  'no-required-schema-properties-undefined',
  'no-schema-type-mismatch',
  'no-server-trailing-slash',
  'no-undefined-server-variable',
  'no-unresolved-refs',
  'no-unused-components',
  'operation-2xx-response',
  'operation-operationId',
  'operation-operationId-unique',
  'operation-operationId-url-safe',
  'operation-parameters-unique',
  'path-declaration-must-exist',
  'path-not-include-query',
  'path-parameters-defined',
  'spec-components-invalid-map-name',
  'struct',
];

async function bySpecification(document) {
  const result = await new Validator().validate(structuredClone(document));
  if (result.valid) return [];
  const errors = Array.isArray(result.errors) ? result.errors : [{ instancePath: '', message: String(result.errors) }];
  return errors.map((error) => `specification: ${error.instancePath || '/'}: ${error.message}`);
}

async function byLinter(document) {
  const config = await createConfig({ rules: Object.fromEntries(rules.map((rule) => [rule, 'error'])) });
  const problems = await lintFromString({ source: JSON.stringify(document), absoluteRef: 'openapi.json', config });
  return problems.map((problem) => `${problem.ruleId}: ${problem.location[0]?.pointer ?? '/'}: ${problem.message}`);
}

function byCompiling(document) {
  const faults = [];
  const ajv = validator(document);
  for (const at of schemas(document)) {
    try {
      compile(ajv, at);
    } catch (error) {
      faults.push(`schema: ${at}: ${error.message}`);
    }
  }
  return faults;
}

function bySecurity(document) {
  const known = new Set(Object.keys(document.components?.securitySchemes ?? {}));
  const named = [['/', document.security ?? []]];
  for (const operation of operations(document)) {
    named.push([operation.at, document.paths[operation.path][operation.method.toLowerCase()].security ?? []]);
  }
  return named.flatMap(([at, requirements]) =>
    requirements.flatMap((requirement) =>
      Object.keys(requirement)
        .filter((name) => !known.has(name))
        .map((name) => `security: ${at}: no security scheme is named ${name}`),
    ),
  );
}

async function validate(file) {
  const document = await load(file);
  const checked = `${file}: OpenAPI ${document.openapi}, ${operations(document).length} operations, ${schemas(document).length} schemas`;
  if (!/^3\.1\./.test(document.openapi)) return { checked, faults: [`specification: /openapi: want 3.1.x`] };
  const faults = [...(await bySpecification(document)), ...(await byLinter(document))];
  // What does not even have an OpenAPI document's shape cannot be walked as one.
  if (faults.length === 0) faults.push(...byCompiling(document), ...bySecurity(document));
  return { checked, faults };
}

await main('node validate.mjs openapi.json…', async (files) => {
  if (files.length === 0) throw new UsageError();
  const results = [];
  for (const file of files) results.push(await validate(file));
  return together(results);
});
