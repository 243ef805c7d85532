/**
 * Does what the repository holds still match what was promised? QUICK looks at presence and sizes, FULL hashes every
 * byte; of segments also every record, their order, and the digest from the base to the target. DEEP (proof.ts)
 * restores on top of that. The verdict of every file is kept, not only the first failure.
 */
import { CairnError } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import { type BackupState, type FileEntry, type FileList, fileKey, type Manifest } from '../format/index.js';
import { StoreObjectMissing } from '../storage/store.js';
import type { BackupEntry } from './catalog.js';
import type { Operation } from './operations.js';
import { forEachAtOnce, largestFirst } from './parallel.js';
import type { FileVerdict, VerifyMode } from './records.js';
import type { Repository } from './repository.js';
import { isSegmentDamage, proveRecords, readKnownSegment } from './segment-object.js';
import type { SegmentEntry } from './segments.js';
import { brokenSpan } from './source.js';

export interface Check {
  /** The most specific failure, counting all; null: everything fits. */
  error: CairnError | null;
  total: number;
  verified: number;
  failed: number;
  bytes: number;
  /** The files that failed. */
  verdicts: FileVerdict[];
}

interface Judgement {
  verdict: 'valid' | 'missing' | 'size' | 'corrupt';
  text: string;
}

/** What one run has found out, so that VERIFY ALL looks at a shared object once. */
export type CheckedObjects = Map<string, Judgement>;

const CHECKS_AT_ONCE = 4;
const VALID: Judgement = { verdict: 'valid', text: '' };
/** Files whose sizes are asked for together; a cancel waits for no more. */
const SIZES_AT_ONCE = 16_384;
/** Each is in memory while it is checked. */
const SEGMENTS_AT_ONCE = 2;
/** Segments are not named by their content; a verdict on one bears this in its place. */
const NO_SHA256 = '0'.repeat(64);

export async function checkFiles(
  repository: Repository,
  id: number,
  list: FileList,
  mode: 'QUICK' | 'FULL',
  operation: Operation,
  checked: CheckedObjects | null = null,
): Promise<Check> {
  const verdicts: (FileVerdict & { text: string })[] = [];
  let bytes = 0;
  for (let from = 0; from < list.files.length; from += SIZES_AT_ONCE) {
    const files = list.files.slice(from, from + SIZES_AT_ONCE);
    const judgements =
      mode === 'QUICK' && checked === null
        ? await judgeSizes(repository, files, operation)
        : await judgeFiles(repository, files, mode, operation, checked ?? new Map());
    for (const [nth, { name, size, sha256 }] of files.entries()) {
      const judgement = judgements[nth] as Judgement;
      if (judgement.verdict === 'valid') bytes += size;
      else verdicts.push({ name, size, sha256, ...judgement });
    }
  }
  verdicts.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    error: verdicts.length === 0 ? null : damage(id, verdicts),
    total: list.files.length,
    verified: list.files.length - verdicts.length,
    failed: verdicts.length,
    bytes,
    verdicts: verdicts.map(({ text: _, ...verdict }) => verdict),
  };
}

/** The same for the segments that hold the span of an increment. */
export async function checkSpan(
  repository: Repository,
  manifest: Pick<Manifest, 'id' | 'span' | 'cut'>,
  mode: 'QUICK' | 'FULL',
  operation: Operation,
  checked: CheckedObjects = new Map(),
): Promise<Check> {
  const { id, span } = manifest;
  const check: Check = { error: null, total: 0, verified: 0, failed: 0, bytes: 0, verdicts: [] };
  if (span === null || span.sequence_from === span.sequence_to) return check;
  const { timeline, sequence_from: from, sequence_to: to } = span;
  // What an earlier verdict excluded may be mended by now.
  const suspects = repository.segments
    .entries()
    .filter((entry) => entry.error !== null && entry.timeline === timeline && entry.to > from && entry.from < to);
  const judged = new Set<string>();
  const judgeAll = (entries: readonly SegmentEntry[]): Promise<void> =>
    forEachAtOnce(SEGMENTS_AT_ONCE, entries, async (entry) => {
      operation.checkpoint();
      if (judged.has(entry.key)) return;
      judged.add(entry.key);
      const verdict = await checkSegment(repository, entry, mode, operation, checked);
      check.total += 1;
      if (verdict.verdict === 'valid') {
        check.verified += 1;
        check.bytes += entry.sizeBytes;
        return;
      }
      check.failed += 1;
      check.verdicts.push({ name: entry.key, size: entry.sizeBytes, sha256: NO_SHA256, verdict: verdict.verdict });
    });
  await judgeAll(suspects);
  const way = repository.segments.way(timeline, from, to);
  const release = repository.segments.hold((way ?? []).map(({ key }) => key));
  try {
    await judgeAll(way ?? []);
    const whole = repository.segments.way(timeline, from, to);
    if (whole === null) return { ...check, error: brokenSpan(repository, id, span) };
    // A damaged segment beside whole ones that hold the same commits harms nobody.
    const sound = { ...check, total: check.verified, failed: 0, verdicts: [] };
    return mode === 'FULL' ? { ...sound, error: await checkEnds(repository, manifest, span, whole) } : sound;
  } finally {
    release();
  }
}

/** One segment by itself: frame, SHA-256, every record, its digest. What is found is remembered in the index. */
export async function checkSegment(
  repository: Repository,
  entry: SegmentEntry,
  mode: 'QUICK' | 'FULL',
  operation: Operation,
  checked: CheckedObjects,
): Promise<Judgement> {
  const cacheKey = `${mode} ${entry.key}`;
  const known = checked.get(cacheKey);
  if (known !== undefined) return known;
  const judgement = await judgeSegment(repository, entry, mode);
  operation.progress(entry.sizeBytes);
  checked.set(cacheKey, judgement);
  return judgement;
}

async function judgeSegment(repository: Repository, entry: SegmentEntry, mode: 'QUICK' | 'FULL'): Promise<Judgement> {
  const { key } = entry;
  const found = await repository.store.stat(key);
  if (found === null) {
    repository.segments.removed(key);
    return { verdict: 'missing', text: `${key} is missing` };
  }
  if (mode === 'QUICK') {
    await repository.segments.load([entry]);
    if (entry.header === null) return { verdict: 'corrupt', text: entry.error?.message ?? `${key} is gone` };
    if (found.sizeBytes !== entry.sizeBytes) {
      return { verdict: 'size', text: `${key} has ${found.sizeBytes} bytes instead of ${entry.sizeBytes}` };
    }
    return VALID;
  }
  try {
    const segment = await readKnownSegment(repository, key);
    await proveRecords(segment);
    repository.segments.markSound(key, segment.header);
    return VALID;
  } catch (error) {
    if (!(error instanceof CairnError && isSegmentDamage(error))) throw error;
    await repository.segments.markDamaged(key, error);
    return { verdict: error.code === 'BACKUPINCOMPLETE' ? 'missing' : 'corrupt', text: error.message };
  }
}

/** The span begins and ends at commits, with the digests and the count that its manifest promises. */
async function checkEnds(
  repository: Repository,
  { id, cut }: Pick<Manifest, 'id' | 'cut'>,
  span: NonNullable<Manifest['span']>,
  way: readonly SegmentEntry[],
): Promise<CairnError | null> {
  const [first, last] = [way[0], way.at(-1)];
  if (first === undefined || last === undefined) return null;
  const begin = await placeIn(repository, first, span.sequence_from);
  const end = await placeIn(repository, last, span.sequence_to);
  const differences: string[] = [];
  const compare = (name: string, expected: unknown, actual: unknown): void => {
    if (expected !== actual) differences.push(`${name} ${actual} instead of ${expected}`);
  };
  compare('a commit that ends at', span.sequence_from, begin.sequence);
  compare('the digest there', span.digest_from, begin.digest);
  compare('a commit that ends at', span.sequence_to, end.sequence);
  compare('the digest there', span.digest_to, end.digest);
  compare('the number of commits', span.commit_count, end.commits - begin.commits);
  compare('the commit count', cut.commit_count, end.commits);
  if (differences.length === 0) return null;
  return new CairnError('BACKUPCORRUPT', `backup ${id}: its segments have ${differences.join(', ')}`, {
    hint: 'They are of another history than the backup. Restore from another backup; bring the segments back from a copy.',
    details: { id, differences },
  });
}

/** Sequence, commit count and running digest where a walk to `sequence` ends. */
async function placeIn(
  repository: Repository,
  { key }: SegmentEntry,
  sequence: number,
): Promise<{ sequence: number; commits: number; digest: string }> {
  const segment = await readKnownSegment(repository, key);
  const { header } = segment;
  if (sequence === header.sequenceFrom) {
    return { sequence, commits: header.commitsBefore, digest: header.digestFrom };
  }
  if (sequence === header.sequenceTo) {
    return { sequence, commits: header.commitsBefore + header.commits, digest: header.digestTo };
  }
  const progress = await proveRecords(segment, { sequence });
  return {
    sequence: progress.sequence,
    commits: header.commitsBefore + progress.commits,
    digest: progress.digest.toString('hex'),
  };
}

/** Both as one: what is missing counts more than what is damaged. */
export function joinedChecks(files: Check, segments: Check): Check {
  const errors = [files.error, segments.error].filter((error) => error !== null);
  return {
    error: errors.find(({ code }) => code === 'BACKUPINCOMPLETE') ?? errors[0] ?? null,
    total: files.total + segments.total,
    verified: files.verified + segments.verified,
    failed: files.failed + segments.failed,
    bytes: files.bytes + segments.bytes,
    verdicts: [...files.verdicts, ...segments.verdicts],
  };
}

/** In the order of the files, by their sizes alone. */
async function judgeSizes(
  repository: Repository,
  files: FileList['files'],
  operation: Operation,
): Promise<readonly Judgement[]> {
  operation.checkpoint();
  const sizes = await repository.store.sizes(files.map(({ sha256 }) => fileKey(sha256)));
  return files.map((file, nth) => judgeSize(file, sizes[nth] ?? null));
}

/** In the order of the files. What `checked` has is not looked at again, and what it has not is put there. */
async function judgeFiles(
  repository: Repository,
  files: FileList['files'],
  mode: 'QUICK' | 'FULL',
  operation: Operation,
  checked: CheckedObjects,
): Promise<Judgement[]> {
  operation.checkpoint();
  const names = files.map(({ sha256, size }) => `${sha256}:${size}`);
  const unknown: number[] = [];
  for (let nth = 0; nth < files.length; nth++) if (!checked.has(names[nth] as string)) unknown.push(nth);
  const sizes = await repository.store.sizes(unknown.map((nth) => fileKey((files[nth] as FileEntry).sha256)));
  const toRead = new Map<string, FileEntry>();
  for (let at = 0; at < unknown.length; at++) {
    const nth = unknown[at] as number;
    const [file, name] = [files[nth] as FileEntry, names[nth] as string];
    const judgement = judgeSize(file, sizes[at] ?? null);
    if (mode === 'FULL' && judgement.verdict === 'valid') toRead.set(name, file);
    else checked.set(name, judgement);
  }
  if (mode === 'FULL') {
    const bytes = (some: Iterable<{ size: number }>) => [...some].reduce((sum, { size }) => sum + size, 0);
    operation.progress(bytes(files) - bytes(toRead.values()));
    await forEachAtOnce(
      CHECKS_AT_ONCE,
      largestFirst([...toRead], ([, { size }]) => size),
      async ([name, file]) => {
        operation.checkpoint();
        checked.set(name, await judgeContent(repository, file, operation));
      },
    );
  }
  return names.map((name) => checked.get(name) as Judgement);
}

/** `found`: the object's size; null: it is not there. */
function judgeSize({ name, sha256, size }: FileEntry, found: number | null): Judgement {
  if (found === size) return VALID;
  const key = fileKey(sha256);
  if (found === null) return { verdict: 'missing', text: `${name} (${key}) is missing` };
  return { verdict: 'size', text: `${name} (${key}) has ${found} bytes instead of ${size}` };
}

async function judgeContent(repository: Repository, file: FileEntry, operation: Operation): Promise<Judgement> {
  const key = fileKey(file.sha256);
  try {
    const { sha256 } = await repository.store.hash(key, {
      signal: operation.signal,
      onProgress: operation.progress,
    });
    if (sha256 === file.sha256) return VALID;
    return {
      verdict: 'corrupt',
      text: `${file.name} (${key}) has SHA-256 ${sha256}`,
    };
  } catch (error) {
    if (error instanceof StoreObjectMissing) return { verdict: 'missing', text: `${file.name} (${key}) is missing` };
    throw error;
  }
}

/** One error for all failures of a backup: missing parts before damaged ones, everything counted, the first few named. */
export function damage(id: number, verdicts: readonly { name: string; verdict: string; text: string }[]): CairnError {
  const missing = verdicts.filter(({ verdict }) => verdict === 'missing');
  const corrupt = verdicts.filter(({ verdict }) => verdict !== 'missing');
  const code = missing.length > 0 ? 'BACKUPINCOMPLETE' : 'BACKUPCORRUPT';
  const counts = [
    missing.length > 0 ? `${missing.length} missing` : '',
    corrupt.length > 0 ? `${corrupt.length} damaged` : '',
  ].filter((text) => text !== '');
  const named = [...missing, ...corrupt].slice(0, 5).map(({ text }) => text);
  const more = verdicts.length > named.length ? `, and ${verdicts.length - named.length} more` : '';
  return new CairnError(code, `backup ${id}: ${counts.join(', ')}: ${named.join('; ')}${more}`, {
    hint: 'Restore from another backup (RESTORE LATEST takes the newest good one). A new full stores damaged objects again; bring missing ones back from a copy.',
    details: {
      id,
      missing: missing.map(({ name }) => name),
      corrupt: corrupt.map(({ name }) => name),
    },
  });
}

/** The entry that a verification leaves in the backup's state. */
export function verificationOf(
  mode: VerifyMode,
  check: Check,
  begunUs: number,
  endedUs: number,
): BackupState['verifications'][number] {
  return {
    at: formatTime(endedUs),
    mode,
    status: check.error === null ? 'valid' : 'invalid',
    files_total: check.total,
    files_verified: check.verified,
    files_failed: check.failed,
    bytes: check.bytes,
    duration_ms: Math.round((endedUs - begunUs) / 1000),
    error: check.error === null ? null : `${check.error.code} ${check.error.message}`.slice(0, 2000),
  };
}

/** The status that a check's outcome gives a backup. */
export function statusAfter(check: Check): BackupEntry['status'] {
  if (check.error === null) return 'complete';
  return check.error.code === 'BACKUPINCOMPLETE' ? 'incomplete' : 'corrupt';
}
