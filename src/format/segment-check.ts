/**
 * Whole segments: proving one, describing records that have no segment yet, and saving what a torn one still has. All
 * three are one walk over the records, which counts, indexes and digests the commits as it goes.
 */
import { sha256 } from '../base/hash.js';
import { FormatError } from './document.js';
import {
  type SegmentContent,
  type SegmentHeader,
  type SegmentRecord,
  type SegmentSpan,
  segmentBytes,
} from './segment.js';
import { RunningDigest } from './segment-chain.js';
import { decodeHeader } from './segment-header.js';
import { IndexBuilder } from './segment-index.js';
import { SEGMENT_FOOTER_BYTES, SEGMENT_HEADER_BYTES, segmentError } from './segment-layout.js';
import { decodeSegmentFooter, decodeSegmentIndex, iterateRecords, lastSequence } from './segment-reader.js';

/** Where records begin: all that they do not say themselves. */
export type SegmentStart = Pick<SegmentSpan, 'timeline' | 'sequenceFrom' | 'commitsBefore' | 'digestFrom'>;

/** Sees every commit as it is proven, with the running digest before it. */
export type CommitVisitor = (record: SegmentRecord, before: RunningDigest) => void;

/** What is left of a segment whose end is missing. */
export interface TornSegment {
  /** What the segment was written as: the difference to `content` is lost. */
  header: SegmentHeader;
  /** The whole commits at its beginning, to be encoded anew; null: not one. */
  content: SegmentContent | null;
  /** Bytes of the file behind the last whole commit. */
  droppedBytes: number;
}

/**
 * Proves a whole segment, or throws FormatError: frame and SHA-256, every record, sequences without a hole, times that
 * never fall, the digest chain from end to end, and that header and index say what the records are.
 */
export function verifySegment(bytes: Uint8Array, visit?: CommitVisitor): SegmentContent {
  const header = decodeHeader(bytes);
  const size = segmentBytes(header);
  if (bytes.length !== size) {
    throw segmentError('damaged', `it has ${bytes.length} bytes, its header says ${size}`);
  }
  const footerAt = size - SEGMENT_FOOTER_BYTES;
  const footer = decodeSegmentFooter(bytes.subarray(footerAt));
  const actual = sha256(bytes.subarray(0, footerAt));
  if (actual !== footer.sha256) {
    throw segmentError('damaged', `it was written with the SHA-256 ${footer.sha256}, its bytes now have ${actual}`);
  }
  const index = decodeSegmentIndex(bytes.subarray(header.indexOffset, footerAt), header, footer);
  const walk = new Walk(header);
  walk.run(bytes, header.indexOffset, visit);
  const content = walk.content(bytes);
  requireSame(header, content);
  for (const [i, entry] of content.index.entries()) {
    const stated = index[i];
    if (stated?.offset === entry.offset && stated.sequence === entry.sequence) {
      if (stated.timeUs === entry.timeUs && stated.digestBefore === entry.digestBefore) continue;
    }
    throw segmentError('schema', `entry ${i} of its index is not what the record at offset ${entry.offset} is`);
  }
  return content;
}

/** Everything about framed records that a segment's header and index will say. At least one record. */
export function describeRecords(start: SegmentStart, records: Uint8Array): SegmentContent {
  const walk = new Walk(start);
  // Only offsets differ from a file's: the header is not there yet.
  walk.run(records, records.length, undefined, SEGMENT_HEADER_BYTES);
  if (walk.commits === 0) throw segmentError('schema', 'it would have no commits');
  return walk.content(records, SEGMENT_HEADER_BYTES);
}

/**
 * The longest beginning of a segment that is whole commits, for the last segment of a timeline: what a torn write left.
 * Throws FormatError when not even the header is whole, or when all records are there and are not what the header says:
 * that is no torn tail. Whether anything was lost is seen by comparing `content` with `header`.
 */
export function cutTorn(bytes: Uint8Array): TornSegment {
  const header = decodeHeader(bytes);
  const walk = new Walk(header);
  const end = Math.min(header.indexOffset, bytes.length);
  try {
    walk.run(bytes, end);
  } catch (error) {
    // The walk stands behind the last commit that is whole; why the next is not is of no matter.
    if (!(error instanceof FormatError)) throw error;
  }
  const droppedBytes = bytes.length - walk.end;
  if (walk.commits === 0) return { header, content: null, droppedBytes };
  const content = walk.content(bytes);
  if (walk.end === header.indexOffset) requireSame(header, content);
  else requireInside(header, content);
  return { header, content, droppedBytes };
}

class Walk {
  commits = 0;
  /** The file offset behind the last whole commit. */
  end = SEGMENT_HEADER_BYTES;
  readonly #start: SegmentStart;
  readonly #digest: RunningDigest;
  readonly #index = new IndexBuilder();
  #sequenceTo: number;
  #firstUs = 0;
  #lastUs = 0;

  constructor(start: SegmentStart) {
    this.#start = start;
    this.#sequenceTo = start.sequenceFrom;
    this.#digest = new RunningDigest(start.digestFrom, start.timeline);
  }

  /** Over the records up to bytes[to); bytes[0] lies at `fileOffset`. */
  run(bytes: Uint8Array, to: number, visit?: CommitVisitor, fileOffset = 0): void {
    const after = { lastSequence: this.#sequenceTo, timeUs: 0 };
    for (const record of iterateRecords(bytes, this.end - fileOffset, to, { fileOffset, after })) {
      visit?.(record, this.#digest);
      this.#index.add(record, record.offset, this.#digest);
      this.#digest.add(record.bytes);
      if (this.commits === 0) this.#firstUs = record.timeUs;
      this.#lastUs = record.timeUs;
      this.#sequenceTo = lastSequence(record);
      this.commits += 1;
      this.end = record.offset + record.bytes.length;
    }
  }

  content(bytes: Uint8Array, fileOffset = 0): SegmentContent {
    const { timeline, sequenceFrom, commitsBefore, digestFrom } = this.#start;
    return {
      timeline,
      sequenceFrom,
      sequenceTo: this.#sequenceTo,
      firstUs: this.#firstUs,
      lastUs: this.#lastUs,
      commits: this.commits,
      commitsBefore,
      digestFrom,
      digestTo: this.#digest.hex,
      records: Buffer.from(
        bytes.buffer,
        bytes.byteOffset + SEGMENT_HEADER_BYTES - fileOffset,
        this.end - SEGMENT_HEADER_BYTES,
      ),
      index: this.#index.entries,
    };
  }
}

/** All records are there: the header must have told the truth about them. */
function requireSame(header: SegmentHeader, content: SegmentContent): void {
  const pairs: [string, string | number, string | number][] = [
    ['last sequence', header.sequenceTo, content.sequenceTo],
    ['number of commits', header.commits, content.commits],
    ['first time', header.firstUs, content.firstUs],
    ['last time', header.lastUs, content.lastUs],
    ['running digest', header.digestTo, content.digestTo],
    ['index entries', header.indexEntries, content.index.length],
  ];
  for (const [name, stated, actual] of pairs) {
    if (stated !== actual) {
      throw segmentError('schema', `its header has ${name} ${stated}, its records have ${actual}`);
    }
  }
}

/** Some records are missing: what is there must still be less than the header promised. */
function requireInside(header: SegmentHeader, content: SegmentContent): void {
  const inside =
    content.sequenceTo < header.sequenceTo &&
    content.commits < header.commits &&
    content.firstUs === header.firstUs &&
    content.lastUs <= header.lastUs;
  if (!inside) throw segmentError('schema', 'its header promises less than its records have, at offset 0');
}
