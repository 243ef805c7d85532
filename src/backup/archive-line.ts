/**
 * The line that the archive goes on with, found when it attaches: where what is archived of the live timeline ends, or a
 * new timeline where the live database is not what the archive has of it (an older copy of the disk was put back).
 */
import { assert } from '../base/assert.js';
import { CairnError } from '../base/errors.js';
import { formatTime, parseTime } from '../base/time.js';
import type { Database } from '../engine/types.js';
import { chainAnchor, type Tag, type TimelineRecord, timelineKey } from '../format/index.js';
import type { LivePort, Position } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import { correctRawCount } from './archive-count.js';
import { type CommonPoint, whereTheyPart } from './archive-start.js';
import type { ChainEnd } from './capture.js';
import type { DataDirectory } from './data-directory.js';
import { baseOf } from './facts.js';
import type { Repository } from './repository.js';
import { salvageLast } from './segment-salvage.js';

export interface LineContext {
  live: LivePort;
  directory: DataDirectory;
  repository: Repository;
  /** Whether commits are archived continuously. */
  isOn: boolean;
  log: Log;
}

/** A restore that was killed between recording its timeline and taking over leaves a record of a line that never was. */
export async function removeUnlivedTimelines(context: LineContext): Promise<void> {
  const { repository, directory, log } = context;
  // One that cannot be read may say whose parent a line is.
  if (repository.timelines.someUnreadable) return;
  const live = directory.live?.timeline ?? 0;
  const tags = await repository.knownTags();
  for (const { timeline } of repository.timelines.records()) {
    if (timeline <= live || isLived(context, timeline, tags)) continue;
    await repository.timelines.remove(timeline);
    log.info('the record of a timeline that never began was removed', { timeline });
  }
}

function isLived(context: LineContext, timeline: number, tags: readonly Tag[]): boolean {
  const { segments, catalog, timelines } = context.repository;
  return (
    segments.timelines().includes(timeline) ||
    tags.some((tag) => tag.timeline === timeline) ||
    catalog.entries().some((entry) => entry.manifest === null || entry.manifest.timeline === timeline) ||
    timelines.records().some(({ parent, left }) => parent === timeline || left?.timeline === timeline)
  );
}

/** Where the archive of the live line ends; begins a new line where the live database is not what the archive has. */
export async function findEnd(context: LineContext, database: Database): Promise<ChainEnd> {
  const { live, repository, directory, log } = context;
  const timeline = directory.live?.timeline ?? 1;
  await salvageLast(repository, timeline, log);
  raiseClock(context);
  const position = await live.pausedBetweenGroups(async (at) => at);
  const parted = await whereTheyPart({ database, mark: live.commitMark, position }, repository, timeline);
  const ahead = await knownAhead(context, timeline, position.sequence);
  if (parted !== null || ahead !== null) {
    return beginTimeline(
      context,
      parted ?? { sequence: position.sequence, commitCount: position.commitCount, timeUs: position.lastCommitUs },
      ahead ?? `the archive of timeline ${timeline} has other commits than the live database`,
    );
  }
  const record = await recordOf(context, timeline, position);
  const last = repository.segments.lastUsable(timeline)?.header;
  const end: ChainEnd =
    last == null
      ? record === null
        ? await endAt(context, position)
        : await startOfLine(context, record, position)
      : {
          timeline,
          sequence: last.sequenceTo,
          digest: last.digestTo,
          commits: last.commitsBefore + last.commits,
          lastUs: last.lastUs,
        };
  // While nothing is archived continuously, increments rest on the newest full.
  const line = context.isOn ? end : ((await newestFull(context, end)) ?? end);
  await correctRawCount(context, database, line, position);
  return line;
}

/** What is written from now on comes after every line that is known, also where the live database is an older copy. */
function raiseClock({ live, repository }: LineContext): void {
  const { segments, timelines } = repository;
  for (const timeline of segments.timelines()) live.raiseClock(segments.lastUsable(timeline)?.header?.lastUs ?? 0);
  for (const { created_at, left } of timelines.records()) {
    live.raiseClock(parseTime(created_at).us);
    if (left != null) live.raiseClock(parseTime(left.at).us);
  }
}

/** Why the live database must be an older copy, seen from backups, timelines and tags; null: nothing says so. */
async function knownAhead(context: LineContext, timeline: number, sequence: number): Promise<string | null> {
  const { repository } = context;
  const tags = await repository.knownTags();
  const later = repository.timelines
    .records()
    .find((record) => record.timeline > timeline && isLived(context, record.timeline, tags));
  if (later !== undefined) return `timeline ${timeline} was left for timeline ${later.timeline}`;
  for (const { id, manifest } of repository.catalog.entries()) {
    if (manifest !== null && manifest.timeline === timeline && manifest.sequence_to > sequence) {
      return `backup ${id} of timeline ${timeline} is at sequence ${manifest.sequence_to}, the live database at ${sequence}`;
    }
  }
  for (const tag of tags) {
    if (tag.timeline > timeline || (tag.timeline === timeline && tag.sequence > sequence)) {
      return `tag '${tag.name}' is at sequence ${tag.sequence} of timeline ${tag.timeline}, the live database at ${sequence} of ${timeline}`;
    }
  }
  return null;
}

export async function beginTimeline(context: LineContext, at: CommonPoint, why: string): Promise<ChainEnd> {
  const { live, repository, directory, log } = context;
  const { database } = live;
  const parent = directory.live?.timeline ?? 1;
  assert(database !== null, 'a timeline begins on an open database');
  const last = repository.segments.lastUsable(parent)?.header ?? null;
  const timeline = await repository.nextTimeline();
  const record: TimelineRecord = {
    timeline,
    parent: at.timeUs === null ? null : parent,
    fork_sequence: at.sequence,
    fork_at: at.timeUs === null ? null : formatTime(at.timeUs),
    fork_commit_count: at.commitCount,
    created_at: formatTime(live.nowUs()),
    reason: 'diverged',
    backup: null,
    left:
      last === null
        ? null
        : {
            timeline: parent,
            sequence: last.sequenceTo,
            commit_count: last.commitsBefore + last.commits,
            at: formatTime(last.lastUs),
          },
  };
  await repository.putTimeline(record);
  await live.exchange(async () => {
    const present = directory.live;
    if (present === null) throw new CairnError('MISCONF', 'LIVE was lost meanwhile');
    await directory.replaceLive({
      ...present,
      timeline,
      clock_floor_us: Math.max(present.clock_floor_us, live.nowUs()),
    });
    return { database, timeline, kind: live.kind };
  });
  log.error('the live database is not what its archive has: a new timeline began', {
    timeline,
    parent,
    sequence: at.sequence,
    why,
  });
  return startOf(record);
}

/** null: its record cannot be read. It is left to whoever mends it, and the line goes on without. */
async function recordOf(context: LineContext, timeline: number, position: Position): Promise<TimelineRecord | null> {
  const { timelines } = context.repository;
  if (timelines.isUnreadable(timeline)) return null;
  return timelines.get(timeline) ?? recordMissing(context, timeline, position);
}

/**
 * A line that began while the repository could not be written to, or whose record somebody lost: what came before it here nobody
 * can tell. What is there of it stays reachable.
 */
async function recordMissing(context: LineContext, timeline: number, position: Position): Promise<TimelineRecord> {
  const { live, repository, log } = context;
  const known = await earliestKnown(context, timeline);
  if (known !== null) {
    log.error('the record of the live timeline is lost: a new one begins where the repository first knows of it', {
      key: timelineKey(timeline),
      sequence: known.sequence,
      hint: 'Bring it back from a copy of the repository: without it nothing leads to the timelines before.',
    });
  }
  const record: TimelineRecord = {
    timeline,
    parent: null,
    fork_sequence: known?.sequence ?? position.sequence,
    fork_at: null,
    fork_commit_count: known?.commitCount ?? position.commitCount,
    created_at: formatTime(known?.us ?? live.nowUs()),
    reason: 'attached',
    backup: null,
  };
  await repository.putTimeline(record);
  return record;
}

/** The first state of a line that a backup or a segment tells of; null: nothing does. */
async function earliestKnown(
  { repository }: LineContext,
  timeline: number,
): Promise<{ sequence: number; commitCount: number; us: number } | null> {
  const { segments, catalog } = repository;
  const states = catalog.entries().flatMap((entry) => {
    const base = entry.manifest?.timeline === timeline ? baseOf(entry) : null;
    return base === null ? [] : [{ sequence: base.sequence, commitCount: base.commitCount, us: base.timestampUs }];
  });
  const [first] = segments.usable(timeline);
  if (first !== undefined) await segments.load([first]);
  if (first?.header != null) {
    const { sequenceFrom: sequence, commitsBefore: commitCount, firstUs } = first.header;
    states.push({ sequence, commitCount, us: firstUs - 1 });
  }
  if (states.length === 0) return null;
  const earliest = states.reduce((one, other) => (other.sequence < one.sequence ? other : one));
  return { ...earliest, us: Math.min(...states.map(({ us }) => us)) };
}

/** Nothing rests on this end of a chain: no segment leads to it, and no backup is of its line. */
export function isUntouched(context: LineContext, { timeline }: ChainEnd): boolean {
  const { segments, catalog, timelines } = context.repository;
  return (
    segments.usable(timeline).length === 0 &&
    timelines.get(timeline)?.parent === null &&
    !catalog.entries().some(({ manifest }) => manifest === null || manifest.timeline === timeline)
  );
}

export async function endAt(context: LineContext, position: Position): Promise<ChainEnd> {
  const { directory, repository } = context;
  const timeline = directory.live?.timeline ?? 1;
  const { sequence } = position;
  return {
    timeline,
    sequence,
    digest: (await repository.segments.digestAtSeam(timeline, sequence)) ?? chainAnchor(timeline, sequence),
    commits: position.commitCount,
    lastUs: position.lastCommitUs,
  };
}

/** The newest full of the live line that lies after the end of what is archived. */
export async function newestFull(context: LineContext, end: ChainEnd): Promise<ChainEnd | null> {
  const { catalog, segments } = context.repository;
  const full = catalog
    .entries()
    .findLast(
      ({ status, manifest }) =>
        status === 'complete' && manifest?.type === 'full' && manifest.timeline === end.timeline,
    );
  const manifest = full?.manifest;
  if (manifest == null || manifest.sequence_to <= end.sequence) return null;
  const { sequence_to: sequence, cut } = manifest;
  return {
    timeline: end.timeline,
    sequence,
    digest: (await segments.digestAtSeam(end.timeline, sequence)) ?? chainAnchor(end.timeline, sequence),
    commits: cut.commit_count,
    lastUs: end.lastUs,
  };
}

/**
 * Where a line is archived from that has no segment yet. The log of an adopted database has the commits of the program
 * that wrote it, which the keyspace never counted, and no backup rests on them: its archive begins with the present.
 */
async function startOfLine(context: LineContext, record: TimelineRecord, position: Position): Promise<ChainEnd> {
  const start = startOf(record);
  const isAdopted = context.live.kind === 'raw' && isUntouched(context, start);
  return isAdopted ? endAt(context, position) : start;
}

/** A line's chain before its first commit. */
function startOf(record: TimelineRecord): ChainEnd {
  const { timeline, fork_sequence: sequence, fork_commit_count: commits } = record;
  return { timeline, sequence, digest: chainAnchor(timeline, sequence), commits, lastUs: 0 };
}
