// Generates TypeScript types from an OpenAPI document and compiles them with the strictest settings.
//
//   node tools/node/types.mjs openapi.json out.ts
import { readFile, writeFile } from 'node:fs/promises';
import { isAbsolute, relative } from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { main, UsageError } from './lib/report.mjs';

function compile(file) {
  const program = ts.createProgram([file], {
    strict: true,
    noEmit: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
  });
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n');
    if (diagnostic.file === undefined) return text;
    const { line } = diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
    const name = diagnostic.file.fileName;
    return `${isAbsolute(name) ? relative(process.cwd(), name) : name}:${line + 1}: ${text}`;
  });
}

await main('node types.mjs openapi.json out.ts', async ([from, to, ...more]) => {
  if (to === undefined || more.length > 0) throw new UsageError();
  const source = await readFile(from, 'utf8');
  let types;
  try {
    types = astToString(await openapiTS(JSON.parse(source), { silent: true }));
  } catch (error) {
    return { checked: from, faults: [`${from}: ${error.message}`] };
  }
  await writeFile(to, types);
  return { checked: `${to}: ${types.split('\n').length} lines of types of ${from}, tsc --strict`, faults: compile(to) };
});
