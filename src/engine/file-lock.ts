/**
 * An operating-system lock on a file (fcntl, through RocksDB's environment): it goes with the process, however that
 * ends, and is refused to the same process too. The file itself stays.
 */
import { lstatSync, type Stats } from 'node:fs';
import { CairnError, toCairnError } from '../base/errors.js';
import { loadAddon } from './addon.js';
import { engineError } from './status.js';
import type { FileLock } from './types.js';

/** Creates the file if need be. Held elsewhere: MISCONF with details.kind 'locked'. */
export function acquireFileLock(path: string): FileLock {
  const addon = loadAddon();
  requireOwnFile(path);
  let lock: unknown;
  try {
    lock = addon.lockFile(path);
  } catch (thrown) {
    throw engineError(thrown, `cannot lock ${path}`, path);
  }
  return { release: () => addon.unlockFile(lock) };
}

/**
 * RocksDB would follow a link, and make what a dangling one points to: a hostile repository could have files made anywhere.
 * The file is not opened to look at it: closing it would give up a lock that this process has on it.
 */
function requireOwnFile(path: string): void {
  let status: Stats | undefined;
  try {
    status = lstatSync(path, { throwIfNoEntry: false });
  } catch (thrown) {
    throw toCairnError(thrown, 'MISCONF', `cannot lock ${path}`);
  }
  if (status === undefined || status.isFile()) return;
  throw new CairnError('ERR', `cannot lock ${path}: it is not a regular file`, {
    hint: 'It is not what Cairn made there: remove it.',
    details: { path },
  });
}
