/**
 * Many small segments as one: the archive cuts one a second for freshness, and nobody wants to open 86,400 a day. The
 * commits, their records and their digests are the same afterwards, so whatever named a span still finds it.
 */
import { assert } from '../base/assert.js';
import { encodeSegment, type SegmentContent } from './segment.js';
import { verifySegment } from './segment-check.js';
import { IndexBuilder } from './segment-index.js';
import { segmentError } from './segment-layout.js';

/**
 * The parts, whole files in the order of their sequences, as one file: the one that would have been written had their
 * commits come at once. Each part is proven, and must begin where the one before it ended: timeline, sequence, commit
 * count, digest. Throws FormatError otherwise; its message says which part.
 */
export function mergeSegments(parts: readonly Uint8Array[]): Buffer {
  const index = new IndexBuilder();
  const contents: SegmentContent[] = [];
  let shift = 0;
  for (const [i, part] of parts.entries()) {
    const content = verifySegment(part, (record, before) => index.add(record, record.offset + shift, before));
    const before = contents.at(-1);
    if (before !== undefined) requireAdjacent(before, content, i);
    contents.push(content);
    shift += content.records.length;
  }
  const [first, last] = [contents[0], contents.at(-1)];
  assert(first !== undefined && last !== undefined, 'nothing to merge');
  return encodeSegment({
    ...first,
    sequenceTo: last.sequenceTo,
    lastUs: last.lastUs,
    commits: contents.reduce((sum, content) => sum + content.commits, 0),
    digestTo: last.digestTo,
    records: Buffer.concat(contents.map((content) => content.records)),
    index: index.entries,
  });
}

function requireAdjacent(before: SegmentContent, content: SegmentContent, part: number): void {
  const pairs: [string, string | number, string | number][] = [
    ['timeline', before.timeline, content.timeline],
    ['sequence', before.sequenceTo, content.sequenceFrom],
    ['commit count', before.commitsBefore + before.commits, content.commitsBefore],
    ['running digest', before.digestTo, content.digestFrom],
  ];
  for (const [name, expected, actual] of pairs) {
    if (expected === actual) continue;
    throw segmentError('schema', `part ${part} begins at ${name} ${actual}, the part before it ends at ${expected}`);
  }
  if (content.firstUs < before.lastUs) {
    throw segmentError('schema', `part ${part} begins at ${content.firstUs} µs, before the end of the part before it`);
  }
}
