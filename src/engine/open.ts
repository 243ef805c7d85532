/**
 * Opening a database: read-write, read-only, or as a secondary of one that another process has open.
 *
 * No recovery mode of RocksDB's does what a database must: kPointInTimeRecovery, the default, passes over rot in the
 * middle of a log in silence and drops all that follows; kTolerateCorruptedTailRecords takes the torn end of a log that
 * is not the last one for normal; kAbsoluteConsistency refuses what every crash may leave. So the database is opened
 * with the last, and when it refuses, the logs are read (log-scan.ts): if the damage is the end of the last log, and
 * nothing intact follows, it is a torn tail, and RocksDB may stop there. Anything else is corruption, named by file
 * and offset.
 */
import { open as openFile } from 'node:fs/promises';
import { CairnError } from '../base/errors.js';
import { loadAddon, type NativeOpenOptions } from './addon.js';
import { RocksDatabase } from './database.js';
import { type LogScan, listLogs, scanLog } from './log-scan.js';
import { engineError } from './status.js';
import type { Database, OpenOptions, TornTail } from './types.js';

/** Opens `path`. Locked, missing, damaged: a CairnError whose details.kind says which (status.ts). */
export function openDatabase(path: string, options: OpenOptions = {}): Promise<Database> {
  return open(path, nativeOptions(path, options));
}

/**
 * Follows a database that another process owns. `privatePath` is a directory of the secondary's own, for its log.
 * It sees what the primary had written when it opened, or last caught up.
 */
export function openSecondary(path: string, privatePath: string, options: OpenOptions = {}): Promise<RocksDatabase> {
  return open(path, { ...nativeOptions(path, options), secondaryPath: privatePath });
}

async function open(path: string, options: NativeOpenOptions): Promise<RocksDatabase> {
  if (options.keepWal === true) await syncLogs(path);
  try {
    return new RocksDatabase(await loadAddon().open(options), path, null);
  } catch (thrown) {
    const error = engineError(thrown, `cannot open ${path}`, path);
    if (error.details.kind !== 'corruption') throw error;
    const tornTail = await findTornTail(path, error);
    if (tornTail === null) throw error;
    return openAtTornTail(path, options, tornTail);
  }
}

/**
 * What a killed process left in its logs the system has, and perhaps not the disk. Recovery makes tables of it, and is then done with
 * those logs: unless they are durable first, a power cut leaves tables with commits that no log has, and the archive with a hole.
 */
async function syncLogs(path: string): Promise<void> {
  try {
    for (const log of await listLogs(path, 'live')) {
      const file = await openFile(log, 'r');
      await file.datasync().finally(() => file.close());
    }
  } catch (error) {
    throw new CairnError(
      'MISCONF',
      `cannot open ${path}: its logs cannot be made durable: ${(error as Error).message}`,
      {
        hint: 'Nothing was changed. See to the disk, and start again.',
        details: { kind: 'storage', path },
        cause: error,
      },
    );
  }
}

async function openAtTornTail(path: string, options: NativeOpenOptions, tornTail: TornTail): Promise<RocksDatabase> {
  try {
    return new RocksDatabase(await loadAddon().open({ ...options, stopAtTornTail: true }), path, tornTail);
  } catch (thrown) {
    throw engineError(thrown, `cannot open ${path}`, path);
  }
}

/** null: the logs are intact, it was something else. Throws where the damage is more than a torn tail. */
async function findTornTail(path: string, cause: CairnError): Promise<TornTail | null> {
  let damaged: LogScan | undefined;
  for (const log of await listLogs(path, 'live')) {
    const scan = await scanLog(log);
    if (damaged !== undefined && scan.firstSequence !== null) throw damagedLog(path, damaged, cause);
    if (scan.damage?.intactAfter === true) throw damagedLog(path, scan, cause);
    if (scan.damage !== null) damaged = scan;
  }
  if (damaged === undefined || damaged.damage === null) return null;
  const { offset } = damaged.damage;
  return { path: damaged.path, offset, droppedBytes: damaged.sizeBytes - offset };
}

function damagedLog(path: string, scan: LogScan, cause: CairnError): CairnError {
  const offset = scan.damage?.offset ?? 0;
  return new CairnError(
    'MISCONF',
    `cannot open ${path}: ${scan.path} is damaged at offset ${offset}, and intact commits follow`,
    {
      hint: 'Restore a backup; the commits before the damage are in the log.',
      details: { kind: 'corruption', path, file: scan.path, offset },
      cause,
    },
  );
}

function nativeOptions(path: string, options: OpenOptions): NativeOpenOptions {
  const { walTtlSeconds, ...rest } = options;
  return {
    ...rest,
    path,
    keepWal: walTtlSeconds === 'forever',
    ...(typeof walTtlSeconds === 'number' ? { walTtlSeconds } : {}),
  };
}
