/**
 * What DUMP answers and RESTORE takes: one value in the form of Redis's RDB files.
 *
 *   offset  size
 *   0       1     type; 0 is a string, the only one that there is here
 *   1       …     the string: a length and as many bytes, or a number, or LZF (below)
 *   n       2     RDB version, little endian
 *   n + 2   8     CRC-64 (Jones) of everything before it, little endian
 *
 *   00LLLLLL                 a length below 64            11000000 i8      the number as text
 *   01LLLLLL LLLLLLLL        below 16384                  11000001 i16 LE
 *   10000000 u32 BE                                       11000010 i32 LE
 *   10000001 u64 BE                                       11000011 clen len LZF bytes
 *
 * A payload comes from outside: every length is held against what is there before anything is taken for it.
 */
import { crc64 } from './crc64.js';
import { compress, decompress } from './lzf.js';

const STRING = 0;
/** Redis 7.0 writes 10, and reads everything up to it. */
const RDB_VERSION = 10;
const FOOTER_BYTES = 10;
/** Longer strings are compressed where that makes them shorter by four bytes at least. */
const COMPRESSED_ABOVE = 20;
/** The longest text that may be a number of 32 bits. */
const MAX_NUMBER_BYTES = 11;

const INT8 = 0xc0;
const INT16 = 0xc1;
const INT32 = 0xc2;
const LZF = 0xc3;

/** checksum: the footer is wrong, or of a newer version. format: it holds no string, or is damaged. */
export type PayloadFault = 'checksum' | 'format';

export function encodeDump(value: Uint8Array): Buffer {
  const string = encodeString(value);
  const size = string.reduce((sum, part) => sum + part.length, 0);
  const payload = Buffer.concat([Buffer.of(STRING), ...string, Buffer.alloc(FOOTER_BYTES)], 1 + size + FOOTER_BYTES);
  payload.writeUInt16LE(RDB_VERSION, payload.length - FOOTER_BYTES);
  payload.writeBigUInt64LE(crc64(payload, payload.length - 8), payload.length - 8);
  return payload;
}

/** maxBytes: no string may be longer. */
export function decodeDump(payload: Buffer, maxBytes: number): Buffer | PayloadFault {
  const end = payload.length - FOOTER_BYTES;
  if (end < 0 || payload.readUInt16LE(end) > RDB_VERSION) return 'checksum';
  if (payload.readBigUInt64LE(end + 2) !== crc64(payload, end + 2)) return 'checksum';
  if (end === 0 || payload[0] !== STRING) return 'format';
  return new Reader(payload.subarray(1, end)).string(maxBytes) ?? 'format';
}

function encodeString(value: Uint8Array): Uint8Array[] {
  const number = value.length <= MAX_NUMBER_BYTES ? encodeNumber(value) : null;
  if (number !== null) return [number];
  if (value.length > COMPRESSED_ABOVE) {
    const compressed = compress(value, value.length - 4);
    if (compressed !== null) {
      return [Buffer.of(LZF), encodeLength(compressed.length), encodeLength(value.length), compressed];
    }
  }
  return [encodeLength(value.length), value];
}

/** null: not the text of a number of 32 bits. */
function encodeNumber(value: Uint8Array): Buffer | null {
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
  const number = Number(text);
  if ((number | 0) !== number || String(number) !== text) return null;
  const bytes = Buffer.alloc(5);
  if (number >= -0x80 && number < 0x80) {
    bytes[0] = INT8;
    bytes.writeInt8(number, 1);
    return bytes.subarray(0, 2);
  }
  if (number >= -0x8000 && number < 0x8000) {
    bytes[0] = INT16;
    bytes.writeInt16LE(number, 1);
    return bytes.subarray(0, 3);
  }
  bytes[0] = INT32;
  bytes.writeInt32LE(number, 1);
  return bytes;
}

function encodeLength(length: number): Buffer {
  if (length < 1 << 6) return Buffer.of(length);
  if (length < 1 << 14) return Buffer.of(0x40 | (length >> 8), length & 0xff);
  const bytes = Buffer.of(0x80, 0, 0, 0, 0);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

/** Reads within the bytes; null wherever they do not have what they say. */
class Reader {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  /** What follows the string is passed over, as Redis does. */
  string(maxBytes: number): Buffer | null {
    switch (this.bytes[this.at]) {
      case INT8:
        return this.number(1);
      case INT16:
        return this.number(2);
      case INT32:
        return this.number(4);
      case LZF:
        return this.compressed(maxBytes);
      default: {
        if (((this.bytes[this.at] ?? 0) & 0xc0) === 0xc0) return null;
        const length = this.length();
        return length === null || length > maxBytes ? null : this.take(length);
      }
    }
  }

  private number(size: number): Buffer | null {
    this.at += 1;
    const bytes = this.take(size);
    return bytes === null ? null : Buffer.from(String(bytes.readIntLE(0, size)), 'latin1');
  }

  private compressed(maxBytes: number): Buffer | null {
    this.at += 1;
    const size = this.length();
    const length = this.length();
    if (size === null || length === null || length === 0 || length > maxBytes) return null;
    const stream = this.take(size);
    return stream === null ? null : decompress(stream, length);
  }

  private length(): number | null {
    const first = this.take(1)?.[0];
    if (first === undefined) return null;
    if (first < 0x40) return first;
    if (first < 0x80) {
      const second = this.take(1)?.[0];
      return second === undefined ? null : ((first & 0x3f) << 8) | second;
    }
    if (first === 0x80) return this.take(4)?.readUInt32BE(0) ?? null;
    if (first !== 0x81) return null;
    const long = this.take(8)?.readBigUInt64BE(0);
    return long === undefined || long > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(long);
  }

  private take(count: number): Buffer | null {
    if (count > this.bytes.length - this.at) return null;
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}
