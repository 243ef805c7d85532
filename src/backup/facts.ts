/**
 * The facts that recovery is planned from, gathered: lines of history, states that files yield, what segments cover,
 * and how far the live line is known.
 */
import { parseTime } from '../base/time.js';
import type { Manifest, Tag } from '../format/index.js';
import type { BackupEntry } from './catalog.js';
import type { Base, Point, RecoveryFacts, Timeline } from './recovery.js';
import type { Repository } from './repository.js';

/** The live line as the archive knows it. */
export interface LiveLine {
  timeline: number;
  /** The last sequence of the live database at `completeThroughUs`, where that is known, else now; null: it is not open. */
  sequence: number | null;
  /** null: nothing is archived, or the archive is behind. */
  completeThroughUs: number | null;
}

/**
 * `live` null: nobody's line goes on here (a foreign repository). `tags` tell of moments at which somebody looked; without
 * them a moment after the last commit that is known may be refused.
 */
export function recoveryFacts(repository: Repository, live: LiveLine | null, tags: readonly Tag[] = []): RecoveryFacts {
  const complete = repository.catalog.entries().filter((entry) => entry.status === 'complete');
  const points = [...pointsOf(complete), ...tags.map(pointOf)];
  const coverage = repository.segments.coverage();
  const seen = [...points, ...coverage.map(({ timeline, to, lastUs }) => ({ timeline, sequence: to, us: lastUs }))];
  return {
    timelines: repository.timelines.lines(live).map((line) => endedAfter(line, seen)),
    bases: basesOf(complete),
    coverage,
    points,
    current: live?.timeline ?? null,
    completeThroughUs: live?.completeThroughUs ?? null,
  };
}

/**
 * A line that ended was there at least as long as it was seen. An older copy of the data that was put back leaves it where
 * the archive ends, and a backup or a tag may be later.
 */
function endedAfter(line: Timeline, seen: readonly Point[]): Timeline {
  if (line.endedUs === null) return line;
  let end = { sequence: line.endSequence ?? 0, us: line.endedUs };
  for (const { timeline, sequence, us } of seen) {
    if (timeline !== line.timeline || sequence < end.sequence) continue;
    end = { sequence, us: Math.max(end.us, us) };
  }
  return { ...line, endedUs: end.us, endSequence: end.sequence };
}

/** Every full, and the files of a full whose own manifest is gone, as long as an increment names them. */
function basesOf(complete: readonly BackupEntry[]): Base[] {
  const fulls = complete.filter(({ manifest }) => manifest?.type === 'full').flatMap((entry) => baseOf(entry) ?? []);
  const listed = new Set(fulls.map(({ list }) => list));
  const orphans = new Map<string, Base>();
  for (const entry of complete) {
    const base = entry.manifest?.type === 'full' ? null : baseOf(entry);
    if (base !== null && !listed.has(base.list)) orphans.set(base.list, base);
  }
  return [...fulls, ...orphans.values()];
}

/** A manifest never changes: what it says of recovery is asked for each time that somebody looks at the window. */
const knownBases = new WeakMap<Manifest, Base>();
const knownPoints = new WeakMap<Manifest, Point>();

/** The state that the files of a backup yield by themselves; null: its manifest is unreadable. */
export function baseOf({ manifest }: BackupEntry): Base | null {
  if (manifest === null) return null;
  const known = knownBases.get(manifest) ?? newBase(manifest);
  knownBases.set(manifest, known);
  return known;
}

function newBase(manifest: Manifest): Base {
  const { id } = manifest;
  const { span, cut, list } = manifest;
  const common = { id, list: list.sha256, sizeBytes: list.size };
  const timestampUs = parseTime(manifest.timestamp).us;
  if (span === null) {
    const { timeline, sequence_to: sequence } = manifest;
    return { ...common, timeline, sequence, timestampUs, commitCount: cut.commit_count, digest: '' };
  }
  // The full's own moment may be lost with its manifest; right before the first commit of the span it was that state.
  return {
    ...common,
    timeline: span.timeline,
    sequence: span.sequence_from,
    timestampUs: span.first_at === null ? timestampUs : parseTime(span.first_at).us - 1,
    commitCount: cut.commit_count - span.commit_count,
    digest: span.digest_from,
  };
}

function pointOf({ timeline, sequence, timestamp }: Tag): Point {
  return { timeline, sequence, us: parseTime(timestamp).us };
}

/** Moments for which a backup says at which sequence the line was. */
function pointsOf(complete: readonly BackupEntry[]): Point[] {
  return complete.flatMap(({ manifest }) => (manifest === null ? [] : pointOfBackup(manifest)));
}

/** Its moment, as a number. With many backups it takes milliseconds to read them all: each is read once. */
export function pointOfBackup(manifest: Manifest): Point {
  const known = knownPoints.get(manifest);
  if (known !== undefined) return known;
  const { timeline, sequence_to: sequence, timestamp } = manifest;
  const point = { timeline, sequence, us: parseTime(timestamp).us };
  knownPoints.set(manifest, point);
  return point;
}
