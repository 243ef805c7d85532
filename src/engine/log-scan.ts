/**
 * Reads a RocksDB log (WAL) byte by byte, to say what RocksDB does not: where it is damaged, and whether anything
 * intact follows. A crash leaves a log that just ends (a torn tail: nothing follows); bits that rotted, or a log that
 * lost its middle, have intact records behind them. The first is normal, the second must never be passed over.
 *
 *   file     blocks of 32 KiB; a record never crosses a block, the last 0..6 bytes of one are zeros
 *   record   u32le masked crc32c of type and payload, u16le length, u8 type, payload
 *   type     1 full, 2 first, 3 middle, 4 last part of a batch; 0 with length 0: zeros up to the block's end;
 *            5..8 the same with a u32le log number ahead of the payload (recycled logs)
 */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadAddon } from './addon.js';
import { BATCH_HEADER_BYTES } from './batch.js';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const MASK_DELTA = 0xa282ead8;
const READ_BYTES = 64 * BLOCK_BYTES;
const LAST_TYPE = 10;

export interface LogScan {
  path: string;
  sizeBytes: number;
  /** Of the first intact batch; null in a log without one. */
  firstSequence: number | null;
  /** null: intact to the end. */
  damage: { offset: number; intactAfter: boolean } | null;
}

/**
 * The logs of a database, oldest first; with 'all' also those that RocksDB has moved to its archive directory. Throws where a
 * directory cannot be listed: that there is no log would be another thing to say. No archive directory is an empty one; no database at all is for
 * whoever opens it to say ('live').
 */
export async function listLogs(databasePath: string, which: 'live' | 'all'): Promise<string[]> {
  const logs: { number: number; path: string }[] = [];
  for (const directory of which === 'all' ? [join(databasePath, 'archive'), databasePath] : [databasePath]) {
    const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && (which === 'live' || directory !== databasePath)) return [];
      throw error;
    });
    for (const name of names) {
      if (/^\d+\.log$/.test(name)) logs.push({ number: Number.parseInt(name, 10), path: join(directory, name) });
    }
  }
  return logs.sort((a, b) => a.number - b.number).map((log) => log.path);
}

/** Reads one log. `headOnly` stops after the first batch. */
export async function scanLog(path: string, options: { headOnly?: boolean } = {}): Promise<LogScan> {
  const file = await open(path, 'r');
  try {
    const walk = new LogWalk();
    const buffer = Buffer.allocUnsafe(options.headOnly === true ? BLOCK_BYTES : READ_BYTES);
    let offset = 0;
    for (;;) {
      const length = await fill(file, buffer, offset);
      for (let at = 0; at < length; at += BLOCK_BYTES) {
        walk.block(buffer.subarray(at, Math.min(at + BLOCK_BYTES, length)), offset + at);
      }
      offset += length;
      if (length < buffer.length || (options.headOnly === true && walk.firstSequence !== null)) break;
    }
    if (options.headOnly !== true) walk.end();
    return { path, sizeBytes: offset, firstSequence: walk.firstSequence, damage: walk.damage };
  } finally {
    await file.close();
  }
}

/**
 * The first damaged log among those that hold the sequences from `from` to `to` (null: to the end), or null. RocksDB's
 * log iterator passes over damage in silence and then reports a gap: this tells the two apart. Throws where the logs cannot be
 * looked at; one that has gone meanwhile is passed over.
 */
export async function findDamage(databasePath: string, from: number, to: number | null): Promise<LogScan | null> {
  const heads: LogScan[] = [];
  for (const path of await listLogs(databasePath, 'all')) {
    const head = await unlessGone(scanLog(path, { headOnly: true }));
    if (head !== null) heads.push(head);
  }
  const begins = (head: LogScan | undefined): number => head?.firstSequence ?? Number.NEGATIVE_INFINITY;
  const first = heads.reduce((best, head, i) => (head.firstSequence !== null && begins(head) <= from ? i : best), 0);
  for (const head of heads.slice(first)) {
    if (to !== null && begins(head) > to) break;
    const scan = await unlessGone(scanLog(head.path));
    if (scan !== null && scan.damage !== null) return scan;
  }
  return null;
}

function unlessGone(scan: Promise<LogScan>): Promise<LogScan | null> {
  return scan.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}

/** The first log of a database that is damaged anywhere, archived or live; null: none, or none that could be read. */
export async function firstDamagedLog(databasePath: string): Promise<LogScan | null> {
  for (const path of await listLogs(databasePath, 'all')) {
    const scan = await scanLog(path).catch(() => null);
    if (scan !== null && scan.damage !== null) return scan;
  }
  return null;
}

async function fill(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, position + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}

class LogWalk {
  firstSequence: number | null = null;
  damage: { offset: number; intactAfter: boolean } | null = null;
  /** Where the batch began whose last part was not seen yet. */
  #open: number | null = null;
  readonly #crc32c = loadAddon().crc32c;

  block(block: Buffer, position: number): void {
    let at = 0;
    while (block.length - at >= HEADER_BYTES) {
      const end = this.#recordEnd(block, at);
      if (end !== null) {
        this.#record(block, at, end, position);
        at = end;
        continue;
      }
      if (isZero(block, at)) {
        // Preallocated, or a hole: not damage by itself, but a batch must not be cut by it.
        if (this.#open !== null) this.#damaged(this.#open);
        return;
      }
      this.#damaged(position + at);
      // The length may be what is damaged: look for the next intact record at every place of this block.
      at++;
      while (block.length - at >= HEADER_BYTES && this.#recordEnd(block, at) === null) at++;
    }
    if (block.length < BLOCK_BYTES && block.length > at && !isZero(block, at)) this.#damaged(position + at);
  }

  end(): void {
    if (this.#open !== null) this.#damaged(this.#open);
  }

  /** Where the record ends if it is intact. */
  #recordEnd(block: Buffer, at: number): number | null {
    const type = block[at + 6] as number;
    if (type === 0 || type > LAST_TYPE) return null;
    const end = at + HEADER_BYTES + block.readUInt16LE(at + 4);
    if (end > block.length) return null;
    const unmasked = (block.readUInt32LE(at) - MASK_DELTA) >>> 0;
    const expected = ((unmasked >>> 17) | (unmasked << 15)) >>> 0;
    return this.#crc32c(block, at + 6, end) === expected ? end : null;
  }

  #record(block: Buffer, at: number, end: number, position: number): void {
    if (this.damage !== null) this.damage.intactAfter = true;
    const type = block[at + 6] as number;
    if (type > 8) return;
    const recycled = type > 4;
    const part = recycled ? type - 4 : type;
    const begins = part === 1 || part === 2;
    if (begins !== (this.#open === null)) {
      this.#damaged(this.#open ?? position + at);
      if (this.damage !== null) this.damage.intactAfter = true;
    }
    const payload = at + HEADER_BYTES + (recycled ? 4 : 0);
    if (begins && this.firstSequence === null && end - payload >= BATCH_HEADER_BYTES) {
      this.firstSequence = Number(block.readBigUInt64LE(payload));
    }
    if (part === 2) this.#open = position + at;
    if (part === 1 || part === 4) this.#open = null;
  }

  #damaged(offset: number): void {
    this.damage ??= { offset, intactAfter: false };
    this.#open = null;
  }
}

function isZero(block: Buffer, from: number): boolean {
  for (let i = from; i < block.length; i++) {
    if (block[i] !== 0) return false;
  }
  return true;
}
