// MySQL that the grammar does not know is put into words that it knows, at the same place in the file.

// Strings, quoted identifiers and comments, in which nothing is changed, and what is looked for.
const tokens = new RegExp(
  [
    /'(?:[^'\\]|\\[^]|'')*'/,
    /"(?:[^"\\]|\\[^]|"")*"/,
    /`(?:[^`]|``)*`/,
    /\/\*[^]*?\*\//,
    /#[^\n]*/,
    /--(?:[ \t][^\n]*)?(?=\n|$)/,
    /(?<placeholder>\?)/,
    /(?<defaults>\(\s*\)\s*VALUES\s*\(\s*\))/,
  ]
    .map((part) => part.source)
    .join('|'),
  'gi',
);

/**
 * Replaces placeholders (a number stands wherever a prepared statement takes one) and the empty lists of
 * INSERT INTO t () VALUES (). Line numbers stay.
 */
export function mask(sql) {
  return sql.replace(tokens, (text, ...rest) => {
    const { placeholder, defaults } = rest.at(-1);
    if (placeholder !== undefined) return '1';
    if (defaults === undefined) return text;
    return defaults.replace(/\(/, '(a').replace(/\((?=[^(]*$)/, '(1');
  });
}
