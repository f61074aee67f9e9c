// How every check ends: one line on what it looked at, or its faults and a non-zero exit.

/** A mistake in how the check was called, told apart from faults in what it checked. */
export class UsageError extends Error {}

/** Makes one result of several. */
export function together(results) {
  return { checked: results.map(({ checked }) => checked).join('\n'), faults: results.flatMap(({ faults }) => faults) };
}

/**
 * Runs a check and exits: 0 without faults, 1 with them, 2 when it could not run.
 *
 * @param {string} usage shown when the arguments are wrong
 * @param {(args: string[]) => Promise<{checked: string, faults: string[]}>} check
 */
export async function main(usage, check) {
  try {
    const { checked, faults } = await check(process.argv.slice(2));
    for (const fault of faults) console.error(fault);
    console.log(faults.length === 0 ? `${checked}: no fault` : `${checked}: ${faults.length} faults`);
    process.exitCode = faults.length === 0 ? 0 : 1;
  } catch (error) {
    console.error(error instanceof UsageError ? `usage: ${usage}` : error);
    process.exitCode = 2;
  }
}
