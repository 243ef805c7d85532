/** Commits as the keyspace writes them, and what the addon makes of them. */
import { createHash } from 'node:crypto';
import { BatchBuilder } from '../../../src/engine/index.js';
import type {
  CommitMarkShape,
  CommitReader,
  CommitReaderOptions,
  Database,
  FramedCommits,
} from '../../../src/engine/types.js';
import { COMMIT_MARK_BYTES, encodeCommitMark } from '../../../src/keyspace/commit-mark.js';

export const TIMELINE = 3;
export const START_US = 1_700_000_000_000_000;
export const EVERYTHING = Number.MAX_SAFE_INTEGER;

export const MARK: CommitMarkShape = {
  prefix: encodeCommitMark(0, 0).subarray(0, 2),
  bytes: COMMIT_MARK_BYTES,
  timeOffset: 2,
  timelineOffset: 10,
};

export type Change = { put: [string, string] } | { delete: string } | { deleteRange: [string, string] };

/** timeUs null: somebody else's write, which has no mark. */
export interface TestCommit {
  timeUs: number | null;
  changes: Change[];
}

export function anchor(timeline = TIMELINE, sequence = 0): Buffer {
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32LE(timeline, 0);
  numbers.writeBigUInt64LE(BigInt(sequence), 4);
  return createHash('sha256').update('cairn chain').update(numbers).digest();
}

/** One write group; only its first commit can be without a mark. */
export function writeGroup(db: Database, commits: TestCommit[], timeline = TIMELINE): Promise<void> {
  const batch = new BatchBuilder();
  for (const { timeUs, changes } of commits) {
    if (timeUs !== null) batch.logData(encodeCommitMark(timeUs, timeline));
    for (const change of changes) {
      if ('put' in change) batch.put(Buffer.from(change.put[0]), Buffer.from(change.put[1]));
      else if ('delete' in change) batch.delete(Buffer.from(change.delete));
      else batch.deleteRange(Buffer.from(change.deleteRange[0]), Buffer.from(change.deleteRange[1]));
    }
  }
  return db.write(batch.finish());
}

/** `count` commits of one put each, in groups of `perGroup`, from time START_US + first on, one µs apart. */
export async function writeCommits(db: Database, first: number, count: number, perGroup = 3, valueBytes = 20) {
  const commit = (n: number): TestCommit => ({
    timeUs: START_US + n,
    changes: [{ put: [`key-${n}`, String(n % 10).repeat(valueBytes)] }],
  });
  for (let n = first; n < first + count; n += perGroup) {
    const size = Math.min(perGroup, first + count - n);
    await writeGroup(
      db,
      Array.from({ length: size }, (_, i) => commit(n + i)),
    );
  }
}

export function readerFrom(db: Database, sequence: number, options: Partial<CommitReaderOptions> = {}): CommitReader {
  const defaults = { timeline: TIMELINE, digest: anchor(TIMELINE, sequence), lastTimeUs: 0, mark: MARK };
  return db.commitsSince(sequence, { ...defaults, ...options });
}

/** All that there is, in calls of maxBytes, joined as one records area. */
export async function frameAll(
  reader: CommitReader,
  maxBytes = 1 << 20,
  upToSequence = EVERYTHING,
): Promise<FramedCommits> {
  let joined = await reader.next(maxBytes, upToSequence);
  for (let last = joined; last.count > 0; ) {
    last = await reader.next(maxBytes, upToSequence, { continues: true });
    if (last.count === 0) break;
    joined = {
      ...last,
      records: Buffer.concat([joined.records, last.records]),
      count: joined.count + last.count,
      sequenceFrom: joined.sequenceFrom,
      firstTimeUs: joined.firstTimeUs,
      digestFrom: joined.digestFrom,
      index: [...joined.index, ...last.index],
    };
  }
  return joined;
}

export interface TestRecord {
  offset: number;
  sequence: number;
  lastSequence: number;
  timeUs: number;
  bytes: Buffer;
  /** The running digest before and after it. */
  before: Buffer;
  after: Buffer;
}

/** A records area, read the plain way. */
export function parseRecords(area: Buffer, digest: Buffer, timeline = TIMELINE): TestRecord[] {
  const records: TestRecord[] = [];
  const line = Buffer.alloc(4);
  line.writeUInt32LE(timeline);
  let before = digest;
  for (let offset = 0; offset < area.length; ) {
    const bytes = area.subarray(offset, offset + 28 + area.readUInt32LE(offset));
    const sequence = Number(bytes.readBigUInt64LE(8));
    const after = createHash('sha256').update(before).update(line).update(bytes.subarray(8)).digest();
    const timeUs = Number(bytes.readBigUInt64LE(16));
    const lastSequence = sequence + bytes.readUInt32LE(24) - 1;
    records.push({ offset, sequence, lastSequence, timeUs, bytes, before, after });
    before = after;
    offset += bytes.length;
  }
  return records;
}
