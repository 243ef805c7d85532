/**
 * The running digest: SHA-256 over the digest before, the timeline and the commit. It covers commits, not segments, so it
 * is the same however they are cut or merged, and it tells apart two histories that reuse a sequence. A chain begins at
 * an anchor, which says nothing about what was before.
 */
import { createHash } from 'node:crypto';
import { assert } from '../base/assert.js';
import { isSha256 } from '../base/hash.js';
import { writeU64 } from './segment-layout.js';

const ANCHOR = 'cairn chain';
/** Length and CRC of a record do not enter: they say how it is stored, not what was committed. */
const RECORD_CONTENT = 8;

/** The digest at a sequence that no chain reaches: a database's beginning, a fork, the far side of a gap. */
export function chainAnchor(timeline: number, sequence: number): string {
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32LE(timeline, 0);
  writeU64(numbers, 4, sequence);
  return createHash('sha256').update(ANCHOR, 'latin1').update(numbers).digest('hex');
}

/** The digest after one commit; `record` is framed. */
export function chainDigest(before: string, timeline: number, record: Uint8Array): string {
  const digest = new RunningDigest(before, timeline);
  digest.add(record);
  return digest.hex;
}

/** The same over many commits, without text in between. */
export class RunningDigest {
  /** The digest, then the timeline: what stands before every commit. */
  readonly #state = Buffer.alloc(36);

  constructor(before: string, timeline: number) {
    assert(isSha256(before), `'${before}' is not a running digest`);
    this.#state.write(before, 0, 'hex');
    this.#state.writeUInt32LE(timeline, 32);
  }

  add(record: Uint8Array): void {
    this.#state.set(createHash('sha256').update(this.#state).update(record.subarray(RECORD_CONTENT)).digest(), 0);
  }

  get hex(): string {
    return this.#state.toString('hex', 0, 32);
  }
}
