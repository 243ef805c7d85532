/**
 * RESTORE: in place, into another directory, and back to the previous state.
 *
 * In place, nothing is destroyed before the new state is proven:
 *
 *   build db-N.building beside the live database, which serves on      [files-staged] [replayed]
 *   rename to db-N, open, prove                                        [proven]
 *   record the new timeline in the repository                          [timeline-recorded]
 *   ── swap: writes drained, LOADING ──
 *      LIVE flips to db-N                                              [pointer-written]   ← the instant that counts
 *      the handle that was proven takes over                           [reopened]
 *   ── serves again ──
 *   the old handle closes, its directory is kept                       [old-kept]
 *
 * A kill before LIVE flips leaves the old state, after it the new one; what else lies around is swept at the start.
 */
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { WallClock } from '../base/clock.js';
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { fsyncDirectory, makeDirectory, removeTree, renameDurably } from '../base/fs.js';
import { formatTime } from '../base/time.js';
import type { Database } from '../engine/types.js';
import type { KeyspaceKind, LivePort } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import type { DataDirectory, KeptDatabase, LiveDocument } from './data-directory.js';
import { emptiness, isRocksDirectory } from './data-directory.js';
import { checkSource, type MaterialiseContext, materialise, openProven, type Source } from './materialise.js';
import type { Operation } from './operations.js';
import type { RestoreRecord } from './records.js';

export interface RestoreContext extends MaterialiseContext {
  live: LivePort;
  /** null for a server that serves a plain directory. */
  directory: DataDirectory | null;
  restoreDirectory: string;
  keepPreviousUs: () => number;
  clock: WallClock;
  log: Log;
}

const TARGET_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

/** Checks a RESTORE … TO name and gives its path; throws RESTOREDIR. */
export async function targetPath(restoreDirectory: string, name: string): Promise<string> {
  if (!TARGET_NAME.test(name)) {
    throw new CairnError('RESTOREDIR', `'${name}' is not a name for a restore directory`, {
      hint: 'Use 1 to 128 of A-Z a-z 0-9 . _ - without a leading dot; it becomes a directory in backup.restore_dir.',
    });
  }
  const path = join(restoreDirectory, name);
  const found = await emptiness(path);
  if (found === 'absent' || found === 'empty') return path;
  const what = {
    occupied: 'is not empty',
    symlink: 'is a symbolic link',
    file: 'is a file',
  }[found];
  throw new CairnError('RESTOREDIR', `${path} ${what}`, {
    hint: 'Choose another name, or remove it first.',
  });
}

/** Restores into a plain directory, which appears under its name only when it is whole and proven. */
export async function restoreTo(
  context: RestoreContext,
  source: Source,
  path: string,
  operation: Operation,
): Promise<RestoreRecord> {
  const begunUs = context.clock.nowUs();
  await makeDirectory(dirname(path));
  await checkSource(context, source, dirname(path), operation);
  const building = partialPath(path, operation);
  try {
    await materialise(context, source, building, operation);
    operation.phase = 'prove';
    await (await openProven(context, source, building)).close();
    await faultPoint('proven');
    operation.checkpoint();
    operation.committed = 'the restored directory is being put in place';
    // rename() replaces an empty directory and fails on one that was filled meanwhile.
    await rename(building, path).catch((error: NodeJS.ErrnoException) => {
      throw new CairnError('RESTOREDIR', `${path} could not be put in place: ${error.message}`, {
        hint: 'Choose another name.',
        cause: error,
      });
    });
    await fsyncDirectory(dirname(path));
  } catch (error) {
    await removeTree(building);
    throw error;
  }
  const record = restoreRecord(source, path, { begunUs, endedUs: context.clock.nowUs() });
  return { ...record, downtime_ms: 0 };
}

/** Where RESTORE … TO builds: beside the target, hidden, named in the journal so that a start can sweep it. */
export function partialPath(path: string, operation: Operation): string {
  return join(dirname(path), `.partial-${operation.record.number}-${operation.record.startedAtUs}`);
}

export interface InPlaceRequest {
  /** Refused unless the live timeline is this one. */
  ifTimeline: number | null;
}

/** What the swap needs beside the database: recorded in LIVE in the same instant. */
interface Successor {
  name: string;
  databaseId: string;
  keyspace: KeyspaceKind;
  timeline: number;
}

export async function restoreInPlace(
  context: RestoreContext,
  source: Source,
  request: InPlaceRequest,
  operation: Operation,
): Promise<RestoreRecord> {
  const directory = requireDirectory(context.directory);
  requireTimeline(directory, request.ifTimeline);
  const { repository, clock } = context;
  const begunUs = clock.nowUs();
  const header = await repository.holdForTakeover();
  await checkSource(context, source, directory.path, operation);
  const name = await directory.nextDatabaseName();
  const path = directory.databasePath(name);
  const building = `${path}.building`;
  let database: Database | null = null;
  try {
    await materialise(context, source, building, operation);
    operation.phase = 'prove';
    await renameDurably(building, path);
    database = await openProven(context, source, path);
    await faultPoint('proven');
    operation.checkpoint();
    const { manifest } = source;
    const timeline = await recordTimeline(context, {
      parent: manifest.timeline,
      forkSequence: manifest.sequence_to,
      forkAt: manifest.timestamp,
      forkCommitCount: manifest.cut.commit_count,
      reason: 'restore',
      backup: source.id,
    });
    operation.checkpoint();
    const successor: Successor = {
      name,
      databaseId: header.database_id,
      keyspace: manifest.cut.keyspace,
      timeline,
    };
    const swapped = await swap(context, directory, successor, database, operation);
    database = null;
    return {
      ...restoreRecord(source, 'in-place', { begunUs, endedUs: clock.nowUs() }),
      downtime_ms: swapped.downtimeMs,
      previous_dir: swapped.previousName === null ? null : directory.databasePath(swapped.previousName),
      timeline_new: timeline,
      commits_left_behind: leftBehind(source, swapped),
    };
  } catch (error) {
    await database?.close();
    await removeTree(building);
    if (directory.live?.live !== name) await removeTree(path);
    throw error;
  }
}

/** Swaps back to the database that was replaced last; it is opened and compared with what it was when it was kept. */
export async function restorePrevious(
  context: RestoreContext,
  request: InPlaceRequest,
  operation: Operation,
): Promise<RestoreRecord> {
  const directory = requireDirectory(context.directory);
  requireTimeline(directory, request.ifTimeline);
  const { clock, repository } = context;
  const begunUs = clock.nowUs();
  const kept = directory.previous;
  if (kept === null) {
    throw new CairnError('RESTOREFAILED', 'there is no previous database: none was replaced, or it is no longer kept', {
      hint: 'ADMIN.BACKUP LIST shows the backups that can be restored.',
    });
  }
  operation.phase = 'prove';
  let database: Database | null = await openKept(context, directory, kept);
  try {
    await faultPoint('proven');
    operation.checkpoint();
    const sequence = database.latestSequence();
    const position = await context.readPosition(database, kept.keyspace);
    // One that was not open when it was replaced has to say itself where it stands.
    const left = kept.sequence === null ? Math.max(kept.timeline, position?.timeline ?? 0) : kept.timeline;
    const fork: Fork = {
      parent: left,
      forkSequence: sequence,
      forkAt: formatTime(kept.replaced_at_us),
      forkCommitCount: position?.commitCount ?? kept.commit_count ?? 0,
      reason: 'previous',
      backup: null,
    };
    // The way back must work without the repository too: it may be what was lost.
    const timeline = (await repository.isWritable()) ? await recordTimeline(context, fork) : localTimeline(directory);
    const successor: Successor = {
      name: kept.name,
      databaseId: kept.database_id,
      keyspace: kept.keyspace,
      timeline,
    };
    const swapped = await swap(context, directory, successor, database, operation);
    database = null;
    return {
      id: null,
      target: 'in-place',
      sequence,
      timestamp: formatTime(kept.replaced_at_us),
      timeline: left,
      commits_replayed: 0,
      bytes: 0,
      duration_ms: Math.round((clock.nowUs() - begunUs) / 1000),
      downtime_ms: swapped.downtimeMs,
      previous_dir: swapped.previousName === null ? null : directory.databasePath(swapped.previousName),
      base: null,
      sequence_from: null,
      last_commit_at: position === null || position.lastCommitUs === 0 ? null : formatTime(position.lastCommitUs),
      timeline_new: timeline,
      commits_left_behind: null,
    };
  } catch (error) {
    await database?.close();
    throw error;
  }
}

async function openKept(context: RestoreContext, directory: DataDirectory, kept: KeptDatabase): Promise<Database> {
  const path = directory.databasePath(kept.name);
  if (!(await isRocksDirectory(path))) {
    throw new CairnError('RESTOREFAILED', `the previous database ${path} does not open: it is gone`, {
      hint: 'Restore a backup instead; nothing was changed.',
    });
  }
  const database = await context.openDatabase(path, { createIfMissing: false }).catch((error: Error) => {
    throw new CairnError('RESTOREFAILED', `the previous database ${path} does not open: ${error.message}`, {
      hint: 'Restore a backup instead; nothing was changed.',
      cause: error,
    });
  });
  const sequence = database.latestSequence();
  if (kept.sequence === null || kept.sequence === sequence) return database;
  await database.close();
  throw new CairnError(
    'RESTOREFAILED',
    `the previous database ${path} is at sequence ${sequence}, it was kept at ${kept.sequence}`,
    {
      hint: 'It was changed since. Restore a backup instead; nothing was changed.',
    },
  );
}

interface Swapped {
  downtimeMs: number;
  previousName: string | null;
  /** Of the state that was left; null when none was open. */
  previous: { timeline: number; commitCount: number } | null;
}

/** The exchange itself. Until LIVE is written the old database serves on; from then on the new one does. */
async function swap(
  context: RestoreContext,
  directory: DataDirectory,
  successor: Successor,
  database: Database,
  operation: Operation,
): Promise<Swapped> {
  const { live, clock, log } = context;
  operation.phase = 'swap';
  operation.committed = 'it is past its swap';
  const before = directory.live;
  let left: Swapped['previous'] = null;
  // Where the swap fails the old database serves on: LIVE must name it again, or a start would lose its later writes.
  const flipBack = async (error: unknown): Promise<never> => {
    if (before !== null && directory.live !== before) await directory.replaceLive(before);
    throw error;
  };
  const exchanged = live.exchange(async (position) => {
    if (position !== null) left = { timeline: position.timeline, commitCount: position.commitCount };
    const nowUs = live.nowUs();
    const keptBefore = (before?.kept ?? []).filter((kept) => kept.name !== successor.name);
    const keptNow: Omit<KeptDatabase, 'replaced_at_us'>[] =
      before === null
        ? await lostDatabases(directory, successor)
        : [
            {
              name: before.live,
              database_id: before.database_id,
              keyspace: before.keyspace,
              timeline: before.timeline,
              sequence: position?.sequence ?? null,
              commit_count: position?.commitCount ?? null,
            },
          ];
    const replacedAtUs = Math.max(clock.nowUs(), (directory.previous?.replaced_at_us ?? 0) + 1);
    const kept = [...keptBefore, ...keptNow.map((each, at) => ({ ...each, replaced_at_us: replacedAtUs + at }))];
    const next: LiveDocument = {
      format: 1,
      live: successor.name,
      database_id: successor.databaseId,
      keyspace: successor.keyspace,
      timeline: successor.timeline,
      clock_floor_us: nowUs,
      fresh: false,
      kept,
    };
    await directory
      .replaceLive(next)
      .then(() => faultPoint('pointer-written'))
      .catch(flipBack);
    return { database, timeline: successor.timeline, kind: successor.keyspace };
  });
  const { previous, downtimeMs } = await exchanged.catch(flipBack);
  await faultPoint('reopened');
  await previous?.close().catch((error: unknown) => log.warn('the replaced database did not close cleanly', { error }));
  await faultPoint('old-kept');
  const removed = await directory.pruneKept(context.keepPreviousUs(), clock.nowUs()).catch((error: unknown) => {
    log.warn('kept databases could not be removed', { error });
    return [];
  });
  if (removed.length > 0) log.info('kept databases removed', { removed });
  return { downtimeMs, previousName: before?.live ?? null, previous: left };
}

/** LIVE was lost: which of the databases was live nobody knows, so all are kept, the one with the highest number as the newest. */
async function lostDatabases(
  directory: DataDirectory,
  successor: Successor,
): Promise<Omit<KeptDatabase, 'replaced_at_us'>[]> {
  const { databaseId: database_id, keyspace } = successor;
  const names = await directory.unnamedDatabases(successor.name);
  return names.map((name) => ({ name, database_id, keyspace, timeline: 1, sequence: null, commit_count: null }));
}

interface Fork {
  parent: number;
  forkSequence: number;
  forkAt: string;
  forkCommitCount: number;
  reason: 'restore' | 'previous';
  backup: number | null;
}

/** A timeline number that this directory never used, where no repository can be asked. */
function localTimeline(directory: DataDirectory): number {
  const used = [directory.live?.timeline ?? 0, ...(directory.live?.kept ?? []).map((kept) => kept.timeline)];
  return Math.max(...used) + 1;
}

async function recordTimeline(context: RestoreContext, fork: Fork): Promise<number> {
  const { repository, clock } = context;
  const timeline = await repository.nextTimeline();
  await repository.putTimeline({
    timeline,
    parent: fork.parent,
    fork_sequence: fork.forkSequence,
    fork_at: fork.forkAt,
    fork_commit_count: fork.forkCommitCount,
    created_at: formatTime(clock.nowUs()),
    reason: fork.reason,
    backup: fork.backup,
  });
  await faultPoint('timeline-recorded');
  return timeline;
}

/** What a dry run can say: everything but the times of a swap that did not happen. */
export async function restoreDryRun(
  context: RestoreContext,
  source: Source,
  target: string,
  operation: Operation,
  bytesPerMs: number | null,
  ifTimeline: number | null,
): Promise<RestoreRecord> {
  if (target === 'in-place') requireTimeline(requireDirectory(context.directory), ifTimeline);
  const parent = target === 'in-place' ? requireDirectory(context.directory).path : await existing(dirname(target));
  await checkSource(context, source, parent, operation);
  const record = restoreRecord(source, target, null);
  record.duration_ms = bytesPerMs === null ? null : Math.ceil(source.manifest.size / bytesPerMs);
  if (target === 'in-place') record.timeline_new = await context.repository.nextTimeline();
  return record;
}

/** The path itself, or the nearest directory above it that is there. */
async function existing(path: string): Promise<string> {
  for (let at = path; at !== dirname(at); at = dirname(at)) {
    if ((await emptiness(at)) !== 'absent') return at;
  }
  return dirname(path);
}

/** Checks a PREVIOUS dry run: what it would swap back to. */
export function previousDryRun(context: RestoreContext, ifTimeline: number | null): RestoreRecord {
  const directory = requireDirectory(context.directory);
  requireTimeline(directory, ifTimeline);
  const kept = directory.previous;
  if (kept === null) throw new CairnError('RESTOREFAILED', 'there is no previous database to swap back to');
  return {
    id: null,
    target: 'in-place',
    sequence: kept.sequence,
    timestamp: formatTime(kept.replaced_at_us),
    timeline: kept.timeline,
    commits_replayed: 0,
    bytes: 0,
    duration_ms: null,
    downtime_ms: null,
    previous_dir: null,
    base: null,
    sequence_from: null,
    last_commit_at: null,
    timeline_new: null,
    commits_left_behind: null,
  };
}

function restoreRecord(
  source: Source,
  target: string,
  times: { begunUs: number; endedUs: number } | null,
): RestoreRecord {
  const { manifest } = source;
  return {
    id: source.id,
    target,
    sequence: manifest.sequence_to,
    timestamp: manifest.timestamp,
    timeline: manifest.timeline,
    commits_replayed: 0,
    bytes: manifest.size,
    duration_ms: times === null ? null : Math.round((times.endedUs - times.begunUs) / 1000),
    downtime_ms: null,
    previous_dir: null,
    base: manifest.base ?? source.id,
    sequence_from: manifest.sequence_to,
    last_commit_at: manifest.cut.last_commit_at,
    timeline_new: null,
    commits_left_behind: null,
  };
}

/** Commits of the left state that the restored one lacks; null where the two are not on one line. */
function leftBehind(source: Source, swapped: Swapped): number | null {
  if (swapped.previous === null || swapped.previous.timeline !== source.manifest.timeline) return null;
  return Math.max(0, swapped.previous.commitCount - source.manifest.cut.commit_count);
}

function requireDirectory(directory: DataDirectory | null): DataDirectory {
  if (directory !== null) return directory;
  throw new CairnError(
    'RESTOREFAILED',
    'this server serves a plain directory (--data-dir) and cannot restore in place',
    {
      hint: 'Use RESTORE … TO, or start a server with --dir.',
    },
  );
}

function requireTimeline(directory: DataDirectory, ifTimeline: number | null): void {
  const timeline = directory.live?.timeline ?? null;
  if (ifTimeline === null || ifTimeline === timeline) return;
  throw new CairnError('RESTOREFAILED', `the live timeline is ${timeline}, not ${ifTimeline}`, {
    hint: 'The restore may have happened already. ADMIN.BACKUP STATUS and INFO backup show the present state; nothing was changed.',
    details: { timeline, expected: ifTimeline },
  });
}
