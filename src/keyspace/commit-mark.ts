/**
 * What precedes every commit in the WAL, as a LogData record: which commit begins here. LogData is in the log alone,
 * never in a table, and takes no sequence number.
 *
 *   offset  bytes
 *   0       1      0xCA
 *   1       1      version, 1
 *   2       8      commit time, µs, big endian
 *   10      4      timeline, big endian
 */
import type { CommitMarkShape } from '../engine/types.js';
import { readU64, writeU64 } from './u64.js';

export interface CommitMark {
  timeUs: number;
  timeline: number;
}

const MAGIC = 0xca;
const VERSION = 1;
export const COMMIT_MARK_BYTES = 14;

/** The same for whoever cuts the log into commits. */
export const COMMIT_MARK: CommitMarkShape = {
  prefix: Buffer.of(MAGIC, VERSION),
  bytes: COMMIT_MARK_BYTES,
  timeOffset: 2,
  timelineOffset: 10,
};

export function encodeCommitMark(timeUs: number, timeline: number): Buffer {
  const mark = Buffer.allocUnsafe(COMMIT_MARK_BYTES);
  mark[0] = MAGIC;
  mark[1] = VERSION;
  writeU64(mark, 2, timeUs);
  mark.writeUInt32BE(timeline, 10);
  return mark;
}

/** null: log data of somebody else. */
export function decodeCommitMark(bytes: Buffer): CommitMark | null {
  if (bytes.length !== COMMIT_MARK_BYTES || bytes[0] !== MAGIC || bytes[1] !== VERSION) return null;
  return { timeUs: readU64(bytes, 2), timeline: bytes.readUInt32BE(10) };
}
