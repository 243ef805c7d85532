/** Reads the blocks that a BlockIterator gives: u32le key length, u32le value length, key, value, back to back. */
import type { EntryBlock } from './types.js';

export interface Entry {
  key: Buffer;
  /** Empty when the scan left values out. */
  value: Buffer;
}

const HEADER_BYTES = 8;

/** The entries of a block, as views into it. */
export function* decodeBlock(block: EntryBlock): Generator<Entry, void, undefined> {
  let offset = 0;
  while (offset < block.length) {
    const key = offset + HEADER_BYTES;
    const value = key + block.readUInt32LE(offset);
    offset = value + block.readUInt32LE(offset + 4);
    yield {
      key: block.subarray(key, value),
      value: block.subarray(value, offset),
    };
  }
}

/** The same without a generator or views, for long scans: visit(keyStart, keyEnd, valueEnd); false stops. */
export function visitBlock(
  block: EntryBlock,
  visit: (keyStart: number, keyEnd: number, valueEnd: number) => boolean | undefined,
): void {
  let offset = 0;
  while (offset < block.length) {
    const keyStart = offset + HEADER_BYTES;
    const keyEnd = keyStart + block.readUInt32LE(offset);
    offset = keyEnd + block.readUInt32LE(offset + 4);
    if (visit(keyStart, keyEnd, offset) === false) return;
  }
}
