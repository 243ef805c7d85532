/** Sizes of many files with one call into the pool; nothing in it is about a database. */
import { loadAddon } from './addon.js';

const NUL = '\0';

/**
 * In bytes, in the order of the paths: -1 for a directory, NaN for what is missing, not a regular file (a link, which is not
 * followed) or cannot be looked at. Paths have no NUL.
 */
export function fileSizes(paths: readonly string[]): Promise<Float64Array> {
  return loadAddon().fileSizes(Buffer.from(paths.map((path) => path + NUL).join('')));
}
