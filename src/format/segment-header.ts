/**
 * The first 160 bytes of a segment. Magic, version, header length and the CRC in the header's last four bytes lie where
 * they are in every version: only then can an older Cairn tell "newer" from "damaged".
 */
import { assert } from '../base/assert.js';
import { crc32c } from '../base/crc32c.js';
import { isSha256 } from '../base/hash.js';
import { type SegmentName, segmentKey } from './keys.js';
import type { SegmentHeader, SegmentIndexEntry, SegmentSpan } from './segment.js';
import {
  crcMismatch,
  INDEX_STEP_BYTES,
  MAX_U32,
  RECORD_HEAD_BYTES,
  readU64,
  SEGMENT_HEADER_BYTES,
  SEGMENT_VERSION,
  segmentError,
  writeU64,
} from './segment-layout.js';

const MAGIC = 'CAIRNSEG';
/** Magic, version, header length: what has to be there to judge the rest. */
const FIXED_BYTES = 12;

export function encodeHeader(header: SegmentHeader): Buffer {
  requireHeader(header);
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt16LE(SEGMENT_VERSION, 8);
  bytes.writeUInt16LE(SEGMENT_HEADER_BYTES, 10);
  bytes.writeUInt32LE(header.timeline, 12);
  writeU64(bytes, 16, header.sequenceFrom);
  writeU64(bytes, 24, header.sequenceTo);
  writeU64(bytes, 32, header.firstUs);
  writeU64(bytes, 40, header.lastUs);
  writeU64(bytes, 48, header.commits);
  writeU64(bytes, 56, header.commitsBefore);
  bytes.write(header.digestFrom, 64, 'hex');
  bytes.write(header.digestTo, 96, 'hex');
  writeU64(bytes, 128, header.recordsBytes);
  writeU64(bytes, 136, header.indexOffset);
  bytes.writeUInt32LE(header.indexEntries, 144);
  bytes.writeUInt32LE(crc32c(bytes, 0, SEGMENT_HEADER_BYTES - 4), SEGMENT_HEADER_BYTES - 4);
  return bytes;
}

/** `bytes` begin where the file begins; 160 of them are enough. */
export function decodeHeader(bytes: Uint8Array): SegmentHeader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  requireFrame(buffer);
  const header: SegmentHeader = {
    timeline: buffer.readUInt32LE(12),
    sequenceFrom: readU64(buffer, 16),
    sequenceTo: readU64(buffer, 24),
    firstUs: readU64(buffer, 32),
    lastUs: readU64(buffer, 40),
    commits: readU64(buffer, 48),
    commitsBefore: readU64(buffer, 56),
    digestFrom: buffer.toString('hex', 64, 96),
    digestTo: buffer.toString('hex', 96, 128),
    recordsBytes: readU64(buffer, 128),
    indexOffset: readU64(buffer, 136),
    indexEntries: buffer.readUInt32LE(144),
  };
  if (buffer.readUInt32LE(148) !== 0 || buffer.readUInt32LE(152) !== 0) {
    throw segmentError('schema', 'its reserved bytes at offset 148 are not zero');
  }
  requireHeader(header);
  return header;
}

/** A segment under another name is not the one that was asked for. */
export function requireNamed(header: SegmentSpan, name: SegmentName): void {
  const named = segmentKey(name.timeline, name.first, name.last);
  const own = keyOfSegment(header);
  if (own !== named) throw segmentError('schema', `it says that it is ${own}, its name is ${named}`);
}

/** The key under which a segment lies. */
export function keyOfSegment(span: Pick<SegmentSpan, 'timeline' | 'sequenceFrom' | 'sequenceTo'>): string {
  return segmentKey(span.timeline, span.sequenceFrom + 1, span.sequenceTo);
}

/** Magic, CRC, version, in this order of trust. */
function requireFrame(bytes: Buffer): void {
  if (bytes.length < FIXED_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC) {
    throw segmentError('damaged', 'it does not begin with CAIRNSEG, at offset 0');
  }
  const version = bytes.readUInt16LE(8);
  const length = bytes.readUInt16LE(10);
  const ours = version === SEGMENT_VERSION;
  if (length < FIXED_BYTES + 4 || (ours && length !== SEGMENT_HEADER_BYTES)) {
    throw segmentError('damaged', `it states a header of ${length} bytes, at offset 10`);
  }
  // A longer header of a newer version may be cut off by a reader that asked for 160 bytes: nothing speaks against it.
  const whole = length <= bytes.length;
  if (!whole && (ours || bytes.length < SEGMENT_HEADER_BYTES)) {
    throw segmentError('damaged', `it has ${bytes.length} bytes, fewer than its header`);
  }
  if (whole) {
    const stated = bytes.readUInt32LE(length - 4);
    const actual = crc32c(bytes, 0, length - 4);
    if (stated !== actual) throw segmentError('damaged', `${crcMismatch(stated, actual)}, in its header at offset 0`);
  }
  if (ours) return;
  if (version === 0) throw segmentError('schema', 'it does not say which version it has, at offset 8');
  throw segmentError('version', `it has version ${version}, this version of Cairn reads version ${SEGMENT_VERSION}`);
}

/** What every header says, whoever wrote it. After this its numbers can be used for arithmetic, not for allocation. */
function requireHeader(header: SegmentHeader): void {
  const { sequenceFrom, sequenceTo, commits, recordsBytes, indexEntries } = header;
  assert(isSha256(header.digestFrom) && isSha256(header.digestTo), 'digests of a segment are SHA-256');
  const numbers = [
    sequenceFrom,
    sequenceTo,
    header.firstUs,
    header.lastUs,
    commits,
    header.commitsBefore,
    recordsBytes,
  ];
  const rules: [boolean, string][] = [
    [numbers.every((value) => Number.isSafeInteger(value) && value >= 0), 'a number in it is not a count'],
    [isU32(header.timeline) && header.timeline >= 1, `it is of timeline ${header.timeline}`],
    [sequenceFrom < sequenceTo, `it holds the sequences after ${sequenceFrom} to ${sequenceTo}: none`],
    [header.firstUs <= header.lastUs, 'its first commit is later than its last'],
    [commits >= 1 && commits <= sequenceTo - sequenceFrom, `it says that it has ${commits} commits`],
    [Number.isSafeInteger(header.commitsBefore + commits), 'its commits are counted beyond 2^53 - 1'],
    [recordsBytes >= commits * RECORD_HEAD_BYTES, `${commits} commits do not fit into ${recordsBytes} bytes`],
    [
      header.indexOffset === SEGMENT_HEADER_BYTES + recordsBytes,
      `its index is said to be at offset ${header.indexOffset}`,
    ],
    [
      indexEntries >= 1 && indexEntries <= Math.min(commits, Math.ceil(recordsBytes / INDEX_STEP_BYTES)),
      `it says that its index has ${indexEntries} entries`,
    ],
  ];
  for (const [holds, what] of rules) if (!holds) throw segmentError('schema', `${what}, in its header`);
}

/** What every index says: it begins with the first record, and goes on by steps, inside the records. */
export function requireIndex(header: SegmentHeader, index: SegmentIndexEntry[]): void {
  let before: SegmentIndexEntry | undefined;
  for (const [i, entry] of index.entries()) {
    assert(isSha256(entry.digestBefore), 'digests of an index are SHA-256');
    const step = Math.floor((entry.offset - SEGMENT_HEADER_BYTES) / INDEX_STEP_BYTES);
    const holds =
      before === undefined
        ? entry.offset === SEGMENT_HEADER_BYTES &&
          entry.sequence === header.sequenceFrom + 1 &&
          entry.timeUs === header.firstUs &&
          entry.digestBefore === header.digestFrom
        : step > Math.floor((before.offset - SEGMENT_HEADER_BYTES) / INDEX_STEP_BYTES) &&
          entry.offset <= header.indexOffset - RECORD_HEAD_BYTES &&
          entry.sequence > before.sequence &&
          entry.sequence <= header.sequenceTo &&
          entry.timeUs >= before.timeUs &&
          entry.timeUs <= header.lastUs;
    if (!holds) {
      const where = `record at offset ${entry.offset}, sequence ${entry.sequence}`;
      throw segmentError('schema', `entry ${i} of its index (${where}) contradicts the header or the entry before it`);
    }
    before = entry;
  }
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_U32;
}
