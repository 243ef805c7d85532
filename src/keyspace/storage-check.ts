/** Leaves RocksDB's background error state, so that writes can be tried again after one failed. */
import { setTimeout as delay } from 'node:timers/promises';
import { CairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';

/** How long RocksDB's own attempt to go on is waited for. */
const RESUME_PATIENCE_MS = 12_000;
const RESUME_RETRY_MS = 50;

/**
 * Throws what the storage says. After a full disk RocksDB looks for space by itself, every five seconds, and is busy
 * to others until it found as much as a write buffer holds.
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
