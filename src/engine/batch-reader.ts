/**
 * Reads RocksDB's WriteBatch representation (drawn in batch.ts): bounded, since the bytes may come from a log or a
 * backup. Only what Cairn writes is accepted; every other record is an error that says where.
 */
import { CairnError } from '../base/errors.js';
import { BATCH_HEADER_BYTES, TAG_DELETE, TAG_DELETE_RANGE, TAG_LOG_DATA, TAG_PUT } from './batch.js';

/** Parts are views into the batch. */
export type BatchRecord =
  | { kind: 'put'; key: Buffer; value: Buffer }
  | { kind: 'delete'; key: Buffer }
  | { kind: 'delete-range'; from: Buffer; to: Buffer }
  | { kind: 'log-data'; blob: Buffer };

/** A stretch of a batch that begins at a log data record; `logData` is null for records ahead of the first one. */
export interface BatchPart {
  logData: Buffer | null;
  /** Records that take a sequence number ahead of this part: its first sequence is the batch's plus this. */
  sequenceOffset: number;
  count: number;
  /** The encoded records, the log data record that begins them included. */
  records: Buffer;
}

/** The number of records that the header promises. */
export function batchCount(rep: Buffer): number {
  if (rep.length < BATCH_HEADER_BYTES) throw malformed('it is shorter than its header', 0, rep);
  return rep.readUInt32LE(8);
}

/** Every record in order. Throws at the first one that is malformed, and at the end when the count is wrong. */
export function* decodeBatch(rep: Buffer): Generator<BatchRecord, void, undefined> {
  const cursor = new Cursor(rep);
  while (!cursor.atEnd) {
    yield cursor.record();
  }
  cursor.checkCount();
}

/** The commits of a merged write: one part per log data record. An empty batch has no parts. */
export function splitBatch(rep: Buffer): BatchPart[] {
  const cursor = new Cursor(rep);
  const parts: BatchPart[] = [];
  let part: BatchPart | undefined;
  let start = cursor.offset;
  while (!cursor.atEnd) {
    const at = cursor.offset;
    const before = cursor.count;
    const record = cursor.record();
    if (part === undefined || record.kind === 'log-data') {
      if (part !== undefined) part.records = rep.subarray(start, at);
      start = at;
      part = {
        logData: record.kind === 'log-data' ? record.blob : null,
        sequenceOffset: before,
        count: 0,
        records: rep.subarray(at, at),
      };
      parts.push(part);
    }
    part.count += cursor.count - before;
  }
  if (part !== undefined) part.records = rep.subarray(start);
  cursor.checkCount();
  return parts;
}

class Cursor {
  offset = BATCH_HEADER_BYTES;
  /** Counted records so far. */
  count = 0;
  readonly #rep: Buffer;
  readonly #promised: number;

  constructor(rep: Buffer) {
    this.#rep = rep;
    this.#promised = batchCount(rep);
  }

  get atEnd(): boolean {
    return this.offset === this.#rep.length;
  }

  record(): BatchRecord {
    const at = this.offset;
    const tag = this.#rep[this.offset++];
    switch (tag) {
      case TAG_PUT:
        this.count++;
        return { kind: 'put', key: this.#part(at), value: this.#part(at) };
      case TAG_DELETE:
        this.count++;
        return { kind: 'delete', key: this.#part(at) };
      case TAG_DELETE_RANGE:
        this.count++;
        return {
          kind: 'delete-range',
          from: this.#part(at),
          to: this.#part(at),
        };
      case TAG_LOG_DATA:
        return { kind: 'log-data', blob: this.#part(at) };
      default:
        throw malformed(`record type 0x${tag?.toString(16)} is none that Cairn writes`, at, this.#rep);
    }
  }

  checkCount(): void {
    if (this.count !== this.#promised) {
      throw malformed(`its header promises ${this.#promised} records, it has ${this.count}`, 8, this.#rep);
    }
  }

  #part(recordAt: number): Buffer {
    let length = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#rep[this.offset++];
      if (byte === undefined) throw malformed('a record ends early', recordAt, this.#rep);
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
      if (scale > 2 ** 28) throw malformed('a length has too many digits', recordAt, this.#rep);
    }
    const end = this.offset + length;
    if (end > this.#rep.length) throw malformed('a record ends early', recordAt, this.#rep);
    const part = this.#rep.subarray(this.offset, end);
    this.offset = end;
    return part;
  }
}

function malformed(why: string, offset: number, rep: Buffer): CairnError {
  return new CairnError('MISCONF', `malformed write batch of ${rep.length} bytes: ${why}, at offset ${offset}`, {
    details: { kind: 'corruption', offset, sizeBytes: rep.length },
  });
}
