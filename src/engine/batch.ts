/**
 * RocksDB's WriteBatch representation, written straight into a buffer, so that a write group reaches RocksDB without
 * an object per record. A large value stays where it is: the batch is then several pieces, which follow each other.
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
/** A value from here on is not copied into the batch: it becomes a piece of its own. */
const PIECE_BYTES = 64 * 1024;
const MAX_VARINT_BYTES = 5;

export class BatchBuilder {
  #buffer: Buffer;
  /** Where in the buffer the present piece begins and ends. */
  #start = 0;
  #length = BATCH_HEADER_BYTES;
  #count = 0;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  constructor(capacityBytes = FIRST_CAPACITY) {
    this.#buffer = Buffer.allocUnsafe(Math.max(capacityBytes, BATCH_HEADER_BYTES));
  }

  /** Records that take a sequence number. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the batch so far, header included. */
  get byteLength(): number {
    return this.#pieceBytes + this.#length - this.#start;
  }

  /** A value of 64 KB or more must not change until the batch is written. */
  put(key: Uint8Array, value: Uint8Array): void {
    if (value.length >= PIECE_BYTES) {
      this.#reserve(1 + 2 * MAX_VARINT_BYTES + key.length);
      this.#buffer[this.#length++] = TAG_PUT;
      this.#append(key);
      this.#appendLength(value.length);
      this.#cut();
      this.#pieces.push(asBuffer(value));
      this.#pieceBytes += value.length;
      this.#count++;
      return;
    }
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

  /** The finished batch in one piece. Its bytes belong to the caller. */
  finish(): Buffer {
    const pieces = this.finishPieces();
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  /** The finished batch. Its bytes belong to the caller; the builder starts over in a buffer of its own. */
  finishPieces(): Buffer[] {
    this.#cut();
    const pieces = this.#pieces;
    const head = pieces[0] as Buffer;
    head.fill(0, 0, 8);
    head.writeUInt32LE(this.#count, 8);
    // A write in flight reads the pieces from another thread: never write there again. Groups are alike in size.
    this.#buffer = Buffer.allocUnsafe(Math.max(FIRST_CAPACITY, Math.min(this.#length * 2, 1 << 20)));
    this.reset();
    return pieces;
  }

  /** Drops what was added. */
  reset(): void {
    // What was cut off may be read by somebody; the buffer goes on being used from its beginning.
    if (this.#pieces.length > 0) this.#buffer = Buffer.allocUnsafe(this.#buffer.length);
    this.#start = 0;
    this.#length = BATCH_HEADER_BYTES;
    this.#count = 0;
    this.#pieces = [];
    this.#pieceBytes = 0;
  }

  /** Ends the present piece. */
  #cut(): void {
    if (this.#length === this.#start) return;
    this.#pieces.push(this.#buffer.subarray(this.#start, this.#length));
    this.#pieceBytes += this.#length - this.#start;
    this.#start = this.#length;
  }

  #append(bytes: Uint8Array): void {
    this.#appendLength(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #appendLength(length: number): void {
    let rest = length;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    // Only the present piece moves: those before it stay where they are.
    const present = this.#length - this.#start;
    const grown = Buffer.allocUnsafe(Math.max(present + bytes, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, this.#start, this.#length);
    this.#buffer = grown;
    this.#start = 0;
    this.#length = present;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
