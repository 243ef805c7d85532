/** Opening a database: read-write, read-only, or as a secondary of one that another process has open. */
import { loadAddon, type NativeOpenOptions } from './addon.js';
import { RocksDatabase } from './database.js';
import { engineError } from './status.js';
import type { Database, OpenOptions } from './types.js';

/** Opens `path`. Locked, missing, damaged: a CairnError whose details.kind says which (status.ts). */
export function openDatabase(path: string, options: OpenOptions = {}): Promise<Database> {
  return open(path, nativeOptions(path, options));
}

/**
 * Follows a database that another process owns. `privatePath` is a directory of the secondary's own, for its log.
 * It sees what the primary had written when it opened, or last caught up.
 */
export function openSecondary(path: string, privatePath: string, options: OpenOptions = {}): Promise<RocksDatabase> {
  return open(path, {
    ...nativeOptions(path, options),
    secondaryPath: privatePath,
  });
}

async function open(path: string, options: NativeOpenOptions): Promise<RocksDatabase> {
  try {
    return new RocksDatabase(await loadAddon().open(options), path);
  } catch (thrown) {
    throw engineError(thrown, `cannot open ${path}`, path);
  }
}

function nativeOptions(path: string, options: OpenOptions): NativeOpenOptions {
  const { walTtlSeconds, ...rest } = options;
  return {
    ...rest,
    path,
    keepWal: walTtlSeconds === 'forever',
    ...(typeof walTtlSeconds === 'number' ? { walTtlSeconds } : {}),
  };
}
