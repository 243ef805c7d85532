/**
 * From a source to a directory that RocksDB opens, in one pass over the bytes: every file is hashed while it is copied,
 * and nothing is opened before all of them match. The directory shares no inode with repository or live data.
 *
 *   check presence of all objects, disk space → copy and hash → [files-staged]
 *     → open (RocksDB replays the log's tail), replay segments, flush, close → [replayed]
 *     → open again, prove
 */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { DIRECTORY_MODE, freeBytes, fsyncDirectory, makeDirectory, removeTree } from '../base/fs.js';
import type { Database, OpenOptions } from '../engine/types.js';
import { fileKey } from '../format/index.js';
import type { KeyspaceKind, KnownPosition, Position } from '../keyspace/port.js';
import { survey } from '../keyspace/survey.js';
import { StoreObjectMissing } from '../storage/store.js';
import type { Operation } from './operations.js';
import { forEachAtOnce, largestFirst } from './parallel.js';
import { replaySteps } from './replay.js';
import type { Repository } from './repository.js';
import { filesBytes, replayBytes, type Source } from './source.js';
import { requireSpace } from './space.js';
import { checkFiles, damage } from './verify.js';

export interface MaterialiseContext {
  repository: Repository;
  openDatabase: (path: string, options?: OpenOptions) => Promise<Database>;
  /** Where a database says it is (its reserved key); null for a raw one, which does not say. */
  readPosition: (database: Database, kind: KeyspaceKind) => Promise<Position | null>;
  /** Makes a native database that nobody serves say itself where it is, by one commit more, past the log. */
  correctPosition: (database: Database, known: KnownPosition & { timeline: number }) => Promise<unknown>;
}

const COPIES_AT_ONCE = 2;
/** Into about how many tables commits are replayed. */
const TABLES = 16;
/** What a record takes in memory beside its bytes. */
const RECORD_BYTES = 64;
const SMALLEST_BUFFER = 8 << 20;
const LARGEST_BUFFER = 64 << 20;

/** Everything that can be known without reading the bytes: all missing and misshapen objects at once, and the space. */
export async function checkSource(
  context: MaterialiseContext,
  source: Source,
  targetParent: string,
  operation: Operation,
): Promise<void> {
  operation.phase = 'plan';
  const check = await checkFiles(context.repository, source.id, source.list, 'QUICK', operation);
  if (check.error !== null) throw check.error;
  requireSpace('the restored data', targetParent, restoredBytes(source), await freeBytes(targetParent));
}

/** What a restore writes, or a little less: commits become tables. */
export function restoredBytes(source: Source): number {
  return filesBytes(source) + replayBytes(source);
}

/** Copies and replays into `path`, which must not exist. On failure nothing is left of it. */
export async function materialise(
  context: MaterialiseContext,
  source: Source,
  path: string,
  operation: Operation,
  options: { keepProgress?: boolean; gentle?: boolean } = {},
): Promise<void> {
  operation.phase = 'copy';
  if (options.keepProgress !== true) {
    operation.bytesTotal = restoredBytes(source);
    operation.bytesDone = 0;
  }
  await makeDirectory(dirname(path));
  // Made here and now: never one that is there, nor where a link leads.
  await mkdir(path, { mode: DIRECTORY_MODE });
  try {
    await copyFiles(context, source, path, operation, options.gentle === true);
    await fsyncDirectory(path);
    await faultPoint('files-staged');
    operation.checkpoint();
    operation.phase = 'replay';
    const database = await openStaged(context, source, path, {
      walTtlSeconds: 0,
      ...(source.steps.length === 0 ? {} : loadOptions(source, options.gentle === true)),
    });
    try {
      await replaySteps(context.repository, database, source, operation);
      await database.flush();
    } finally {
      await database.close();
    }
    await rm(join(path, 'archive'), { recursive: true, force: true });
    await faultPoint('replayed');
    operation.checkpoint();
  } catch (error) {
    await removeTree(path);
    throw error;
  }
}

async function copyFiles(
  context: MaterialiseContext,
  source: Source,
  path: string,
  operation: Operation,
  gentle: boolean,
): Promise<void> {
  const damaged: {
    name: string;
    verdict: string;
    text: string;
    sha256: string;
    size: number;
  }[] = [];
  await forEachAtOnce(
    COPIES_AT_ONCE,
    largestFirst(source.list.files, ({ size }) => size),
    async (file) => {
      operation.checkpoint();
      const key = fileKey(file.sha256);
      try {
        const { sha256, sizeBytes } = await context.repository.store.getFile(key, join(path, file.name), {
          signal: operation.signal,
          onProgress: operation.progress,
          gentle,
        });
        if (sizeBytes !== file.size) {
          damaged.push({
            ...file,
            verdict: 'size',
            text: `${file.name} (${key}) has ${sizeBytes} bytes instead of ${file.size}`,
          });
        } else if (sha256 !== file.sha256) {
          damaged.push({
            ...file,
            verdict: 'corrupt',
            text: `${file.name} (${key}) has SHA-256 ${sha256}`,
          });
        }
      } catch (error) {
        if (!(error instanceof StoreObjectMissing)) throw error;
        damaged.push({
          ...file,
          verdict: 'missing',
          text: `${file.name} (${key}) is missing`,
        });
      }
    },
  );
  if (damaged.length === 0) return;
  const error = damage(source.id, damaged);
  error.details.verdicts = damaged.map(({ name, size, sha256, verdict }) => ({
    name,
    size,
    sha256,
    verdict,
  }));
  throw error;
}

/**
 * Small buffers take less memory, and are sorted within the processor's caches; but each becomes a table of level 0, and of these a
 * database that is opened takes about twenty before its writes wait for it to rearrange them. The base may have a few already, and its log
 * becomes some.
 */
export function loadOptions(source: Pick<Source, 'steps' | 'list'>, gentle: boolean): OpenOptions {
  const records = source.steps.reduce((sum, { from, to }) => sum + to - from, 0);
  const logs = source.list.files.filter(({ name }) => name.endsWith('.log'));
  const bytes = replayBytes(source) + records * RECORD_BYTES + logs.reduce((sum, { size }) => sum + size, 0);
  const writeBufferBytes = Math.min(LARGEST_BUFFER, Math.max(SMALLEST_BUFFER, Math.ceil(bytes / TABLES)));
  return {
    load: true,
    valueCacheBytes: 0,
    writeBufferBytes,
    flushThreads: gentle ? 1 : 2,
    deferCompaction: bytes <= TABLES * writeBufferBytes,
  };
}

async function openStaged(
  context: MaterialiseContext,
  source: Source,
  path: string,
  options: OpenOptions,
): Promise<Database> {
  try {
    return await context.openDatabase(path, { ...options, createIfMissing: false });
  } catch (error) {
    throw new CairnError(
      'BACKUPVERIFY',
      `backup ${source.id}: every checksum fits, but RocksDB does not open it: ${toCairnError(error, 'BACKUPVERIFY').message}`,
      {
        hint: 'Restore from another backup, and report this: it should not happen.',
        cause: error,
      },
    );
  }
}

/** An opened state that is what it should be. */
export interface Proven {
  /** The caller owns it. */
  database: Database;
  /** Set where the state does not say itself where it is: it ends inside a write group, or is a raw one. */
  position: KnownPosition | null;
}

/**
 * Opens a materialised directory and proves that it is what the source promised: sequence, timeline, commit count, last
 * commit time and key counts. Throws BACKUPVERIFY naming every number that differs.
 */
export async function openProven(
  context: MaterialiseContext,
  source: Source,
  path: string,
  options: OpenOptions = {},
): Promise<Proven> {
  const database = await openStaged(context, source, path, options);
  try {
    return { database, position: await proveState(context, source, database) };
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function proveState(
  context: MaterialiseContext,
  source: Source,
  database: Database,
): Promise<KnownPosition | null> {
  const { id, goal, keyspace } = source;
  const differences: string[] = [];
  const compare = (name: string, expected: unknown, actual: unknown): void => {
    if (expected !== actual) differences.push(`${name} ${actual} instead of ${expected}`);
  };
  compare('sequence', goal.sequence, database.latestSequence());
  const stated = await statedPosition(context, source, database);
  const isStale = stated !== null && source.steps.length > 0 && stated.commitCount < goal.commitCount;
  if (stated !== null && !isStale) {
    compareTimeline(compare, goal.timeline, stated.timeline);
    compare('commit count', goal.commitCount, stated.commitCount);
    if (goal.lastCommitUs !== null) compare('last commit', goal.lastCommitUs, stated.lastCommitUs);
    if (goal.keyCounts !== null) compare('key counts', goal.keyCounts.join(), stated.keyCounts.join());
  }
  if (differences.length > 0) {
    throw new CairnError(
      'BACKUPVERIFY',
      `backup ${id}: every checksum fits, but the restored state has ${differences.join(', ')}`,
      {
        hint: 'Restore from another backup, and report this: it should not happen.',
        details: { id, differences },
      },
    );
  }
  if (stated !== null && !isStale) return null;
  const { keyCounts, expiryCounts } =
    goal.keyCounts === null ? await survey(database, keyspace) : { keyCounts: goal.keyCounts, expiryCounts: null };
  return { lastCommitUs: goal.lastCommitUs ?? 0, commitCount: goal.commitCount, keyCounts, expiryCounts };
}

/** What the state says of itself; null: nothing, since it is a raw one, or ends inside the first write group of all. */
async function statedPosition(
  context: MaterialiseContext,
  { keyspace, base, steps }: Source,
  database: Database,
): Promise<Position | null> {
  try {
    return await context.readPosition(database, keyspace);
  } catch (error) {
    const isFirstGroup = base.commitCount === 0 && steps.length > 0;
    if (isFirstGroup && error instanceof CairnError && error.details.kind === 'stateless') return null;
    throw error;
  }
}

/**
 * A state says the timeline of its last commit, a manifest the one that was live: a cut that was taken after a restore and before
 * the first write of the new timeline still ends in a commit of an older one.
 */
export function compareTimeline(
  compare: (name: string, expected: unknown, actual: unknown) => void,
  live: number,
  ofLastCommit: number,
): void {
  compare('timeline', live, Math.max(live, ofLastCommit));
}
