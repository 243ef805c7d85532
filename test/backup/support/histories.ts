/**
 * Made-up histories: a database that commits, takes fulls, loses parts of its archive and is restored to earlier
 * moments. It remembers every commit, so that what the facts say can be compared with what happened.
 */
import fc from 'fast-check';
import type { Base, Coverage, RecoveryFacts, Timeline } from '../../../src/backup/recovery.js';
import { type WindowRecord, windows } from '../../../src/backup/window.js';

export interface Commit {
  timeline: number;
  /** Last sequences of the commit before it and of this one. */
  from: number;
  to: number;
  us: number;
  archived: boolean;
}

export interface Past {
  facts: RecoveryFacts;
  /** On its own part of each timeline, in order. */
  commits: Map<number, Commit[]>;
  nowUs: number;
}

export type Step =
  | { kind: 'commit'; sequences: number; archived: boolean }
  | { kind: 'full'; sizeBytes: number }
  | { kind: 'restore'; line: number; moment: number; named: boolean }
  | { kind: 'wait'; us: number };

/** 2026-01-01T00:00:00Z: histories begin here. */
export const START = 1_767_225_600_000_000;

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant('commit' as const),
        sequences: fc.integer({ min: 1, max: 3 }),
        archived: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('full' as const), sizeBytes: fc.integer({ min: 0, max: 900 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('restore' as const),
        line: fc.nat(9),
        moment: fc.nat(999),
        named: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), us: fc.integer({ min: 1, max: 9 }) }) },
  ),
  { maxLength: 60, size: 'max' },
);

export const pasts: fc.Arbitrary<Past> = fc.tuple(steps, fc.boolean()).map(([list, known]) => live(list, known));

/** Lets the steps happen. `endsKnown`: the timelines say where they end. */
export function live(list: readonly Step[], endsKnown: boolean): Past {
  let now = START;
  let current = line(1, null, 0, null, START);
  let position = 0;
  const lines = [current];
  const commits = new Map<number, Commit[]>([[1, []]]);
  const bases: Base[] = [];
  for (const step of list) {
    now += 2;
    if (step.kind === 'wait') now += step.us;
    if (step.kind === 'commit') {
      const to = position + step.sequences;
      commits
        .get(current.timeline)
        ?.push({ timeline: current.timeline, from: position, to, us: now, archived: step.archived });
      position = to;
    }
    if (step.kind === 'full') {
      const { sizeBytes } = step;
      bases.push({ ...base(bases.length + 1, current.timeline, position, now), sizeBytes });
    }
    if (step.kind === 'restore') {
      const from = lines[step.line % lines.length] ?? current;
      const past = since(lines, commits, from.timeline);
      const chosen = past[step.moment % (past.length + 1)];
      if (chosen === undefined) continue;
      const next = past[past.indexOf(chosen) + 1];
      const latest = next === undefined || next.timeline !== chosen.timeline ? chosen.us : next.us - 1;
      current.endedUs = now;
      if (endsKnown) current.endSequence = position;
      now += 2;
      // Whoever names a timeline may name a later one than the one that has the commit.
      const parent = step.named ? from.timeline : chosen.timeline;
      current = line(lines.length + 1, parent, chosen.to, step.moment % 2 === 0 ? latest : chosen.us, now);
      position = chosen.to;
      lines.push(current);
      commits.set(current.timeline, []);
    }
  }
  if (endsKnown) current.endSequence = position;
  const tail = commits.get(current.timeline)?.at(-1);
  const newestBase = bases.filter(({ timeline }) => timeline === current.timeline).at(-1);
  const isWhole = tail === undefined || tail.archived || newestBase?.sequence === tail.to;
  const facts: RecoveryFacts = {
    timelines: lines,
    bases,
    coverage: [...commits.values()].flatMap(coverageOf),
    current: current.timeline,
    completeThroughUs: isWhole || endsKnown ? now + 3 : null,
  };
  return { facts, commits, nowUs: now + 3 };
}

export function line(
  timeline: number,
  parent: number | null,
  forkSequence: number,
  forkUs: number | null,
  beganUs: number,
): Timeline {
  return { timeline, parent, forkSequence, forkUs, beganUs, forkCommitCount: 0, endedUs: null };
}

export function base(id: number, timeline: number, sequence: number, timestampUs: number): Base {
  return { id, timeline, sequence, timestampUs, commitCount: 0, digest: '', list: '', sizeBytes: 0 };
}

export function coverageOf(commits: readonly Commit[]): Coverage[] {
  const pieces: Coverage[] = [];
  for (const { timeline, from, to, us } of commits.filter(({ archived }) => archived)) {
    const last = pieces.at(-1);
    if (last !== undefined && last.to === from) Object.assign(last, { to, lastUs: us });
    else pieces.push({ timeline, from, to, firstUs: us, lastUs: us });
  }
  return pieces;
}

/** Every commit that led to the end of a timeline, its ancestors' too, oldest first. */
export function since(
  lines: readonly Timeline[],
  commits: ReadonlyMap<number, readonly Commit[]>,
  timeline: number,
): Commit[] {
  const own = lines.find((other) => other.timeline === timeline);
  if (own === undefined) return [];
  const earlier =
    own.parent === null ? [] : since(lines, commits, own.parent).filter(({ to }) => to <= own.forkSequence);
  return [...earlier, ...(commits.get(timeline) ?? [])];
}

/** The line and its ancestors, newest first. */
export function lineageOf(lines: readonly Timeline[], timeline: number): Timeline[] {
  const own = lines.find((other) => other.timeline === timeline);
  if (own === undefined) return [];
  return own.parent === null ? [own] : [own, ...lineageOf(lines, own.parent)];
}

/** True for a state that this timeline has in its past: taken on it, or on an ancestor and not after the fork. */
export function isInPast(
  lines: readonly Timeline[],
  timeline: number,
  state: { timeline: number; sequence: number },
): boolean {
  const lineage = lineageOf(lines, timeline);
  const depth = lineage.findIndex((other) => other.timeline === state.timeline);
  return depth >= 0 && lineage.slice(0, depth).every((other) => state.sequence <= other.forkSequence);
}

/** WINDOW over facts given one by one. */
export function windowsOf(
  timelines: readonly Timeline[],
  current: number | null,
  bases: readonly Base[],
  coverage: readonly Coverage[],
  completeThroughUs: number | null,
): WindowRecord[] {
  return windows({ timelines, current, bases, coverage, completeThroughUs });
}
