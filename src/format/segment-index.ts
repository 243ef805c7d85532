/**
 * The index of a segment: its first record, and the first record that starts in each further 64 KiB of the records. A
 * reader looks up where to begin and walks from there; every entry has the running digest, so even a part proves itself.
 */
import type { SegmentIndexEntry, SegmentRecord } from './segment.js';
import type { RunningDigest } from './segment-chain.js';
import { INDEX_STEP_BYTES, SEGMENT_HEADER_BYTES } from './segment-layout.js';

/** Collects the entries while records go by. */
export class IndexBuilder {
  readonly entries: SegmentIndexEntry[] = [];
  #nextStep = 0;

  /** `offset` is the record's in the file that the index is for. */
  add(record: SegmentRecord, offset: number, digest: RunningDigest): void {
    const step = Math.floor((offset - SEGMENT_HEADER_BYTES) / INDEX_STEP_BYTES);
    if (step < this.#nextStep) return;
    this.entries.push({ sequence: record.sequence, timeUs: record.timeUs, offset, digestBefore: digest.hex });
    this.#nextStep = step + 1;
  }
}

/** Where to begin in order to meet `sequence`: the last entry not after it; undefined: it lies before the segment. */
export function entryForSequence(index: readonly SegmentIndexEntry[], sequence: number): SegmentIndexEntry | undefined {
  return index[lastNotAfter(index, (entry) => entry.sequence, sequence)];
}

/**
 * Where to begin in order to meet the last commit not after `timeUs`: the last entry not after it, since times never
 * fall; undefined: every commit is later.
 */
export function entryForTime(index: readonly SegmentIndexEntry[], timeUs: number): SegmentIndexEntry | undefined {
  return index[lastNotAfter(index, (entry) => entry.timeUs, timeUs)];
}

function lastNotAfter(
  index: readonly SegmentIndexEntry[],
  value: (entry: SegmentIndexEntry) => number,
  target: number,
): number {
  let from = 0;
  let to = index.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (value(index[middle] as SegmentIndexEntry) <= target) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}
