/** What is said when a target cannot be reached: why, between which sequences, and what can be reached instead. */
import { assert } from '../base/assert.js';
import { CairnError, type ErrorContext } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import type { History } from './history.js';
import type { Base, Hole, RecoveryPath, Stretch, Timeline } from './recovery.js';

/** More lines of history than this in one error help nobody; WINDOW has them all. */
const MAX_LINES = 4;

export interface Failure {
  /** The target in words. */
  what: string;
  timeline: number;
  sequence: number;
  /** The target's moment, where it is one. */
  us?: number;
  /** Bases at or before the target, with the way that each would have to go. */
  candidates: { base: Base; steps: RecoveryPath['steps'] }[];
  onlyBase: number | undefined;
  /** The target's commit is stored somewhere. */
  there: boolean;
}

export function unreachable(what: string, why: string, context: ErrorContext = {}): CairnError {
  return new CairnError('PITRRANGE', `${what} cannot be reached: ${why}`, context);
}

export function unreachableTime(us: number, why: string, context: ErrorContext = {}): CairnError {
  return unreachable(formatTime(us), why, { ...context, details: { targetUs: us, ...context.details } });
}

export function unknownTimeline(timelines: readonly Timeline[], timeline: number): CairnError {
  const known = timelines.map((line) => line.timeline).sort((a, b) => a - b);
  const range = known.length === 0 ? 'there is none' : `there are ${known.slice(-20).join(', ')}`;
  return new CairnError('PITRRANGE', `timeline ${timeline} is not known: ${range}`, { details: { timeline } });
}

/** `last` is the oldest line that is known, or the one at which the chain turns back. */
export function brokenLine(last: Timeline, lines: readonly Timeline[]): CairnError {
  const loops = lines.some(({ timeline }) => timeline === last.parent);
  const why = loops ? 'which comes from it in turn' : 'of which there is no record';
  return new CairnError(
    'PITRRANGE',
    `what lies before timeline ${last.timeline} cannot be reached: it continues timeline ${last.parent}, ${why}`,
    { details: { timeline: last.timeline, parent: last.parent } },
  );
}

export function unreachableMoment(history: History, failure: Failure): CairnError {
  const { what, candidates, onlyBase } = failure;
  const details = { timeline: failure.timeline, sequence: failure.sequence };
  const reachable = reachableText(history, failure.timeline);
  if (failure.there && candidates.length > 0) {
    const { base, hole } = nearest(history, candidates);
    return new CairnError(
      'WALGAP',
      `${what} cannot be reached from backup ${base.id} (timeline ${base.timeline}, sequence ${base.sequence}): ` +
        `${holeText(hole)}. ${reachable}`,
      { details: { ...details, base: base.id, sequenceFrom: hole.from, sequenceTo: hole.to } },
    );
  }
  if (onlyBase !== undefined && candidates.length === 0) {
    return unreachable(what, `${baseText(history, failure, onlyBase)}. ${reachable}`, { details });
  }
  const hole = failure.there ? null : surroundingHole(history, failure);
  if (hole !== null) {
    return unreachable(what, `it lies in a gap, ${holeText(hole)}. ${reachable}`, {
      details: { ...details, sequenceFrom: hole.from, sequenceTo: hole.to },
    });
  }
  const why = candidates.length === 0 ? 'no backup lies at or before it' : 'it is after the last commit that is known';
  return unreachable(what, `${why}. ${reachable}`, { details });
}

function holeText({ timeline, from, to }: Hole): string {
  return `the commits after sequence ${from} up to ${to} of timeline ${timeline} are not available`;
}

/** The candidate with the shortest way, and the first hole on it. */
function nearest(history: History, candidates: Failure['candidates']): { base: Base; hole: Hole } {
  const ranked = candidates
    .map(({ base, steps }) => ({
      base,
      length: steps.reduce((sum, { from, to }) => sum + to - from, 0),
      hole: steps.map((step) => history.hole(step.timeline, step.from, step.to)).find((found) => found !== null),
    }))
    .sort((a, b) => a.length - b.length || b.base.id - a.base.id);
  const [first] = ranked;
  assert(first?.hole, 'a way without a hole was refused');
  return { base: first.base, hole: first.hole };
}

/** The hole in which the target lies; null: it is before or after everything. */
function surroundingHole(history: History, { timeline, sequence, us }: Failure): Hole | null {
  const line =
    us === undefined
      ? history.lineage(timeline).find(({ parent, forkSequence }) => parent === null || sequence > forkSequence)
      : history.line(timeline);
  if (line === undefined) return null;
  const before: number[] = [];
  const after: number[] = [];
  const place = (isAfter: boolean, value: number): number => (isAfter ? after : before).push(value);
  for (const base of history.bases(line.timeline)) {
    place(us === undefined ? base.sequence >= sequence : base.timestampUs > us, base.sequence);
  }
  for (const piece of history.coverage(line.timeline)) {
    const isAfter = us === undefined ? piece.from >= sequence : piece.firstUs > us;
    place(isAfter, isAfter ? piece.from : piece.to);
  }
  if (line.parent !== null) before.push(line.forkSequence);
  const [from, to] = [Math.max(...before), after.length > 0 ? Math.min(...after) : history.end(line.timeline)];
  if (before.length === 0 || from >= to || (us === undefined && sequence > to)) return null;
  return { timeline: line.timeline, from, to };
}

function baseText(history: History, { timeline, sequence }: Failure, id: number): string {
  const base = history.timelines.flatMap((line) => history.bases(line.timeline)).find((other) => other.id === id);
  if (base === undefined) return `backup ${id} cannot be restored from`;
  const where = `backup ${id} is of ${formatTime(base.timestampUs)}, sequence ${base.sequence} of timeline ${base.timeline}`;
  if (!history.lineage(timeline).some((line) => line.timeline === base.timeline)) {
    return `${where}, which timeline ${timeline} does not continue`;
  }
  return base.timeline === timeline || base.sequence > sequence
    ? `${where}, which is later`
    : `${where}, after timeline ${timeline} left that line`;
}

/** "Reachable: timeline 2 from … to … (sequences 5 to 90, 1 gap), timeline 1 …": the line and its ancestors. */
export function reachableText(history: History, timeline: number): string {
  let fork: Timeline | null = null;
  const parts: string[] = [];
  for (const line of history.lineage(timeline)) {
    const stretches = clipped(history.stretches(line.timeline), fork);
    const [first, last] = [stretches[0], stretches.at(-1)];
    if (first !== undefined && last !== undefined) {
      const gaps = stretches.length === 1 ? '' : `, ${stretches.length - 1} gap${stretches.length === 2 ? '' : 's'}`;
      parts.push(
        `timeline ${line.timeline} from ${formatTime(first.fromUs)} to ${formatTime(last.toUs)} ` +
          `(sequences ${first.from} to ${last.to}${gaps})`,
      );
    }
    if (fork === null || line.forkSequence <= fork.forkSequence) fork = line;
  }
  if (parts.length === 0) return `Nothing of timeline ${timeline} can be reached`;
  const more = parts.length > MAX_LINES ? ` and ${parts.length - MAX_LINES} earlier timelines` : '';
  return `Reachable: ${parts.slice(0, MAX_LINES).join(', ')}${more}`;
}

/** What of an ancestor's stretches belongs to the line that forks from it. */
function clipped(stretches: readonly Stretch[], fork: Timeline | null): Stretch[] {
  if (fork === null) return [...stretches];
  return stretches
    .filter(({ from }) => from <= fork.forkSequence)
    .map((stretch) =>
      stretch.to < fork.forkSequence
        ? stretch
        : {
            ...stretch,
            to: fork.forkSequence,
            toUs: Math.max(stretch.fromUs, Math.min(stretch.toUs, fork.forkUs ?? stretch.toUs)),
          },
    );
}
