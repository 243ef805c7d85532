/**
 * Sizes and numbers of a segment's bytes. A u64 of the file is a JavaScript number inside: one above 2^53 - 1 is none
 * that Cairn ever wrote.
 */
import { FormatError, type FormatErrorReason } from './document.js';

export const SEGMENT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 160;
export const SEGMENT_FOOTER_BYTES = 48;
export const SEGMENT_INDEX_ENTRY_BYTES = 56;
/** A record without its body. */
export const RECORD_HEAD_BYTES = 28;
/** How far the index reaches from one entry to the next, at least. */
export const INDEX_STEP_BYTES = 64 * 1024;
export const MAX_U32 = 0xffff_ffff;

export function writeU64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** `offset` is where bytes[0] lies in the file, for the message. */
export function readU64(bytes: Buffer, at: number, offset = 0): number {
  const value = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
  if (Number.isSafeInteger(value)) return value;
  throw segmentError('schema', `it has a number above 2^53 - 1 at offset ${offset + at}`);
}

export function segmentError(reason: FormatErrorReason, what: string): FormatError {
  return new FormatError('segment', reason, what);
}

export function crcMismatch(stated: number, actual: number): string {
  return `it was written with the crc32c ${hex(stated)}, its bytes now have ${hex(actual)}`;
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
