/**
 * From a backup to a directory that RocksDB opens, in one pass over the bytes: every file is hashed while it is copied,
 * and nothing is opened before all of them match. The directory shares no inode with repository or live data.
 *
 *   check presence of all objects, disk space → copy and hash → [files-staged]
 *     → open (RocksDB replays the log's tail), flush, close → [replayed]
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { freeBytes, fsyncDirectory, makeDirectory, removeTree } from '../base/fs.js';
import { formatTime } from '../base/time.js';
import type { Database, OpenOptions } from '../engine/types.js';
import { type FileList, fileKey, type Manifest } from '../format/index.js';
import type { KeyspaceKind, Position } from '../keyspace/port.js';
import { StoreObjectMissing } from '../storage/store.js';
import type { Operation } from './operations.js';
import { forEachAtOnce } from './parallel.js';
import type { Repository } from './repository.js';
import { requireSpace } from './space.js';
import { checkFiles, damage } from './verify.js';

export interface MaterialiseContext {
  repository: Repository;
  openDatabase: (path: string, options?: OpenOptions) => Promise<Database>;
  /** Where a database says it is (its reserved key); null for a raw one, which does not say. */
  readPosition: (database: Database, kind: KeyspaceKind) => Promise<Position | null>;
}

export interface Source {
  id: number;
  manifest: Manifest;
  list: FileList;
}

const COPIES_AT_ONCE = 2;

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
  requireSpace('the restored data', targetParent, source.manifest.size, await freeBytes(targetParent));
}

/** Copies and replays into `path`, which must not exist. On failure nothing is left of it. */
export async function materialise(
  context: MaterialiseContext,
  source: Source,
  path: string,
  operation: Operation,
  options: { keepProgress?: boolean } = {},
): Promise<void> {
  operation.phase = 'copy';
  if (options.keepProgress !== true) {
    operation.bytesTotal = source.manifest.size;
    operation.bytesDone = 0;
  }
  await makeDirectory(path);
  try {
    await copyFiles(context, source, path, operation);
    await fsyncDirectory(path);
    await faultPoint('files-staged');
    operation.checkpoint();
    operation.phase = 'replay';
    const database = await openStaged(context, source, path);
    try {
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
): Promise<void> {
  const damaged: {
    name: string;
    verdict: string;
    text: string;
    sha256: string;
    size: number;
  }[] = [];
  await forEachAtOnce(COPIES_AT_ONCE, source.list.files, async (file) => {
    operation.checkpoint();
    const key = fileKey(file.sha256);
    try {
      const { sha256, sizeBytes } = await context.repository.store.getFile(key, join(path, file.name), {
        signal: operation.signal,
        onProgress: operation.progress,
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
  });
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

async function openStaged(context: MaterialiseContext, source: Source, path: string): Promise<Database> {
  try {
    return await context.openDatabase(path, { createIfMissing: false });
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

/**
 * Opens a materialised directory and proves that it is what the manifest promised: sequence, timeline, commit count, last commit
 * time and key counts. The caller owns the handle.
 */
export async function openProven(context: MaterialiseContext, source: Source, path: string): Promise<Database> {
  const database = await openStaged(context, source, path);
  try {
    await proveState(context, source, database);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Throws BACKUPVERIFY naming every number that differs from CREATE's record. */
export async function proveState(context: MaterialiseContext, source: Source, database: Database): Promise<void> {
  const { manifest } = source;
  const differences: string[] = [];
  const compare = (name: string, expected: unknown, actual: unknown): void => {
    if (expected !== actual) differences.push(`${name} ${actual} instead of ${expected}`);
  };
  compare('sequence', manifest.sequence_to, database.latestSequence());
  const position = await context.readPosition(database, manifest.cut.keyspace);
  if (position !== null) {
    compareTimeline(compare, manifest.timeline, position.timeline);
    compare('commit count', manifest.cut.commit_count, position.commitCount);
    compare(
      'last commit',
      manifest.cut.last_commit_at,
      position.lastCommitUs === 0 ? null : formatTime(position.lastCommitUs),
    );
    compare('key counts', manifest.cut.key_counts.join(), position.keyCounts.join());
  }
  if (differences.length === 0) return;
  throw new CairnError(
    'BACKUPVERIFY',
    `backup ${source.id}: every checksum fits, but the restored state has ${differences.join(', ')}`,
    {
      hint: 'Restore from another backup, and report this: it should not happen.',
      details: { id: source.id, differences },
    },
  );
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
