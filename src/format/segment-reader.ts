/**
 * Reads the parts of a segment, each from its own bytes, so that a reader need not hold the whole: header and footer
 * first, then the index, then records from any entry on. Nothing here trusts what it reads: every length is held to the
 * bytes that are there before it is used, and nothing but FormatError is thrown. Offsets in messages are the file's.
 */
import { assert } from '../base/assert.js';
import { crc32c } from '../base/crc32c.js';
import { SEGMENT_FOOTER_MAGIC, type SegmentHeader, type SegmentIndexEntry, type SegmentRecord } from './segment.js';
import { requireIndex } from './segment-header.js';
import {
  crcMismatch,
  RECORD_HEAD_BYTES,
  readU64,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_INDEX_ENTRY_BYTES,
  segmentError,
} from './segment-layout.js';

export { decodeHeader as decodeSegmentHeader } from './segment-header.js';

export interface SegmentFooter {
  /** Of everything before the footer. */
  sha256: string;
  indexCrc: number;
}

/** `bytes` are the last 48 of the file. */
export function decodeSegmentFooter(bytes: Uint8Array): SegmentFooter {
  const footer = asBuffer(bytes);
  if (footer.length !== SEGMENT_FOOTER_BYTES || footer.toString('latin1', 40) !== SEGMENT_FOOTER_MAGIC) {
    throw segmentError('damaged', `it does not end with ${SEGMENT_FOOTER_MAGIC} (torn, or not a segment)`);
  }
  requireCrc(footer.readUInt32LE(36), footer, 0, 36, 'in its footer');
  return { sha256: footer.toString('hex', 0, 32), indexCrc: footer.readUInt32LE(32) };
}

/** `bytes` are those between records and footer. */
export function decodeSegmentIndex(
  bytes: Uint8Array,
  header: SegmentHeader,
  footer: SegmentFooter,
): SegmentIndexEntry[] {
  const buffer = asBuffer(bytes);
  const at = `at offset ${header.indexOffset}`;
  if (buffer.length !== header.indexEntries * SEGMENT_INDEX_ENTRY_BYTES) {
    throw segmentError('damaged', `its index has ${buffer.length} bytes for ${header.indexEntries} entries, ${at}`);
  }
  requireCrc(footer.indexCrc, buffer, 0, buffer.length, `in its index ${at}`);
  const index: SegmentIndexEntry[] = [];
  for (let entry = 0; entry < buffer.length; entry += SEGMENT_INDEX_ENTRY_BYTES) {
    index.push({
      sequence: readU64(buffer, entry, header.indexOffset),
      timeUs: readU64(buffer, entry + 8, header.indexOffset),
      offset: readU64(buffer, entry + 16, header.indexOffset),
      digestBefore: buffer.toString('hex', entry + 24, entry + SEGMENT_INDEX_ENTRY_BYTES),
    });
  }
  requireIndex(header, index);
  return index;
}

export interface RecordsContext {
  /** Where bytes[0] lies in the file. */
  fileOffset?: number;
  /** The commit before the first one: the first must follow it as every other follows the one before. */
  after?: { lastSequence: number; timeUs: number };
}

/**
 * The records in bytes[from, to), which begins with a record and ends with one. Each is whole (length and CRC), begins
 * where the one before ended in the sequence, and is not earlier. Records are views; stop whenever you like.
 */
export function* iterateRecords(
  bytes: Uint8Array,
  from = 0,
  to = bytes.length,
  context: RecordsContext = {},
): Generator<SegmentRecord, void, undefined> {
  const buffer = asBuffer(bytes);
  const fileOffset = context.fileOffset ?? 0;
  assert(from >= 0 && from <= to, `records cannot lie from ${from} to ${to}`);
  if (to > buffer.length) {
    throw segmentError('damaged', `it ends at offset ${fileOffset + buffer.length}, inside its records`);
  }
  let { after } = context;
  for (let at = from; at < to; ) {
    const record = readRecord(buffer, at, to, fileOffset);
    requireFollows(record, after);
    yield record;
    after = { lastSequence: lastSequence(record), timeUs: record.timeUs };
    at += record.bytes.length;
  }
}

/** The last sequence that a commit takes. */
export function lastSequence(record: SegmentRecord): number {
  return record.sequence + record.count - 1;
}

function readRecord(buffer: Buffer, at: number, end: number, fileOffset: number): SegmentRecord {
  const offset = fileOffset + at;
  if (end - at < RECORD_HEAD_BYTES) {
    throw segmentError('damaged', `a record is cut off after ${end - at} bytes, at offset ${offset}`);
  }
  const length = RECORD_HEAD_BYTES + buffer.readUInt32LE(at);
  if (length > end - at) {
    throw segmentError('damaged', `a record of ${length} bytes has only ${end - at} left, at offset ${offset}`);
  }
  requireCrc(buffer.readUInt32LE(at + 4), buffer, at + 8, at + length, `in the record at offset ${offset}`);
  const record: SegmentRecord = {
    offset,
    sequence: readU64(buffer, at + 8, fileOffset),
    timeUs: readU64(buffer, at + 16, fileOffset),
    count: buffer.readUInt32LE(at + 24),
    body: buffer.subarray(at + RECORD_HEAD_BYTES, at + length),
    bytes: buffer.subarray(at, at + length),
  };
  if (record.count >= 1 && record.sequence >= 1 && Number.isSafeInteger(lastSequence(record))) return record;
  const { sequence, count } = record;
  throw segmentError('schema', `a commit cannot take ${count} sequences from ${sequence} on, at offset ${offset}`);
}

function requireFollows(record: SegmentRecord, after: RecordsContext['after']): void {
  if (after === undefined) return;
  const { offset, sequence, timeUs } = record;
  if (sequence !== after.lastSequence + 1) {
    const what = `the commit after sequence ${after.lastSequence} begins at ${sequence}`;
    throw segmentError('schema', `${what}, at offset ${offset}`);
  }
  if (timeUs < after.timeUs) {
    throw segmentError('schema', `a commit of ${timeUs} µs follows one of ${after.timeUs} µs, at offset ${offset}`);
  }
}

function requireCrc(stated: number, bytes: Buffer, from: number, to: number, where: string): void {
  const actual = crc32c(bytes, from, to);
  if (stated !== actual) throw segmentError('damaged', `${crcMismatch(stated, actual)}, ${where}`);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
