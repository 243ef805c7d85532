/** Makes the storage take writes again after one failed. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CairnError } from '../base/errors.js';
import { freeBytes, removeFile, TEMPORARY_PREFIX, writeNewFile } from '../base/fs.js';
import type { Database } from '../engine/types.js';

/** How long RocksDB's own attempt to go on is waited for. */
const RESUME_PATIENCE_MS = 12_000;
const RESUME_RETRY_MS = 50;
/** What opening a database writes besides its memtables: MANIFEST, OPTIONS, LOG, the first block of a log. */
const OPENING_BYTES = 8 << 20;

/**
 * Leaves RocksDB's background error state. Throws what the storage says. After a full disk RocksDB looks for space by
 * itself, every five seconds, and is busy to others until it found as much as a write buffer holds.
 */
export async function resumeStorage(database: Database): Promise<void> {
  const deadline = performance.now() + RESUME_PATIENCE_MS;
  for (;;) {
    try {
      return await database.resume();
    } catch (error) {
      const busy = error instanceof CairnError && error.details.kind === 'busy';
      if (!busy) throw error;
      if (performance.now() > deadline) throw new CairnError('NOSPACE', 'RocksDB found too little free space to go on');
      await delay(RESUME_RETRY_MS);
    }
  }
}

/** Throws what the file system says to a file that is written, synced and removed: the database is not closed for nothing. */
export async function requireWritable(directory: string): Promise<void> {
  const path = join(directory, `${TEMPORARY_PREFIX}probe`);
  await removeFile(path); // of a process that was killed here
  try {
    await writeNewFile(path, Buffer.alloc(4096));
  } finally {
    await removeFile(path);
  }
}

/** NOSPACE, and nothing is closed, where the disk has no room for what opening `database` anew would write. */
export async function requireRoomToReopen(database: Database): Promise<void> {
  const unflushed = Number(database.property('rocksdb.cur-size-all-mem-tables') ?? 0);
  const needed = OPENING_BYTES + unflushed;
  const free = await freeBytes(database.path);
  if (free >= needed) return;
  throw new CairnError('NOSPACE', `opening the database anew needs ${needed} bytes, ${free} are free`, {
    hint: 'Make room on the disk of the data, then ADMIN.READONLY OFF.',
    details: { path: database.path, needed, free },
  });
}
