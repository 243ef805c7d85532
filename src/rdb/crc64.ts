/**
 * CRC-64 (Jones), the checksum of Redis's dumps: polynomial ad93d23594c935a9, bits reversed, beginning at 0, nothing
 * done to the result. A number has no 64 bits, so two halves of 32 are carried; eight tables take eight bytes a step.
 */

const POLYNOMIAL = 0x95ac9329ac4bc9b5n;
const TABLES = 8;

const low = new Uint32Array(TABLES * 256);
const high = new Uint32Array(TABLES * 256);

for (let byte = 0; byte < 256; byte++) {
  let crc = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ ((crc & 1n) === 1n ? POLYNOMIAL : 0n);
  low[byte] = Number(crc & 0xffffffffn);
  high[byte] = Number(crc >> 32n);
}
// Table n: what the byte does to the checksum when n more bytes, all zero, follow it.
for (let at = 256; at < TABLES * 256; at++) {
  const [l, h] = [low[at - 256] as number, high[at - 256] as number];
  low[at] = ((l >>> 8) | (h << 24)) ^ (low[l & 0xff] as number);
  high[at] = (h >>> 8) ^ (high[l & 0xff] as number);
}

/** Of bytes[0, end). */
export function crc64(bytes: Uint8Array, end = bytes.length): bigint {
  let l = 0;
  let h = 0;
  let at = 0;
  for (; at + 8 <= end; at += 8) {
    // The bounds hold; `as number` says that no byte and no entry is missing.
    l ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    h ^=
      (bytes[at + 4] as number) |
      ((bytes[at + 5] as number) << 8) |
      ((bytes[at + 6] as number) << 16) |
      ((bytes[at + 7] as number) << 24);
    const [a, b, c, d] = [
      0x700 | (l & 0xff),
      0x600 | ((l >>> 8) & 0xff),
      0x500 | ((l >>> 16) & 0xff),
      0x400 | (l >>> 24),
    ];
    const [e, f, g, i] = [0x300 | (h & 0xff), 0x200 | ((h >>> 8) & 0xff), 0x100 | ((h >>> 16) & 0xff), h >>> 24];
    l = xor(low, a, b, c, d) ^ xor(low, e, f, g, i);
    h = xor(high, a, b, c, d) ^ xor(high, e, f, g, i);
  }
  for (; at < end; at++) {
    const index = (l ^ (bytes[at] as number)) & 0xff;
    l = ((l >>> 8) | (h << 24)) ^ (low[index] as number);
    h = (h >>> 8) ^ (high[index] as number);
  }
  return (BigInt(h >>> 0) << 32n) | BigInt(l >>> 0);
}

function xor(table: Uint32Array, a: number, b: number, c: number, d: number): number {
  return (table[a] as number) ^ (table[b] as number) ^ (table[c] as number) ^ (table[d] as number);
}
