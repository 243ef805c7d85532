/**
 * RocksDB's WriteBatch representation, written straight into a buffer, so that a write group reaches RocksDB without
 * an object per record.
 *
 *   u64le sequence   left 0: RocksDB sets it
 *   u32le count      records that take a sequence number (log data takes none)
 *   records          01 key value  |  00 key  |  0f from to  |  03 blob      each part: varint32 length, bytes
 *
 * Limits: a key or value below 4 GiB; a range deletion needs from < to (the addon refuses it otherwise, since RocksDB
 * would notice only after it had logged it).
 */

export const BATCH_HEADER_BYTES = 12;
export const TAG_DELETE = 0x00;
export const TAG_PUT = 0x01;
export const TAG_LOG_DATA = 0x03;
export const TAG_DELETE_RANGE = 0x0f;

const FIRST_CAPACITY = 4096;
const MAX_VARINT_BYTES = 5;

export class BatchBuilder {
  #buffer: Buffer;
  #length = BATCH_HEADER_BYTES;
  #count = 0;

  constructor(capacityBytes = FIRST_CAPACITY) {
    this.#buffer = Buffer.allocUnsafe(Math.max(capacityBytes, BATCH_HEADER_BYTES));
  }

  /** Records that take a sequence number. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the batch so far, header included. */
  get byteLength(): number {
    return this.#length;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#reserve(1 + 2 * MAX_VARINT_BYTES + key.length + value.length);
    this.#buffer[this.#length++] = TAG_PUT;
    this.#append(key);
    this.#append(value);
    this.#count++;
  }

  delete(key: Uint8Array): void {
    this.#reserve(1 + MAX_VARINT_BYTES + key.length);
    this.#buffer[this.#length++] = TAG_DELETE;
    this.#append(key);
    this.#count++;
  }

  /** Deletes from `from`, inclusive, to `to`, exclusive. */
  deleteRange(from: Uint8Array, to: Uint8Array): void {
    this.#reserve(1 + 2 * MAX_VARINT_BYTES + from.length + to.length);
    this.#buffer[this.#length++] = TAG_DELETE_RANGE;
    this.#append(from);
    this.#append(to);
    this.#count++;
  }

  /** Bytes that live in the WAL alone. */
  logData(blob: Uint8Array): void {
    this.#reserve(1 + MAX_VARINT_BYTES + blob.length);
    this.#buffer[this.#length++] = TAG_LOG_DATA;
    this.#append(blob);
  }

  /** Records that are encoded already (the body of a part of `splitBatch`), with how many of them count. */
  appendRecords(records: Uint8Array, count: number): void {
    this.#reserve(records.length);
    this.#buffer.set(records, this.#length);
    this.#length += records.length;
    this.#count += count;
  }

  /** The finished batch. Its bytes belong to the caller; the builder starts over in a buffer of its own. */
  finish(): Buffer {
    this.#writeHeader();
    const rep = this.#buffer.subarray(0, this.#length);
    // A write in flight reads `rep` from another thread: never write there again. Groups are alike in size.
    this.#buffer = Buffer.allocUnsafe(Math.max(FIRST_CAPACITY, Math.min(this.#length * 2, 1 << 20)));
    this.reset();
    return rep;
  }

  /** Drops what was added. */
  reset(): void {
    this.#length = BATCH_HEADER_BYTES;
    this.#count = 0;
  }

  #writeHeader(): void {
    this.#buffer.fill(0, 0, 8);
    this.#buffer.writeUInt32LE(this.#count, 8);
  }

  #append(bytes: Uint8Array): void {
    let rest = bytes.length;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}
