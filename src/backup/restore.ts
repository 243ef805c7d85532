/**
 * RESTORE: in place, into another directory, and back to the previous state.
 *
 * In place, nothing is destroyed before the new state is proven:
 *
 *   build db-N.building beside the live database, which serves on      [files-staged] [replayed]
 *   rename to db-N, open, prove                                        [proven]
 *   swap (swap.ts)
 *
 * A kill before LIVE flips leaves the old state, after it the new one; what else lies around is swept at the start.
 */
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { fsyncDirectory, makeDirectory, removeTree, renameDurably } from '../base/fs.js';
import { formatTime, parseTime } from '../base/time.js';
import type { Database } from '../engine/types.js';
import type { DataDirectory, KeptDatabase } from './data-directory.js';
import { emptiness, isRocksDirectory } from './data-directory.js';
import { historyOf } from './history.js';
import {
  checkSource,
  type MaterialiseContext,
  materialise,
  openProven,
  type Proven,
  restoredBytes,
} from './materialise.js';
import type { Operation } from './operations.js';
import type { RestoreRecord } from './records.js';
import type { Source } from './source.js';
import { type SwapContext, type Swapped, swap } from './swap.js';

export interface RestoreContext extends MaterialiseContext, SwapContext {
  /** null for a server that serves a plain directory. */
  directory: DataDirectory | null;
  restoreDirectory: string;
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
  const found = await emptiness(path).catch((error: unknown) => {
    throw toCairnError(error, 'RESTOREDIR', `${path} cannot be looked at`);
  });
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
    await finishPlain(context, source, await openProven(context, source, building, { walTtlSeconds: 0 }));
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

/** Whoever serves the directory later knows nothing but what it says itself. A raw one says nothing: its keys are counted. */
async function finishPlain(context: RestoreContext, source: Source, { database, position }: Proven): Promise<void> {
  try {
    if (position !== null && source.keyspace === 'native') {
      await context.correctPosition(database, { ...position, timeline: source.goal.timeline });
      await database.flush();
    }
  } finally {
    await database.close();
  }
}

/** Where RESTORE … TO builds: beside the target, hidden, named in the journal so that a start can sweep it. */
export function partialPath(path: string, operation: Operation): string {
  return join(dirname(path), `.partial-${operation.record.number}-${operation.record.startedAtUs}`);
}

export interface InPlaceRequest {
  /** Refused unless the live timeline is this one. */
  ifTimeline: number | null;
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
  const isOwn = directory.live?.database_id === header.database_id;
  const name = await directory.nextDatabaseName();
  const path = directory.databasePath(name);
  const building = `${path}.building`;
  let proven: Proven | null = null;
  try {
    await checkSource(context, source, directory.path, operation);
    await materialise(context, source, building, operation);
    operation.phase = 'prove';
    await renameDurably(building, path);
    proven = await openProven(context, source, path);
    await faultPoint('proven');
    operation.checkpoint();
    const { goal } = source;
    const swapped = await swap(
      context,
      directory,
      {
        name,
        databaseId: header.database_id,
        keyspace: source.keyspace,
        ...proven,
        fork: {
          parent: goal.timeline,
          forkSequence: goal.sequence,
          forkAt: goal.timestamp,
          forkCommitCount: goal.commitCount,
          reason: 'restore',
          backup: source.id,
        },
      },
      operation,
    );
    proven = null;
    return {
      ...restoreRecord(source, 'in-place', { begunUs, endedUs: clock.nowUs() }),
      downtime_ms: swapped.downtimeMs,
      previous_dir: swapped.previousName === null ? null : directory.databasePath(swapped.previousName),
      timeline_new: swapped.timeline,
      commits_left_behind: isOwn ? leftBehind(context, source, swapped.previous) : null,
    };
  } catch (error) {
    await proven?.database.close();
    await removeTree(building);
    if (directory.live?.live !== name) await removeTree(path);
    repository.letGo();
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
  const { clock } = context;
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
    const keptUs = await keptThrough(context, { timeline: left, sequence, replacedAtUs: kept.replaced_at_us });
    const forkAt = formatTime(Math.max(keptUs, position?.lastCommitUs ?? 0));
    const swapped = await swap(
      context,
      directory,
      {
        name: kept.name,
        databaseId: kept.database_id,
        keyspace: kept.keyspace,
        database,
        position: null,
        fork: {
          parent: left,
          forkSequence: sequence,
          forkAt,
          forkCommitCount: position?.commitCount ?? kept.commit_count ?? 0,
          reason: 'previous',
          backup: null,
        },
      },
      operation,
    );
    database = null;
    return {
      id: null,
      target: 'in-place',
      sequence,
      timestamp: forkAt,
      timeline: left,
      commits_replayed: 0,
      bytes: 0,
      duration_ms: Math.round((clock.nowUs() - begunUs) / 1000),
      downtime_ms: swapped.downtimeMs,
      previous_dir: swapped.previousName === null ? null : directory.databasePath(swapped.previousName),
      base: null,
      sequence_from: null,
      last_commit_at: position === null || position.lastCommitUs === 0 ? null : formatTime(position.lastCommitUs),
      timeline_new: swapped.timeline,
      commits_left_behind: null,
      segments: 0,
    };
  } catch (error) {
    await database?.close();
    throw error;
  } finally {
    // It may lead back to a database whose repository this is not, or not yet have led to the one whose it is.
    context.repository.letGo();
  }
}

/**
 * Through which moment of the commit clock the kept line lasted. The wall clock, which says when it was replaced, may lie
 * before its last commits; it counts only where no record tells.
 */
async function keptThrough(
  { repository, log }: RestoreContext,
  kept: { timeline: number; sequence: number; replacedAtUs: number },
): Promise<number> {
  // The way back must work without the repository too.
  await repository.timelines.refresh().catch((error: unknown) => log.warn('timelines could not be read', { error }));
  const told = repository.timelines
    .records()
    .flatMap(({ left }) => (left?.timeline === kept.timeline && left.sequence === kept.sequence ? [left.at] : []));
  return told.length === 0 ? kept.replacedAtUs : Math.max(...told.map((at) => parseTime(at).us));
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
  record.duration_ms = bytesPerMs === null ? null : Math.ceil(restoredBytes(source) / bytesPerMs);
  if (target === 'in-place') {
    record.timeline_new = await context.repository.nextTimeline();
    // Of another database's repository: its timelines only have the same numbers.
    const isOwn = (await context.repository.header())?.database_id === context.directory?.live?.database_id;
    record.commits_left_behind = isOwn ? leftBehind(context, source, liveState(context)) : null;
  }
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
    segments: 0,
  };
}

function restoreRecord(
  source: Source,
  target: string,
  times: { begunUs: number; endedUs: number } | null,
): RestoreRecord {
  const { base, goal, steps } = source;
  return {
    id: source.id,
    target,
    sequence: goal.sequence,
    timestamp: goal.timestamp,
    timeline: goal.timeline,
    commits_replayed: goal.commitCount - base.commitCount,
    bytes: restoredBytes(source),
    duration_ms: times === null ? null : Math.round((times.endedUs - times.begunUs) / 1000),
    downtime_ms: null,
    previous_dir: null,
    base: base.id,
    sequence_from: base.sequence,
    last_commit_at: goal.lastCommitUs === null || goal.lastCommitUs === 0 ? null : formatTime(goal.lastCommitUs),
    timeline_new: null,
    commits_left_behind: null,
    segments: steps.reduce((sum, step) => sum + step.segments.length, 0),
  };
}

/** What would be left now. */
function liveState({ live, directory }: RestoreContext): Swapped['previous'] {
  if (live.database === null || directory?.live == null) return null;
  return { timeline: directory.live.timeline, commitCount: live.written().commitCount };
}

/** Commits of the left state that the restored one lacks; null where the two are not on one line. */
function leftBehind({ repository }: RestoreContext, { goal }: Source, previous: Swapped['previous']): number | null {
  if (previous === null) return null;
  const lineage = historyOf(repository.timelines.lines(null)).lineage(previous.timeline);
  const at = lineage.findIndex(({ timeline }) => timeline === goal.timeline);
  const isBefore = at >= 0 && lineage.slice(0, at).every(({ forkSequence }) => goal.sequence <= forkSequence);
  return isBefore ? Math.max(0, previous.commitCount - goal.commitCount) : null;
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
