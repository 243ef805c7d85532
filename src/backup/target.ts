/**
 * From RESTORE's AT, SEQ and TAG to what a restore builds. The plan (plan.ts) says which base and which stretches; here
 * the segment that holds the target is read, and says which commit that is: its sequence, count and time are what the
 * restored state must have. A sequence inside a commit is nowhere.
 */
import { assert } from '../base/assert.js';
import { CairnError } from '../base/errors.js';
import { formatTime, parseTime } from '../base/time.js';
import { iterateRecords, lastSequence, type Tag } from '../format/index.js';
import type { BackupEntry } from './catalog.js';
import { baseOf, type LiveLine, recoveryFacts } from './facts.js';
import { History } from './history.js';
import { linesAt, planForTime, planPath, resolveSequence, resolveTime } from './plan.js';
import { reachableText, unreachable, unreachableTime } from './plan-errors.js';
import type { RecoveryFacts, RecoveryPath } from './recovery.js';
import type { Repository } from './repository.js';
import { proveRecords, readKnownSegment, type WalkStop } from './segment-object.js';
import type { SegmentEntry } from './segments.js';
import { holding, type ReplayStep, type Source } from './source.js';

export type Target = { kind: 'time'; us: number } | { kind: 'sequence'; sequence: number } | { kind: 'tag'; tag: Tag };

export interface TargetRequest {
  target: Target;
  /** null: seen from the live line. */
  timeline: number | null;
  /** The base to start from; null: the one that is fastest. */
  backup: BackupEntry | null;
  tags: readonly Tag[];
}

/** The commit at which a replay ends. */
interface Found {
  timeline: number;
  sequence: number;
  commitCount: number;
  timeUs: number;
}

/** Throws PITRRANGE or WALGAP, which name what can be reached. */
export async function sourceOfTarget(
  repository: Repository,
  live: LiveLine | null,
  request: TargetRequest,
): Promise<Source> {
  const facts = withBase(recoveryFacts(repository, live, request.tags), request.backup);
  const current = live?.timeline ?? newestLine(facts);
  try {
    return await planned(repository, facts, current, request);
  } catch (error) {
    throw namingWindow(error, facts, request.timeline ?? current);
  }
}

/** Whoever is told that a target is nowhere is told as well what is. */
function namingWindow(error: unknown, facts: RecoveryFacts, timeline: number): unknown {
  const isNamed = !(error instanceof CairnError) || error.code !== 'PITRRANGE' || error.message.includes('Reachable: ');
  if (isNamed) return error;
  const history = new History(facts);
  if (history.line(timeline) === undefined) return error;
  const { message, hint, details } = error;
  const context = { hint, details, cause: error };
  return new CairnError('PITRRANGE', `${message}. ${reachableText(history, timeline)}`, context);
}

async function planned(
  repository: Repository,
  facts: RecoveryFacts,
  current: number,
  request: TargetRequest,
): Promise<Source> {
  const { target } = request;
  if (target.kind === 'time') return byTime(repository, facts, current, target.us, request);
  const { bases, coverage, timelines } = facts;
  const resolved =
    target.kind === 'tag' ? target.tag : resolveSequence(target.sequence, timelines, current, request.timeline);
  const { sequence } = resolved;
  requireAfter(request.backup, resolved);
  const plan = (timeline: number) => planPath({ timeline, sequence }, bases, coverage, timelines, request.backup?.id);
  const lines = target.kind === 'tag' ? [resolved.timeline] : linesAt(resolved, timelines, request.timeline ?? current);
  const { timeline, path } = firstOf(lines, plan);
  const timestamp = target.kind === 'tag' ? target.tag.timestamp : null;
  return build(
    repository,
    path,
    path.steps.length === 0 ? null : await commitAt(repository, path),
    timestamp,
    timeline,
  );
}

/** The way on the first of these lines that has one; what is wrong with the first where none has. */
function firstOf(
  [first, ...others]: readonly number[],
  plan: (timeline: number) => RecoveryPath,
): { timeline: number; path: RecoveryPath } {
  assert(first !== undefined, 'a target lies on a line');
  try {
    return { timeline: first, path: plan(first) };
  } catch (error) {
    for (const timeline of others) {
      try {
        return { timeline, path: plan(timeline) };
      } catch {
        // The first one says it better.
      }
    }
    throw error;
  }
}

async function byTime(
  repository: Repository,
  facts: RecoveryFacts,
  current: number,
  us: number,
  request: TargetRequest,
): Promise<Source> {
  requireNotBefore(request.backup, us);
  const moment = resolveTime(us, facts.timelines, current, facts.completeThroughUs, request.timeline);
  const path = planForTime(moment, facts, request.backup?.id);
  const found = await commitAtTime(repository, path, us);
  return build(repository, trimmed(path, found), found, formatTime(us), moment.timeline);
}

/** The line that a repository without a live one is seen from: the newest on which anything is. */
function newestLine({ timelines, bases, coverage }: RecoveryFacts): number {
  const used = [...bases, ...coverage].map(({ timeline }) => timeline);
  return Math.max(1, ...(used.length > 0 ? used : timelines.map(({ timeline }) => timeline)));
}

/** With an explicit backup its files are the only base. */
function withBase(facts: RecoveryFacts, backup: BackupEntry | null): RecoveryFacts {
  if (backup === null) return facts;
  const base = baseOf(backup);
  const others = facts.bases.filter(({ id }) => id !== backup.id);
  return base === null ? facts : { ...facts, bases: [...others, base] };
}

/** An explicit backup is where the way begins: no earlier moment can be asked of it. */
function requireNotBefore(backup: BackupEntry | null, us: number): void {
  const timestamp = backup?.manifest?.timestamp;
  if (backup === null || timestamp === undefined || us >= parseTime(timestamp).us) return;
  throw unreachableTime(us, `backup ${backup.id} is of ${timestamp}, which is later`, {
    hint: 'Take an earlier backup, or RESTORE LATEST, which chooses one.',
  });
}

function requireAfter(backup: BackupEntry | null, target: { timeline: number; sequence: number }): void {
  const manifest = backup?.manifest;
  if (backup === null || manifest == null || manifest.timeline !== target.timeline) return;
  if (target.sequence >= manifest.sequence_to) return;
  throw unreachable(
    `sequence ${target.sequence}`,
    `backup ${backup.id} is at sequence ${manifest.sequence_to} of timeline ${manifest.timeline}, which is later`,
    { hint: 'Take an earlier backup, or RESTORE LATEST, which chooses one.' },
  );
}

/** The commit that ends the last step, which must end there. */
async function commitAt(repository: Repository, path: RecoveryPath): Promise<Found> {
  const last = lastStep(path);
  const { timeline, to } = last;
  const segment = repository.segments.holding(timeline, to);
  if (segment === null) throw vanished(last);
  const found = await walk(repository, segment, { sequence: to });
  if (found.sequence === to) return found;
  const { sequence: before, next } = found;
  throw unreachable(
    `sequence ${to}`,
    `it lies inside the commit of timeline ${timeline} that takes the sequences ${before + 1} to ${next}, and commits are never cut`,
    { hint: `Use SEQ ${before} or SEQ ${next}.`, details: { sequence: to, before, next } },
  );
}

/** The last commit at or before the moment in the last step; null: every commit in it is later. */
async function commitAtTime(repository: Repository, path: RecoveryPath, us: number): Promise<Found | null> {
  for (const step of path.steps.toReversed()) {
    const { timeline, from, to } = step;
    const segment = await repository.segments.holdingTime(timeline, us, from, to);
    if (segment === null) continue;
    const found = await walk(repository, segment, { timeUs: us, sequence: to });
    if (found.sequence > from) return found;
  }
  return null;
}

/** `next`: where the commit ends that comes after the found one; null: the segment has no more. */
async function walk(
  repository: Repository,
  { key }: SegmentEntry,
  stop: WalkStop,
): Promise<Found & { next: number | null }> {
  const release = repository.segments.hold([key]);
  try {
    const segment = await readKnownSegment(repository, key);
    const { header } = segment;
    const progress = await proveRecords(segment, stop);
    const [following] = iterateRecords(segment.bytes, progress.offset, header.indexOffset);
    return {
      timeline: header.timeline,
      sequence: progress.sequence,
      commitCount: header.commitsBefore + progress.commits,
      timeUs: progress.lastTimeUs,
      next: following === undefined ? null : lastSequence(following),
    };
  } finally {
    release();
  }
}

/** The steps up to a commit. */
function trimmed(path: RecoveryPath, found: Found | null): RecoveryPath {
  if (found === null) return { base: path.base, steps: [] };
  const end = path.steps.findIndex(({ timeline }) => timeline === found.timeline);
  return {
    base: path.base,
    steps: path.steps.slice(0, end + 1).map((step, i) => (i === end ? { ...step, to: found.sequence } : step)),
  };
}

async function build(
  repository: Repository,
  path: RecoveryPath,
  found: Found | null,
  timestamp: string | null,
  timeline: number,
): Promise<Source> {
  const { base } = path;
  const entry = repository.catalog.get(base.id);
  const manifest = entry?.manifest;
  if (entry === null || manifest == null) {
    throw new CairnError('BACKUPNOTFOUND', `backup ${base.id}, which the way to the target begins with, is gone`);
  }
  const list = await repository.catalog.fileList(entry, { fresh: true });
  const isFull = manifest.type === 'full';
  const lastCommitOfBase = !isFull
    ? null
    : manifest.cut.last_commit_at === null
      ? 0
      : parseTime(manifest.cut.last_commit_at).us;
  const lastCommitUs = found?.timeUs ?? lastCommitOfBase;
  return holding(repository, {
    id: base.id,
    keyspace: manifest.cut.keyspace,
    list,
    base: { id: isFull ? base.id : manifest.base, sequence: base.sequence, commitCount: base.commitCount },
    steps: path.steps.map((step) => replayStep(repository, step)),
    goal: {
      timeline,
      sequence: found?.sequence ?? base.sequence,
      timestamp: timestamp ?? formatTime(found?.timeUs ?? base.timestampUs),
      commitCount: found?.commitCount ?? base.commitCount,
      lastCommitUs,
      keyCounts: found === null && isFull ? manifest.cut.key_counts : null,
    },
  });
}

function replayStep(repository: Repository, step: RecoveryPath['steps'][number]): ReplayStep {
  const segments = repository.segments.way(step.timeline, step.from, step.to);
  if (segments === null) throw vanished(step);
  return { ...step, segments, digestFrom: null, digestTo: null };
}

function lastStep(path: RecoveryPath): RecoveryPath['steps'][number] {
  const last = path.steps.at(-1);
  if (last === undefined) throw new CairnError('WALGAP', 'the way to the target has no commits');
  return last;
}

/** Planned over, and gone since: found damaged, or removed by hand, in between. */
function vanished({ timeline, from, to }: RecoveryPath['steps'][number]): CairnError {
  return new CairnError(
    'WALGAP',
    `the commits after sequence ${from} up to ${to} of timeline ${timeline} are not available any more`,
    { details: { timeline, sequenceFrom: from, sequenceTo: to } },
  );
}
