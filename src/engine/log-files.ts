/**
 * The logs of a database as files: what they take, and taking away archived ones. RocksDB archives every log that it has
 * done with and purges none (walTtlSeconds 'forever'); which may go, and when, is decided by whoever reads them.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { nativeOf } from './database.js';
import { scanLog } from './log-scan.js';
import { engineError } from './status.js';
import type { ArchivedLog, Database } from './types.js';

const LOG_NAME = /^\d+\.log$/;

/** First sequences by name: an archived log does not change, and a number is never used again. */
const heads = new WeakMap<Database, Map<string, number | null>>();

/** Oldest first. */
export async function archivedLogs(database: Database): Promise<ArchivedLog[]> {
  const known = heads.get(database) ?? new Map<string, number | null>();
  const next = new Map<string, number | null>();
  const logs: ArchivedLog[] = [];
  for (const file of await logFiles(join(database.path, 'archive'))) {
    let firstSequence = known.get(file.name);
    if (firstSequence === undefined) {
      const scan = await unlessGone(() => scanLog(file.path, { headOnly: true }));
      if (scan === null) continue;
      firstSequence = scan.firstSequence;
    }
    next.set(file.name, firstSequence);
    logs.push({ ...file, firstSequence });
  }
  heads.set(database, next);
  return logs;
}

/**
 * Removes one archived log; only the oldest may go, so that no hole can come about. Readers and listings never trip over
 * it: one that is in the middle of the log reads it to its end, one that still needs it from the start meets WALGAP.
 */
export async function unlinkArchivedLog(database: Database, name: string): Promise<void> {
  try {
    await nativeOf(database).unlinkArchivedLog(name);
  } catch (thrown) {
    throw engineError(thrown, `cannot remove the archived log ${name} of ${database.path}`, database.path);
  }
}

/** What the logs take on disk. */
export async function logBytes(database: Database): Promise<{ live: number; archived: number }> {
  // In this order, because a log moves from live to archived: one that moves meanwhile is in both, never in neither.
  const live = await logFiles(database.path);
  const archived = await logFiles(join(database.path, 'archive'));
  const moved = new Set(archived.map((log) => log.number));
  return { live: sum(live.filter((log) => !moved.has(log.number))), archived: sum(archived) };
}

type LogFile = Omit<ArchivedLog, 'firstSequence'>;

async function logFiles(directory: string): Promise<LogFile[]> {
  const names = (await unlessGone(() => readdir(directory))) ?? [];
  const files: LogFile[] = [];
  for (const name of names.filter((one) => LOG_NAME.test(one))) {
    const path = join(directory, name);
    const found = await unlessGone(() => stat(path));
    if (found === null) continue;
    files.push({ name, path, number: Number.parseInt(name, 10), sizeBytes: found.size, modifiedMs: found.mtimeMs });
  }
  return files.sort((a, b) => a.number - b.number);
}

async function unlessGone<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function sum(files: LogFile[]): number {
  return files.reduce((total, file) => total + file.sizeBytes, 0);
}
