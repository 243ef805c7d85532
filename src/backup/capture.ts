/**
 * Capture: commits out of the live log into segments, from where the archive ends.
 *
 *   sync the live log → read and frame (pool) → hash (pool) → put, durable → the chain ends later
 *
 * The order is what makes it trustworthy: nothing gets a name in the repository before it is durable in the live log,
 * and the chain (sequence, commit count, running digest) moves on only when the segment is durable in its turn. After
 * any failure reading begins anew where the last durable segment ends: no hole, nothing twice.
 */
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { releaseMemory } from '../engine/index.js';
import type { CommitMarkShape, CommitReader, Database } from '../engine/types.js';
import { keyOfSegment, type SegmentHeader } from '../format/index.js';
import { StoreObjectExists } from '../storage/store.js';
import type { Repository } from './repository.js';
import { assembleSegment, damagedSegment, readSegment } from './segment-object.js';

/** Where what is archived of a timeline ends. */
export interface ChainEnd {
  timeline: number;
  sequence: number;
  /** The running digest there, hex. */
  digest: string;
  /** The commit count of the state there. */
  commits: number;
  /** Commit time of the last commit, µs; 0: none is known. */
  lastUs: number;
}

export interface Captured {
  segments: number;
  commits: number;
  bytes: number;
}

/** One that is not kept yet. */
interface ReadSegment {
  header: SegmentHeader;
  bytes: Buffer;
  /** Where the chain ends once it is. */
  end: ChainEnd;
}

/** A segment is cut at about this size: small enough to hold, hash and replay in one piece. */
const SEGMENT_BYTES = 8 << 20;

export class Capture {
  readonly database: Database;
  readonly #repository: Repository;
  readonly #mark: CommitMarkShape;
  #end: ChainEnd;
  #reader: CommitReader | null = null;

  constructor(database: Database, mark: CommitMarkShape, repository: Repository, end: ChainEnd) {
    this.database = database;
    this.#mark = mark;
    this.#repository = repository;
    this.#end = end;
  }

  get end(): Readonly<ChainEnd> {
    return this.#end;
  }

  /**
   * Archives every commit up to `sequence`, which must be the end of one that is written. The last segment ends there.
   * WALGAP: the log does not have them any more; MISCONF with details.kind 'corruption': it is damaged.
   */
  async through(sequence: number, signal?: AbortSignal): Promise<Captured> {
    const captured: Captured = { segments: 0, commits: 0, bytes: 0 };
    if (sequence <= this.#end.sequence) return captured;
    // While one segment is written the next one is read: the disk and the processor work at the same time.
    let keeping: Promise<void> = Promise.resolve();
    try {
      await this.database.syncWal();
      for (let at = this.#end; at.sequence < sequence; ) {
        signal?.throwIfAborted();
        const segment = await this.#read(at, sequence);
        await keeping;
        keeping = this.#keep(segment, captured);
        keeping.catch(() => undefined); // awaited above, or below
        at = segment.end;
      }
      await keeping;
    } catch (error) {
      await keeping.catch(() => undefined);
      await this.close();
      throw error;
    }
    return captured;
  }

  async #read(before: ChainEnd, sequence: number): Promise<ReadSegment> {
    this.#reader ??= this.database.commitsSince(before.sequence, {
      timeline: before.timeline,
      digest: Buffer.from(before.digest, 'hex'),
      lastTimeUs: before.lastUs,
      mark: this.#mark,
    });
    const framed = await this.#reader.next(SEGMENT_BYTES, sequence);
    if (framed.count === 0) {
      throw new CairnError('WALGAP', `commits after sequence ${before.sequence} up to ${sequence} are not in the log`, {
        details: { kind: 'gap', wanted: before.sequence + 1, found: 0 },
      });
    }
    const { header, bytes } = await assembleSegment(framed, before.timeline, before.commits);
    const end: ChainEnd = {
      timeline: before.timeline,
      sequence: header.sequenceTo,
      digest: header.digestTo,
      commits: before.commits + header.commits,
      lastUs: header.lastUs,
    };
    return { header, bytes, end };
  }

  async #keep({ header, bytes, end }: ReadSegment, captured: Captured): Promise<void> {
    await this.#put(header, bytes);
    await this.#repository.segments.added(header);
    this.#end = end;
    captured.segments += 1;
    captured.commits += header.commits;
    captured.bytes += bytes.length;
    releaseMemory(bytes);
  }

  async #put(header: SegmentHeader, bytes: Buffer): Promise<void> {
    const { store, segments } = this.#repository;
    const key = keyOfSegment(header);
    const beforeVisible = () => faultPoint('segment-written');
    try {
      await store.put(key, bytes, { ifAbsent: true, beforeVisible });
    } catch (error) {
      if (!(error instanceof StoreObjectExists)) throw error;
      const there = await readSegment(store, key).catch((damage: unknown) => damage as Error);
      if (there instanceof Error) {
        // What lies there cannot be used, and these are its commits once more.
        await store.put(key, bytes, { beforeVisible });
      } else if (there.header.digestTo !== header.digestTo) {
        const other = `it ends with the digest ${there.header.digestTo}, the live log gives ${header.digestTo}`;
        await segments.markDamaged(key, damagedSegment(key, new Error(other)));
        throw damagedSegment(key, new Error(other));
      }
    }
    await faultPoint('segment-renamed');
  }

  /** Lets go of the log. The capture can go on afterwards. */
  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = null;
    await reader?.close();
  }
}
