/**
 * The reserved key's value: where a state stands. Every write group ends with it, so live, checkpointed, restored and
 * half-replayed states can all say it themselves. RocksDB's own checksums protect it.
 *
 *   offset  bytes
 *   0       1      version: 3, or 4 while a database is in another slot than its own (database-map.ts), so that a
 *                  version that knows no slots does not serve it. 1 and 2 are the same without the last counts: nobody
 *                  counted then
 *   1       8      commit time of the last commit, µs, big endian; 0: there was none
 *   9       4      timeline, big endian
 *   13      8      commits since the database began, big endian
 *   21      1      n: how many counts follow of each kind (databases after the last one that has keys are left out)
 *   22      8 n    exact number of keys of database 0 … n-1, big endian
 *   22+8n   8 n    how many of them have an expiry
 */
import { CairnError } from '../base/errors.js';
import { readU64, writeU64 } from './u64.js';

export interface State {
  lastCommitUs: number;
  timeline: number;
  commitCount: number;
  /** By database. */
  keyCounts: number[];
  /** By database: how many of its keys have an expiry. */
  expiryCounts: number[];
}

/** As a record has it. */
export interface RecordedState extends Omit<State, 'expiryCounts'> {
  /** null: an older version wrote it, and did not count. */
  expiryCounts: number[] | null;
}

/** The version without and with expiry counts; each is one higher while databases are swapped. */
const UNCOUNTED = 1;
const COUNTED = 3;
const NEWEST = 4;
const HEADER = 22;

export function emptyState(timeline: number, databases: number): State {
  return {
    lastCommitUs: 0,
    timeline,
    commitCount: 0,
    keyCounts: new Array<number>(databases).fill(0),
    expiryCounts: new Array<number>(databases).fill(0),
  };
}

export function cloneState(state: State): State {
  return { ...state, keyCounts: state.keyCounts.slice(), expiryCounts: state.expiryCounts.slice() };
}

/** swapped: the database has a record that says which slots the databases are in. */
export function encodeState(state: RecordedState, swapped = false): Buffer {
  const { keyCounts, expiryCounts } = state;
  let n = keyCounts.length;
  while (n > 0 && keyCounts[n - 1] === 0 && (expiryCounts?.[n - 1] ?? 0) === 0) n -= 1;
  const record = Buffer.allocUnsafe(HEADER + (expiryCounts === null ? 8 : 16) * n);
  record[0] = (expiryCounts === null ? UNCOUNTED : COUNTED) + (swapped ? 1 : 0);
  writeU64(record, 1, state.lastCommitUs);
  record.writeUInt32BE(state.timeline, 9);
  writeU64(record, 13, state.commitCount);
  record[21] = n;
  for (let i = 0; i < n; i += 1) {
    writeU64(record, HEADER + 8 * i, keyCounts[i] as number);
    if (expiryCounts !== null) writeU64(record, HEADER + 8 * (n + i), expiryCounts[i] as number);
  }
  return record;
}

export function decodeState(record: Buffer, databases: number): RecordedState {
  const n = record[21];
  const version = record[0] ?? 0;
  const known = version >= UNCOUNTED && version <= NEWEST;
  const counted = version >= COUNTED;
  if (!known || n === undefined || n > databases || record.length !== HEADER + (counted ? 16 : 8) * n) {
    throw new CairnError(
      'MISCONF',
      `the state record of the database is not of a known form (${record.length} bytes)`,
      {
        hint: 'It was written by a newer version; serve the directory with that one.',
      },
    );
  }
  const state = emptyState(record.readUInt32BE(9), databases);
  state.lastCommitUs = readU64(record, 1);
  state.commitCount = readU64(record, 13);
  for (let i = 0; i < n; i += 1) {
    state.keyCounts[i] = readU64(record, HEADER + 8 * i);
    if (counted) state.expiryCounts[i] = readU64(record, HEADER + 8 * (n + i));
  }
  return counted ? state : { ...state, expiryCounts: null };
}
