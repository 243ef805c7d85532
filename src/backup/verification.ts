/**
 * The VERIFY command: checks a backup, keeps the verdict in its state, and marks every other backup that shares a
 * damaged object, so that LATEST never names one that cannot restore.
 *
 * DEEP restores into `<dir>/scratch`, has every block and key read in a worker, and compares with CREATE's record. The first DEEP
 * leaves a digest of all keys and values; later ones must find the same.
 */
import { join } from 'node:path';
import type { WallClock } from '../base/clock.js';
import { CairnError, toCairnError } from '../base/errors.js';
import { makeDirectory, removeTree } from '../base/fs.js';
import { formatTime } from '../base/time.js';
import type { BackupState, FileList, Manifest } from '../format/index.js';
import type { Log } from '../observability/log.js';
import type { BackupEntry } from './catalog.js';
import { checkSource, compareTimeline, type MaterialiseContext, materialise, restoredBytes } from './materialise.js';
import type { Operation } from './operations.js';
import { type Proof, proveDirectory } from './proof.js';
import type { FileVerdict, VerifyMode, VerifyRecord } from './records.js';
import { brokenSpan, type Source, sourceOfBackup } from './source.js';
import {
  type Check,
  type CheckedObjects,
  checkFiles,
  checkSpan,
  joinedChecks,
  statusAfter,
  verificationOf,
} from './verify.js';

export interface VerifyContext extends MaterialiseContext {
  /** Where DEEP restores to; removed afterwards. */
  scratchDirectory: string;
  clock: WallClock;
  log: Log;
}

/** Verifies one backup; resolves when it is valid, throws what is wrong, keeps the verdict either way. */
export async function verifyBackup(
  context: VerifyContext,
  entry: BackupEntry,
  mode: VerifyMode,
  operation: Operation,
  checked?: CheckedObjects,
): Promise<VerifyRecord> {
  const { clock } = context;
  const begunUs = clock.nowUs();
  const check = await checkBackup(context, entry, mode, operation, checked);
  const endedUs = clock.nowUs();
  await keepVerdict(context, entry, mode, check, begunUs, endedUs);
  if (check.error !== null) throw check.error;
  return {
    id: entry.id,
    mode,
    status: 'VALID',
    files_total: check.total,
    files_verified: check.verified,
    files_failed: check.failed,
    bytes: check.bytes,
    duration_ms: Math.round((endedUs - begunUs) / 1000),
  };
}

interface DeepCheck extends Check {
  digest?: NonNullable<BackupState['logical_digest']>;
}

async function checkBackup(
  context: VerifyContext,
  entry: BackupEntry,
  mode: VerifyMode,
  operation: Operation,
  checked?: CheckedObjects,
): Promise<DeepCheck> {
  const failed = (error: CairnError): Check => ({
    error,
    total: entry.manifest?.files ?? 0,
    verified: 0,
    failed: 0,
    bytes: 0,
    verdicts: [],
  });
  const { manifest, manifestError } = entry;
  if (manifest === null)
    return failed(manifestError ?? new CairnError('BACKUPMANIFEST', `backup ${entry.id} has no readable manifest`));
  let list: FileList;
  try {
    list = await context.repository.catalog.fileList(entry, { fresh: true });
    requireAgreement(entry.id, manifest, list);
  } catch (error) {
    if (error instanceof CairnError) return failed(error);
    throw error;
  }
  operation.phase = 'check';
  operation.bytesTotal = (operation.bytesTotal ?? 0) + (mode === 'QUICK' ? 0 : manifest.size);
  const depth = mode === 'QUICK' ? 'QUICK' : 'FULL';
  let check: Check;
  try {
    const files = await checkFiles(context.repository, entry.id, list, depth, operation, checked);
    const segments = await checkSpan(context.repository, manifest, depth, operation, checked);
    check = joinedChecks(files, segments);
  } catch (error) {
    // In the place of an object lies what is none: a link, a pipe.
    if (error instanceof CairnError && error.code === 'BACKUPCORRUPT') return failed(error);
    throw error;
  }
  if (mode !== 'DEEP' || check.error !== null) return check;
  return deepCheck(context, entry, check, operation);
}

/** The manifest's own sums must be those of its list; an increment has its span on top. */
function requireAgreement(id: number, manifest: Manifest, list: FileList): void {
  const size = list.files.reduce((sum, file) => sum + file.size, 0);
  if (list.files.length === manifest.list.files && size === manifest.list.size) return;
  throw new CairnError(
    'BACKUPMANIFEST',
    `backup ${id}: its manifest promises ${manifest.list.files} files of ${manifest.list.size} bytes, its list has ${list.files.length} of ${size}`,
  );
}

async function deepCheck(
  context: VerifyContext,
  entry: BackupEntry,
  check: Check,
  operation: Operation,
): Promise<DeepCheck> {
  const { id } = entry;
  const first = entry.state.logical_digest;
  const path = join(context.scratchDirectory, `verify-${id}-${operation.record.number}`);
  await makeDirectory(context.scratchDirectory);
  const begun = operation.bytesDone;
  let source: Source | null = null;
  try {
    source = await sourceOfBackup(context.repository, entry);
    await checkSource(context, source, context.scratchDirectory, operation);
    operation.bytesTotal = begun + restoredBytes(source) * 2;
    await materialise(context, source, path, operation, { keepProgress: true, gentle: true });
    operation.phase = 'prove';
    const proof = await proveDirectory({ path, kind: source.keyspace }, operation.signal, operation.progress);
    const differences = compareProof(source, proof, first);
    if (differences.length > 0) {
      const error = new CairnError(
        'BACKUPVERIFY',
        `backup ${id}: every checksum fits, but restored it has ${differences.join(', ')}`,
        {
          hint: 'Restore from another backup, and report this: it should not happen.',
          details: { id, differences },
        },
      );
      return { ...check, error };
    }
    const digest = {
      sha256: proof.survey.digest,
      key_counts: proof.survey.keyCounts,
      at: formatTime(context.clock.nowUs()),
    };
    return first === null ? { ...check, digest } : check;
  } catch (thrown) {
    const error = toCairnError(thrown, 'BACKUPVERIFY');
    // What kept the verification from running says nothing about the backup: it is passed on, not recorded.
    if (error.code === 'CANCELLED' || error.code === 'NOSPACE' || !(thrown instanceof CairnError)) throw error;
    if (thrown.code === 'BACKUPFAILED' && typeof thrown.details.errno === 'string') throw thrown;
    if (thrown.code === 'MISCONF' && (thrown.details.kind === 'storage' || thrown.details.kind === 'closed'))
      throw thrown;
    return { ...check, error };
  } finally {
    source?.release();
    await removeTree(path);
  }
}

function compareProof({ goal }: Source, proof: Proof, first: BackupState['logical_digest']): string[] {
  const differences: string[] = [];
  const compare = (name: string, expected: unknown, actual: unknown): void => {
    if (expected !== actual) differences.push(`${name} ${actual} instead of ${expected}`);
  };
  compare('sequence', goal.sequence, proof.sequence);
  if (proof.position !== null) {
    compare('commit count', goal.commitCount, proof.position.commitCount);
    compareTimeline(compare, goal.timeline, proof.position.timeline);
    const { expiryCounts } = proof.position;
    if (expiryCounts !== null)
      compare('counts of keys with an expiry', expiryCounts.join(), proof.survey.expiryCounts.join());
  }
  if (goal.keyCounts !== null) compare('key counts', goal.keyCounts.join(), proof.survey.keyCounts.join());
  if (first !== null) compare('content digest', first.sha256, proof.survey.digest);
  return differences;
}

async function keepVerdict(
  context: VerifyContext,
  entry: BackupEntry,
  mode: VerifyMode,
  check: DeepCheck,
  begunUs: number,
  endedUs: number,
): Promise<void> {
  const { repository, log } = context;
  if (check.error !== null) log.error('backup damaged', { id: entry.id, mode, error: check.error });
  const writable = await repository.isWritable();
  try {
    await repository.catalog.updateState(entry.id, writable, (state) => ({
      ...state,
      status: mode === 'QUICK' && check.error === null ? state.status : statusAfter(check),
      reason: check.error === null ? null : check.error.message.slice(0, 2000),
      verifications: [...state.verifications, verificationOf(mode, check, begunUs, endedUs)].slice(-20),
      verdicts: mode === 'QUICK' && check.error === null ? state.verdicts : check.verdicts.slice(0, 1000),
      logical_digest: check.digest ?? state.logical_digest,
    }));
    await markSharers(context, entry.id, check.verdicts, writable);
  } catch (error) {
    log.warn('the verdict could not be kept', {
      id: entry.id,
      error: toCairnError(error, 'BACKUPVERIFY'),
    });
  }
}

/** Damage found by another operation (a restore): the backup and those that share the damaged objects are marked. */
export async function markDamaged(context: VerifyContext, entry: BackupEntry, error: CairnError): Promise<void> {
  if (
    error.code !== 'BACKUPCORRUPT' &&
    error.code !== 'BACKUPINCOMPLETE' &&
    error.code !== 'BACKUPMANIFEST' &&
    error.code !== 'BACKUPVERIFY'
  )
    return;
  const verdicts = (error.details.verdicts ?? []) as FileVerdict[];
  const nowUs = context.clock.nowUs();
  const check: Check = {
    error,
    total: entry.manifest?.files ?? 0,
    verified: 0,
    failed: verdicts.length,
    bytes: 0,
    verdicts,
  };
  await keepVerdict(context, entry, 'FULL', check, nowUs, nowUs);
}

async function markSharers(
  context: VerifyContext,
  id: number,
  verdicts: readonly FileVerdict[],
  writable: boolean,
): Promise<void> {
  const damaged = new Map(verdicts.map((verdict) => [verdict.sha256, verdict]));
  if (damaged.size === 0) return;
  const { catalog } = context.repository;
  await markBrokenSpans(context, id, writable);
  for (const other of catalog.entries()) {
    if (other.id === id || other.status !== 'complete') continue;
    const list = await catalog.fileList(other).catch(() => null);
    const shared = list?.files.filter((file) => damaged.has(file.sha256)) ?? [];
    if (shared.length === 0) continue;
    const found = shared.map((file) => ({
      ...file,
      verdict: damaged.get(file.sha256)?.verdict ?? 'corrupt',
    }));
    await catalog.updateState(other.id, writable, (state) => ({
      ...state,
      status: found.some(({ verdict }) => verdict === 'missing') ? 'incomplete' : 'corrupt',
      reason: `shares ${found.length} damaged files with backup ${id}`,
      verdicts: found.slice(0, 1000),
    }));
  }
}

/** Increments whose span nothing holds any more, now that a segment is known to be damaged. */
async function markBrokenSpans(context: VerifyContext, id: number, writable: boolean): Promise<void> {
  const { catalog, segments } = context.repository;
  for (const other of catalog.entries()) {
    const span = other.manifest?.span;
    if (other.id === id || other.status !== 'complete' || span == null) continue;
    if (segments.way(span.timeline, span.sequence_from, span.sequence_to) !== null) continue;
    const error = brokenSpan(context.repository, other.id, span);
    await catalog.updateState(other.id, writable, (state) => ({
      ...state,
      status: error.code === 'BACKUPINCOMPLETE' ? 'incomplete' : 'corrupt',
      reason: error.message.slice(0, 2000),
    }));
  }
}
