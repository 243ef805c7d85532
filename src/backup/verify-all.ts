/**
 * VERIFY ALL: every backup, every segment, and the documents that no backup leads to. All are looked at, then one error
 * says what is wrong: how many backups and which, and of the first few things what exactly.
 */
import { CairnError, toCairnError } from '../base/errors.js';
import { verifyArchive } from './archive-verification.js';
import type { BackupEntry } from './catalog.js';
import {
  damagedDocuments,
  documentDamage,
  type LostCommits,
  lostCommits,
  surplusFiles,
} from './document-verification.js';
import type { Operation } from './operations.js';
import type { VerifyMode, VerifyRecord } from './records.js';
import { type BackupParts, verifyContext } from './service-parts.js';
import { verifyBackup } from './verification.js';

const NAMED = 3;

/** `lostUnasked`: of commits that are in no segment those that should be. */
export async function verifyAll(
  parts: BackupParts,
  entries: readonly BackupEntry[],
  mode: VerifyMode,
  operation: Operation,
  lostUnasked: (lost: LostCommits[]) => LostCommits[],
): Promise<VerifyRecord[]> {
  const { repository, operations, log } = parts;
  const isBeingMade = (id: number) => operations.using(id)?.record.operation === 'create';
  const documents = await damagedDocuments(repository, isBeingMade);
  const checked = new Map();
  const valid: VerifyRecord[] = [];
  const errors: { id: number; error: CairnError }[] = [];
  for (const entry of entries) {
    operation.checkpoint();
    const current = repository.catalog.get(entry.id);
    if (current === null) continue;
    try {
      valid.push(await verifyBackup(verifyContext(parts), current, mode, operation, checked));
    } catch (thrown) {
      const error = toCairnError(thrown, 'BACKUPVERIFY');
      if (error.code === 'CANCELLED' || error.code === 'NOSPACE') throw error;
      errors.push({ id: entry.id, error });
    }
  }
  const archive = await verifyArchive(repository, mode, operation, checked);
  const lost = lostUnasked(await lostCommits(repository, parts.archiver?.end ?? null));
  const surplus = await surplusFiles(repository);
  if (surplus.count > 0) log.warn('the repository holds files that are not part of it', { ...surplus });
  const others = [documentDamage(documents), archive, lostDamage(lost)].filter((error) => error !== null);
  for (const error of others) log.error('the repository is damaged', { error });
  const all = errors.length > 0 ? [backupDamage(errors, entries.length), ...others] : others;
  const [first] = all;
  if (first === undefined) return valid;
  throw new CairnError(first.code, all.map(({ message }) => message).join('; '), {
    hint: first.hint,
    details: first.details,
  });
}

function backupDamage(errors: readonly { id: number; error: CairnError }[], total: number): CairnError {
  const order = ['BACKUPMANIFEST', 'BACKUPINCOMPLETE', 'BACKUPCORRUPT'] as const;
  const code = order.find((candidate) => errors.some(({ error }) => error.code === candidate)) ?? 'BACKUPVERIFY';
  const counts = new Map<string, number>();
  for (const { error } of errors) counts.set(error.code, (counts.get(error.code) ?? 0) + 1);
  const counted = [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
  const ids = errors.map(({ id }) => id);
  const named = errors.slice(0, NAMED).map(({ error }) => error.message);
  return new CairnError(
    code,
    `${errors.length} of ${total} backups are not valid (${counted}): ${ids.join(', ')}; ${named.join('; ')}`,
    { hint: 'ADMIN.BACKUP INFO of each shows what is wrong with it.', details: { ids } },
  );
}

function lostDamage(lost: readonly LostCommits[]): CairnError | null {
  if (lost.length === 0) return null;
  const named = lost.slice(0, NAMED).map(({ timeline, from, to }) => `${from + 1} to ${to} of timeline ${timeline}`);
  const more = lost.length > NAMED ? `, and ${lost.length - NAMED} more` : '';
  return new CairnError('BACKUPINCOMPLETE', `no segment in wal/ has the sequences ${named.join(', ')}${more}`, {
    hint: 'Moments in and behind them cannot be reached: ADMIN.BACKUP WINDOW shows the gaps. Bring the segments back from a copy, or take a full backup.',
    details: { lost },
  });
}
