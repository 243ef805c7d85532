/**
 * Keeps the archive small and few-pieced, in the background: small segments become larger ones, and what neither a
 * backup nor the window needs goes.
 *
 *   parts │ a │ b │ c │  →  put abc, durable  →  a, b, c go, as soon as nobody holds them
 *
 * Proving and joining is a worker's: a merge reads every commit. The worker lives while there is something to merge.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { decodeSegmentHeader, keyOfSegment } from '../format/index.js';
import type { Log } from '../observability/log.js';
import { StoreObjectMissing } from '../storage/store.js';
import { forEachAtOnce } from './parallel.js';
import type { Repository } from './repository.js';
import { coveredSegments, MERGE_LIMITS, type MergeableSegment, mergeGroups } from './segment-merging.js';
import { damagedSegment, isSegmentDamage, MAX_SEGMENT_BYTES, readKnownSegment, readSegment } from './segment-object.js';
import type { MergeAnswer } from './segment-worker.js';
import type { SegmentEntry } from './segments.js';

const REMOVED_AT_ONCE = 256;
const READS_AT_ONCE = 16;

export interface UpkeepResult {
  merged: number;
  removed: number;
}

/**
 * One round over all lines. `expendable` names what may go, asked for right before it goes. Stops between two steps once
 * the signal is aborted. What cannot be removed now is met again in the next round; a group of whole segments that do not
 * fit together is logged once and kept in `refused`.
 */
export async function tidySegments(
  repository: Repository,
  expendable: () => Promise<string[]>,
  signal: AbortSignal,
  log: Log,
  refused: Set<string> = new Set(),
): Promise<UpkeepResult> {
  const result: UpkeepResult = { merged: 0, removed: 0 };
  await mergeAll({ repository, signal, log, refused }, result);
  // What an interrupted merge left, and what could not go while somebody held it.
  const covered = () => coveredByWhole(repository);
  const replaced = () => replacedDamage(repository);
  for (const keys of [covered, replaced, expendable]) {
    const going = await keys();
    for (let i = 0; i < going.length && !signal.aborted; i += REMOVED_AT_ONCE) {
      result.removed += await repository.segments.remove(going.slice(i, i + REMOVED_AT_ONCE));
    }
  }
  return result;
}

/** Keys of segments that lie in a larger one, which is read first: its name alone is no reason to let them go. */
async function coveredByWhole(repository: Repository): Promise<string[]> {
  for (;;) {
    const entries = sound(repository);
    const covered = new Set(coveredSegments(entries.map(mergeable)));
    const inside = entries.filter(({ key }) => covered.has(key));
    const covering = entries.filter(
      (wide) =>
        !covered.has(wide.key) &&
        inside.some(({ timeline, from, to }) => timeline === wide.timeline && from >= wide.from && to <= wide.to),
    );
    const damaged: string[] = [];
    for (const { key } of covering) {
      await readKnownSegment(repository, key).catch((error: unknown) => {
        if (repository.segments.get(key)?.error == null) throw error;
        damaged.push(key);
      });
    }
    if (damaged.length === 0) return [...covered];
  }
}

/**
 * Keys of segments that are damaged by themselves and whose commits are all in whole ones again: the live log gave them once more,
 * or somebody brought back what they were merged from. Until then they stay for whoever can mend them.
 */
async function replacedDamage({ segments, store }: Repository): Promise<string[]> {
  const replaced: string[] = [];
  for (const { key, timeline, from, to, error } of segments.entries()) {
    if (error === null) continue;
    const way = segments.way(timeline, from, to);
    if (way === null) continue;
    const own = await readSegment(store, key).catch((thrown: unknown) => thrown as Error);
    // Whole after all, of another history: nobody has what it holds.
    if (!(own instanceof CairnError && isSegmentDamage(own))) continue;
    const isWhole = async (whole: SegmentEntry): Promise<boolean> => {
      await readKnownSegment({ store, segments }, whole.key).catch((thrown: unknown) => {
        if (segments.get(whole.key)?.error == null) throw thrown;
      });
      return segments.get(whole.key)?.error === null;
    };
    if ((await Promise.all(way.map(isWhole))).every(Boolean)) replaced.push(key);
  }
  return replaced;
}

function sound(repository: Repository) {
  return repository.segments.entries().filter(({ error }) => error === null);
}

function mergeable({ key, timeline, from, to, sizeBytes }: SegmentEntry): MergeableSegment {
  return { key, timeline, first: from + 1, last: to, sizeBytes };
}

interface Round {
  repository: Repository;
  signal: AbortSignal;
  log: Log;
  refused: Set<string>;
}

async function mergeAll(round: Round, result: UpkeepResult): Promise<void> {
  const { repository, signal } = round;
  let worker: MergeWorker | null = null;
  try {
    for (let more = true; more && !signal.aborted; ) {
      more = false;
      const segments = repository.segments
        .timelines()
        .flatMap((timeline) => repository.segments.usable(timeline))
        .map(mergeable);
      for (const group of mergeGroups(segments, MERGE_LIMITS)) {
        if (signal.aborted) return;
        if (round.refused.has(group.join())) continue;
        worker ??= new MergeWorker();
        const outcome = await mergeGroup(round, worker, group);
        if (outcome === 'merged') result.merged += group.length;
        more ||= outcome !== 'refused';
      }
    }
  } finally {
    await worker?.close();
  }
}

/** 'changed': a part was gone or damaged, and the rest is to be grouped anew. */
async function mergeGroup(
  round: Round,
  worker: MergeWorker,
  keys: readonly string[],
): Promise<'merged' | 'changed' | 'refused'> {
  const { repository } = round;
  const { store, segments } = repository;
  const parts = await readParts(repository, keys);
  if (parts === null) return 'changed';
  const answer = await worker.merge(parts);
  if ('failed' in answer) {
    return (await blame(round, worker, keys, parts, answer.failed)) ? 'changed' : 'refused';
  }
  const merged = Buffer.from(answer.merged.buffer, answer.merged.byteOffset, answer.merged.byteLength);
  const header = decodeSegmentHeader(merged);
  await store.put(keyOfSegment(header), merged);
  await segments.added(header);
  await faultPoint('merged-renamed');
  await segments.remove(keys);
  await faultPoint('parts-removed');
  return 'merged';
}

/** null: one is gone. */
async function readParts({ store, segments }: Repository, keys: readonly string[]): Promise<Buffer[] | null> {
  const parts: Buffer[] = [];
  let isWhole = true;
  await forEachAtOnce(READS_AT_ONCE, [...keys.entries()], async ([i, key]) => {
    try {
      parts[i] = await store.get(key, MAX_SEGMENT_BYTES);
    } catch (error) {
      if (!(error instanceof StoreObjectMissing)) throw error;
      segments.removed(key);
      isWhole = false;
    }
  });
  return isWhole ? parts : null;
}

/** Which of the parts it was that could not be merged: from now on nothing rests on it. false: each is whole by itself. */
async function blame(
  { repository, log, refused }: Round,
  worker: MergeWorker,
  keys: readonly string[],
  parts: readonly Buffer[],
  why: string,
): Promise<boolean> {
  let found = false;
  for (const [i, part] of parts.entries()) {
    const answer = await worker.merge([part]);
    if (!('failed' in answer)) continue;
    const key = keys[i] ?? '';
    const error = damagedSegment(key, new Error(answer.failed));
    log.error('segment damaged', { key, error });
    await repository.segments.markDamaged(key, error);
    found = true;
  }
  if (found) return true;
  refused.add(keys.join());
  log.error('segments do not fit together: they stay as they are', { first: keys[0], last: keys.at(-1), why });
  return false;
}

class MergeWorker {
  readonly #worker = new Worker(new URL('./segment-worker.js', import.meta.url), { execArgv: [] });

  async merge(parts: readonly Buffer[]): Promise<MergeAnswer> {
    this.#worker.postMessage(parts);
    const [answer] = (await once(this.#worker, 'message')) as [MergeAnswer];
    return answer;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
