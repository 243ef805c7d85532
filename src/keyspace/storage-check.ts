/** Whether the storage takes writes again after it did not: RocksDB is told to go on, then one write goes all the way. */
import { setTimeout as delay } from 'node:timers/promises';
import { CairnError } from '../base/errors.js';
import { BatchBuilder } from '../engine/index.js';
import type { Database } from '../engine/types.js';
import { encodeState, type State } from './state-record.js';

/** How long RocksDB's own attempt to go on is waited for. */
const RESUME_PATIENCE_MS = 12_000;
const RESUME_RETRY_MS = 50;

/** Throws what the storage says. `state` is what the state record says if there is none yet. */
export async function checkWrites(
  database: Database,
  stateKey: Buffer | null,
  state: Readonly<State>,
  failedBefore: boolean,
): Promise<void> {
  if (failedBefore) await resume(database);
  if (stateKey !== null) await writeStateAgain(database, stateKey, state);
  await database.syncWal();
}

/**
 * Leaves RocksDB's background error state. After a full disk RocksDB looks for space by itself, every five seconds, and
 * is busy to others until it found as much as a write buffer holds.
 */
async function resume(database: Database): Promise<void> {
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

/** The reserved key as it is: this takes the way that commits take, and changes nothing. */
async function writeStateAgain(database: Database, stateKey: Buffer, state: Readonly<State>): Promise<void> {
  const stored = await database.get(stateKey);
  const batch = new BatchBuilder();
  batch.put(stateKey, stored ?? encodeState(state));
  await database.write(batch.finish(), { sync: true });
}
