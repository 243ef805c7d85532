/**
 * The swap: another database takes the live one's place, on a new timeline, in one instant.
 *
 *   archive what the old log holds                     while it still serves
 *   ── writes drained, LOADING ──
 *      the end of the old timeline is archived
 *      the new timeline is recorded                    [timeline-recorded]
 *      LIVE flips                                      [pointer-written]   ← the instant that counts
 *      the handle that was proven takes over           [reopened]
 *   ── serves again ──
 *   the old handle closes, its directory is kept       [old-kept]
 *
 * Until LIVE is written the old database serves on; from then on the new one does.
 */
import type { WallClock } from '../base/clock.js';
import { faultPoint } from '../base/fault-points.js';
import { formatTime } from '../base/time.js';
import type { Database } from '../engine/types.js';
import type { TimelineRecord } from '../format/index.js';
import type { KeyspaceKind, KnownPosition, LivePort, Position } from '../keyspace/port.js';
import { countUnsaidExpiries } from '../keyspace/survey.js';
import type { Log } from '../observability/log.js';
import type { Archiver } from './archiver.js';
import type { DataDirectory, KeptDatabase, LiveDocument } from './data-directory.js';
import type { Operation } from './operations.js';
import type { Repository } from './repository.js';

export interface SwapContext {
  repository: Repository;
  live: LivePort;
  /** null: this server's line does not go on in the repository. */
  archiver: Archiver | null;
  keepPreviousUs: () => number;
  clock: WallClock;
  log: Log;
}

/** Where the new line of history leaves its parent. */
export interface Fork {
  parent: number;
  forkSequence: number;
  /** The moment on the parent that it continues from. */
  forkAt: string;
  forkCommitCount: number;
  reason: 'restore' | 'previous';
  backup: number | null;
}

/** What takes over: recorded in LIVE in the same instant. */
export interface Successor {
  name: string;
  databaseId: string;
  keyspace: KeyspaceKind;
  database: Database;
  /** Set where the state does not say itself where it is. */
  position: KnownPosition | null;
  fork: Fork;
}

export interface Swapped {
  downtimeMs: number;
  timeline: number;
  previousName: string | null;
  /** Of the state that was left; null when none was open. */
  previous: { timeline: number; commitCount: number } | null;
}

export async function swap(
  context: SwapContext,
  directory: DataDirectory,
  successor: Successor,
  operation: Operation,
): Promise<Swapped> {
  operation.phase = 'swap';
  const { signal } = operation;
  const { database, keyspace, position } = successor;
  const expiryCounts = position === null ? await countUnsaidExpiries(database, keyspace) : null;
  const committed = (): Promise<Swapped> => {
    operation.checkpoint();
    operation.committed = 'it is past its swap';
    return exchange(context, directory, successor, expiryCounts);
  };
  const { archiver } = context;
  if (archiver === null) return committed();
  return archiver.turn(async () => {
    // Most of the end is archived while the old database still serves. What keeps the archive from that is met again below.
    if (archiver.on) await archiver.captureNow(signal).catch(() => undefined);
    try {
      return await committed();
    } finally {
      await archiver.detach();
    }
  }, signal);
}

async function exchange(
  context: SwapContext,
  directory: DataDirectory,
  successor: Successor,
  expiryCounts: number[] | null,
): Promise<Swapped> {
  const { live, clock, log, repository, archiver } = context;
  const before = directory.live;
  let left: Swapped['previous'] = null;
  let recorded: number | null = null;
  // Where the swap fails the old database serves on: LIVE must name it again, or a start would lose its later writes.
  const flipBack = async (error: unknown): Promise<never> => {
    if (before !== null && directory.live !== before) await directory.replaceLive(before);
    throw error;
  };
  // The way back must work without the repository too: it may be what was lost, or full.
  const isWayBack = successor.fork.reason === 'previous';
  const isOwner = !isWayBack || (await isOwnerOf(context, successor));
  const timeline = isOwner ? await repository.nextTimeline() : localTimeline(directory, repository);
  const spared = (what: string) => (error: unknown) => {
    if (!isWayBack) throw error;
    log.error(`${what}: the database is swapped back all the same, and the replaced one is kept`, { timeline, error });
  };
  const exchanged = live.exchange(async (position) => {
    if (position !== null) left = { timeline: position.timeline, commitCount: position.commitCount };
    // A moment of the commit clock that no commit of the old line has, nor any of the new one.
    const nowUs = live.database === null ? live.nowUs() : live.written().throughUs;
    if (position !== null) {
      await archiver?.captureEnd(position).catch(spared('the end of a timeline could not be archived'));
    }
    await archiver?.detach();
    if (isOwner) {
      const isOwn = before !== null && before.database_id === successor.databaseId;
      const record = timelineRecord(successor.fork, timeline, nowUs, isOwn ? position : null);
      recorded = timeline;
      await repository.putTimeline(record).catch(spared('a timeline could not be recorded'));
      await faultPoint('timeline-recorded');
    }
    const next = await nextLive(directory, successor, timeline, { position, nowUs, replacedAtUs: clock.nowUs() });
    await directory
      .replaceLive(next)
      .then(() => faultPoint('pointer-written'))
      .catch(flipBack);
    const { database, keyspace: kind, position: known } = successor;
    return {
      ...{ database, timeline, kind },
      ...(known === null ? {} : { position: known }),
      ...(expiryCounts === null ? {} : { expiryCounts }),
    };
  });
  const { previous, downtimeMs } = await exchanged.catch(flipBack).catch(async (error: unknown) => {
    // A line that never began: its number is free again.
    if (recorded !== null) {
      await repository.timelines.remove(recorded).catch((failure: unknown) => {
        log.warn('the record of a timeline that did not begin could not be removed', { timeline, error: failure });
      });
    }
    throw error;
  });
  await faultPoint('reopened');
  await previous?.close().catch((error: unknown) => log.warn('the replaced database did not close cleanly', { error }));
  await faultPoint('old-kept');
  const removed = await directory.pruneKept(context.keepPreviousUs(), clock.nowUs()).catch((error: unknown) => {
    log.warn('kept databases could not be removed', { error });
    return [];
  });
  if (removed.length > 0) log.info('kept databases removed', { removed });
  return { downtimeMs, timeline, previousName: before?.live ?? null, previous: left };
}

function timelineRecord(fork: Fork, timeline: number, nowUs: number, left: Position | null): TimelineRecord {
  return {
    timeline,
    parent: fork.parent,
    fork_sequence: fork.forkSequence,
    fork_at: fork.forkAt,
    fork_commit_count: fork.forkCommitCount,
    created_at: formatTime(nowUs),
    reason: fork.reason,
    backup: fork.backup,
    left:
      left === null
        ? null
        : { timeline: left.timeline, sequence: left.sequence, commit_count: left.commitCount, at: formatTime(nowUs) },
  };
}

async function nextLive(
  directory: DataDirectory,
  successor: Successor,
  timeline: number,
  at: { position: Position | null; nowUs: number; replacedAtUs: number },
): Promise<LiveDocument> {
  const before = directory.live;
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
            sequence: at.position?.sequence ?? null,
            commit_count: at.position?.commitCount ?? null,
          },
        ];
  const replacedAtUs = Math.max(at.replacedAtUs, (directory.previous?.replaced_at_us ?? 0) + 1);
  return {
    format: 1,
    live: successor.name,
    database_id: successor.databaseId,
    keyspace: successor.keyspace,
    timeline,
    clock_floor_us: at.nowUs,
    fresh: false,
    kept: [...keptBefore, ...keptNow.map((each, i) => ({ ...each, replaced_at_us: replacedAtUs + i }))],
  };
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

/**
 * Whether the line of what takes over goes on in this repository: it is there, and the successor's. One of another database
 * must not get a line of its own there, whose parent would be a line that only has the same number.
 */
async function isOwnerOf({ repository, log }: SwapContext, { databaseId }: Successor): Promise<boolean> {
  try {
    return (await repository.holdForTakeover()).database_id === databaseId;
  } catch (error) {
    log.warn('the repository cannot be asked: the timeline that begins now is not recorded there', { error });
    return false;
  }
}

/** A timeline number that neither this directory used nor the repository, as far as that could be asked. */
function localTimeline(directory: DataDirectory, { timelines, segments }: Repository): number {
  const kept = (directory.live?.kept ?? []).map((each) => each.timeline);
  return Math.max(directory.live?.timeline ?? 0, ...kept, timelines.highest, ...segments.timelines()) + 1;
}
