/** What WINDOW and INFO say about a history; that every moment they promise can be reached is shown in plan.test.ts. */
import fc from 'fast-check';
import t from 'tap';
import type { Coverage, Timeline } from '../../src/backup/recovery.js';
import { summary, type WindowRecord } from '../../src/backup/window.js';
import { formatTime, parseTime } from '../../src/base/time.js';
import { base, type Commit, isInPast, line, type Past, pasts, since, windowsOf } from './support/histories.js';

const text = (clock: string): string => `2026-01-28T${clock}.000000Z`;
const at = (clock: string): number => parseTime(text(clock)).us;
const piece = (timeline: number, from: number, to: number, first: string, last: string): Coverage => ({
  timeline,
  from,
  to,
  firstUs: at(first),
  lastUs: at(last),
});

/** Two restores: 2 continues 1 from 500 (10:30), 3 continues 1 from 300 (09:30). */
const lines: Timeline[] = [
  { ...line(1, null, 0, null, at('08:00:00')), endedUs: at('13:00:00') },
  { ...line(2, 1, 500, at('10:30:00'), at('13:00:01')), endedUs: at('15:00:00') },
  line(3, 1, 300, at('09:30:00'), at('15:00:01')),
];
const whole = [
  piece(1, 0, 900, '08:00:01', '12:59:00'),
  piece(2, 500, 700, '13:00:02', '14:59:00'),
  piece(3, 300, 800, '15:00:02', '16:00:00'),
];
const bases = [base(1, 1, 100, at('08:30:00')), base(2, 2, 600, at('14:00:00'))];

/** timeline, parent, current, from, to, sequences, gaps: short enough for a table. */
const row = (record: WindowRecord): unknown[] => [
  record.timeline,
  record.parent,
  record.current,
  record.from?.slice(11, 19) ?? null,
  record.to?.slice(11, 19) ?? null,
  record.sequence_from,
  record.sequence_to,
  record.gaps.map((gap) => [gap.sequence_from, gap.sequence_to, gap.from.slice(11, 19), gap.to.slice(11, 19)]),
];

t.test('fields come in the order of the contract', async (t) => {
  const [first] = windowsOf(lines, 3, bases, [piece(1, 0, 150, '08:00:01', '09:00:00')], null);
  t.equal(Object.keys(first ?? {}).join(' '), 'timeline parent current from to sequence_from sequence_to gaps');
  const holed = windowsOf(lines.slice(0, 1), 1, [...bases, base(9, 1, 700, at('12:00:00'))], [], null);
  t.equal(Object.keys(holed[0]?.gaps[0] ?? {}).join(' '), 'sequence_from sequence_to from to');
});

t.test('three timelines without a hole: each begins where its parent leads to its fork', async (t) => {
  t.same(windowsOf(lines, 3, bases, whole, at('16:30:00')).map(row), [
    [1, null, 0, '08:30:00', '12:59:00', 100, 900, []],
    [2, 1, 0, '13:00:01', '14:59:00', 500, 700, []],
    [3, 1, 1, '15:00:01', '16:30:00', 300, 800, []],
  ]);
});

t.test('a hole before a fork: the line begins at its own first backup, or nowhere', async (t) => {
  const holed = [
    piece(1, 0, 200, '08:00:01', '09:00:00'),
    piece(1, 250, 900, '09:10:00', '12:59:00'),
    ...whole.slice(1),
  ];
  t.same(windowsOf(lines, 3, bases, holed, at('16:30:00')).map(row), [
    // A restore began from 300 and one from 500: both are known, neither can be reached.
    [1, null, 0, '08:30:00', '09:00:00', 100, 200, []],
    [2, 1, 0, '14:00:00', '14:59:00', 600, 700, []],
    [3, 1, 1, null, null, null, null, []],
  ]);
});

t.test('B1: a hole is a gap when something can be restored on both its sides', async (t) => {
  const holed = [
    piece(1, 0, 450, '08:00:01', '10:10:00'),
    piece(1, 520, 900, '10:40:00', '12:59:00'),
    ...whole.slice(1),
  ];
  const later = [...bases, base(3, 1, 600, at('11:00:00'))];
  t.same(windowsOf(lines, 3, later, holed, at('16:30:00')).map(row), [
    [1, null, 0, '08:30:00', '12:59:00', 100, 900, [[450, 600, '10:10:00', '11:00:00']]],
    [2, 1, 0, '14:00:00', '14:59:00', 600, 700, []],
    [3, 1, 1, '15:00:01', '16:30:00', 300, 800, []],
  ]);
});

t.test('backups without an archive are moments with gaps between them', async (t) => {
  const two = [base(1, 1, 100, at('08:30:00')), base(2, 1, 200, at('09:00:00')), base(3, 1, 200, at('09:30:00'))];
  t.same(windowsOf(lines.slice(0, 1), 1, two, [], null).map(row), [
    [1, null, 1, '08:30:00', '09:30:00', 100, 200, [[100, 200, '08:30:00', '09:00:00']]],
  ]);
});

t.test('the end is the last commit that is known, not now, when commits at the end are missing', async (t) => {
  const last = (line3: Partial<Timeline>, completeThroughUs: number | null): string | undefined =>
    windowsOf([...lines.slice(0, 2), { ...(lines[2] as Timeline), ...line3 }], 3, bases, whole, completeThroughUs)
      .at(-1)
      ?.to?.slice(11, 19);
  t.equal(last({}, null), '16:00:00');
  t.equal(last({}, at('16:30:00')), '16:30:00');
  t.equal(last({ endSequence: 800 }, at('16:30:00')), '16:30:00');
  t.equal(last({ endSequence: 801 }, at('16:30:00')), '16:00:00');
});

t.test('the end of a line that was cut when it ended is the moment at which it ended', async (t) => {
  const cut = lines.map((other) => (other.timeline === 2 ? { ...other, endSequence: 700 } : other));
  t.equal(windowsOf(cut, 3, bases, whole, null)[1]?.to, text('15:00:00'));
});

t.test('C19: lines whose parents are missing or go round in a circle are shown, not followed', async (t) => {
  t.same(windowsOf(lines.slice(1), 3, bases, whole, null).map(row), [
    [2, 1, 0, '14:00:00', '14:59:00', 600, 700, []],
    [3, 1, 1, null, null, null, null, []],
  ]);
  const loop = [line(1, 2, 5, at('08:00:00'), at('08:00:00')), line(2, 1, 5, at('08:00:00'), at('08:00:00'))];
  t.equal(windowsOf(loop, 2, [], [], null).length, 2);
  t.same(summary(windowsOf(loop, 2, [], [], null)), { fromUs: null, toUs: null, gaps: 0 });
});

t.test('INFO sums up the current line and its ancestors', async (t) => {
  t.same(summary(windowsOf(lines, 3, bases, whole, at('16:30:00'))), {
    fromUs: at('08:30:00'),
    toUs: at('16:30:00'),
    gaps: 0,
  });
  const holed = [
    piece(1, 0, 150, '08:00:01', '08:40:00'),
    piece(1, 160, 400, '08:41:00', '10:10:00'),
    ...whole.slice(1),
  ];
  const later = [...bases, base(3, 1, 200, at('08:50:00')), base(4, 1, 850, at('12:50:00'))];
  // The gap after 400 lies in a stretch that the restore to 300 abandoned.
  t.same(summary(windowsOf(lines, 3, later, holed, at('16:30:00'))), {
    fromUs: at('08:30:00'),
    toUs: at('16:30:00'),
    gaps: 1,
  });
  t.same(summary(windowsOf(lines, null, bases, whole, null)), { fromUs: null, toUs: null, gaps: 0 });
  t.same(summary([]), { fromUs: null, toUs: null, gaps: 0 });
});

/** True if some base and the commits after it that are archived lead to this one. */
function leads({ facts }: Past, path: readonly Commit[], index: number, timeline: number): boolean {
  const target = path[index]?.to ?? 0;
  const rest = path.slice(0, index + 1);
  return facts.bases
    .filter((b) => b.sequence <= target && isInPast(facts.timelines, timeline, b))
    .some((b) => rest.every(({ to, archived }) => to <= b.sequence || archived));
}

t.test('every commit in a window can be reached, every one outside or in a gap cannot', async () => {
  fc.assert(
    fc.property(pasts, (past) => {
      const { timelines, current, bases: all, coverage, completeThroughUs } = past.facts;
      for (const record of windowsOf(timelines, current, all, coverage, completeThroughUs)) {
        const path = since(timelines, past.commits, record.timeline);
        for (const [index, commit] of path.entries()) {
          if (commit.timeline !== record.timeline) continue;
          const { sequence_from: from, sequence_to: to } = record;
          const gap = record.gaps.find((g) => g.sequence_from < commit.to && commit.to < g.sequence_to);
          const promised = from !== null && to !== null && from <= commit.to && commit.to <= to && gap === undefined;
          const expected = leads(past, path, index, record.timeline);
          if (promised !== expected)
            throw new Error(`${commit.to} of ${record.timeline}: ${promised}, not ${expected}`);
          const moment = formatTime(commit.us);
          if (promised && record.to !== null && moment > record.to) throw new Error(`${moment} is after ${record.to}`);
        }
        const ends = [record.from, ...record.gaps.flatMap((gap) => [gap.from, gap.to]), record.to];
        if (ends.some((end, i) => i > 0 && end !== null && end < (ends[i - 1] ?? ''))) throw new Error('times go back');
      }
    }),
    { numRuns: 400 },
  );
});

t.test('twenty thousand backups with a gap after each cost a look at each, not at every pair', async (t) => {
  const many = Array.from({ length: 20_000 }, (_, nth) => base(nth + 1, 1, 10 * nth, at('08:30:00') + nth));
  const begun = performance.now();
  const [record] = windowsOf([line(1, null, 0, null, at('08:00:00'))], 1, many, [], null);
  t.equal(record?.gaps.length, 19_999);
  t.same(record?.gaps[500], {
    sequence_from: 5000,
    sequence_to: 5010,
    from: formatTime(at('08:30:00') + 500),
    to: formatTime(at('08:30:00') + 501),
  });
  t.ok(performance.now() - begun < 5000);
});
