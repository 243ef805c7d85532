/** What of the archive stays: by tables, against naive models, and over three days of backups by the hour. */
import fc from 'fast-check';
import t from 'tap';
import {
  expendableSegments,
  type SegmentFacts,
  type SegmentPolicy,
  windowBase,
} from '../../src/backup/archive-retention.js';
import { planForTime } from '../../src/backup/plan.js';
import type { Coverage, Timeline } from '../../src/backup/recovery.js';
import { decideRetention } from '../../src/backup/retention.js';
import { formatTime } from '../../src/base/time.js';
import { base, isInPast, line, lineageOf, pasts, START, since, windowsOf } from './support/histories.js';

const HOUR = 3_600_000_000;
const NOW = START + 100 * HOUR;
const DAY = 24 * HOUR;

const single = [line(1, null, 0, null, START)];
const ago = (hours: number): number => NOW - hours * HOUR;
const backup = (id: number, hours: number, sequence: number, timeline = 1) => ({
  id,
  timestampUs: ago(hours),
  timeline,
  sequence,
});
const covered = (from: number, to: number, timeline = 1): Coverage => ({
  timeline,
  from,
  to,
  firstUs: START,
  lastUs: NOW,
});
const policy = { ancestry: single, coverage: [covered(0, 1000)], retentionUs: DAY, nowUs: NOW, archiving: true };

t.test('D4: the base of the window is the newest backup at or before its beginning', async (t) => {
  const backups = [backup(1, 60, 100), backup(2, 30, 200), backup(3, 24, 300), backup(4, 1, 400)];
  t.equal(windowBase(backups, policy), 3);
  t.equal(windowBase(backups, { ...policy, nowUs: NOW - 1 }), 2);
  t.equal(windowBase(backups, { ...policy, retentionUs: 70 * HOUR }), 1);
});

t.test('D4: if no backup is that old it is the oldest from which commits are continuous until now', async (t) => {
  const backups = [backup(1, 10, 100), backup(2, 8, 200), backup(3, 6, 300)];
  t.equal(windowBase(backups, policy), 1);
  t.equal(windowBase(backups, { ...policy, coverage: [covered(0, 150), covered(160, 1000)] }), 2);
  t.equal(windowBase(backups, { ...policy, coverage: [covered(0, 250)] }), 3);
  t.equal(windowBase(backups, { ...policy, coverage: [] }), 3);
  const lost = [{ ...line(1, null, 0, null, START), endSequence: 1001 }];
  t.equal(windowBase(backups, { ...policy, ancestry: lost }), null);
});

t.test(
  'without an archive there is no window; without an end it begins with the oldest continuous backup',
  async (t) => {
    const backups = [backup(1, 60, 100), backup(2, 30, 200)];
    t.equal(windowBase(backups, { ...policy, archiving: false }), null);
    t.equal(windowBase(backups, { ...policy, retentionUs: 0 }), 1);
    t.equal(windowBase(backups, { ...policy, retentionUs: 0, coverage: [covered(150, 1000)] }), 2);
    t.equal(windowBase([], policy), null);
  },
);

/** 2 continues 1 from 500. */
const forked: Timeline[] = [line(2, 1, 500, ago(30), ago(20)), line(1, null, 0, null, START)];

t.test('D4: only backups in the past of the current line count, and continuity crosses its forks', async (t) => {
  const backups = [backup(1, 60, 100), backup(2, 26, 700), backup(3, 2, 600, 2)];
  const both = { ...policy, ancestry: forked, coverage: [covered(0, 900), covered(500, 800, 2)] };
  t.equal(windowBase(backups, both), 1);
  t.equal(windowBase(backups, { ...both, retentionUs: 0 }), 1);
  t.equal(windowBase(backups, { ...both, retentionUs: 0, coverage: [covered(0, 499), covered(500, 800, 2)] }), 3);
});

const segment = (timeline: number, first: number, last: number, hours: number): SegmentFacts => ({
  key: `${timeline}:${first}-${last}`,
  timeline,
  first,
  last,
  lastUs: ago(hours),
});

const keep: SegmentPolicy = {
  ancestry: forked,
  spans: [],
  windowStart: { timeline: 1, sequence: 300, us: ago(40) },
  retentionUs: DAY,
  nowUs: NOW,
};
const old = [
  segment(1, 1, 100, 60),
  segment(1, 101, 300, 50),
  segment(1, 301, 500, 45),
  segment(1, 501, 600, 41),
  segment(1, 601, 900, 21),
  segment(2, 501, 800, 19),
];

t.test('D4: every commit since the base of the window stays; an abandoned stretch goes by age', async (t) => {
  t.same(expendableSegments(old, keep), ['1:1-100', '1:101-300', '1:501-600']);
  t.same(expendableSegments(old, { ...keep, windowStart: { timeline: 1, sequence: 299, us: ago(40) } }), [
    '1:1-100',
    '1:501-600',
  ]);
  t.same(
    expendableSegments(old, { ...keep, windowStart: { timeline: 2, sequence: 550, us: ago(19) }, retentionUs: HOUR }),
    ['1:1-100', '1:101-300', '1:301-500', '1:501-600', '1:601-900'],
  );
});

t.test('C16: what a manifest or an operation spans stays', async (t) => {
  const spans = [
    { timeline: 1, from: 99, to: 100 },
    { timeline: 1, from: 500, to: 501 },
    { timeline: 2, from: 100, to: 300 },
  ];
  t.same(expendableSegments(old, { ...keep, spans }), ['1:101-300']);
});

t.test('D5: whoever is not sure keeps: no base of the window, no retention, a base on a foreign line', async (t) => {
  t.same(expendableSegments(old, { ...keep, windowStart: null }), []);
  t.same(expendableSegments(old, { ...keep, retentionUs: 0 }), []);
  t.same(expendableSegments(old, { ...keep, retentionUs: Number.NaN }), []);
  t.same(expendableSegments(old, { ...keep, ancestry: [] }), []);
  t.same(expendableSegments(old, { ...keep, windowStart: { timeline: 7, sequence: 1, us: 1 } }), []);
  t.same(expendableSegments(old, { ...keep, windowStart: { timeline: 1, sequence: 501, us: 1 } }), []);
});

t.test('B7: segments that are dated in the future stay, and so do those within the retention', async (t) => {
  t.same(expendableSegments([segment(1, 1, 100, -5), segment(1, 1, 90, 24), segment(9, 1, 100, 3)], keep), []);
});

t.test('when nothing is archived any more, what is left goes by age', async (t) => {
  t.same(
    expendableSegments(old, { ...keep, windowStart: 'off' }),
    old.filter(({ lastUs }) => lastUs < ago(24)).map(({ key }) => key),
  );
});

t.test('D4: no history loses a commit of its window, a span, or a young one; the rest goes', async () => {
  const choices = fc.record({
    retentionUs: fc.integer({ min: 0, max: 60 }),
    spans: fc.array(
      fc.record({ timeline: fc.integer({ min: 1, max: 4 }), from: fc.nat(30), length: fc.integer({ min: 1, max: 6 }) }),
      {
        maxLength: 3,
      },
    ),
  });
  fc.assert(
    fc.property(pasts, choices, (past, choice) => {
      const { facts, nowUs } = past;
      const { retentionUs } = choice;
      const lineage = lineageOf(facts.timelines, facts.current ?? 0);
      const main = since(facts.timelines, past.commits, facts.current ?? 0);
      const onMain = facts.bases.filter((b) => isInPast(facts.timelines, facts.current ?? 0, b));
      const id = windowBase(onMain, {
        ancestry: lineage,
        coverage: facts.coverage,
        retentionUs,
        nowUs,
        archiving: true,
      });

      const aged = onMain.filter((b) => retentionUs > 0 && b.timestampUs <= nowUs - retentionUs).map((b) => b.id);
      const whole = onMain
        .filter((b) => main.every(({ to, archived }) => to <= b.sequence || archived))
        .map((b) => b.id);
      // The model knows of a lost tail that the facts do not show: it is null then.
      const naive = aged.length > 0 ? Math.max(...aged) : whole.length > 0 ? Math.min(...whole) : null;
      if (naive !== null && id !== naive) throw new Error(`base ${id}, not ${naive}`);

      const start = facts.bases.find((b) => b.id === id);
      const spans = choice.spans.map(({ timeline, from, length }) => ({ timeline, from, to: from + length }));
      const archived = [...past.commits.values()].flat().filter((commit) => commit.archived);
      const segments: SegmentFacts[] = archived.map((c) => ({
        key: `${c.timeline}:${c.to}`,
        timeline: c.timeline,
        first: c.from + 1,
        last: c.to,
        lastUs: c.us,
      }));
      const windowStart =
        start === undefined ? null : { timeline: start.timeline, sequence: start.sequence, us: start.timestampUs };
      const gone = new Set(expendableSegments(segments, { ancestry: lineage, spans, windowStart, retentionUs, nowUs }));
      for (const commit of archived) {
        const spanned = spans.some((s) => s.timeline === commit.timeline && commit.to > s.from && commit.from < s.to);
        const windowed = windowStart !== null && main.includes(commit) && commit.to > windowStart.sequence;
        const young = commit.us >= nowUs - retentionUs;
        const expected = !spanned && !windowed && !young && windowStart !== null && retentionUs > 0;
        const key = `${commit.timeline}:${commit.to}`;
        if (gone.has(key) !== expected) throw new Error(`${key}: ${gone.has(key)}, not ${expected}`);
      }
    }),
    { numRuns: 500 },
  );
});

t.test(
  'D4: hourly fulls with max_count 3 and a window of 24 h still reach back 24 h, at any time of three days',
  async (t) => {
    const MINUTE = HOUR / 60;
    const EVERY = 20 * MINUTE;
    let backups: ReturnType<typeof base>[] = [];
    let segments: SegmentFacts[] = [];
    let sequence = 0;
    let most = 0;
    for (let now = START + EVERY; now <= START + 72 * HOUR; now += EVERY) {
      sequence += 10;
      segments.push({ key: `${sequence}`, timeline: 1, first: sequence - 9, last: sequence, lastUs: now - MINUTE });
      if ((now - START) % HOUR !== 0) continue;

      const created = base((now - START) / HOUR, 1, sequence, now);
      backups.push(created);
      const coverage = coverageOfSegments(segments, MINUTE);
      const id = windowBase(backups, { ancestry: single, coverage, retentionUs: DAY, nowUs: now, archiving: true });
      const decisions = decideRetention(
        backups.map((b) => ({
          id: b.id,
          status: 'complete' as const,
          pinned: false,
          finishedAtUs: b.timestampUs,
          usedBy: null,
          windowBase: b.id === id,
        })),
        { maxCount: 3, maxAgeUs: 0 },
        now,
      );
      const kept = new Set(decisions.filter(({ action }) => action === 'keep').map((decision) => decision.id));
      backups = backups.filter((b) => kept.has(b.id));
      most = Math.max(most, backups.length);
      const start = backups.find((b) => b.id === id);
      if (start === undefined) throw new Error('the base of the window went');
      const gone = new Set(
        expendableSegments(segments, {
          ancestry: single,
          spans: [],
          windowStart: { timeline: 1, sequence: start.sequence, us: start.timestampUs },
          retentionUs: DAY,
          nowUs: now,
        }),
      );
      segments = segments.filter(({ key }) => !gone.has(key));

      const left = coverageOfSegments(segments, MINUTE);
      const [window] = windowsOf(single, 1, backups, left, now);
      const wanted = formatTime(Math.max(now - DAY, START + HOUR));
      if ((window?.from ?? '~') > wanted || window?.to !== formatTime(now) || window.gaps.length > 0) {
        throw new Error(`at ${formatTime(now)} the window is ${JSON.stringify(window)}`);
      }
      const facts = { timelines: single, bases: backups, coverage: left, current: 1, completeThroughUs: now };
      for (let us = Math.max(now - DAY, START + HOUR); us <= now; us += 7 * MINUTE) {
        planForTime({ timeline: 1, us }, facts);
      }
    }
    t.equal(most, 4, 'three that are counted and the base of the window');
  },
);

function coverageOfSegments(segments: readonly SegmentFacts[], span: number): Coverage[] {
  const pieces: Coverage[] = [];
  for (const { timeline, first, last, lastUs } of segments) {
    const before = pieces.at(-1);
    if (before !== undefined && before.to + 1 === first) Object.assign(before, { to: last, lastUs });
    else pieces.push({ timeline, from: first - 1, to: last, firstUs: lastUs - span, lastUs });
  }
  return pieces;
}
