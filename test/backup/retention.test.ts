/** Retention decides exactly what the rules say: by a table of cases, and by comparison with a naive model. */
import fc from 'fast-check';
import t from 'tap';
import { decideRetention, type RetentionEntry, type RetentionPolicy } from '../../src/backup/retention.js';

const NOW = 1_800_000_000_000_000;
const HOUR = 3_600_000_000;

function entry(id: number, change: Partial<RetentionEntry> = {}): RetentionEntry {
  return { id, status: 'complete', pinned: false, finishedAtUs: NOW - HOUR, usedBy: null, ...change };
}

function deleted(entries: RetentionEntry[], policy: Partial<RetentionPolicy>): number[] {
  return decideRetention(entries, { maxCount: 0, maxAgeUs: 0, ...policy }, NOW)
    .filter(({ action }) => action === 'delete')
    .map(({ id }) => id)
    .sort((a, b) => a - b);
}

const seven = [1, 2, 3, 4, 5, 6, 7].map((id) => entry(id));

t.test('D1: of seven complete backups max_count 3 keeps the newest three', async (t) => {
  t.same(deleted(seven, { maxCount: 3 }), [1, 2, 3, 4]);
});

t.test('D5: no limit deletes nothing', async (t) => {
  t.same(deleted(seven, {}), []);
});

t.test('D2: corrupt, incomplete and running backups neither count nor go', async (t) => {
  const entries = [
    entry(1),
    entry(2, { status: 'corrupt' }),
    entry(3),
    entry(4, { status: 'incomplete' }),
    entry(5),
    entry(6, { status: 'running' }),
  ];
  t.same(deleted(entries, { maxCount: 2 }), [1]);
  t.same(deleted(entries, { maxAgeUs: 1 }), [1, 3]);
});

t.test('D3: the newest complete backup stays however old it is', async (t) => {
  t.same(deleted([entry(1), entry(2), entry(3)], { maxAgeUs: 1 }), [1, 2]);
  t.same(deleted([entry(1), entry(2), entry(3, { status: 'corrupt' })], { maxAgeUs: 1 }), [1]);
});

t.test('D9: pinned backups stay and are not counted', async (t) => {
  t.same(
    deleted([entry(1, { pinned: true }), entry(2), entry(3), entry(4, { pinned: true }), entry(5)], { maxCount: 1 }),
    [2, 3],
  );
});

t.test('C16: a backup in use stays', async (t) => {
  const decisions = decideRetention([entry(1, { usedBy: 'restore' }), entry(2)], { maxCount: 1, maxAgeUs: 0 }, NOW);
  t.same(
    decisions.find(({ id }) => id === 1),
    { id: 1, action: 'keep', reason: 'in_use' },
  );
});

t.test('a backup that is dated in the future stays', async (t) => {
  t.same(deleted([entry(1, { finishedAtUs: NOW + HOUR }), entry(2)], { maxAgeUs: HOUR / 2 }), []);
});

t.test('age counts after the count: what is within max_count but too old goes', async (t) => {
  const entries = [entry(1, { finishedAtUs: NOW - 3 * HOUR }), entry(2, { finishedAtUs: NOW - 2 * HOUR }), entry(3)];
  t.same(deleted(entries, { maxCount: 2, maxAgeUs: 1.5 * HOUR }), [1, 2]);
});

t.test('the base of the recovery window stays and is not counted', async (t) => {
  const decisions = decideRetention(
    [entry(1, { windowBase: true }), entry(2), entry(3), entry(4)],
    { maxCount: 2, maxAgeUs: 0 },
    NOW,
  );
  t.same(
    decisions.map(({ id, action, reason }) => [id, action, reason]),
    [
      [4, 'keep', 'newest'],
      [3, 'keep', 'policy'],
      [2, 'delete', 'max_count'],
      [1, 'keep', 'window'],
    ],
  );
});

/** The rules again, written as sets instead of one pass. */
function naive(entries: RetentionEntry[], policy: RetentionPolicy): number[] {
  const complete = entries.filter(({ status }) => status === 'complete').sort((a, b) => b.id - a.id);
  const newest = complete[0]?.id;
  const candidates = complete.filter(({ pinned, windowBase }) => !pinned && windowBase !== true);
  const stay = policy.maxCount === 0 ? candidates : candidates.slice(0, policy.maxCount);
  const young = stay.filter(
    ({ finishedAtUs }) => policy.maxAgeUs === 0 || finishedAtUs === null || NOW - finishedAtUs <= policy.maxAgeUs,
  );
  return candidates
    .filter((candidate) => !young.includes(candidate) && candidate.id !== newest && candidate.usedBy === null)
    .map(({ id }) => id)
    .sort((a, b) => a - b);
}

t.test('D1: any set and any policy agree with the naive model, and something complete always stays', async (t) => {
  const entries = fc.uniqueArray(
    fc.record({
      id: fc.integer({ min: 1, max: 40 }),
      status: fc.constantFrom('complete', 'complete', 'complete', 'corrupt', 'incomplete', 'running') as fc.Arbitrary<
        RetentionEntry['status']
      >,
      pinned: fc.boolean(),
      finishedAtUs: fc.option(fc.integer({ min: NOW - 100 * HOUR, max: NOW + 10 * HOUR })),
      usedBy: fc.constantFrom(null, null, null, 'verify'),
      windowBase: fc.boolean(),
    }),
    { selector: ({ id }) => id, maxLength: 30 },
  );
  const policy = fc.record({
    maxCount: fc.integer({ min: 0, max: 10 }),
    maxAgeUs: fc.constantFrom(0, 1, HOUR, 50 * HOUR),
  });
  fc.assert(
    fc.property(entries, policy, (list, rules) => {
      const gone = deleted(list, rules);
      t.same(gone, naive(list, rules));
      const complete = list.filter(({ status }) => status === 'complete');
      return complete.length === 0 || complete.some(({ id }) => !gone.includes(id));
    }),
    { numRuns: 500 },
  );
});
