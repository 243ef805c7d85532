/**
 * Does what the repository holds still match what was promised? QUICK looks at presence and sizes, FULL hashes every
 * byte. DEEP (proof.ts) restores on top of that. The verdict of every file is kept, not only the first failure.
 */
import { CairnError } from '../base/errors.js';
import { formatTime } from '../base/time.js';
import { type BackupState, type FileList, fileKey } from '../format/index.js';
import { StoreObjectMissing } from '../storage/store.js';
import type { BackupEntry } from './catalog.js';
import type { Operation } from './operations.js';
import { forEachAtOnce } from './parallel.js';
import type { FileVerdict, VerifyMode } from './records.js';
import type { Repository } from './repository.js';

export interface Check {
  /** The most specific failure, counting all; null: everything fits. */
  error: CairnError | null;
  total: number;
  verified: number;
  failed: number;
  bytes: number;
  /** The files that failed. */
  verdicts: FileVerdict[];
}

interface Judgement {
  verdict: 'valid' | 'missing' | 'size' | 'corrupt';
  text: string;
}

/** Hash results of one run, so that VERIFY ALL reads a shared object once. */
export type CheckedObjects = Map<string, Judgement>;

const CHECKS_AT_ONCE = 4;

export async function checkFiles(
  repository: Repository,
  id: number,
  list: FileList,
  mode: 'QUICK' | 'FULL',
  operation: Operation,
  checked: CheckedObjects = new Map(),
): Promise<Check> {
  const verdicts: (FileVerdict & { text: string })[] = [];
  let bytes = 0;
  await forEachAtOnce(CHECKS_AT_ONCE, list.files, async (file) => {
    operation.checkpoint();
    const key = `${file.sha256}:${file.size}`;
    let judgement = checked.get(key);
    if (judgement === undefined) {
      judgement = await judge(repository, file, mode, operation);
      checked.set(key, judgement);
    } else {
      operation.progress(file.size);
    }
    if (judgement.verdict === 'valid') bytes += file.size;
    else
      verdicts.push({
        name: file.name,
        size: file.size,
        sha256: file.sha256,
        verdict: judgement.verdict,
        text: judgement.text,
      });
  });
  verdicts.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    error: verdicts.length === 0 ? null : damage(id, verdicts),
    total: list.files.length,
    verified: list.files.length - verdicts.length,
    failed: verdicts.length,
    bytes,
    verdicts: verdicts.map(({ text: _, ...verdict }) => verdict),
  };
}

async function judge(
  repository: Repository,
  file: FileList['files'][number],
  mode: 'QUICK' | 'FULL',
  operation: Operation,
): Promise<Judgement> {
  const key = fileKey(file.sha256);
  const found = await repository.store.stat(key);
  if (found === null) return { verdict: 'missing', text: `${file.name} (${key}) is missing` };
  if (found.sizeBytes !== file.size) {
    return {
      verdict: 'size',
      text: `${file.name} (${key}) has ${found.sizeBytes} bytes instead of ${file.size}`,
    };
  }
  if (mode === 'QUICK') return { verdict: 'valid', text: '' };
  try {
    const { sha256 } = await repository.store.hash(key, {
      signal: operation.signal,
      onProgress: operation.progress,
    });
    if (sha256 === file.sha256) return { verdict: 'valid', text: '' };
    return {
      verdict: 'corrupt',
      text: `${file.name} (${key}) has SHA-256 ${sha256}`,
    };
  } catch (error) {
    if (error instanceof StoreObjectMissing) return { verdict: 'missing', text: `${file.name} (${key}) is missing` };
    throw error;
  }
}

/** One error for all failures of a backup: missing parts before damaged ones, everything counted, the first few named. */
export function damage(id: number, verdicts: readonly { name: string; verdict: string; text: string }[]): CairnError {
  const missing = verdicts.filter(({ verdict }) => verdict === 'missing');
  const corrupt = verdicts.filter(({ verdict }) => verdict !== 'missing');
  const code = missing.length > 0 ? 'BACKUPINCOMPLETE' : 'BACKUPCORRUPT';
  const counts = [
    missing.length > 0 ? `${missing.length} missing` : '',
    corrupt.length > 0 ? `${corrupt.length} damaged` : '',
  ].filter((text) => text !== '');
  const named = [...missing, ...corrupt].slice(0, 5).map(({ text }) => text);
  const more = verdicts.length > named.length ? `, and ${verdicts.length - named.length} more` : '';
  return new CairnError(code, `backup ${id}: ${counts.join(', ')}: ${named.join('; ')}${more}`, {
    hint: 'Restore from another backup (RESTORE LATEST takes the newest good one). A new full stores damaged objects again; bring missing ones back from a copy.',
    details: {
      id,
      missing: missing.map(({ name }) => name),
      corrupt: corrupt.map(({ name }) => name),
    },
  });
}

/** The entry that a verification leaves in the backup's state. */
export function verificationOf(
  mode: VerifyMode,
  check: Check,
  begunUs: number,
  endedUs: number,
): BackupState['verifications'][number] {
  return {
    at: formatTime(endedUs),
    mode,
    status: check.error === null ? 'valid' : 'invalid',
    files_total: check.total,
    files_verified: check.verified,
    files_failed: check.failed,
    bytes: check.bytes,
    duration_ms: Math.round((endedUs - begunUs) / 1000),
    error: check.error === null ? null : `${check.error.code} ${check.error.message}`.slice(0, 2000),
  };
}

/** The status that a check's outcome gives a backup. */
export function statusAfter(check: Check): BackupEntry['status'] {
  if (check.error === null) return 'complete';
  return check.error.code === 'BACKUPINCOMPLETE' ? 'incomplete' : 'corrupt';
}
