/**
 * The SHA-256 of tables that RocksDB does not know one for (those of an adopted directory). A table never changes
 * under its inode, so device, inode, size and times identify it: a name that is used again after a restore is another
 * inode. Kept in memory: after a restart such tables are read once more, until a compaction has rewritten them.
 */
import { stat } from 'node:fs/promises';

const MAX_ENTRIES = 100_000;

export class TableHashes {
  readonly #known = new Map<string, string>();

  async get(path: string): Promise<string | null> {
    return this.#known.get(await identity(path)) ?? null;
  }

  async set(path: string, sha256: string): Promise<void> {
    if (this.#known.size >= MAX_ENTRIES) this.#known.clear();
    this.#known.set(await identity(path), sha256);
  }
}

async function identity(path: string): Promise<string> {
  const status = await stat(path, { bigint: true });
  return [status.dev, status.ino, status.size, status.mtimeNs].join(':');
}
