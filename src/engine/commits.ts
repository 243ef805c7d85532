/**
 * Commits as bytes: records of a segment (docs/backup-format.md) applied to a database, checked without one, and one
 * commit as the live WAL has it. The work is done in the pool; here its errors are named.
 *
 *   BACKUPCORRUPT   a record that is not what it should be: details.reason says what (header, length, crc32c, sequence,
 *                   time, body, count, digest), with offset, expected and actual
 *   MISCONF         the engine's own, by details.kind; `sequence`: the database does not stand where the records begin
 */
import { CairnError } from '../base/errors.js';
import { loadAddon, type NativeProgress, type NativeRange } from './addon.js';
import { DIGEST_BYTES, digestOf, markOf } from './commit-reader.js';
import { nativeOf } from './database.js';
import { engineError } from './status.js';
import type { CommitMarkShape, Database, ProvenRange, RecordProgress, RecordRange } from './types.js';
import { explainWalError } from './wal-reader.js';

const DEFAULT_BATCH_BYTES = 1 << 20;

/**
 * Applies records to a database that stands exactly at `expectedSequence` and that nobody else writes to, with the WAL
 * off: what was applied is durable after a flush, which is the caller's. Every record is checked before it is applied,
 * but earlier ones are applied already when a later one fails: the database is then to be discarded.
 */
export async function replayRecords(
  database: Database,
  bytes: Buffer,
  options: RecordRange & { batchBytes?: number },
): Promise<RecordProgress> {
  const progress = await replay(database, bytes, options, options.batchBytes);
  return checkDigest(progress as RecordProgress, bytes, options, replaying(database));
}

/** The same without the running digest, for bytes that are proven otherwise: a sixth of the processor time of a replay. */
export async function replayProven(
  database: Database,
  bytes: Buffer,
  range: ProvenRange,
): Promise<Omit<RecordProgress, 'digest'>> {
  return replay(database, bytes, { ...range, digest: null });
}

/** The same checks without a database. */
export async function verifyRecords(bytes: Buffer, range: RecordRange): Promise<RecordProgress> {
  const doing = 'records do not verify';
  try {
    return checkDigest(await loadAddon().verifyRecords(...nativeRange(bytes, range)), bytes, range, doing);
  } catch (thrown) {
    throw recordError(thrown, doing, '');
  }
}

/**
 * The record of the commit whose last sequence is `sequence`, as the logs have it, live or archived. null: they have no
 * such commit, because it is too old or the database ends before it; damage and a sequence inside a commit throw.
 * `unmarkedTimeUs` is the time of a commit that has no mark.
 */
export async function readCommit(
  database: Database,
  sequence: number,
  mark: CommitMarkShape,
  options: { unmarkedTimeUs?: number } = {},
): Promise<Buffer | null> {
  try {
    return await nativeOf(database).readCommit(sequence, options.unmarkedTimeUs ?? 0, ...markOf(mark));
  } catch (thrown) {
    if (thrown instanceof TypeError) throw thrown;
    const error = await explainWalError(thrown, database.path);
    if (error.code === 'WALGAP') return null;
    throw error;
  }
}

async function replay(
  database: Database,
  bytes: Buffer,
  range: NativeRecordRange,
  batchBytes = DEFAULT_BATCH_BYTES,
): Promise<NativeProgress> {
  try {
    return await nativeOf(database).replay(...nativeRange(bytes, range), Math.max(1, Math.trunc(batchBytes)));
  } catch (thrown) {
    throw recordError(thrown, replaying(database), database.path);
  }
}

function replaying({ path }: Database): string {
  return `cannot replay into ${path}`;
}

type NativeRecordRange = ProvenRange & { digest: Buffer | null };

function nativeRange(bytes: Buffer, range: NativeRecordRange): NativeRange {
  const { from = 0, to = bytes.length, timeline, digest, expectedSequence } = range;
  if (!(from >= 0 && from <= to && to <= bytes.length)) {
    throw new TypeError(`records from ${from} to ${to} do not lie within ${bytes.length} bytes`);
  }
  const { stopAfterSequence = -1, stopAfterTimeUs = -1 } = range;
  return [
    bytes,
    from,
    to,
    timeline,
    digest === null ? null : digestOf(digest),
    expectedSequence,
    stopAfterSequence,
    stopAfterTimeUs,
  ];
}

function checkDigest(progress: RecordProgress, bytes: Buffer, range: RecordRange, doing: string): RecordProgress {
  const { expectedDigest: expected, to = bytes.length } = range;
  if (expected === undefined || progress.offset !== to || expected.equals(progress.digest)) return progress;
  throw corrupt(doing, 'digest', {
    offset: to,
    expected: expected.toString('hex', 0, DIGEST_BYTES),
    actual: progress.digest.toString('hex'),
  });
}

function recordError(thrown: unknown, doing: string, path: string): Error {
  if (thrown instanceof TypeError || thrown instanceof CairnError) return thrown;
  const text = thrown instanceof Error ? thrown.message : '';
  const record = /record at=(\d+) why=(\w+) expected=(\d+) actual=(\d+)/.exec(text);
  if (record !== null) {
    const [offset, expected, actual] = [record[1], record[3], record[4]].map(Number);
    return corrupt(doing, record[2] as string, { offset, expected, actual }, thrown);
  }
  const stands = /database expected=(\d+) actual=(\d+)/.exec(text);
  if (stands === null) return engineError(thrown, doing, path);
  const [expected, actual] = [stands[1], stands[2]].map(Number);
  return new CairnError('MISCONF', `${doing}: it is at sequence ${actual}, and should be at ${expected}`, {
    hint: 'Discard the directory and restore again.',
    details: { kind: 'sequence', path, expected, actual },
    cause: thrown,
  });
}

function corrupt(doing: string, reason: string, details: Record<string, unknown>, cause?: unknown): CairnError {
  const { offset, expected, actual } = details;
  const what = `${doing}: wrong ${reason} at offset ${offset}: expected ${expected}, found ${actual}`;
  return new CairnError('BACKUPCORRUPT', what, { details: { kind: 'corruption', reason, ...details }, cause });
}
