/** What the recovery window asks of retention: which backup it begins with, and which segments nobody needs any more. */
import { parseTime } from '../base/time.js';
import {
  expendableSegments,
  onAncestry,
  type SegmentFacts,
  type SegmentPolicy,
  type WindowBackup,
  windowBase,
} from './archive-retention.js';
import type { LostCommits } from './document-verification.js';
import { type LiveLine, pointOfBackup } from './facts.js';
import { historyOf } from './history.js';
import type { Timeline } from './recovery.js';
import type { Repository } from './repository.js';
import type { SegmentEntry } from './segments.js';

export interface WindowSettings {
  archiving: boolean;
  /** Microseconds; 0: for ever. */
  retentionUs: number;
}

/** The backup that retention spares for the window, by id; null: there is none. */
export function baseOfWindow(
  repository: Repository,
  live: LiveLine | null,
  settings: WindowSettings,
  nowUs: number,
): number | null {
  if (live === null || !settings.archiving) return null;
  const backups: WindowBackup[] = [];
  for (const { id, status, manifest } of repository.catalog.entries()) {
    if (status !== 'complete' || manifest === null) continue;
    const { timeline, sequence, us } = pointOfBackup(manifest);
    backups.push({ id, timestampUs: us, timeline, sequence });
  }
  return windowBase(backups, {
    ancestry: ancestry(repository, live),
    coverage: repository.segments.coverage(),
    nowUs,
    ...settings,
  });
}

/**
 * Keys of segments that may go. Whoever is not sure keeps: nothing goes while a manifest cannot be read, since nobody
 * knows which span it has, or while a timeline cannot, since nobody knows what lies in the past; and nothing that a backup
 * may span whose manifest was lost. `isCreating`: a backup is being made that may become the first one.
 */
export async function segmentsToRemove(
  repository: Repository,
  live: LiveLine | null,
  settings: WindowSettings,
  nowUs: number,
  isCreating: boolean,
): Promise<string[]> {
  if (live === null || repository.segments.entries().length === 0) return [];
  await repository.catalog.refresh();
  await repository.timelines.refresh();
  const entries = repository.catalog.entries();
  if (entries.some(({ manifest }) => manifest === null) || repository.timelines.someUnreadable) return [];
  const isBaseless = settings.archiving && !hasBackup(repository, live);
  if (isBaseless && isCreating) return [];
  const lostThroughUs = lostManifestsEnd(repository);
  const policy = policyNow(repository, live, settings, nowUs, isBaseless);
  const { segments } = repository;
  // Where there is no backup to say where the archive stands, its last segment says so.
  const stays = isBaseless ? segments.last(live.timeline)?.key : undefined;
  // First by sequences alone; only of what may go by them the times are read.
  const candidates = expendableSegments(facts(segments.entries(), true), policy).flatMap(
    (key) => segments.get(key) ?? [],
  );
  await segments.load(candidates);
  const later = candidates.filter(({ header }) => header !== null && header.firstUs > lostThroughUs);
  return expendableSegments(facts(later, false), policy).filter((key) => key !== stays && !segments.isHeld(key));
}

function policyNow(
  repository: Repository,
  live: LiveLine,
  settings: WindowSettings,
  nowUs: number,
  isBaseless: boolean,
): SegmentPolicy {
  const spans = repository.catalog.entries().flatMap(({ manifest }) => {
    const span = manifest?.span;
    return span == null ? [] : [{ timeline: span.timeline, from: span.sequence_from, to: span.sequence_to }];
  });
  return {
    ancestry: ancestry(repository, live),
    spans,
    windowStart: isBaseless ? 'off' : windowStart(repository, live, settings, nowUs),
    retentionUs: settings.retentionUs,
    nowUs,
  };
}

/**
 * Of commits that no segment has, those that retention cannot have let go yet: somebody lost their segments. A line that was left
 * once may be in the past again, by RESTORE PREVIOUS; meanwhile age alone decided over its segments.
 */
export function lostUnasked(
  repository: Repository,
  live: LiveLine | null,
  settings: WindowSettings,
  nowUs: number,
  lost: readonly LostCommits[],
): LostCommits[] {
  if (live === null) return [];
  const isBaseless = settings.archiving && !hasBackup(repository, live);
  const asSegments = lost.map(({ timeline, from, to, afterUs }, i) => {
    return { key: String(i), timeline, first: from + 1, last: to, lastUs: afterUs };
  });
  const policy = policyNow(repository, live, settings, nowUs, isBaseless);
  const left = new Set(repository.timelines.records().flatMap((record) => record.left?.timeline ?? []));
  const onLeftLines = asSegments.filter(({ timeline }) => left.has(timeline));
  const letGo = new Set([
    ...expendableSegments(asSegments, policy),
    ...expendableSegments(onLeftLines, { ...policy, windowStart: 'off' }),
  ]);
  return lost.filter((_, i) => !letGo.has(String(i)));
}

/** Whether any backup is in the past of the live line. Where there is none, nothing can rest on what is archived so far. */
function hasBackup(repository: Repository, live: LiveLine): boolean {
  const line = ancestry(repository, live);
  return repository.catalog
    .entries()
    .some(
      ({ manifest }) =>
        manifest !== null && onAncestry(line, { timeline: manifest.timeline, sequence: manifest.sequence_to }),
    );
}

/**
 * Before this moment lie the commits that backups may span whose state is there and whose manifest is not; µs. Ids rise with
 * time: what the backup after them does not reach they do not either. 0: no manifest is lost.
 */
function lostManifestsEnd({ catalog }: Repository): number {
  const newest = Math.max(...catalog.orphanStates().map(({ id }) => id));
  if (newest === Number.NEGATIVE_INFINITY) return 0;
  const next = catalog.entries().find(({ id }) => id > newest)?.manifest;
  return next == null ? Number.POSITIVE_INFINITY : parseTime(next.timestamp).us;
}

/** The time of one whose header is not known, or damaged, is unknown: it is a candidate, and then stays. */
function facts(entries: readonly SegmentEntry[], isCandidate: boolean): SegmentFacts[] {
  return entries.flatMap(({ key, timeline, from, to, header }) =>
    header === null && !isCandidate ? [] : [{ key, timeline, first: from + 1, last: to, lastUs: header?.lastUs ?? 0 }],
  );
}

function windowStart(
  repository: Repository,
  live: LiveLine,
  settings: WindowSettings,
  nowUs: number,
): SegmentPolicy['windowStart'] {
  if (!settings.archiving) return 'off';
  const id = baseOfWindow(repository, live, settings, nowUs);
  const manifest = id === null ? null : (repository.catalog.get(id)?.manifest ?? null);
  if (manifest === null) return null;
  return {
    timeline: manifest.timeline,
    sequence: manifest.sequence_to,
    us: parseTime(manifest.timestamp).us,
  };
}

function ancestry(repository: Repository, live: LiveLine): Timeline[] {
  return historyOf(repository.timelines.lines(live)).lineage(live.timeline);
}
