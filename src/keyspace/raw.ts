/**
 * Raw keyspaces: a foreign RocksDB directory as it is. Every key is a string in database 0, nothing expires, nothing of
 * ours is written into it. Where the state stands is kept in a file beside it:
 *
 *   {"version":1,"directory":"db-000001","sequence":812,"lastCommitUs":…,"timeline":1,"commitCount":40,"keyCount":97}
 *
 * It is written at every cut and at close, and counts only for the directory and sequence that it names. After a crash
 * the commits since then are in the WAL, each with its mark, and the keys are counted anew by one scan.
 */
import { basename } from 'node:path';
import { CairnError } from '../base/errors.js';
import { atomicWriteFile, ignoreMissing, readFileBounded } from '../base/fs.js';
import { splitBatch, visitBlock } from '../engine/index.js';
import { type Database, NO_PREFIX } from '../engine/types.js';
import { decodeCommitMark } from './commit-mark.js';
import { type Layout, requireKeyLength, successor } from './layout.js';
import { emptyState, type State } from './state-record.js';

const EMPTY = Buffer.alloc(0);

export const rawLayout: Layout = {
  kind: 'raw',
  databases: 1,
  stateKey: null,
  databasesKey: null,
  mainKey(slot, key) {
    this.mainKeyPrefix(slot, key);
    return key;
  },
  mainKeyPrefix(slot, key) {
    if (slot !== 0) throw new CairnError('ERR', 'DB index is out of range');
    requireKeyLength(key);
    return NO_PREFIX;
  },
  slotOf: () => 0,
  userKey: (mainKey) => mainKey,
  range(_slot, prefix) {
    const lt = successor(prefix);
    return lt === null ? { gte: prefix } : { gte: prefix, lt };
  },
  encode(value) {
    if (value.expiresAtMs !== null) {
      throw new CairnError('ERR', 'keys do not expire in a raw keyspace', {
        hint: 'It serves the records of another program as they are, which leaves no room for an expiry.',
      });
    }
    // A copy: the command's bytes may be a slice of what the connection read.
    return Buffer.from(value.bytes);
  },
  decode: (record) => ({ type: 'string', bytes: record, expiresAtMs: null }),
  expiryOf: () => null,
  typeOf: () => 'string',
  expiryIndex: null,
  flushRanges(_slot, last) {
    const highest = last();
    return highest === null ? [] : [[EMPTY, Buffer.concat([highest, Buffer.of(0)])]];
  },
};

interface RawStateDocument extends Omit<State, 'keyCounts' | 'expiryCounts'> {
  version: 1;
  directory: string;
  sequence: number;
  keyCount: number;
}

const MAX_FILE_BYTES = 64 << 10;

/** The state at the last cut or close, or as far as it can be told from the WAL and by counting. */
export async function loadRawState(database: Database, path: string, timeline: number): Promise<State> {
  const stored = await readDocument(path, basename(database.path));
  const state = emptyState(timeline, 1);
  if (stored !== null) {
    state.lastCommitUs = stored.lastCommitUs;
    state.commitCount = stored.commitCount;
  }
  const sequence = database.latestSequence();
  if (stored !== null && stored.sequence === sequence) {
    state.keyCounts[0] = stored.keyCount;
    return state;
  }
  if (sequence > (stored?.sequence ?? 0)) await addCommitsOfWal(database, (stored?.sequence ?? 0) + 1, state);
  state.keyCounts[0] = await countKeys(database);
  return state;
}

export async function saveRawState(database: Database, path: string, state: Readonly<State>): Promise<void> {
  const document: RawStateDocument = {
    version: 1,
    directory: basename(database.path),
    sequence: database.latestSequence(),
    lastCommitUs: state.lastCommitUs,
    timeline: state.timeline,
    commitCount: state.commitCount,
    keyCount: state.keyCounts[0] ?? 0,
  };
  await atomicWriteFile(path, Buffer.from(`${JSON.stringify(document)}\n`));
}

/** null: there is none that counts for this directory. */
async function readDocument(path: string, directory: string): Promise<RawStateDocument | null> {
  const bytes = await ignoreMissing(readFileBounded(path, MAX_FILE_BYTES));
  if (bytes === undefined) return null;
  try {
    const document = JSON.parse(bytes.toString('utf8')) as Partial<RawStateDocument>;
    const numbers = [document.sequence, document.lastCommitUs, document.commitCount, document.keyCount];
    const sound = document.version === 1 && document.directory === directory && numbers.every(Number.isSafeInteger);
    return sound ? (document as RawStateDocument) : null;
  } catch {
    // Not JSON: what it said is found by counting, as if it were not there.
    return null;
  }
}

/** Commits that the file does not know. What is no longer in the WAL cannot be told; the clock's floor covers its times. */
async function addCommitsOfWal(database: Database, from: number, state: State): Promise<void> {
  const reader = database.updatesSince(from);
  try {
    for (let batches = await reader.next(1 << 20); batches.length > 0; batches = await reader.next(1 << 20)) {
      for (const batch of batches) {
        for (const part of splitBatch(batch.rep)) {
          const mark = part.logData === null ? null : decodeCommitMark(part.logData);
          if (mark === null || batch.sequence + part.sequenceOffset < from) continue;
          state.commitCount += 1;
          state.lastCommitUs = Math.max(state.lastCommitUs, mark.timeUs);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    // WALGAP, or a record that only a foreign writer makes: these commits were not ours, or are not in the log.
  } finally {
    await reader.close();
  }
}

async function countKeys(database: Database): Promise<number> {
  let count = 0;
  const blocks = database.iterate({ values: false, blockBytes: 1 << 20 });
  try {
    for (let block = await blocks.next(); block !== null; block = await blocks.next()) {
      visitBlock(block, () => {
        count += 1;
        return undefined;
      });
    }
  } finally {
    await blocks.close();
  }
  return count;
}
