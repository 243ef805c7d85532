/**
 * Replays commits of segments into a database that nobody serves, which stands where they begin. RocksDB's own log is
 * off meanwhile; what was applied is durable once the caller has flushed.
 *
 *   segments    │ a ───────── │ b ───────────── │ c ──────── │
 *   step          from ├──────────────────────────────┤ to
 *
 * Every byte of a segment is hashed once (segment-object.ts), every record checked before it is applied (native/replay.cc), every seam by
 * sequence, commit count and running digest; where a step ends inside a segment the digest there is computed. While one segment is
 * applied the next one is read.
 */
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { releaseMemory, replayProven, replayRecords } from '../engine/index.js';
import type { Database, RecordProgress } from '../engine/types.js';
import { SEGMENT_HEADER_BYTES } from '../format/index.js';
import type { Operation } from './operations.js';
import type { Repository } from './repository.js';
import { damagedSegment, type OpenSegment, proveRecords, readKnownSegment } from './segment-object.js';
import type { ReplayStep, Source } from './source.js';

/** Where replaying has come to. */
interface Place {
  sequence: number;
  commits: number;
  /** Hex; null: not known, the first segment says it. */
  digest: string | null;
}

/** Segments come in 8 MB, merged ones in up to 16. */
const MOST_READ_AHEAD = 20 << 20;

export async function replaySteps(
  repository: Repository,
  database: Database,
  source: Source,
  operation: Operation,
): Promise<void> {
  let commits = source.base.commitCount;
  for (const step of source.steps) commits = await replayStep(repository, database, step, commits, operation);
}

async function replayStep(
  repository: Repository,
  database: Database,
  step: ReplayStep,
  commits: number,
  operation: Operation,
): Promise<number> {
  const place: Place = { sequence: step.from, commits, digest: step.digestFrom };
  const { segments } = step;
  // One is applied, the next one read, unless both were more than that.
  const largest = segments.reduce((most, { sizeBytes }) => Math.max(most, sizeBytes), 0);
  const rooms = [new Room(largest), new Room(largest)] as const;
  const isReadAhead = 2 * largest <= MOST_READ_AHEAD;
  const read = async (nth: number): Promise<OpenSegment | null> => {
    const key = segments[nth]?.key;
    const room = isReadAhead && nth % 2 === 1 ? rooms[1] : rooms[0];
    return key === undefined ? null : readKnownSegment(repository, key, room.of);
  };
  let next = read(0);
  try {
    for (const [i, { key, sizeBytes }] of segments.entries()) {
      const segment = await next;
      if (isReadAhead) next = read(i + 1);
      next.catch(() => undefined);
      operation.checkpoint();
      if (segment === null) break;
      await replaySegment(database, segment, step, place).catch(async (error: unknown) => {
        if (!(error instanceof CairnError) || error.details.kind !== 'corruption') throw error;
        const damage = damagedSegment(key, error);
        await repository.segments.markDamaged(key, damage);
        throw damage;
      });
      operation.progress(sizeBytes);
      await faultPoint('segment-replayed');
      if (!isReadAhead) next = read(i + 1);
    }
  } finally {
    await next.catch(() => undefined); // it reads into one of them
    for (const room of rooms) room.free();
  }
  if (place.sequence !== step.to) throw seam(step, 'sequence', step.to, place.sequence);
  if (step.digestTo !== null && step.digestTo !== place.digest) {
    throw seam(step, 'running digest', step.digestTo, place.digest);
  }
  return place.commits;
}

/** Memory for one segment after the other, taken when the first one comes. */
class Room {
  readonly #largest: number;
  #bytes: Buffer | null = null;

  /** One that has become larger since it was listed gets memory of its own. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  readonly of = (sizeBytes: number): Buffer => {
    if (sizeBytes > this.#largest) return Buffer.allocUnsafeSlow(sizeBytes);
    this.#bytes ??= Buffer.allocUnsafeSlow(this.#largest);
    return this.#bytes.subarray(0, sizeBytes);
  };

  free(): void {
    if (this.#bytes !== null) releaseMemory(this.#bytes);
    this.#bytes = null;
  }
}

async function replaySegment(database: Database, segment: OpenSegment, step: ReplayStep, place: Place): Promise<void> {
  const { header, bytes } = segment;
  const start = await findStart(segment, step, place);
  const range = {
    from: start.offset,
    to: header.indexOffset,
    timeline: header.timeline,
    expectedSequence: place.sequence,
  };
  if (header.sequenceTo > step.to) {
    const progress = await replayRecords(database, bytes, {
      ...range,
      digest: start.digest,
      stopAfterSequence: step.to,
    });
    place.sequence = progress.sequence;
    place.commits += progress.commits;
    place.digest = progress.digest.toString('hex');
    return;
  }
  // To its end: that its records lead to the digest of its header was proven by whoever wrote them, and its SHA-256 fits.
  const progress = await replayProven(database, bytes, range);
  place.sequence = progress.sequence;
  place.commits += progress.commits;
  place.digest = header.digestTo;
  if (place.sequence === header.sequenceTo && place.commits === header.commitsBefore + header.commits) return;
  throw new CairnError(
    'BACKUPCORRUPT',
    `its header promises the commits ${header.commitsBefore} to ${header.commitsBefore + header.commits} up to sequence ${header.sequenceTo}, its records are ${place.commits} up to ${place.sequence}`,
    { details: { kind: 'corruption' } },
  );
}

/** Where in a segment the commits begin that follow what is applied, once everything before them is proven. */
async function findStart(
  segment: OpenSegment,
  step: ReplayStep,
  place: Place,
): Promise<Pick<RecordProgress, 'offset' | 'digest'>> {
  const { header } = segment;
  let start: Pick<RecordProgress, 'offset' | 'digest'> = {
    offset: SEGMENT_HEADER_BYTES,
    digest: Buffer.from(header.digestFrom, 'hex'),
  };
  let commits = header.commitsBefore;
  if (header.sequenceFrom < place.sequence) {
    const progress = await proveRecords(segment, { sequence: place.sequence });
    if (progress.sequence !== place.sequence)
      throw seam(step, 'end of a commit at sequence', place.sequence, progress.sequence);
    start = progress;
    commits += progress.commits;
  }
  const digest = start.digest.toString('hex');
  if (place.digest !== null && place.digest !== digest) throw seam(step, 'running digest', place.digest, digest);
  if (commits !== place.commits) throw seam(step, 'commit count', place.commits, commits);
  return start;
}

/** Whole segments that do not fit together: one of them is of another history. */
function seam(step: ReplayStep, what: string, expected: unknown, actual: unknown): CairnError {
  const { timeline, from, to } = step;
  return new CairnError(
    'BACKUPCORRUPT',
    `the segments of timeline ${timeline} from sequence ${from} to ${to} do not fit together: wrong ${what}: expected ${expected}, found ${actual}`,
    {
      hint: 'Restore another moment or backup; bring the segments back from a copy of the repository.',
      details: { timeline, from, to, expected, actual, segments: step.segments.map(({ key }) => key) },
    },
  );
}
