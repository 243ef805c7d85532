/**
 * Whether the live database still is what the archive has of it, asked before anything is archived. Where it is not (an
 * older copy of the disk was put back, a disk lost what it had promised to keep), the same sequence would mean two
 * things: then a new timeline begins at the last commit that both have.
 *
 *   archive  ├──────────────●────────┤ A
 *   live     ├──────────────●──┤ L              lower, or other bytes at A: fork at ●
 *
 * Commits are compared by bytes. Of those that are no longer in the live log nothing is known but what the state says
 * of itself: its sequence, its commit count and the time of its last commit.
 */
import { CairnError } from '../base/errors.js';
import { readCommit } from '../engine/index.js';
import type { CommitMarkShape, Database } from '../engine/types.js';
import { iterateRecords, lastSequence, SEGMENT_HEADER_BYTES, type SegmentRecord } from '../format/index.js';
import type { Position } from '../keyspace/port.js';
import type { Repository } from './repository.js';
import { type OpenSegment, readKnownSegment } from './segment-object.js';

export interface LiveState {
  database: Database;
  mark: CommitMarkShape;
  position: Position;
}

/** A commit that both have, and where the live line leaves the archived one. */
export interface CommonPoint {
  sequence: number;
  commitCount: number;
  /** null: they have no commit in common. */
  timeUs: number | null;
}

type Verdict = 'same' | 'other' | 'unknown';

/** null: the live database goes on where the archive of `timeline` ends, or further. Otherwise where the two part. */
export async function whereTheyPart(
  live: LiveState,
  repository: Repository,
  timeline: number,
): Promise<CommonPoint | null> {
  const { segments } = repository;
  // A merge may be running: what is compared here stays until it was.
  const release = segments.hold(segments.usable(timeline).map(({ key }) => key));
  try {
    return await parting(live, repository, timeline);
  } finally {
    release();
  }
}

async function parting(live: LiveState, repository: Repository, timeline: number): Promise<CommonPoint | null> {
  const { sequence } = live.position;
  const segment = await lastSound(repository, timeline);
  if (segment === null) return null;
  const line = repository.segments.usable(timeline);
  const end = segment.header.sequenceTo;
  if (sequence >= end) {
    const record = [...recordsOf(segment)].at(-1);
    if (record === undefined) return null;
    const verdict = await compare(live, record, segment.header.commitsBefore + segment.header.commits);
    if (verdict !== 'other') return null;
  }
  const limit = Math.min(sequence, end);
  for (const { key, from } of line.toReversed()) {
    if (from >= limit) continue;
    const open = await readKnownSegment(repository, key);
    const { header } = open;
    const records = [...recordsOf(open)].filter((record) => lastSequence(record) <= limit);
    const at = await lastCommon(live, records, header.commitsBefore);
    const record = records[at];
    // Where segments are lost behind it, nothing says that what the live database has there is another commit: it goes on where it
    // stands, as one that is older than all of the archive.
    const isLost = at === records.length - 1 && header.sequenceTo < sequence && sequence < end;
    if (record !== undefined && isLost) return standing(live);
    if (record !== undefined) {
      return { sequence: lastSequence(record), commitCount: header.commitsBefore + at + 1, timeUs: record.timeUs };
    }
  }
  const [oldest] = line;
  if (oldest === undefined) return null;
  const first = (await readKnownSegment(repository, oldest.key)).header;
  const begin = { sequence: first.sequenceFrom, commitCount: first.commitsBefore };
  // The live database stands where the archive begins: nothing came after that it could have in common.
  const { lastCommitUs, commitCount } = live.position;
  if (sequence === begin.sequence && commitCount === begin.commitCount) return { ...begin, timeUs: lastCommitUs };
  // It stands before that: what comes after it the archive does not have from here, wherever the archive begins.
  if (sequence < begin.sequence) return standing(live);
  return { ...begin, timeUs: null };
}

function standing({ position: { sequence, commitCount, lastCommitUs } }: LiveState): CommonPoint {
  return { sequence, commitCount, timeUs: lastCommitUs };
}

/** The last segment of a line that can be read; damaged ones are marked, and what they held is captured once more. */
async function lastSound(repository: Repository, timeline: number): Promise<OpenSegment | null> {
  for (;;) {
    const last = repository.segments.usable(timeline).at(-1);
    if (last === undefined) return null;
    try {
      return await readKnownSegment(repository, last.key);
    } catch (error) {
      if (repository.segments.get(last.key)?.error == null) throw error;
    }
  }
}

/** The index of the last record that both have; -1: none. Once they differ they differ for good. */
async function lastCommon(live: LiveState, records: readonly SegmentRecord[], before: number): Promise<number> {
  let from = 0;
  let to = records.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const verdict = await compare(live, records[middle] as SegmentRecord, before + middle + 1);
    // What the live log has let go of was archived from it.
    if (verdict === 'other') to = middle;
    else from = middle + 1;
  }
  return from - 1;
}

async function compare(live: LiveState, record: SegmentRecord, commitCount: number): Promise<Verdict> {
  const { database, mark, position } = live;
  const sequence = lastSequence(record);
  const options = { unmarkedTimeUs: record.timeUs };
  const found = await readCommit(database, sequence, mark, options).catch((error: unknown): Verdict => {
    const kind = error instanceof CairnError ? error.details.kind : null;
    // Not the end of a commit there; or the log is damaged, and capturing will meet it and say so.
    if (kind === 'invalid') return 'other';
    if (kind === 'corruption') return 'unknown';
    throw error;
  });
  if (typeof found === 'string') return found;
  if (found !== null) return found.equals(record.bytes) ? 'same' : 'other';
  if (sequence !== position.sequence) return 'unknown';
  return position.commitCount === commitCount && position.lastCommitUs === record.timeUs ? 'same' : 'other';
}

function recordsOf({ bytes, header }: OpenSegment): Iterable<SegmentRecord> {
  return iterateRecords(bytes, SEGMENT_HEADER_BYTES, header.indexOffset);
}
