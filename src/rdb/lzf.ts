/**
 * LZF, the compression inside Redis's dumps. A stream is a row of
 *
 *   000LLLLL                     L + 1 bytes follow as they are
 *   LLLooooo oooooooo            copy L + 2 bytes from o + 1 before the end of the output (L from 1 to 6)
 *   111ooooo LLLLLLLL oooooooo   copy L + 9 bytes
 *
 * `compress` makes the choices of the LibLZF that Redis has, so that the bytes are the same: a hash table over three bytes with one
 * place for each hash, and after a match only its last two positions are noted. (Redis's table is not cleared between
 * strings, so once in a while it finds a match in what an earlier string left there; any reader reads either.)
 */

const HASH_BITS = 16;
const MAX_LITERALS = 32;
const MAX_DISTANCE = 1 << 13;
const MAX_MATCH = (1 << 8) + (1 << 3);
/** A match is followed unconditionally for so long, where that much is left. */
const UNCHECKED = 18;

const table = new Int32Array(1 << HASH_BITS);

/** null: it does not fit into so many bytes. */
export function compress(input: Uint8Array, limit: number): Buffer | null {
  const end = input.length;
  if (end < 2 || limit < 1) return null;
  const out = Buffer.allocUnsafe(limit + 4);
  table.fill(0);
  let [ip, op, literals] = [0, 1, 0];
  let hash = pair(input, 0);
  while (ip < end - 2) {
    hash = ((hash << 8) | (input[ip + 2] as number)) & 0xffffff;
    const slot = slotOf(hash);
    // 0 is no position: what begins there is never referred to.
    const ref = table[slot] as number;
    table[slot] = ip;
    const distance = ip - ref - 1;
    if (ref === 0 || distance >= MAX_DISTANCE || !same3(input, ref, ip)) {
      if (op >= limit) return null;
      literals++;
      out[op++] = input[ip++] as number;
      if (literals === MAX_LITERALS) {
        out[op - literals - 1] = literals - 1;
        literals = 0;
        op++;
      }
      continue;
    }
    const unused = literals === 0 ? 1 : 0;
    if (op - unused + 4 >= limit) return null;
    if (unused === 0) out[op - literals - 1] = literals - 1;
    op -= unused;
    const length = matchLength(input, ref, ip, end) - 2;
    out[op++] = (distance >> 8) + (Math.min(length, 7) << 5);
    if (length >= 7) out[op++] = length - 7;
    out[op++] = distance & 0xff;
    op++;
    literals = 0;
    ip += length + 2;
    if (ip >= end - 2) break;
    ip -= 2;
    hash = pair(input, ip);
    for (let nth = 0; nth < 2; nth++, ip++) {
      hash = ((hash << 8) | (input[ip + 2] as number)) & 0xffffff;
      table[slotOf(hash)] = ip;
    }
  }
  if (op + 3 > limit) return null;
  while (ip < end) {
    literals++;
    out[op++] = input[ip++] as number;
    if (literals === MAX_LITERALS) {
      out[op - literals - 1] = literals - 1;
      literals = 0;
      op++;
    }
  }
  if (literals === 0) op--;
  else out[op - literals - 1] = literals - 1;
  return out.subarray(0, op);
}

/**
 * null: not a stream that gives exactly `length` bytes. That is found out before memory is taken for them, so a length that
 * lies costs nothing.
 */
export function decompress(input: Uint8Array, length: number): Buffer | null {
  if (lengthOf(input) !== length) return null;
  const out = Buffer.allocUnsafe(length);
  let op = 0;
  for (let ip = 0; ip < input.length; ) {
    const control = input[ip++] as number;
    if (control < MAX_LITERALS) {
      out.set(input.subarray(ip, ip + control + 1), op);
      ip += control + 1;
      op += control + 1;
    } else {
      let count = (control >> 5) + 2;
      if (count === 9) count += input[ip++] as number;
      let from = op - ((control & 0x1f) << 8) - (input[ip++] as number) - 1;
      // Byte by byte: what is copied may be what was written just before.
      for (; count > 0; count--) out[op++] = out[from++] as number;
    }
  }
  return out;
}

/** How many bytes a stream gives; -1: it is none. */
function lengthOf(input: Uint8Array): number {
  let length = 0;
  for (let ip = 0; ip < input.length; ) {
    const control = input[ip++] as number;
    if (control < MAX_LITERALS) {
      ip += control + 1;
      length += control + 1;
      if (ip > input.length) return -1;
    } else {
      const long = control >> 5 === 7;
      if (ip + (long ? 2 : 1) > input.length) return -1;
      const count = (control >> 5) + 2 + (long ? (input[ip++] as number) : 0);
      const distance = ((control & 0x1f) << 8) + (input[ip++] as number) + 1;
      if (distance > length) return -1;
      length += count;
    }
  }
  return length;
}

function pair(input: Uint8Array, at: number): number {
  return ((input[at] as number) << 8) | (input[at + 1] as number);
}

function slotOf(hash: number): number {
  return ((hash >> (24 - HASH_BITS)) - hash * 5) & ((1 << HASH_BITS) - 1);
}

function same3(input: Uint8Array, a: number, b: number): boolean {
  return input[a] === input[b] && input[a + 1] === input[b + 1] && input[a + 2] === input[b + 2];
}

function matchLength(input: Uint8Array, ref: number, ip: number, end: number): number {
  const most = Math.min(end - ip - 2, MAX_MATCH);
  const unchecked = most > 16 ? UNCHECKED : 0;
  let length = 3;
  while ((length <= unchecked || length < most) && input[ref + length] === input[ip + length]) length++;
  return length;
}
