/**
 * An operating-system lock on a file (fcntl, through RocksDB's environment): it goes with the process, however that
 * ends, and is refused to the same process too. The file itself stays.
 */
import { loadAddon } from './addon.js';
import { engineError } from './status.js';
import type { FileLock } from './types.js';

/** Creates the file if need be. Held elsewhere: MISCONF with details.kind 'locked'. */
export function acquireFileLock(path: string): FileLock {
  const addon = loadAddon();
  let lock: unknown;
  try {
    lock = addon.lockFile(path);
  } catch (thrown) {
    throw engineError(thrown, `cannot lock ${path}`, path);
  }
  return { release: () => addon.unlockFile(lock) };
}
