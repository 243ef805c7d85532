/**
 * Segments as objects of a store: assembled and named, read and proven. Hashing and checking run in the pool; what the
 * event loop does is bounded by the number of index entries, not of bytes.
 *
 * A segment that is not what it should be is BACKUPCORRUPT and names the object; one that is gone BACKUPINCOMPLETE.
 */
import { CairnError } from '../base/errors.js';
import type { RoomFor } from '../base/fs.js';
import { sha256InPool, verifyRecords } from '../engine/index.js';
import type { FramedCommits, RecordProgress } from '../engine/types.js';
import {
  decodeSegmentFooter,
  decodeSegmentHeader,
  decodeSegmentIndex,
  FormatError,
  parseSegmentKey,
  requireSegmentName,
  SEGMENT_FOOTER_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  type SegmentIndexEntry,
  segmentBytes,
  segmentParts,
} from '../format/index.js';
import { type Store, StoreObjectMissing } from '../storage/store.js';

/** Above what one commit of the largest request can make, below what one Buffer can hold. */
export const MAX_SEGMENT_BYTES = 2 ** 31 - 1;

/** A whole segment in memory: frame, index and SHA-256 are proven, its records are not yet. */
export interface OpenSegment {
  key: string;
  header: SegmentHeader;
  index: SegmentIndexEntry[];
  bytes: Buffer;
}

/** The file of commits that were captured; `commitsBefore` is the commit count of the state where they begin. */
export async function assembleSegment(
  framed: FramedCommits,
  timeline: number,
  commitsBefore: number,
): Promise<{ header: SegmentHeader; bytes: Buffer }> {
  const parts = segmentParts({
    timeline,
    sequenceFrom: framed.sequenceFrom,
    sequenceTo: framed.sequenceTo,
    firstUs: framed.firstTimeUs,
    lastUs: framed.lastTimeUs,
    commits: framed.count,
    commitsBefore,
    digestFrom: framed.digestFrom.toString('hex'),
    digestTo: framed.digest.toString('hex'),
    records: framed.records,
    index: framed.index.map((entry) => ({
      sequence: entry.sequence,
      timeUs: entry.timeUs,
      offset: SEGMENT_HEADER_BYTES + entry.offset,
      digestBefore: entry.digest.toString('hex'),
    })),
  });
  const { head, entries } = parts;
  const footerAt = head.length + framed.records.length + entries.length;
  // One copy: a segment may be as large as the largest commit.
  const bytes = Buffer.allocUnsafeSlow(footerAt + SEGMENT_FOOTER_BYTES);
  bytes.set(head, 0);
  bytes.set(framed.records, head.length);
  bytes.set(entries, head.length + framed.records.length);
  bytes.set(parts.footer(await sha256InPool(bytes.subarray(0, footerAt))), footerAt);
  return { header: parts.header, bytes };
}

/** Reads a segment and proves its frame: name, header, length, footer, index, SHA-256. */
export async function readSegment(store: Store, key: string, room?: RoomFor): Promise<OpenSegment> {
  const bytes = await store.get(key, MAX_SEGMENT_BYTES, room).catch((error: unknown) => {
    throw error instanceof StoreObjectMissing ? missingSegment(key) : error;
  });
  return openSegment(key, bytes);
}

/** What the index of segments wants to hear from whoever reads one. */
interface SegmentKnowledge {
  learn(key: string, header: SegmentHeader): void;
  markDamaged(key: string, error: CairnError): Promise<void>;
}

/** The same, for a repository whose index of segments learns what was found: nothing rests on a damaged one from then on. */
export async function readKnownSegment(
  repository: { store: Store; segments: SegmentKnowledge },
  key: string,
  room?: RoomFor,
): Promise<OpenSegment> {
  try {
    const segment = await readSegment(repository.store, key, room);
    repository.segments.learn(key, segment.header);
    return segment;
  } catch (error) {
    if (error instanceof CairnError && isSegmentDamage(error)) await repository.segments.markDamaged(key, error);
    throw error;
  }
}

/** True for what speaks against the segment itself, and not against the way to it. */
export function isSegmentDamage(error: CairnError): boolean {
  return (error.code === 'BACKUPCORRUPT' || error.code === 'BACKUPINCOMPLETE') && typeof error.details.key === 'string';
}

export async function openSegment(key: string, bytes: Buffer): Promise<OpenSegment> {
  try {
    const name = parseSegmentKey(key);
    const header = decodeSegmentHeader(bytes);
    if (name === null) throw new FormatError('segment', 'schema', 'its name is not one of a segment');
    requireSegmentName(header, name);
    const size = segmentBytes(header);
    if (bytes.length !== size) {
      throw new FormatError('segment', 'damaged', `it has ${bytes.length} bytes, its header says ${size}`);
    }
    const footerAt = size - SEGMENT_FOOTER_BYTES;
    const footer = decodeSegmentFooter(bytes.subarray(footerAt));
    const actual = (await sha256InPool(bytes.subarray(0, footerAt))).toString('hex');
    if (actual !== footer.sha256) {
      throw new FormatError(
        'segment',
        'damaged',
        `it was written with the SHA-256 ${footer.sha256}, its bytes now have ${actual}`,
      );
    }
    const index = decodeSegmentIndex(bytes.subarray(header.indexOffset, footerAt), header, footer);
    return { key, header, index, bytes };
  } catch (error) {
    if (error instanceof FormatError) throw damagedSegment(key, error);
    throw error;
  }
}

/** Where records of an open segment may be walked to. */
export interface WalkStop {
  /** The commit that ends after it is not taken. */
  sequence?: number;
  /** The first later commit is not taken. */
  timeUs?: number;
}

/**
 * Proves the records of a segment from its beginning: every CRC, order, times, and the running digest up to where the
 * walk stops; without a stop up to the end, where commits and digest must be the header's.
 */
export async function proveRecords({ key, header, bytes }: OpenSegment, stop: WalkStop = {}): Promise<RecordProgress> {
  try {
    const progress = await verifyRecords(bytes, {
      from: SEGMENT_HEADER_BYTES,
      to: header.indexOffset,
      timeline: header.timeline,
      digest: Buffer.from(header.digestFrom, 'hex'),
      expectedSequence: header.sequenceFrom,
      expectedDigest: Buffer.from(header.digestTo, 'hex'),
      ...(stop.sequence === undefined ? {} : { stopAfterSequence: stop.sequence }),
      ...(stop.timeUs === undefined ? {} : { stopAfterTimeUs: stop.timeUs }),
    });
    const whole = progress.offset === header.indexOffset;
    if (whole && (progress.commits !== header.commits || progress.sequence !== header.sequenceTo)) {
      throw damagedSegment(
        key,
        new FormatError(
          'segment',
          'schema',
          `its header promises ${header.commits} commits up to sequence ${header.sequenceTo}, it has ${progress.commits} up to ${progress.sequence}`,
        ),
      );
    }
    return progress;
  } catch (error) {
    if (error instanceof CairnError && error.details.kind === 'corruption') throw damagedSegment(key, error);
    throw error;
  }
}

export function missingSegment(key: string): CairnError {
  return new CairnError('BACKUPINCOMPLETE', `the segment ${key} is missing`, {
    hint: 'Bring it back from a copy of the repository; moments before and after the gap stay reachable.',
    details: { key },
  });
}

export function damagedSegment(key: string, cause: Error): CairnError {
  return new CairnError('BACKUPCORRUPT', `the segment ${key} is damaged: ${cause.message}`, {
    hint: 'Bring it back from a copy of the repository; moments before and after the gap stay reachable.',
    details: { key },
    cause,
  });
}
