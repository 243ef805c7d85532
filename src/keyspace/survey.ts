/**
 * Reads a whole state, key by key, and says what is in it: the exact number of keys per logical database, how many of
 * them have an expiry, and one digest over all keys and values in key order. Two states with the same content have the same digest, however their
 * tables are laid out: expiry index and reserved key are left out. Where databases were swapped, the record that says so
 * is part of the content.
 *
 * digest = SHA-256 over, for that record and then each main record in key order: u32le key length, u32le value length,
 *          key, value
 */
import { createHash } from 'node:crypto';
import { CairnError } from '../base/errors.js';
import type { Database } from '../engine/types.js';
import { type DatabaseMap, loadDatabaseMap } from './database-map.js';
import { countExpiries } from './expiry-counts.js';
import { DATABASES, DATABASES_KEY, nativeLayout, STATE_KEY } from './layout.js';
import type { KeyspaceKind, Position } from './port.js';
import { decodeState } from './state-record.js';
import { carriesExpiry } from './value.js';

export interface Survey {
  keyCounts: number[];
  expiryCounts: number[];
  /** Lower-case hex. */
  digest: string;
}

const BLOCK_BYTES = 1 << 20;

/** Reads everything; bytes read are reported as they come. */
export async function survey(
  database: Database,
  kind: KeyspaceKind,
  onProgress: (bytes: number) => void = () => {},
): Promise<Survey> {
  const hash = createHash('sha256');
  const map = await loadDatabaseMap(database, kind);
  const record = map.encode();
  if (record !== null) hash.update(entry(DATABASES_KEY, record));
  const keyCounts = new Array<number>(kind === 'native' ? DATABASES : 1).fill(0);
  const expiryCounts = keyCounts.slice();
  const last = nativeLayout.range(DATABASES - 1, Buffer.alloc(0)).lt;
  const bounds =
    kind === 'native'
      ? {
          gte: nativeLayout.mainKey(0, Buffer.alloc(0)),
          ...(last === undefined ? {} : { lt: last }),
        }
      : {};
  const blocks = database.iterate({
    ...bounds,
    blockBytes: BLOCK_BYTES,
    bypassCache: true,
  });
  try {
    for (let block = await blocks.next(); block !== null; block = await blocks.next()) {
      hash.update(block);
      countKeys(block, kind, map, { keyCounts, expiryCounts });
      onProgress(block.length);
    }
  } finally {
    await blocks.close();
  }
  return { keyCounts, expiryCounts, digest: hash.digest('hex') };
}

/** As blocks have it. */
function entry(key: Buffer, value: Buffer): Buffer {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(key.length, 0);
  lengths.writeUInt32LE(value.length, 4);
  return Buffer.concat([lengths, key, value]);
}

function countKeys(
  block: Buffer,
  kind: KeyspaceKind,
  map: DatabaseMap,
  { keyCounts, expiryCounts }: Omit<Survey, 'digest'>,
): void {
  let offset = 0;
  while (offset < block.length) {
    const keyLength = block.readUInt32LE(offset);
    const valueLength = block.readUInt32LE(offset + 4);
    const database = kind === 'native' ? map.databaseIn(block[offset + 9] ?? 0) : 0;
    keyCounts[database] = (keyCounts[database] ?? 0) + 1;
    if (kind === 'native' && valueLength > 0 && carriesExpiry(block, offset + 8 + keyLength)) {
      expiryCounts[database] = (expiryCounts[database] ?? 0) + 1;
    }
    offset += 8 + keyLength + valueLength;
  }
}

/** Where a database that is not being served says it is; null for a raw one, which has no reserved key. */
export async function readPosition(database: Database, kind: KeyspaceKind): Promise<Position | null> {
  if (kind === 'raw') return null;
  const record = await database.get(STATE_KEY);
  const sequence = database.latestSequence();
  if (record === undefined) {
    if (sequence > 0)
      throw new CairnError(
        'BACKUPVERIFY',
        `the database ${database.path} has ${sequence} changes but no state record`,
        {
          details: { kind: 'stateless' },
        },
      );
    return {
      sequence,
      timeline: 1,
      lastCommitUs: 0,
      commitCount: 0,
      keyCounts: new Array<number>(DATABASES).fill(0),
      expiryCounts: new Array<number>(DATABASES).fill(0),
    };
  }
  return { sequence, ...decodeState(record, DATABASES) };
}

/**
 * The counts of keys with an expiry, for whoever is about to exchange the database for the one that is served; null: its
 * state says them.
 */
export async function countUnsaidExpiries(database: Database, kind: KeyspaceKind): Promise<number[] | null> {
  const position = await readPosition(database, kind);
  if (position === null || position.expiryCounts !== null) return null;
  return countExpiries(database, kind);
}
