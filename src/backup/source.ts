/**
 * What a restore builds: files to copy, commits to replay on top, and what has to come out. A full is its files; an
 * increment its base's files and its span; a moment between backups the nearest base and everything up to the moment.
 */
import { CairnError } from '../base/errors.js';
import { parseTime } from '../base/time.js';
import type { FileList } from '../format/index.js';
import type { KeyspaceKind } from '../keyspace/port.js';
import type { BackupEntry } from './catalog.js';
import { notFound } from './removal.js';
import type { Repository } from './repository.js';
import type { SegmentEntry } from './segments.js';

/** Consecutive commits of one timeline, (from, to]. */
export interface ReplayStep {
  timeline: number;
  from: number;
  to: number;
  segments: readonly SegmentEntry[];
  /** The running digest at both ends, hex; null: nobody noted it. */
  digestFrom: string | null;
  digestTo: string | null;
}

/** What the restored state says of itself. */
export interface Goal {
  timeline: number;
  sequence: number;
  /** The moment that is restored, as it is answered. */
  timestamp: string;
  commitCount: number;
  /** Commit time of its last commit, µs; 0: there is none. null: nobody knows. */
  lastCommitUs: number | null;
  /** null: nobody counted. */
  keyCounts: number[] | null;
}

export interface Source {
  /** The backup that is restored, or that the way begins with. */
  id: number;
  keyspace: KeyspaceKind;
  list: FileList;
  /** Where the files stand. */
  base: { id: number | null; sequence: number; commitCount: number };
  steps: readonly ReplayStep[];
  goal: Goal;
  /** Its segments stay where they are until this is called; whoever asked for the source calls it. */
  release(): void;
}

export function filesBytes({ list }: Source): number {
  return list.files.reduce((sum, file) => sum + file.size, 0);
}

/** Bytes of the segments that are read. */
export function replayBytes({ steps }: Pick<Source, 'steps'>): number {
  return steps.reduce((sum, step) => sum + step.segments.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0), 0);
}

/** Makes the steps' segments stay. */
export function holding(repository: Repository, source: Omit<Source, 'release'>): Source {
  const keys = source.steps.flatMap((step) => step.segments.map(({ key }) => key));
  return { ...source, release: repository.segments.hold(keys) };
}

/** A backup by itself. Throws what is wrong with its manifest or list, and names what is missing of its span. */
export async function sourceOfBackup(repository: Repository, entry: BackupEntry): Promise<Source> {
  const { catalog } = repository;
  const { id, manifest } = entry;
  if (manifest === null) throw entry.manifestError ?? notFound(id);
  const list = await catalog.fileList(entry, { fresh: true });
  const { cut, span } = manifest;
  return holding(repository, {
    id,
    keyspace: cut.keyspace,
    list,
    base: {
      id: span === null ? id : manifest.base,
      sequence: span?.sequence_from ?? manifest.sequence_to,
      commitCount: cut.commit_count - (span?.commit_count ?? 0),
    },
    steps: span === null || span.sequence_from === span.sequence_to ? [] : [spanStep(repository, id, span)],
    goal: {
      timeline: manifest.timeline,
      sequence: manifest.sequence_to,
      timestamp: manifest.timestamp,
      commitCount: cut.commit_count,
      lastCommitUs: cut.last_commit_at === null ? 0 : parseTime(cut.last_commit_at).us,
      keyCounts: cut.key_counts,
    },
  });
}

type Span = NonNullable<NonNullable<BackupEntry['manifest']>['span']>;

function spanStep(repository: Repository, id: number, span: Span): ReplayStep {
  const { timeline, sequence_from: from, sequence_to: to } = span;
  const segments = repository.segments.way(timeline, from, to);
  if (segments === null) throw brokenSpan(repository, id, span);
  return { timeline, from, to, segments, digestFrom: span.digest_from, digestTo: span.digest_to };
}

/** Every hole in what a backup's span needs, and the damaged segments that lie in one. */
export function brokenSpan(repository: Repository, id: number, span: Span): CairnError {
  const { timeline, sequence_from: from, sequence_to: to } = span;
  const holes: string[] = [];
  let end = from;
  for (const entry of repository.segments.usable(timeline)) {
    if (entry.to <= end || entry.from >= to) continue;
    if (entry.from > end) holes.push(`after ${end} up to ${entry.from}`);
    end = entry.to;
  }
  if (end < to) holes.push(`after ${end} up to ${to}`);
  const damaged = repository.segments
    .entries()
    .filter((entry) => entry.error !== null && entry.timeline === timeline && entry.to > from && entry.from < to);
  const what = `backup ${id}: commits of timeline ${timeline} with sequences ${holes.join(', ')} are not available`;
  const named = damaged.map(({ error }) => error?.message).join('; ');
  return new CairnError(
    damaged.length > 0 ? 'BACKUPCORRUPT' : 'BACKUPINCOMPLETE',
    named === '' ? what : `${what}: ${named}`,
    {
      hint: 'Restore from another backup (RESTORE LATEST takes the newest good one), or bring the segments back from a copy.',
      details: {
        id,
        segments: damaged.map(({ key }) => key),
        missing: holes.map((hole) => `segments of timeline ${timeline} ${hole}`),
      },
    },
  );
}
