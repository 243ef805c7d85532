/** Merging: the same bytes as one segment from the start, and no way for parts that do not belong together. */
import fc from 'fast-check';
import t from 'tap';
import { describeRecords, encodeSegment, frameRecord, mergeSegments, verifySegment } from '../../src/format/index.js';
import { anyHistory, type History, refusal, segmentOf, segmentsOf, smallHistory } from './segment-samples.js';

t.test('segments merged, however they were cut, are the segment of all their commits', async () => {
  fc.assert(
    fc.property(anyHistory(200, 30), fc.array(fc.nat(30), { maxLength: 6 }), (history, cuts) => {
      return mergeSegments(segmentsOf(history, cuts)).equals(segmentOf(history));
    }),
    { numRuns: 100 },
  );
});

t.test('the index of the merged is made anew, over many steps', async (t) => {
  fc.assert(
    fc.property(anyHistory(40_000, 30), fc.array(fc.nat(30), { maxLength: 6 }), (history, cuts) => {
      return mergeSegments(segmentsOf(history, cuts)).equals(segmentOf(history));
    }),
    { numRuns: 15 },
  );
  const commits = Array.from({ length: 600 }, (_, i) => ({ timeUs: i, count: 1, body: Buffer.alloc(1000, i) }));
  const history = { ...smallHistory, commits };
  const merged = mergeSegments(segmentsOf(history, [100, 101, 350]));
  t.ok(merged.equals(segmentOf(history)));
  t.equal(verifySegment(merged).index.length, 10);
});

t.test('merging in two rounds and merging one segment give the same', async (t) => {
  const parts = segmentsOf(smallHistory, [1, 2, 4]);
  t.equal(parts.length, 4);
  t.ok(
    mergeSegments([mergeSegments(parts.slice(0, 2)), mergeSegments(parts.slice(2))]).equals(segmentOf(smallHistory)),
  );
  t.ok(mergeSegments([segmentOf(smallHistory)]).equals(segmentOf(smallHistory)));
  t.throws(() => mergeSegments([]), { name: 'AssertionFailed' });
});

t.test('parts that are missing, twice, swapped, of other lines or damaged are refused', async (t) => {
  const [a, b, c] = segmentsOf(smallHistory, [2, 3]) as [Buffer, Buffer, Buffer];
  const part = (changes: Partial<History>, cut: number) =>
    segmentsOf({ ...smallHistory, ...changes }, [2, 3])[cut] as Buffer;
  const other = smallHistory.commits.map((commit, i) => (i === 0 ? { ...commit, body: Buffer.from('FIRST') } : commit));
  const refused = (parts: Buffer[]) => refusal(() => mergeSegments(parts))?.message;
  t.match(refused([a, c]), /part 1 begins at sequence 105, the part before it ends at 104/);
  t.match(refused([a, a]), /part 1 begins at sequence 99/);
  t.match(refused([b, a]), /part 1 begins at sequence 99/);
  t.match(refused([a, part({ timeline: 4 }, 1)]), /part 1 begins at timeline 4/);
  t.match(refused([a, part({ commitsBefore: 71 }, 1)]), /part 1 begins at commit count 73, .* 72/);
  t.match(refused([a, b, part({ commits: other }, 2)]), /part 2 begins at running digest/);
  const bits = Buffer.from(b);
  bits[170] = (bits[170] as number) ^ 1;
  t.match(refused([a, bits, c]), /SHA-256/);
  t.match(refused([a, b.subarray(0, -1), c]), /bytes, its header says/);
});

t.test('a part that begins before the one before it ended is refused', async (t) => {
  const [a] = segmentsOf(smallHistory, [2]) as [Buffer, Buffer];
  const { timeline, sequenceTo, commitsBefore, commits, lastUs, digestTo } = verifySegment(a);
  const after = (timeUs: number) => {
    const record = frameRecord({ sequence: sequenceTo + 1, timeUs, count: 1, body: Buffer.from('x') });
    const start = { timeline, sequenceFrom: sequenceTo, commitsBefore: commitsBefore + commits, digestFrom: digestTo };
    return encodeSegment(describeRecords(start, record));
  };
  t.equal(verifySegment(mergeSegments([a, after(lastUs)])).commits, 3);
  t.match(refusal(() => mergeSegments([a, after(lastUs - 1)]))?.message, /part 1 begins at 1000 µs, before the end/);
});
