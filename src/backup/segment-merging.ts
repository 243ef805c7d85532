/**
 * Which adjacent segments become one. Small ones exist for freshness; each merge makes a segment that is several times
 * larger than any part of it, so that a byte is rewritten a few times at most on its way to its final size, however
 * small the pieces in which it came.
 *
 *   sizes, oldest first    12M │ 900k 900k │ 50k 50k 50k │ 1k 1k … 1k 1k
 *                                                          └─ 16 ─┘ → 16k
 */

export interface MergeableSegment {
  key: string;
  timeline: number;
  /** Both inclusive. */
  first: number;
  last: number;
  sizeBytes: number;
}

export interface MergeLimits {
  /** Small ones merge among themselves first: sizes below each of these in turn. */
  tiers: readonly number[];
  /** A group has at least so many, unless it fills a segment of `maxBytes` by half. */
  count: number;
  /** No segment larger than this is made. */
  maxBytes: number;
  /** No group larger than this: each of its files is open while it is merged. */
  maxCount: number;
  /** A merged segment has at least so many times the records of its largest part. */
  growth: number;
  /** Header, footer and one index entry: what of a small segment is not records. */
  overheadBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const MERGE_LIMITS: MergeLimits = {
  tiers: [4 * KIB, 64 * KIB, MIB, 16 * MIB],
  count: 16,
  maxBytes: 16 * MIB,
  maxCount: 256,
  growth: 4,
  overheadBytes: 264,
};

/**
 * Groups of keys, each to be merged into one segment, in the order of their sequences. No key is in two groups.
 * Segments that lie in larger ones (`coveredSegments`) do not stand in the way.
 */
export function mergeGroups(segments: readonly MergeableSegment[], limits: MergeLimits = MERGE_LIMITS): string[][] {
  const groups: string[][] = [];
  const gone = new Set(coveredSegments(segments));
  const ordered = inOrder(segments.filter(({ key }) => !gone.has(key)));
  for (const tier of limits.tiers) {
    for (const run of runs(ordered, (segment) => segment.sizeBytes < tier && !gone.has(segment.key))) {
      for (const group of groupsOf(run, limits)) {
        groups.push(group.map(({ key }) => key));
        for (const { key } of group) gone.add(key);
      }
    }
  }
  return groups;
}

/** What an interrupted merge left behind: segments that lie completely inside a larger one. Safe to remove. */
export function coveredSegments(
  segments: readonly Pick<MergeableSegment, 'key' | 'timeline' | 'first' | 'last'>[],
): string[] {
  const keys: string[] = [];
  let widest: (typeof segments)[number] | null = null;
  for (const segment of inOrder(segments)) {
    if (widest === null || widest.timeline !== segment.timeline || segment.last > widest.last) widest = segment;
    else if (segment.first !== widest.first || segment.last !== widest.last) keys.push(segment.key);
  }
  return keys;
}

/** By timeline and first sequence, a larger one before those inside it. */
function inOrder<T extends Pick<MergeableSegment, 'timeline' | 'first' | 'last'>>(segments: readonly T[]): T[] {
  return [...segments].sort((a, b) => a.timeline - b.timeline || a.first - b.first || b.last - a.last);
}

/** Longest sequences of segments that fit, each beginning right after the one before it. */
function runs(
  ordered: readonly MergeableSegment[],
  fits: (segment: MergeableSegment) => boolean,
): MergeableSegment[][] {
  const result: MergeableSegment[][] = [];
  let before: MergeableSegment | null = null;
  for (const segment of ordered) {
    if (!fits(segment)) {
      before = null;
      continue;
    }
    const continues = before !== null && before.timeline === segment.timeline && before.last + 1 === segment.first;
    if (continues) result.at(-1)?.push(segment);
    else result.push([segment]);
    before = segment;
  }
  return result;
}

function groupsOf(run: readonly MergeableSegment[], limits: MergeLimits): MergeableSegment[][] {
  const groups: MergeableSegment[][] = [];
  for (let start = 0; start < run.length; ) {
    const length = groupLength(run, start, limits);
    if (length > 0) groups.push(run.slice(start, start + length));
    start += Math.max(length, 1);
  }
  return groups;
}

/** How many segments from `start` on make a group: the most for which every rule holds; 0: none. */
function groupLength(run: readonly MergeableSegment[], start: number, limits: MergeLimits): number {
  let [bytes, records, largest, length] = [0, 0, 0, 0];
  for (let i = start; i < run.length && i - start < limits.maxCount; i++) {
    const size = run[i]?.sizeBytes ?? 0;
    const content = Math.max(size - limits.overheadBytes, 1);
    bytes += size;
    if (bytes > limits.maxBytes) break;
    records += content;
    largest = Math.max(largest, content);
    const count = i - start + 1;
    const enough = count >= limits.count || (count > 1 && bytes * 2 >= limits.maxBytes);
    if (enough && records >= limits.growth * largest) length = count;
    else if (length > 0) break;
  }
  return length;
}
