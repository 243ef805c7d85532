/**
 * VERIFY ALL's look at what no single backup leads to: the header, timelines, tags, states, manifests that are gone, holes
 * between segments. They take no part in what one backup is, but in what can be found, reached and removed.
 */
import { CairnError } from '../base/errors.js';
import { parseTime } from '../base/time.js';
import {
  chainAnchor,
  manifestKey,
  parseFileKey,
  parseListKey,
  parseManifestKey,
  parseSegmentKey,
  parseStateKey,
  parseTimelineKey,
  stateKey,
  TAGS_KEY,
  timelineKey,
} from '../format/index.js';
import type { ChainEnd } from './capture.js';
import type { Repository } from './repository.js';
import { readTags } from './tags.js';

/** Commits that no segment has although the one behind them continues them. */
export interface LostCommits {
  timeline: number;
  /** Exclusive. */
  from: number;
  to: number;
  /** When the last commit before them was made, µs: they are later. */
  afterUs: number;
}

const NAMED_SURPLUS = 20;

/** What is damaged or missing, a text each; empty: nothing. Called before backups are verified: that writes lost states anew. */
export async function damagedDocuments(
  repository: Repository,
  isBeingMade: (id: number) => boolean,
): Promise<string[]> {
  const { catalog, timelines, store } = repository;
  const found: string[] = [];
  const entries = catalog.entries();
  try {
    const header = await repository.header();
    if (header === null && entries.length > 0) found.push(`REPOSITORY.json is missing from ${store.location}`);
  } catch (error) {
    found.push(messageOf(error));
  }
  for (const id of catalog.lostManifests().filter((lost) => !isBeingMade(lost))) {
    found.push(`the manifest ${manifestKey(id)} is missing, its state is there`);
  }
  for (const { id, stateKnown, stateError } of entries) {
    if (stateKnown) continue;
    found.push(
      `the state ${stateKey(id)} ${stateError === null ? 'is missing' : `is damaged: ${stateError}`}; the backup counts as pinned`,
    );
  }
  const tags = await readTags(store).catch((error: unknown) => {
    found.push(messageOf(error));
    return [];
  });
  await timelines.refresh();
  for (const { timeline, error } of timelines.damages()) found.push(`${timelineKey(timeline)} is damaged: ${error}`);
  const used = new Set([
    ...repository.segments.timelines(),
    ...entries.flatMap(({ manifest }) => (manifest === null ? [] : [manifest.timeline])),
    ...tags.map(({ timeline }) => timeline),
    ...timelines.records().flatMap(({ parent, left }) => [parent, left?.timeline ?? null].filter((n) => n !== null)),
  ]);
  for (const timeline of [...used].sort((a, b) => a - b)) {
    if (!timelines.has(timeline)) found.push(`${timelineKey(timeline)} is missing`);
  }
  return found;
}

/**
 * Holes that neither a closed window nor the beginning of a chain accounts for: between segments, before the first one of a
 * line, and before `end`, up to where this server has archived. Only the headers beside them are read.
 */
export async function lostCommits(repository: Repository, end: Readonly<ChainEnd> | null): Promise<LostCommits[]> {
  const { segments } = repository;
  const lost: LostCommits[] = [];
  for (const timeline of new Set([...segments.timelines(), ...(end === null ? [] : [end.timeline])])) {
    let before = beginningOf(repository, timeline);
    const missing = async (sequence: number, digest: () => Promise<string | null>): Promise<void> => {
      if (before === null || before.sequence >= sequence) return;
      const [afterUs, digestThere] = [await before.lastUs(), await digest()];
      if (afterUs === null || digestThere === null || digestThere === chainAnchor(timeline, sequence)) return;
      const hole = { timeline, from: before.sequence, to: sequence, afterUs };
      if (!isDamaged(repository, hole)) lost.push(hole);
    };
    for (const entry of segments.usable(timeline)) {
      const header = async () => {
        await segments.load([entry]);
        return entry.header;
      };
      await missing(entry.from, async () => (await header())?.digestFrom ?? null);
      before = { sequence: entry.to, lastUs: async () => (await header())?.lastUs ?? null };
    }
    if (end?.timeline === timeline) await missing(end.sequence, async () => end.digest);
  }
  return lost;
}

/** Where a line has its first own commit, and since when there is one; null: its record is not there. */
function beginningOf(
  { timelines }: Repository,
  timeline: number,
): { sequence: number; lastUs: () => Promise<number | null> } | null {
  const record = timelines.get(timeline);
  if (record === null) return null;
  return { sequence: record.fork_sequence, lastUs: async () => parseTime(record.created_at).us };
}

/** One that is there and damaged is named as such. */
function isDamaged({ segments }: Repository, hole: LostCommits): boolean {
  return segments.entries().some(({ timeline, from, to, error }) => {
    return timeline === hole.timeline && error !== null && to > hole.from && from < hole.to;
  });
}

/** Files below the repository that are no objects of it; the first few, and how many. */
export async function surplusFiles({ store }: Repository): Promise<{ keys: string[]; count: number }> {
  const keys: string[] = [];
  let count = 0;
  for await (const { key } of store.list('')) {
    if (isOurs(key)) continue;
    count += 1;
    if (keys.length < NAMED_SURPLUS) keys.push(key);
  }
  return { keys: keys.sort(), count };
}

const singles = new Set(['REPOSITORY.json', TAGS_KEY, 'next_id', 'latest', 'LOCK']);

function isOurs(key: string): boolean {
  const parsers = [parseManifestKey, parseStateKey, parseListKey, parseFileKey, parseSegmentKey, parseTimelineKey];
  return singles.has(key) || parsers.some((parse) => parse(key) !== null);
}

/** One error for all of it; null: nothing. */
export function documentDamage(found: readonly string[]): CairnError | null {
  if (found.length === 0) return null;
  const more = found.length > 5 ? `, and ${found.length - 5} more` : '';
  return new CairnError('BACKUPMANIFEST', `${found.slice(0, 5).join('; ')}${more}`, {
    hint: 'Bring them back from a copy of the repository: docs/operating.md says what works without each.',
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
