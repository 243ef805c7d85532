/**
 * Removing what nothing refers to. An object may go when no manifest's file list names it. As long as one backup's
 * list cannot be read, nobody knows what it refers to, and nothing is removed: space is cheaper than a backup. What a
 * state names whose manifest is gone stays as well, until the sweep has judged it.
 *
 * Order: a manifest goes before its objects, so that a crash between leaves surplus objects, never a backup with holes.
 * What the store refuses to remove keeps nothing else from going: it is counted, named, and met again by the next run or start.
 */
import { assert } from '../base/assert.js';
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { fileKey, listKey, parseFileKey, parseListKey, stateKey } from '../format/index.js';
import type { Log } from '../observability/log.js';
import { listHash } from './catalog.js';
import type { Repository } from './repository.js';

/** What became free, and what is left because the store refused. */
export interface Collected {
  freedBytes: number;
  /** Objects that are still there. */
  refused: number;
  /** Why the first of them is; null: none is left. */
  reason: CairnError | null;
}

interface References {
  lists: Set<string>;
  files: Set<string>;
}

/** What all manifests refer to; null when that cannot be known. */
async function references({ catalog }: Repository, log: Log): Promise<References | null> {
  const own = new Map<string, number>();
  for (const entry of catalog.entries()) {
    const hash = listHash(entry);
    if (hash === null) {
      log.warn('nothing is removed while it is not known which files a backup has', { id: entry.id });
      return null;
    }
    if (!own.has(hash)) own.set(hash, entry.id);
  }
  const orphaned = new Map<string, number>();
  for (const { id, state } of catalog.orphanStates()) {
    const hash = state?.list_sha256 ?? null;
    if (hash !== null && !own.has(hash)) orphaned.set(hash, id);
  }
  const { index, unreadable } = await catalog.listIndex(new Map([...own, ...orphaned]));
  for (const [hash, error] of unreadable) {
    // Of a backup that is gone nothing more can be known.
    if (orphaned.has(hash)) continue;
    if (!(error instanceof CairnError)) throw error;
    log.warn('nothing is removed while a file list is unreadable', { id: own.get(hash), error });
    return null;
  }
  for (const hash of own.keys())
    assert(index.has(hash), 'a list whose backup is there is known before anything is removed');
  const lists = new Set([...own.keys(), ...orphaned.keys()]);
  return { lists, files: index.objectsOf(lists) };
}

/**
 * Removes every file and list that no manifest refers to, and the states of backups that were on their way. Only for an
 * exclusive operation, or before there is one: a create's objects have no manifest yet.
 */
export async function collectGarbage(repository: Repository, log: Log): Promise<Collected> {
  const { catalog, store } = repository;
  const collected: Collected = { freedBytes: 0, refused: 0, reason: null };
  const remove = async (key: string, sizeBytes: number): Promise<void> => {
    try {
      if (await store.delete(key)) collected.freedBytes += sizeBytes;
      await faultPoint('object-removed');
    } catch (error) {
      collected.refused += 1;
      collected.reason ??= toCairnError(error, 'BACKUPFAILED');
    }
  };
  await catalog.refresh();
  const lost = new Set(catalog.lostManifests());
  const left = catalog.orphanStates().filter(({ id }) => !lost.has(id));
  for (const { id } of left) await remove(stateKey(id), 0);
  if (left.length > 0) await catalog.refresh();
  const kept = await references(repository, log);
  if (kept !== null) {
    for await (const { key, sizeBytes } of store.list('lists/')) {
      const hash = parseListKey(key);
      if (hash === null || kept.lists.has(hash)) continue;
      catalog.forgetList(hash);
      await remove(listKey(hash), sizeBytes);
    }
    for await (const { key, sizeBytes } of store.list('files/')) {
      const hash = parseFileKey(key);
      if (hash === null || kept.files.has(hash)) continue;
      await remove(fileKey(hash), sizeBytes);
    }
  }
  repository.hasLeftovers = collected.refused > 0;
  return collected;
}

/**
 * What a crash left: partial objects, a state whose manifest never came or went, objects without a reference. Needs the lock. Where
 * somebody lost a manifest, what it names must be there when it comes back.
 */
export async function sweepRepository(repository: Repository, log: Log): Promise<void> {
  const { catalog } = repository;
  const partial = await repository.store.sweepPartial().catch((error: unknown) => {
    log.warn('unfinished files could not be swept', { error: toCairnError(error, 'BACKUPFAILED') });
    return 0;
  });
  await catalog.refresh();
  const ids = catalog.lostManifests();
  if (ids.length > 0) {
    log.error('manifests are missing, nothing of their backups is removed: bring backups/ back from a copy', {
      ids,
      hint: 'If they are gone for good, remove their states/ as well: what nobody else needs then goes.',
    });
  }
  const orphanStates = catalog.orphanStates().length - ids.length;
  const { freedBytes, refused, reason } = await collectGarbage(repository, log);
  if (partial > 0 || orphanStates > 0 || freedBytes > 0) {
    log.info('repository swept', { partial, orphanStates, freedBytes });
  }
  if (refused > 0) log.warn('the repository refuses to let go of what nothing refers to', { refused, error: reason });
}
