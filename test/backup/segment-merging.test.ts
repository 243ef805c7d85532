/** Segments become few and large, each byte is rewritten a few times, and only what is exactly adjacent is merged. */
import fc from 'fast-check';
import t from 'tap';
import { coveredSegments, MERGE_LIMITS, type MergeableSegment, mergeGroups } from '../../src/backup/segment-merging.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const { overheadBytes, maxBytes } = MERGE_LIMITS;

interface Tracked extends MergeableSegment {
  /** How often the byte in it that was rewritten most was rewritten. */
  rewrites: number;
}

const segment = (first: number, last: number, sizeBytes: number, timeline = 1): Tracked => ({
  key: `${timeline}/${first}-${last}`,
  timeline,
  first,
  last,
  sizeBytes,
  rewrites: 0,
});

const row = (sizes: readonly number[]): Tracked[] => sizes.map((size, i) => segment(i + 1, i + 1, size));

const fill = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value);

/** Merges until nothing more is to be merged; `written`: all bytes that this wrote. */
function settle(list: readonly Tracked[]): { segments: Tracked[]; written: number } {
  let segments = [...list];
  let written = 0;
  for (let groups = mergeGroups(segments); groups.length > 0; groups = mergeGroups(segments)) {
    for (const group of groups) {
      const parts = group.map((key) => segments.find((other) => other.key === key)) as Tracked[];
      const [first, last] = [parts[0], parts.at(-1)] as [Tracked, Tracked];
      const size = parts.reduce((sum, part) => sum + part.sizeBytes - overheadBytes, overheadBytes);
      const merged = { ...segment(first.first, last.last, size, first.timeline) };
      merged.rewrites = 1 + Math.max(...parts.map((part) => part.rewrites));
      written += size;
      segments = segments.flatMap((other) => (other === first ? [merged] : parts.includes(other) ? [] : [other]));
    }
  }
  return { segments, written };
}

t.test('sixteen adjacent small segments become one; fifteen do not', async (t) => {
  t.same(mergeGroups(row(fill(15, KIB))), []);
  t.same(mergeGroups(row(fill(16, KIB))), [row(fill(16, KIB)).map(({ key }) => key)]);
});

t.test('B4: a missing sequence, another timeline or an overlap is never merged across', async (t) => {
  const missing = [...row(fill(10, KIB)), ...row(fill(20, KIB)).slice(11)];
  t.same(mergeGroups(missing), []);
  const twoLines = [...row(fill(10, KIB)), ...fill(10, 0).map((_, i) => segment(11 + i, 11 + i, KIB, 2))];
  t.same(mergeGroups(twoLines), []);
  const after = fill(10, 0).map((_, i) => segment(12 + i, 12 + i, KIB));
  const overlapping = [...row(fill(8, KIB)), segment(9, 10, KIB), segment(10, 11, KIB), ...after];
  t.same(mergeGroups(overlapping), []);
});

t.test('no merged segment is larger than the limit, and eight of 2 MiB fill one', async (t) => {
  t.equal(mergeGroups(row(fill(9, 2 * MIB)))[0]?.length, 8);
  t.same(mergeGroups(row(fill(40, 9 * MIB))), []);
  t.same(mergeGroups(row(fill(2, 20 * MIB))), []);
});

t.test('small segments merge among themselves before a large neighbour takes part', async (t) => {
  const sizes = [3 * MIB, ...fill(16, 500), 3 * MIB];
  t.same(mergeGroups(row(sizes)), [
    row(sizes)
      .slice(1, 17)
      .map(({ key }) => key),
  ]);
});

t.test('sizes that alternate between tiers do not stay many', async (t) => {
  const sizes = fill(2000, 0).map((_, i) => (i % 2 === 0 ? 70 * KIB : 300));
  t.ok(settle(row(sizes)).segments.length < 60);
});

t.test('a day of archive by the second: few segments at any time, few rewrites of any byte', async (t) => {
  for (const size of [300, 3 * KIB, 40 * KIB]) {
    let segments: Tracked[] = [];
    let [arrived, written, most] = [0, 0, 0];
    for (let second = 1; second <= 86_400; second++) {
      segments.push(segment(second, second, size));
      arrived += size;
      // Merging runs now and then, not at every segment.
      if (second % 20 !== 0) continue;
      const settled = settle(segments);
      segments = settled.segments;
      written += settled.written;
      most = Math.max(most, segments.length);
    }
    const rewrites = Math.max(...segments.map((other) => other.rewrites));
    t.ok(rewrites <= 8, `${rewrites} rewrites at most of pieces of ${size}`);
    t.ok(written <= 5 * arrived, `${(written / arrived).toFixed(1)} times the bytes written for pieces of ${size}`);
    t.ok(most <= 100 + (2 * arrived) / (maxBytes / 4), `${most} segments at most of pieces of ${size}`);
  }
});

t.test('a backlog of 100,000 small segments is settled quickly and in few rewrites', async (t) => {
  const began = process.hrtime.bigint();
  const groups = mergeGroups(row(fill(100_000, 300)));
  const ms = Number(process.hrtime.bigint() - began) / 1e6;
  t.ok(groups.length < 1000, `${groups.length} groups`);
  t.ok(ms < 5000, `${ms.toFixed(0)} ms`);
});

const sizes = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 265, max: 5000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 265, max: 200 * KIB }) },
    { weight: 1, arbitrary: fc.integer({ min: 265, max: 18 * MIB }) },
  ),
  { minLength: 1, maxLength: 400, size: 'max' },
);

t.test(
  'whatever arrives: groups are adjacent and disjoint, no merge is too large, no byte is rewritten often',
  async () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.nat(399), { maxLength: 5 }), (list, lost) => {
        const all = row(list).filter((_, i) => !lost.includes(i));
        const byKey = new Map(all.map((other) => [other.key, other]));
        const used = new Set<string>();
        for (const group of mergeGroups(all)) {
          const parts = group.map((key) => byKey.get(key)) as Tracked[];
          if (parts.length < 2 || group.some((key) => used.has(key))) throw new Error('a key is in two groups');
          for (const key of group) used.add(key);
          if (parts.some((part, i) => i > 0 && parts[i - 1]?.last !== part.first - 1)) throw new Error('not adjacent');
          if (parts.reduce((sum, part) => sum + part.sizeBytes, 0) > maxBytes) throw new Error('too large');
        }
        const { segments } = settle(all);
        const bytes = all.reduce((sum, other) => sum + other.sizeBytes, 0);
        for (const { rewrites } of segments) if (rewrites > 8) throw new Error(`${rewrites} rewrites`);
        const runs = 1 + lost.length;
        const bound =
          runs * 70 + (2 * bytes) / (maxBytes / 4) + all.filter((o) => o.sizeBytes > maxBytes / 4).length * 70;
        if (segments.length > bound) throw new Error(`${segments.length} are left of ${all.length}`);
      }),
      { numRuns: 100 },
    );
  },
);

t.test('what an interrupted merge left behind is found; equal and overlapping ones are not', async (t) => {
  t.same(coveredSegments([segment(1, 10, 1), segment(11, 20, 1), segment(1, 20, 1)]), ['1/1-10', '1/11-20']);
  t.same(coveredSegments([segment(1, 10, 1), segment(1, 10, 1), segment(5, 15, 1)]), []);
  t.same(coveredSegments([segment(1, 20, 1, 1), segment(1, 10, 1, 2)]), []);
  const left = [...row(fill(16, KIB)), segment(1, 16, 10 * KIB)];
  t.same(mergeGroups(left), []);
});

t.test('covered segments are those that a larger one contains, by comparison of all pairs', async () => {
  const span = fc.record({ timeline: fc.integer({ min: 1, max: 2 }), first: fc.nat(20), length: fc.nat(8) });
  fc.assert(
    fc.property(fc.array(span, { maxLength: 25 }), (spans) => {
      const list = spans.map(({ timeline, first, length }, i) => ({
        key: `${i}`,
        timeline,
        first,
        last: first + length,
      }));
      const expected = list.filter((a) =>
        list.some(
          (b) =>
            a.timeline === b.timeline && b.first <= a.first && a.last <= b.last && b.last - b.first > a.last - a.first,
        ),
      );
      const found = coveredSegments(list);
      return found.length === expected.length && expected.every(({ key }) => found.includes(key));
    }),
    { numRuns: 500 },
  );
});
