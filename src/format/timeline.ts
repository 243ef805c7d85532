/**
 * timelines/<n>.json: where a line of history began, and where the one ended that was live until then. Immutable;
 * written before the first commit on that timeline.
 */
import type { z } from 'zod';
import { FormatError } from './document.js';
import { backupId, count, document, moment, open, text, timelineNumber } from './fields.js';

export const MAX_TIMELINE_BYTES = 64 * 1024;

const schema = open({
  timeline: timelineNumber,
  /** null: the first, which forks from nothing. */
  parent: timelineNumber.nullable(),
  /** The last sequence that both lines have. */
  fork_sequence: count,
  /** The moment on the parent that this line continues from; null: none, or not known. */
  fork_at: moment.nullable(),
  /** Commits that both lines have. */
  fork_commit_count: count,
  created_at: moment,
  /** 'created', 'restore'; newer versions may have others. */
  reason: text(64),
  /** The backup that a restore began with. */
  backup: backupId.nullable(),
  /** The line that was live until then, and the last commit of it that the archive was given; null: none was open. */
  left: open({ timeline: timelineNumber, sequence: count, commit_count: count, at: moment }).nullable().optional(),
});

export type TimelineRecord = z.infer<typeof schema>;

const timelineDocument = document('timeline', schema, MAX_TIMELINE_BYTES);

export function encodeTimeline(record: TimelineRecord): Buffer {
  requireConsistent(record, record.timeline);
  return timelineDocument.encode(record);
}

/** `timeline` is the number in the file's name. */
export function decodeTimeline(bytes: Uint8Array, timeline: number): TimelineRecord {
  const record = timelineDocument.decode(bytes);
  requireConsistent(record, timeline);
  return record;
}

function requireConsistent(record: TimelineRecord, timeline: number): void {
  const refused = (what: string) => new FormatError('timeline', 'schema', what);
  if (record.timeline !== timeline) {
    throw refused(`it says that it is timeline ${record.timeline}, its name says ${timeline}`);
  }
  // Numbers rise, so an ancestry is finite and has no loops, whoever wrote the files.
  if (record.parent !== null && record.parent >= timeline) throw refused('its parent is not older than itself');
}
