/**
 * DELETE and PRUNE. A backup goes by its manifest first, then its state, then the objects that nobody else refers to:
 * a crash between leaves surplus objects, which the next start sweeps, and never a backup with holes.
 */
import { CairnError } from '../base/errors.js';
import { faultPoint } from '../base/fault-points.js';
import { parseTime } from '../base/time.js';
import { fileKey, stateKey } from '../format/index.js';
import type { Log } from '../observability/log.js';
import type { BackupEntry } from './catalog.js';
import { collectGarbage } from './garbage.js';
import type { Operations } from './operations.js';
import type { DeleteRecord, PruneRecord } from './records.js';
import type { Repository } from './repository.js';
import { decideRetention, type RetentionPolicy } from './retention.js';

/** Removes backups whose removal was decided; returns the bytes that became free. */
async function removeBackups(
  repository: Repository,
  operations: Operations,
  ids: readonly number[],
  log: Log,
): Promise<{ removed: number[]; freed: number }> {
  const removed: number[] = [];
  for (const id of ids) {
    await repository.inTurn(async () => {
      // Since the decision a PIN may have come, or somebody who reads it.
      if (repository.catalog.get(id)?.state.pinned !== false || userOf(operations, id) !== null) return;
      await repository.catalog.removeManifest(id);
      removed.push(id);
    });
    if (!removed.includes(id)) continue;
    await faultPoint('manifest-removed');
    await repository.store.delete(stateKey(id));
  }
  const freed = removed.length === 0 ? 0 : await collectGarbage(repository, log);
  await repository.catalog.refresh();
  await repository.writeLatest();
  return { removed, freed };
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
): Promise<DeleteRecord> {
  await repository.catalog.refresh();
  requireDeletable(repository, operations, id, force);
  const { removed, freed } = await removeBackups(repository, operations, [id], log);
  if (removed.length === 0) requireDeletable(repository, operations, id, force);
  return {
    deleted: removed,
    kept: repository.catalog.entries().map((entry) => entry.id),
    freed_bytes: freed,
    dry_run: 0,
  };
}

export async function prune(
  repository: Repository,
  operations: Operations,
  policy: RetentionPolicy,
  nowUs: number,
  dryRun: boolean,
  log: Log,
  windowBase: () => number | null,
): Promise<PruneRecord> {
  await repository.catalog.refresh();
  const window = windowBase();
  const entries = repository.catalog.entries();
  const decisions = decideRetention(
    entries.map((entry) => ({
      id: entry.id,
      status: entry.status,
      pinned: entry.state.pinned,
      finishedAtUs: entry.manifest === null ? null : timeOf(entry.manifest.finished_at),
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
  const { removed, freed } = dryRun
    ? { removed: going, freed: await wouldFree(repository, going) }
    : await removeBackups(repository, operations, going, log);
  return {
    deleted: removed,
    kept: entries.map(({ id }) => id).filter((id) => !removed.includes(id)),
    freed_bytes: freed,
    dry_run: dryRun ? 1 : 0,
    reasons: decisions.map(({ id, action, reason }) => ({
      id,
      action,
      reason,
    })),
  };
}

/** The create that prunes after itself is no reason to keep its backup out of the count. */
function userOf(operations: Operations, id: number): string | null {
  const user = operations.using(id);
  return user === null || user.record.operation === 'create' ? null : user.record.operation;
}

/** The bytes of objects that only the given backups refer to; those whose lists cannot be read count as nothing. */
async function wouldFree(repository: Repository, ids: readonly number[]): Promise<number> {
  const going = new Set(ids);
  const kept = new Set<string>();
  const freed = new Map<string, number>();
  for (const entry of repository.catalog.entries()) {
    const list = await repository.catalog.fileList(entry).catch(() => null);
    for (const file of list?.files ?? []) {
      if (going.has(entry.id)) freed.set(fileKey(file.sha256), file.size);
      else kept.add(fileKey(file.sha256));
    }
  }
  return [...freed].reduce((sum, [key, size]) => (kept.has(key) ? sum : sum + size), 0);
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
