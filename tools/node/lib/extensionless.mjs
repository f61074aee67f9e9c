// dt-sql-parser is published for bundlers: its modules import each other without a file's ending. This hook of Node's
// module loader adds it.

/** Resolves a relative import from within dt-sql-parser. */
export async function resolve(specifier, context, next) {
  const inside = context.parentURL?.includes('/node_modules/dt-sql-parser/') && specifier.startsWith('.');
  if (!inside || specifier.endsWith('.js')) return next(specifier, context);
  try {
    return await next(specifier + '.js', context);
  } catch {
    return next(specifier + '/index.js', context);
  }
}
