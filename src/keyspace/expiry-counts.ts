/**
 * How many keys have an expiry, where nobody kept count: states that were written before the state record said it. They
 * are counted once, before the database is served; the next commit writes it down.
 *
 * Each entry of the expiry index is looked up: one that stands for no key counts for nothing (docs/keyspace.md). Where
 * few keys expire that reads little of a large database.
 */
import { decodeBlock } from '../engine/index.js';
import type { Database } from '../engine/types.js';
import { type DatabaseMap, loadDatabaseMap } from './database-map.js';
import { DATABASES, type ExpiryIndex, nativeLayout } from './layout.js';
import type { KeyspaceKind } from './port.js';
import type { RecordedState, State } from './state-record.js';
import { carriesExpiry } from './value.js';

/** Whole records that are in memory at once, some more than twice: few, since each may be large. */
const LOOKED_UP_AT_ONCE = 8;

/** The state with its expiry counts, counted where it does not have them. Nobody may write meanwhile. */
export async function withExpiryCounts(database: Database, kind: KeyspaceKind, state: RecordedState): Promise<State> {
  return { ...state, expiryCounts: state.expiryCounts ?? (await countExpiries(database, kind)) };
}

/** By database. */
export async function countExpiries(database: Database, kind: KeyspaceKind): Promise<number[]> {
  const index = nativeLayout.expiryIndex;
  if (kind === 'raw' || index === null) return [0];
  const map = await loadDatabaseMap(database, kind);
  const counts = new Array<number>(DATABASES).fill(0);
  for (let slot = 0; slot < DATABASES; slot += 1) await countSlot(database, index, map, slot, counts);
  return counts;
}

async function countSlot(
  database: Database,
  index: ExpiryIndex,
  map: DatabaseMap,
  slot: number,
  counts: number[],
): Promise<void> {
  const at = map.databaseIn(slot);
  const blocks = database.iterate({
    ...index.range(slot, 0),
    values: false,
    blockEntries: LOOKED_UP_AT_ONCE,
    bypassCache: true,
  });
  try {
    for (let block = await blocks.next(); block !== null; block = await blocks.next()) {
      const entries = [...decodeBlock(block)].map(({ key }) => key);
      const records = await database.multiGet(entries.map((key) => nativeLayout.mainKey(slot, index.parse(key).key)));
      counts[at] = (counts[at] ?? 0) + records.filter((record, i) => isOf(entries[i] as Buffer, record)).length;
    }
  } finally {
    await blocks.close();
  }
}

/** Both have the expiry as the same eight bytes. */
function isOf(indexKey: Buffer, record: Buffer | undefined): boolean {
  if (record === undefined || !carriesExpiry(record)) return false;
  return indexKey.subarray(2, 10).equals(record.subarray(1, 9));
}
