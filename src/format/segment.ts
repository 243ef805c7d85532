/**
 * wal/<timeline>/<first>-<last>.seg: consecutive commits of one timeline, (sequenceFrom, sequenceTo], as they stood in
 * the WAL. Self-describing and immutable; docs/backup-format.md draws it to the byte.
 *
 *   ┌────────────┬────────────────────────────┬──────────────────┬───────────┐
 *   │ header 160 │ records, back to back      │ index, 56 each   │ footer 48 │
 *   └────────────┴────────────────────────────┴──────────────────┴───────────┘
 *     what, from   {length, crc32c, sequence,    where to begin     SHA-256 of
 *     where, to    time, count, body} a commit   every 64 KiB       all before
 *
 * The header is written with everything known, so a segment is assembled in memory or written in two passes; in return
 * a reader knows from 160 bytes what it holds. All integers are little endian.
 */
import { createHash } from 'node:crypto';
import { assert } from '../base/assert.js';
import { crc32c } from '../base/crc32c.js';
import { encodeHeader, requireIndex } from './segment-header.js';
import {
  MAX_U32,
  RECORD_HEAD_BYTES,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
  SEGMENT_INDEX_ENTRY_BYTES,
  writeU64,
} from './segment-layout.js';

export const SEGMENT_FOOTER_MAGIC = 'CAIRNEND';

/** What a segment holds. Times are µs; digests are hex. */
export interface SegmentSpan {
  timeline: number;
  /** Exclusive: the last sequence before the first commit. */
  sequenceFrom: number;
  sequenceTo: number;
  firstUs: number;
  lastUs: number;
  commits: number;
  /** The commit count of the state at sequenceFrom. */
  commitsBefore: number;
  digestFrom: string;
  digestTo: string;
}

export interface SegmentHeader extends SegmentSpan {
  recordsBytes: number;
  indexOffset: number;
  indexEntries: number;
}

/** Where a reader may begin: a record, and the running digest before it. */
export interface SegmentIndexEntry {
  sequence: number;
  timeUs: number;
  /** In the file. */
  offset: number;
  digestBefore: string;
}

/** Everything that a segment is made of; records are framed already, back to back. */
export interface SegmentContent extends SegmentSpan {
  records: Buffer;
  index: SegmentIndexEntry[];
}

/** One commit. Buffers are views into what was decoded. */
export interface SegmentRecord {
  /** Of the record, in the file. */
  offset: number;
  /** The commit's first sequence; its last is sequence + count - 1. */
  sequence: number;
  timeUs: number;
  /** Sequences that the body takes. */
  count: number;
  /** WriteBatch records, without header and commit mark. */
  body: Buffer;
  /** The whole record, framed. */
  bytes: Buffer;
}

/** The frame of one commit. The addon frames in bulk; this is what its bytes are held to. */
export function frameRecord(commit: { sequence: number; timeUs: number; count: number; body: Uint8Array }): Buffer {
  const { sequence, timeUs, count, body } = commit;
  assert(count >= 1 && count <= MAX_U32, `a commit that takes ${count} sequences`);
  assert(sequence >= 1 && Number.isSafeInteger(sequence + count), `a commit at sequence ${sequence}`);
  assert(timeUs >= 0 && Number.isSafeInteger(timeUs), `a commit at ${timeUs} µs`);
  const record = Buffer.allocUnsafe(RECORD_HEAD_BYTES + body.length);
  record.writeUInt32LE(body.length, 0);
  writeU64(record, 8, sequence);
  writeU64(record, 16, timeUs);
  record.writeUInt32LE(count, 24);
  record.set(body, RECORD_HEAD_BYTES);
  record.writeUInt32LE(crc32c(record, 8), 4);
  return record;
}

/** The whole segment. Throws FormatError when header or index contradict themselves: none is written that no one reads. */
export function encodeSegment(content: SegmentContent): Buffer {
  const { records } = content;
  const { head, entries, footer } = segmentParts(content);
  const hash = createHash('sha256').update(head).update(records).update(entries).digest();
  return Buffer.concat([head, records, entries, footer(hash)]);
}

/** What of a segment stands around its records; the footer needs the SHA-256 of everything before it. */
export interface SegmentParts {
  header: SegmentHeader;
  head: Buffer;
  entries: Buffer;
  footer(sha256OfTheRest: Uint8Array): Buffer;
}

/** For a writer that hashes elsewhere: the file is head, records, entries, footer. */
export function segmentParts(content: SegmentContent): SegmentParts {
  const { records, index, ...span } = content;
  const header: SegmentHeader = {
    ...span,
    recordsBytes: records.length,
    indexOffset: SEGMENT_HEADER_BYTES + records.length,
    indexEntries: index.length,
  };
  const head = encodeHeader(header);
  requireIndex(header, index);
  const entries = encodeIndex(index);
  return { header, head, entries, footer: (hash) => encodeFooter(hash, entries) };
}

function encodeFooter(hash: Uint8Array, entries: Buffer): Buffer {
  const footer = Buffer.alloc(SEGMENT_FOOTER_BYTES);
  footer.set(hash, 0);
  footer.writeUInt32LE(crc32c(entries), 32);
  footer.writeUInt32LE(crc32c(footer, 0, 36), 36);
  footer.write(SEGMENT_FOOTER_MAGIC, 40, 'latin1');
  return footer;
}

/** The length of the file that has this header. */
export function segmentBytes(header: SegmentHeader): number {
  return header.indexOffset + header.indexEntries * SEGMENT_INDEX_ENTRY_BYTES + SEGMENT_FOOTER_BYTES;
}

function encodeIndex(index: SegmentIndexEntry[]): Buffer {
  const bytes = Buffer.allocUnsafe(index.length * SEGMENT_INDEX_ENTRY_BYTES);
  let at = 0;
  for (const entry of index) {
    writeU64(bytes, at, entry.sequence);
    writeU64(bytes, at + 8, entry.timeUs);
    writeU64(bytes, at + 16, entry.offset);
    bytes.write(entry.digestBefore, at + 24, 'hex');
    at += SEGMENT_INDEX_ENTRY_BYTES;
  }
  return bytes;
}
