/**
 * DELETE and PRUNE. A backup goes by its manifest first, then its state, then the objects that nobody else refers to:
 * a crash between leaves surplus objects, which the next start sweeps, and never a backup with holes. So does a store that
 * refuses: what could not go is reported, and the next removal takes it along.
 */
import { CairnError, toCairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { parseTime } from '../base/time.js';
import { stateKey } from '../format/index.js';
import type { Log } from '../observability/log.js';
import { type BackupEntry, listHash } from './catalog.js';
import { collectGarbage } from './garbage.js';
import type { Operations } from './operations.js';
import type { DeleteRecord, PruneRecord } from './records.js';
import type { Repository } from './repository.js';
import { decideRetention, type RetentionPolicy } from './retention.js';

interface Removed {
  removed: number[];
  freed: number;
  /** What the store refused; null: everything that was to go is gone. */
  failure: CairnError | null;
}

/** A record of what was done, and what was not. */
export interface Outcome<T> {
  record: T;
  failure: CairnError | null;
}

/** Removes backups whose removal was decided, as far as the store lets it; one that it refuses stays, the others go. */
async function removeBackups(
  repository: Repository,
  operations: Operations,
  ids: readonly number[],
  log: Log,
): Promise<Removed> {
  const { catalog, store } = repository;
  const tried: number[] = [];
  let refusal: CairnError | null = null;
  for (const id of ids) {
    try {
      await repository.inTurn(async () => {
        // Since the decision a PIN may have come, or somebody who reads it.
        if (catalog.get(id)?.state.pinned !== false || userOf(operations, id) !== null) return;
        tried.push(id);
        await catalog.removeManifest(id);
      });
    } catch (thrown) {
      refusal ??= toCairnError(thrown, 'BACKUPFAILED');
      continue;
    }
    if (!tried.includes(id)) continue;
    try {
      await faultPoint('manifest-removed');
      await store.delete(stateKey(id));
    } catch (error) {
      // The state says that its manifest goes: it is garbage, which is collected below or met again.
      repository.hasLeftovers = true;
      log.warn('the state of a deleted backup is still there', { id, error });
    }
  }
  // What was not tried is as the caller saw it.
  if (tried.length > 0) await catalog.refresh();
  const stayed = tried.filter((id) => catalog.get(id) !== null);
  const removed = tried.filter((id) => !stayed.includes(id));
  const { freed, failure } = await removeLeftovers(repository, log, removed);
  await repository.writeLatest().catch((error: unknown) => log.warn('latest could not be written', { error }));
  return { removed, freed, failure: refusal === null ? failure : refused(refusal, stayed, removed) };
}

/** The objects of removed backups, and whatever an earlier removal had to leave. */
export async function removeLeftovers(
  repository: Repository,
  log: Log,
  removed: readonly number[] = [],
): Promise<{ freed: number; failure: CairnError | null }> {
  if (removed.length === 0 && !repository.hasLeftovers) return { freed: 0, failure: null };
  const { freedBytes, refused: left, reason } = await collectGarbage(repository, log);
  return { freed: freedBytes, failure: reason === null ? null : leftBehind(reason, left, removed) };
}

function refused(reason: CairnError, stayed: readonly number[], removed: readonly number[]): CairnError {
  const which = stayed.length === 0 ? '' : `, ${named(stayed)} stayed as before`;
  return new CairnError('BACKUPFAILED', `the repository refuses a removal${which}: ${reason.message}`, {
    hint: `${reason.hint} Nothing else was harmed; delete or prune again once the cause is gone.`,
    details: { ...reason.details, deleted: removed, stayed },
    cause: reason,
  });
}

function leftBehind(reason: CairnError, left: number, removed: readonly number[]): CairnError {
  const what = `${left} ${left === 1 ? 'object' : 'objects'} that nothing refers to could not be removed`;
  const done = removed.length === 0 ? '' : `${named(removed)} ${removed.length === 1 ? 'is' : 'are'} deleted, but `;
  return new CairnError('BACKUPFAILED', `${done}${what}: ${reason.message}`, {
    hint: `${reason.hint} Nothing else was harmed; the next DELETE, PRUNE, create or start tries again.`,
    details: { ...reason.details, deleted: removed, left },
    cause: reason,
  });
}

function named(ids: readonly number[]): string {
  return ids.length === 1 ? `backup ${ids[0]}` : `backups ${ids.join(', ')}`;
}

/** Refuses what may not go: unknown, pinned, in use, or (without force) the last complete one. */
export function requireDeletable(
  repository: Repository,
  operations: Operations,
  id: number,
  force: boolean,
): BackupEntry {
  const entry = repository.catalog.get(id);
  if (entry === null) throw notFound(id);
  const inUse = (reason: string, hint: string): CairnError =>
    new CairnError('BACKUPINUSE', `backup ${id} cannot be deleted: ${reason}`, {
      hint,
      details: { id },
    });
  const user = operations.using(id);
  if (user !== null)
    throw inUse(
      `${user.title} is running`,
      `Wait with ADMIN.BACKUP WAIT ${id} or stop it with ADMIN.BACKUP CANCEL ${id}.`,
    );
  if (entry.state.pinned) {
    const why = entry.stateKnown ? 'it is pinned' : 'its state was lost, so it counts as pinned';
    throw inUse(why, `ADMIN.BACKUP UNPIN ${id} releases it.`);
  }
  const complete = repository.catalog.entries().filter((other) => other.status === 'complete');
  if (!force && entry.status === 'complete' && complete.length === 1) {
    throw inUse('it is the only complete backup', `Create another first, or say ADMIN.BACKUP DELETE ${id} FORCE.`);
  }
  return entry;
}

export async function deleteBackup(
  repository: Repository,
  operations: Operations,
  id: number,
  force: boolean,
  log: Log,
): Promise<Outcome<DeleteRecord>> {
  await repository.catalog.refresh();
  requireDeletable(repository, operations, id, force);
  const { removed, freed, failure } = await removeBackups(repository, operations, [id], log);
  if (removed.length === 0 && failure === null) requireDeletable(repository, operations, id, force);
  const kept = repository.catalog.entries().map((entry) => entry.id);
  return { record: { deleted: removed, kept, freed_bytes: freed, dry_run: 0 }, failure };
}

export async function prune(
  repository: Repository,
  operations: Operations,
  policy: RetentionPolicy,
  nowUs: number,
  dryRun: boolean,
  log: Log,
  windowBase: () => number | null,
): Promise<Outcome<PruneRecord>> {
  await repository.catalog.refresh();
  const window = windowBase();
  const entries = repository.catalog.entries();
  const decisions = decideRetention(
    entries.map((entry) => ({
      id: entry.id,
      status: entry.status,
      pinned: entry.state.pinned,
      // Asked for where age counts.
      finishedAtUs: entry.manifest === null || policy.maxAgeUs === 0 ? null : timeOf(entry.manifest.finished_at),
      usedBy: userOf(operations, entry.id),
      windowBase: entry.id === window,
    })),
    policy,
    nowUs,
  );
  const going = decisions
    .filter(({ action }) => action === 'delete')
    .map(({ id }) => id)
    .reverse();
  const { removed, freed, failure } = dryRun
    ? { removed: going, freed: await wouldFree(repository, going), failure: null }
    : await removeBackups(repository, operations, going, log);
  const gone = new Set(removed);
  const record: PruneRecord = {
    deleted: removed,
    kept: entries.map(({ id }) => id).filter((id) => !gone.has(id)),
    freed_bytes: freed,
    dry_run: dryRun ? 1 : 0,
    reasons: decisions,
  };
  return { record, failure };
}

/** The create that prunes after itself is no reason to keep its backup out of the count. */
function userOf(operations: Operations, id: number): string | null {
  const user = operations.using(id);
  return user === null || user.record.operation === 'create' ? null : user.record.operation;
}

/** The bytes of objects that only the given backups refer to; those whose lists cannot be read count as nothing. */
async function wouldFree({ catalog }: Repository, ids: readonly number[]): Promise<number> {
  if (ids.length === 0) return 0;
  const going = new Set(ids);
  const wanted: [hash: string, id: number][] = [];
  const leaving: string[] = [];
  const staying: string[] = [];
  for (const entry of catalog.entries()) {
    const hash = listHash(entry);
    if (hash === null) continue;
    wanted.push([hash, entry.id]);
    (going.has(entry.id) ? leaving : staying).push(hash);
  }
  const { index } = await catalog.listIndex(wanted);
  return index.bytesOfAlone(leaving, staying);
}

function timeOf(text: string): number {
  return parseTime(text).us;
}

export function notFound(id: number | string): CairnError {
  return new CairnError('BACKUPNOTFOUND', `there is no backup ${id}`, {
    hint: 'ADMIN.BACKUP LIST shows the ids that exist.',
    details: { id },
  });
}
