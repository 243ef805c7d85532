/**
 * From a target to what a restore does: on which line of history the target lies, which base to copy, which commits to
 * replay. Pure. A target that cannot be reached exactly is an error that says what can be; it is never replaced by a
 * neighbour.
 *
 *   PITRRANGE   the target itself is nowhere: outside the window, in a hole, in a stretch that a restore abandoned
 *   WALGAP      the target is there, but every way to it from a base crosses a hole; both its ends are named
 *
 * Moments are found in two steps, since only segments know which commit has which time: `resolveTime` says which line,
 * `planForTime` which base and which span holds the moment. Whoever replays stops after the last commit at or before
 * it.
 */
import { formatTime } from '../base/time.js';
import { History, historyOf } from './history.js';
import { brokenLine, unknownTimeline, unreachable, unreachableMoment, unreachableTime } from './plan-errors.js';
import type { Base, Coverage, RecoveryFacts, RecoveryPath, TimedPath, Timeline } from './recovery.js';

/** What replaying one sequence costs, as bytes of a base that could be copied meanwhile. */
export const REPLAY_COST_BYTES = 100;

/** A line and its ancestors, newest first. A parent that is missing, or a chain that never ends, is an error. */
export function ancestry(timelines: readonly Timeline[], timeline: number): Timeline[] {
  const history = historyOf(timelines);
  if (history.line(timeline) === undefined) throw unknownTimeline(timelines, timeline);
  const lines = history.lineage(timeline);
  const oldest = lines.at(-1);
  if (oldest !== undefined && oldest.parent !== null) throw brokenLine(oldest, lines);
  return lines;
}

/**
 * The line on which a moment lies, seen from `explicitTimeline` or else the current one. `completeThroughUs` bounds the
 * current line; null leaves the end to `planForTime`, which knows the bases.
 */
export function resolveTime(
  targetUs: number,
  timelines: readonly Timeline[],
  current: number,
  completeThroughUs: number | null,
  explicitTimeline: number | null,
): { timeline: number; us: number } {
  const [start, ...older] = knownLineage(timelines, explicitTimeline ?? current);
  const endUs = start.timeline === current ? completeThroughUs : start.endedUs;
  if (endUs !== null && targetUs > endUs) {
    const end = start.timeline === current ? 'is known through' : 'ended at';
    throw unreachableTime(targetUs, `timeline ${start.timeline} ${end} ${formatTime(endUs)}`);
  }
  let line = start;
  for (const parent of [...older, null]) {
    if (targetUs >= line.beganUs) return { timeline: line.timeline, us: targetUs };
    if (line.parent === null) {
      throw unreachableTime(targetUs, `timeline ${line.timeline} began at ${formatTime(line.beganUs)}`);
    }
    if (line.forkUs === null || targetUs > line.forkUs) throw abandoned(targetUs, timelines, line);
    if (parent === null) break;
    line = parent;
  }
  throw brokenLine(line, [start, ...older]);
}

/** The line on which a sequence lies. Whether it is there at all is for `planPath` to say, unless its end is known. */
export function resolveSequence(
  sequence: number,
  timelines: readonly Timeline[],
  current: number,
  explicitTimeline: number | null,
): { timeline: number; sequence: number } {
  const lines = knownLineage(timelines, explicitTimeline ?? current);
  const [start] = lines;
  if (!Number.isSafeInteger(sequence) || sequence <= 0) {
    throw unreachable(`sequence ${sequence}`, 'the first commit has sequence 1');
  }
  const end = start.endSequence ?? null;
  if (end !== null && sequence > end) {
    throw unreachable(`sequence ${sequence}`, `timeline ${start.timeline} ends at sequence ${end}`);
  }
  const line = lines.find(({ parent, forkSequence }) => parent === null || sequence > forkSequence);
  if (line === undefined) throw brokenLine(lines.at(-1) ?? start, lines);
  return { timeline: line.timeline, sequence };
}

/**
 * The lines that have this sequence, seen from where `resolveSequence` was asked: the one that it names, and those that
 * fork right there. They all have the same state; where the commits of the one are lost, a backup of another leads to it.
 */
export function linesAt(
  resolved: { timeline: number; sequence: number },
  timelines: readonly Timeline[],
  seenFrom: number,
): number[] {
  const lines = historyOf(timelines).lineage(seenFrom);
  const at = lines.findIndex(({ timeline }) => timeline === resolved.timeline);
  const forks = lines.slice(0, Math.max(at, 0)).filter(({ forkSequence }) => forkSequence === resolved.sequence);
  return [resolved.timeline, ...forks.map(({ timeline }) => timeline).reverse()];
}

/** The cheapest way to a commit. `onlyBase`: from this backup's base, or not at all. */
export function planPath(
  target: { timeline: number; sequence: number },
  bases: readonly Base[],
  coverage: readonly Coverage[],
  timelines: readonly Timeline[],
  onlyBase?: Base['id'],
): RecoveryPath {
  const history = historyOf(timelines, bases, coverage);
  knownLineage(timelines, target.timeline);
  const usable = bases.filter((base) => onlyBase === undefined || base.id === onlyBase);
  const path = cheapest(history, target, usable);
  if (path !== null) return path;
  throw unreachableMoment(history, {
    what: `sequence ${target.sequence} of timeline ${target.timeline}`,
    ...target,
    candidates: eligible(history, target, usable),
    onlyBase,
    there: isThere(history, target),
  });
}

/**
 * The cheapest way to a moment on a line (as `resolveTime` names it): a base at or before it, and steps of which the
 * last contains it. `stopUs` is always the moment: no commit after it may be replayed.
 */
export function planForTime(
  target: { timeline: number; us: number },
  facts: RecoveryFacts,
  onlyBase?: Base['id'],
): TimedPath {
  const history = new History(facts);
  knownLineage(facts.timelines, target.timeline);
  const place = history.locate(target.timeline, target.us);
  const usable = facts.bases.filter(
    (base) =>
      (onlyBase === undefined || base.id === onlyBase) &&
      (base.timeline !== target.timeline || base.timestampUs <= target.us),
  );
  const goal = { timeline: target.timeline, sequence: place?.to ?? history.end(target.timeline) };
  const path = place === null ? null : cheapest(history, goal, usable);
  if (path !== null) {
    return { ...path, stopUs: target.us, sequence: place?.from === place?.to ? (place?.to ?? null) : null };
  }
  throw unreachableMoment(history, {
    what: `${formatTime(target.us)} on timeline ${target.timeline}`,
    ...goal,
    us: target.us,
    candidates: eligible(history, goal, usable),
    onlyBase,
    there: place !== null,
  });
}

/** Legs of the way from the oldest ancestor to the target, newest first: what each line contributes at most. */
function legs(history: History, target: { timeline: number; sequence: number }): { line: Timeline; to: number }[] {
  let to = target.sequence;
  return history.lineage(target.timeline).map((line) => {
    const leg = { line, to };
    to = Math.min(to, line.forkSequence);
    return leg;
  });
}

function eligible(
  history: History,
  target: { timeline: number; sequence: number },
  bases: readonly Base[],
): { base: Base; steps: RecoveryPath['steps'] }[] {
  const way = legs(history, target);
  return bases.flatMap((base) => {
    const at = way.findIndex(({ line }) => line.timeline === base.timeline);
    const leg = way[at];
    if (leg === undefined || base.sequence > leg.to) return [];
    if (leg.line.parent !== null && base.sequence < leg.line.forkSequence) return [];
    const steps = way
      .slice(0, at + 1)
      .map(({ line, to }, i) => ({ timeline: line.timeline, from: i === at ? base.sequence : line.forkSequence, to }))
      .filter(({ from, to }) => from < to)
      .reverse();
    return [{ base, steps }];
  });
}

function cheapest(
  history: History,
  target: { timeline: number; sequence: number },
  bases: readonly Base[],
): RecoveryPath | null {
  const ways = eligible(history, target, bases)
    .filter(({ steps }) => steps.every(({ timeline, from, to }) => history.covers(timeline, from, to)))
    .map((path) => {
      const replayed = path.steps.reduce((sum, { from, to }) => sum + to - from, 0);
      return { path, replayed, cost: path.base.sizeBytes + replayed * REPLAY_COST_BYTES };
    });
  ways.sort((a, b) => a.cost - b.cost || a.replayed - b.replayed || b.path.base.id - a.path.base.id);
  return ways[0]?.path ?? null;
}

/** True if something that is stored has this very commit, whether or not a base leads there. */
function isThere(history: History, { timeline, sequence }: { timeline: number; sequence: number }): boolean {
  const line = history.lineage(timeline).find(({ parent, forkSequence }) => parent === null || sequence > forkSequence);
  if (line === undefined) return false;
  return (
    history.coverage(line.timeline).some(({ from, to }) => from < sequence && sequence <= to) ||
    history.bases(line.timeline).some((base) => base.sequence === sequence)
  );
}

function knownLineage(timelines: readonly Timeline[], timeline: number): [Timeline, ...Timeline[]] {
  const [first, ...older] = historyOf(timelines).lineage(timeline);
  if (first === undefined) throw unknownTimeline(timelines, timeline);
  return [first, ...older];
}

/** A moment between a fork and the restore that made it: whatever was live then has it. */
function abandoned(us: number, timelines: readonly Timeline[], line: Timeline): Error {
  const live = timelines
    .filter(({ beganUs }) => beganUs <= us)
    .reduce<Timeline | null>(
      (newest, other) => (newest === null || other.beganUs > newest.beganUs ? other : newest),
      null,
    );
  const fork = line.forkUs === null ? `sequence ${line.forkSequence}` : formatTime(line.forkUs);
  const why = `timeline ${line.timeline} began at ${formatTime(line.beganUs)} and continues timeline ${line.parent} from ${fork}`;
  if (live === null || (live.endedUs !== null && us > live.endedUs)) return unreachableTime(us, why);
  return unreachableTime(
    us,
    `${why}; the moment lies on timeline ${live.timeline}, TIMELINE ${live.timeline} reaches it`,
    {
      hint: `Add TIMELINE ${live.timeline}, or choose another moment: ADMIN.BACKUP WINDOW.`,
      details: { timeline: live.timeline },
    },
  );
}
