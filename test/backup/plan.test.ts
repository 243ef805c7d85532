/** Where a target lies and how it is reached: by tables that people can check, and against made-up histories. */
import fc from 'fast-check';
import t from 'tap';
import {
  ancestry,
  planForTime,
  planPath,
  REPLAY_COST_BYTES,
  resolveSequence,
  resolveTime,
} from '../../src/backup/plan.js';
import type { Base, Coverage, RecoveryFacts, RecoveryPath, Timeline } from '../../src/backup/recovery.js';
import { CairnError } from '../../src/base/errors.js';
import { parseTime } from '../../src/base/time.js';
import {
  base,
  type Commit,
  isInPast,
  line,
  lineageOf,
  type Past,
  pasts,
  since,
  windowsOf,
} from './support/histories.js';

const at = (clock: string): number => parseTime(`2026-01-28T${clock}Z`).us;

/**
 *   1  08:00 ──●────────────●10:00────────●12:00 … 13:00      sequences 1 to 900, fork of 2 at 500, fork of 3 at 300
 *   2                       └─(13:00)──●14:00 … 15:00          501 to 700
 *   3              └─ 09:30 ─────────────────────(15:00)────   301 to 800
 */
const lines: Timeline[] = [
  { ...line(1, null, 0, null, at('08:00:00')), endedUs: at('13:00:00') },
  { ...line(2, 1, 500, at('10:30:04.999999'), at('13:00:01')), endedUs: at('15:00:00') },
  line(3, 1, 300, at('09:30:00'), at('15:00:01')),
];
const piece = (timeline: number, from: number, to: number, first: string, last: string): Coverage => ({
  timeline,
  from,
  to,
  firstUs: at(first),
  lastUs: at(last),
});
const coverage = [
  piece(1, 0, 900, '08:00:01', '12:59:00'),
  piece(2, 500, 700, '13:00:02', '14:59:00'),
  piece(3, 300, 800, '15:00:02', '16:00:00'),
];
const bases: Base[] = [
  base(1, 1, 100, at('08:30:00')),
  base(2, 1, 400, at('10:00:00')),
  base(3, 1, 700, at('12:00:00')),
  base(4, 2, 600, at('14:00:00')),
];
const facts: RecoveryFacts = { timelines: lines, bases, coverage, current: 3, completeThroughUs: at('16:30:00') };

function failure(call: () => unknown): CairnError {
  try {
    call();
  } catch (error) {
    if (error instanceof CairnError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

const whereIs = (clock: string, timeline: number | null = null): number =>
  resolveTime(at(clock), lines, 3, at('16:30:00'), timeline).timeline;

t.test('B6: a moment belongs to the line that was live then, seen from the current line', async (t) => {
  t.equal(whereIs('16:30:00'), 3);
  t.equal(whereIs('15:00:01'), 3);
  t.equal(whereIs('09:30:00'), 1);
  t.equal(whereIs('08:00:00'), 1);
});

t.test('B6: a moment between a fork and its restore is refused, and the line that has it is named', async (t) => {
  for (const [clock, timeline] of [
    ['09:30:00.000001', 1],
    ['12:59:00', 1],
    ['13:00:01', 2],
    ['14:30:00', 2],
  ] as const) {
    const error = failure(() => whereIs(clock));
    t.equal(error.code, 'PITRRANGE');
    t.match(error.message, `TIMELINE ${timeline} reaches it`);
    t.equal(whereIs(clock, timeline), timeline);
  }
});

t.test('with TIMELINE the ancestry of that line counts', async (t) => {
  t.equal(whereIs('10:30:04.999999', 2), 1);
  t.equal(whereIs('12:00:00', 1), 1);
  t.match(failure(() => whereIs('10:30:05', 2)).message, 'TIMELINE 1 reaches it');
});

t.test('C4: a moment before everything, after now, after the end of a line, on no line', async (t) => {
  for (const [clock, timeline, text] of [
    ['07:59:59', null, 'timeline 1 began at 2026-01-28T08:00:00.000000Z'],
    ['16:30:00.000001', null, 'timeline 3 is known through 2026-01-28T16:30:00.000000Z'],
    ['13:00:00.000001', 1, 'timeline 1 ended at 2026-01-28T13:00:00.000000Z'],
    ['12:00:00', 9, 'timeline 9 is not known: there are 1, 2, 3'],
  ] as const) {
    const error = failure(() => whereIs(clock, timeline));
    t.equal(error.code, 'PITRRANGE');
    t.match(error.message, text);
  }
});

t.test('B6: equal sequences on three timelines are three different commits', async (t) => {
  const on = (sequence: number, timeline: number | null): number =>
    resolveSequence(sequence, lines, 3, timeline).timeline;
  t.same([on(600, null), on(600, 2), on(600, 1)], [3, 2, 1]);
  t.same([on(300, null), on(301, null), on(500, 2), on(501, 2)], [1, 3, 1, 2]);
});

t.test('C5: sequence 0, a negative one, one that is none, one after the known end', async (t) => {
  for (const sequence of [0, -1, 1.5, 2 ** 53, Number.NaN]) {
    t.equal(failure(() => resolveSequence(sequence, lines, 3, null)).code, 'PITRRANGE');
  }
  const ended = lines.map((other) => ({ ...other, endSequence: 800 }));
  t.same(resolveSequence(800, ended, 3, null), { timeline: 3, sequence: 800 });
  t.match(failure(() => resolveSequence(801, ended, 3, null)).message, 'ends at sequence 800');
});

t.test('an ancestry goes from the newest line to the oldest; a broken or endless one is an error', async (t) => {
  t.same(
    ancestry(lines, 3).map(({ timeline }) => timeline),
    [3, 1],
  );
  t.match(failure(() => ancestry(lines.slice(1), 3)).message, 'timeline 1, of which there is no record');
  const loop = [line(1, 2, 0, 5, 5), line(2, 1, 0, 5, 5)];
  t.match(failure(() => ancestry(loop, 2)).message, 'comes from it in turn');
  t.equal(failure(() => resolveTime(1, loop, 2, null, null)).code, 'PITRRANGE');
  t.equal(failure(() => resolveSequence(1, [line(1, 2, 1, 5, 5), line(2, 1, 1, 5, 5)], 2, null)).code, 'PITRRANGE');
  t.equal(failure(() => ancestry(lines, 4)).code, 'PITRRANGE');
});

const plan = (timeline: number, sequence: number, only?: number, pieces = coverage): RecoveryPath =>
  planPath({ timeline, sequence }, bases, pieces, lines, only);

t.test('R3: replay goes from the nearest base along the ancestry', async (t) => {
  t.same(plan(1, 400), { base: bases[1], steps: [] });
  t.same(plan(1, 450), { base: bases[1], steps: [{ timeline: 1, from: 400, to: 450 }] });
  t.same(plan(3, 650), {
    base: bases[0],
    steps: [
      { timeline: 1, from: 100, to: 300 },
      { timeline: 3, from: 300, to: 650 },
    ],
  });
  t.same(plan(2, 550).steps, [
    { timeline: 1, from: 400, to: 500 },
    { timeline: 2, from: 500, to: 550 },
  ]);
  t.same(plan(2, 650), { base: bases[3], steps: [{ timeline: 2, from: 600, to: 650 }] });
});

t.test('the base that costs least is chosen: a large one must save replay', async (t) => {
  const choose = (sizeBytes: number): number =>
    planPath({ timeline: 1, sequence: 450 }, [bases[0] as Base, { ...(bases[1] as Base), sizeBytes }], coverage, lines)
      .base.id;
  t.equal(choose(300 * REPLAY_COST_BYTES), 2);
  t.equal(choose(300 * REPLAY_COST_BYTES + 1), 1);
});

t.test('an explicit base is used or refused, never replaced', async (t) => {
  t.equal(plan(1, 650, 1).base.id, 1);
  t.match(failure(() => plan(1, 650, 3)).message, /backup 3 is of .*, which is later/);
  t.match(failure(() => plan(3, 650, 4)).message, 'sequence 600 of timeline 2, which timeline 3 does not continue');
  t.match(failure(() => plan(3, 650, 2)).message, 'after timeline 3 left that line');
  t.match(failure(() => plan(3, 650, 77)).message, 'backup 77 cannot be restored from');
});

const holed = [
  piece(1, 0, 450, '08:00:01', '10:10:00'),
  piece(1, 520, 600, '10:40:00', '11:00:00'),
  ...coverage.slice(1),
];

t.test('B1: behind a hole is WALGAP with both its ends, in it is PITRRANGE with both its ends', async (t) => {
  const behind = failure(() => plan(1, 560, undefined, holed));
  t.equal(behind.code, 'WALGAP');
  t.match(behind.message, 'the commits after sequence 450 up to 520 of timeline 1 are not available');
  t.match(behind.details, { sequenceFrom: 450, sequenceTo: 520 });
  t.match(behind.message, 'timeline 1 from 2026-01-28T08:30:00.000000Z to 2026-01-28T12:00:00.000000Z');
  for (const sequence of [451, 500, 520]) {
    const inside = failure(() => plan(1, sequence, undefined, holed));
    t.equal(inside.code, 'PITRRANGE');
    t.match(inside.details, { sequenceFrom: 450, sequenceTo: 520 });
  }
  t.equal(failure(() => plan(2, 550, undefined, holed)).code, 'WALGAP');
  t.equal(plan(1, 450, undefined, holed).base.id, 2);
  t.equal(plan(1, 700, undefined, holed).base.id, 3);
  t.match(failure(() => plan(1, 701, undefined, holed)).message, 'after the last commit that is known');
});

t.test('C5: before the first backup and after the last commit the window is named', async (t) => {
  t.match(
    failure(() => plan(1, 99)).message,
    /no backup lies at or before it\. Reachable: timeline 1 from 2026-01-28T08:30/,
  );
  const beyond = failure(() => plan(3, 801));
  t.equal(beyond.code, 'PITRRANGE');
  t.match(
    beyond.message,
    'timeline 3 from 2026-01-28T15:00:01.000000Z to 2026-01-28T16:00:00.000000Z (sequences 300 to 800)',
  );
  t.match(
    beyond.message,
    'timeline 1 from 2026-01-28T08:30:00.000000Z to 2026-01-28T09:30:00.000000Z (sequences 100 to 300)',
  );
  t.match(failure(() => planPath({ timeline: 3, sequence: 5 }, [], coverage, lines)).message, 'Nothing of timeline 3');
});

t.test('a parent whose record is lost does not hide the backups of the line itself', async (t) => {
  t.equal(planPath({ timeline: 2, sequence: 650 }, bases, coverage, lines.slice(1)).base.id, 4);
});

const planAt = (timeline: number, clock: string, change: Partial<RecoveryFacts> = {}, only?: number) =>
  planForTime({ timeline, us: at(clock) }, { ...facts, ...change }, only);

t.test(
  'R2: a moment is reached from a base at or before it, up to what is covered, and no further than the moment',
  async (t) => {
    t.match(planAt(1, '10:30:04.999999'), {
      base: { id: 2 },
      steps: [{ timeline: 1, from: 400, to: 500 }],
      stopUs: at('10:30:04.999999'),
    });
    t.match(planAt(1, '12:30:00'), { base: { id: 3 }, steps: [{ from: 700, to: 900 }], sequence: null });
    t.match(planAt(1, '12:00:00'), { base: { id: 3 }, steps: [], sequence: 700 });
    t.match(planAt(1, '12:59:00'), { base: { id: 3 }, steps: [{ from: 700, to: 900 }], sequence: 900 });
    t.match(planAt(1, '11:59:59.999999'), { base: { id: 2 }, steps: [{ from: 400, to: 700 }] });
    t.match(planAt(3, '15:00:01'), { base: { id: 1 }, steps: [{ timeline: 1, from: 100, to: 300 }], sequence: 300 });
    t.match(planAt(3, '16:29:00'), { steps: [{ timeline: 1 }, { timeline: 3, to: 800 }], sequence: 800 });
  },
);

t.test('C4: no moment is replaced by the latest one', async (t) => {
  t.equal(failure(() => planAt(3, '16:30:00.000001')).code, 'PITRRANGE');
  t.equal(failure(() => planAt(3, '16:00:00.000001', { completeThroughUs: null })).code, 'PITRRANGE');
  t.equal(failure(() => planAt(1, '12:59:00.000001')).code, 'PITRRANGE');
  t.equal(failure(() => planAt(1, '08:29:59.999999')).code, 'PITRRANGE');
  t.equal(failure(() => planAt(1, '11:00:00', {}, 3)).code, 'PITRRANGE');
  const known = lines.map((other) => (other.timeline === 1 ? { ...other, endSequence: 900 } : other));
  t.match(planAt(1, '13:00:00', { timelines: known }), { sequence: 900 });
  const lost = lines.map((other) => (other.timeline === 3 ? { ...other, endSequence: 801 } : other));
  t.equal(failure(() => planAt(3, '16:00:00.000001', { timelines: lost })).code, 'PITRRANGE');
});

t.test('C4: a moment in a gap, and one behind it', async (t) => {
  const change = { coverage: holed };
  t.match(planAt(1, '10:10:00', change), { sequence: 450 });
  for (const clock of ['10:10:00.000001', '10:39:59.999999']) {
    const inside = failure(() => planAt(1, clock, change));
    t.equal(inside.code, 'PITRRANGE', clock);
    t.match(inside.message, 'are not available');
  }
  const behind = failure(() => planAt(1, '10:50:00', change));
  t.equal(behind.code, 'WALGAP');
  t.match(behind.details, { sequenceFrom: 450, sequenceTo: 520 });
});

/** A base as the naive model sees it: a position in the list of commits that led to a target. */
function walks(past: Past, timeline: number, path: readonly Commit[], index: number, us: number | null) {
  const target = path[index]?.to ?? 0;
  const found: { cost: number; whole: boolean }[] = [];
  for (const candidate of past.facts.bases) {
    if (!isInPast(past.facts.timelines, timeline, candidate)) continue;
    if (candidate.sequence > target) continue;
    if (us !== null && candidate.timeline === timeline && candidate.timestampUs > us) continue;
    const rest = path.slice(0, index + 1).filter(({ to }) => to > candidate.sequence);
    found.push({
      cost: candidate.sizeBytes + (target - candidate.sequence) * REPLAY_COST_BYTES,
      whole: rest.every(({ archived }) => archived),
    });
  }
  return found;
}

const cost = (path: RecoveryPath): number =>
  path.base.sizeBytes + path.steps.reduce((sum, { from, to }) => sum + (to - from) * REPLAY_COST_BYTES, 0);

const runs = { numRuns: 400 };

t.test(
  'R3: any commit of any history is planned exactly if a walk commit by commit gets there, at the least cost',
  async () => {
    fc.assert(
      fc.property(pasts, (past) => {
        const { timelines, bases, coverage } = past.facts;
        for (const { timeline } of timelines) {
          const path = since(timelines, past.commits, timeline);
          for (const [index, commit] of path.entries()) {
            const target = resolveSequence(commit.to, timelines, timeline, null);
            if (target.timeline !== commit.timeline)
              throw new Error(`${commit.to} is said to be on ${target.timeline}`);
            const ways = walks(past, timeline, path, index, null);
            const whole = ways.filter((way) => way.whole).map((way) => way.cost);
            if (whole.length > 0) {
              const found = planPath({ timeline, sequence: commit.to }, bases, coverage, timelines);
              if (cost(found) !== Math.min(...whole)) throw new Error(`cost ${cost(found)}, not ${Math.min(...whole)}`);
              const replayed = path.slice(0, index + 1).filter(({ to }) => to > found.base.sequence);
              const stepped = found.steps.flatMap((step) =>
                (past.commits.get(step.timeline) ?? []).filter(({ from, to }) => from >= step.from && to <= step.to),
              );
              if (stepped.length !== replayed.length || stepped.some((other, i) => other !== replayed[i])) {
                throw new Error(`commits of the steps to ${commit.to} are not those that led there`);
              }
            } else {
              const { code } = failure(() => planPath({ timeline, sequence: commit.to }, bases, coverage, timelines));
              const stored =
                commit.archived || bases.some((b) => b.timeline === commit.timeline && b.sequence === commit.to);
              const expected = stored && ways.length > 0 ? 'WALGAP' : 'PITRRANGE';
              if (code !== expected) throw new Error(`${code}, not ${expected}, for ${commit.to} of ${timeline}`);
            }
          }
        }
      }),
      runs,
    );
  },
);

/** The line that had a moment, from the beginnings and forks of all lines between it and the one asked for. */
function naiveLine(timelines: readonly Timeline[], timeline: number, us: number): number | null {
  const lineage = lineageOf(timelines, timeline);
  const index = lineage.findIndex((other) => us >= other.beganUs);
  const passed = lineage.slice(0, index);
  return index >= 0 && passed.every(({ forkUs }) => forkUs !== null && us <= forkUs)
    ? (lineage[index]?.timeline ?? null)
    : null;
}

t.test('R2: any moment of any history is on the right line, and yields the state of then or an error', async () => {
  fc.assert(
    fc.property(pasts, (past) => {
      const { facts } = past;
      const first = facts.timelines[0]?.beganUs ?? 0;
      for (const { timeline, endedUs } of facts.timelines) {
        const record = windowsOf(
          facts.timelines,
          facts.current,
          facts.bases,
          facts.coverage,
          facts.completeThroughUs,
        ).find((other) => other.timeline === timeline);
        for (let us = first - 1; us <= past.nowUs + 1; us++) {
          const expected = us > (endedUs ?? past.nowUs) ? null : naiveLine(facts.timelines, timeline, us);
          const ask = () => resolveTime(us, facts.timelines, facts.current ?? 0, past.nowUs, timeline);
          if (expected === null) {
            const named = failure(ask).details.timeline;
            if (named !== undefined) resolveTime(us, facts.timelines, facts.current ?? 0, past.nowUs, Number(named));
            continue;
          }
          const target = ask();
          if (target.timeline !== expected) throw new Error(`${us} is said to be on ${target.timeline}`);
          if (expected !== timeline) continue;
          requireState(past, target, record?.from ?? null, record?.to ?? null, record?.gaps ?? []);
        }
      }
    }),
    runs,
  );
});

function requireState(
  past: Past,
  target: { timeline: number; us: number },
  from: string | null,
  to: string | null,
  gaps: { from: string; to: string }[],
): void {
  const { timeline, us } = target;
  const path = since(past.facts.timelines, past.commits, timeline);
  const index = path.findLastIndex((commit) => commit.us <= us);
  const moment = (text: string | null): number => (text === null ? Number.NaN : parseTime(text).us);
  const open = gaps.some((gap) => moment(gap.from) < us && us < moment(gap.to));
  const inWindow = moment(from) <= us && us <= moment(to) && !open;
  const next = path[index + 1];
  const isKnown =
    past.facts.bases.some((b) => b.timeline === timeline && b.timestampUs === us) ||
    path[index]?.us === us ||
    next?.archived === true;
  const reachable = walks(past, timeline, path, index, us).some(({ whole }) => whole);
  if (reachable && isKnown && !inWindow) throw new Error(`${us} of ${timeline} can be reached, the window denies it`);
  if (!reachable && inWindow) throw new Error(`${us} of ${timeline} cannot be reached, the window promises it`);
  if (!inWindow) {
    const { code } = failure(() => planForTime(target, past.facts));
    if (code !== 'PITRRANGE' && code !== 'WALGAP') throw new Error(code);
    return;
  }
  const found = planForTime(target, past.facts);
  const truth = path[index]?.to ?? 0;
  const replayed = found.steps
    .flatMap((step) =>
      (past.commits.get(step.timeline) ?? []).filter((c) => c.archived && c.from >= step.from && c.to <= step.to),
    )
    .filter((commit) => commit.us <= found.stopUs);
  const state = replayed.at(-1)?.to ?? found.base.sequence;
  if (state !== truth) throw new Error(`${us} of ${timeline} yields ${state}, it was ${truth}`);
  if (found.sequence !== null && found.sequence !== truth) throw new Error(`${us}: ${found.sequence} is not ${truth}`);
}
