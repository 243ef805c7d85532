/**
 * What the operating system refused, as an error that says what to do. Storage does not know for whom it works, so what
 * has no code of its own is BACKUPFAILED; a restore recodes that with `recode`. details.errno keeps the system's word.
 */
import { dirname } from 'node:path';
import { CairnError, type ErrorCode } from '../base/errors.js';
import { errnoOf, FileTooLarge, freeBytes } from '../base/fs.js';

export interface StorageAction {
  /** What was being done, to fit "cannot …": `store files/ab/abc…`. */
  doing: string;
  /** The file or directory where it failed. */
  path: string;
  /** Bytes that the whole action needs, where known. */
  neededBytes?: number;
  details?: Record<string, unknown>;
}

/** Maps anything thrown by file operations; a CairnError stays what it is. */
export async function storageError(thrown: unknown, action: StorageAction): Promise<CairnError> {
  if (thrown instanceof CairnError) return thrown;
  const errno = errnoOf(thrown);
  const details = { ...action.details, errno, path: action.path };
  const context = { details, cause: thrown };
  if (thrown instanceof FileTooLarge) return new CairnError('BACKUPCORRUPT', thrown.message, context);
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return noSpace(thrown, action, details);
    case 'ELOOP':
      return new CairnError('BACKUPCORRUPT', `cannot ${action.doing}: ${action.path} is a symbolic link`, {
        ...context,
        hint: 'Links are not followed inside a repository; put the real file or directory in its place.',
      });
    default: {
      const hint = hints[errno ?? ''];
      const what = `cannot ${action.doing}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      return new CairnError('BACKUPFAILED', what, hint === undefined ? context : { ...context, hint });
    }
  }
}

/** The same failure under the code of the operation that met it; codes that say something specific stay. */
export function recode(thrown: unknown, code: ErrorCode): unknown {
  if (!(thrown instanceof CairnError) || thrown.code !== 'BACKUPFAILED') return thrown;
  return new CairnError(code, thrown.message, { hint: thrown.hint, details: thrown.details, cause: thrown });
}

export function cancelled(doing: string): CairnError {
  return new CairnError('CANCELLED', `cancelled while it was to ${doing}`);
}

const hints: Record<string, string> = {
  EACCES: "Give the server's user read and write access to that path.",
  EPERM: "Give the server's user read and write access to that path.",
  EROFS: 'The file system is mounted read-only; a disk error may have caused that, see the kernel log.',
  EIO: 'The disk reports an error; see the kernel log and replace the disk before relying on it.',
  EAGAIN: 'Raise the limit of threads (ulimit -u, the pids limit of the service).',
  EMFILE: 'Raise the limit of open files (ulimit -n).',
  ENFILE: "Raise the system's limit of open files.",
  ESTALE: 'The directory of the repository was not there for a moment, or another one; mount its disk and try again.',
  EXDEV: 'Everything below the repository directory must be on one file system.',
  ENAMETOOLONG: 'Choose a shorter path for the repository.',
};

async function noSpace(thrown: unknown, action: StorageAction, details: Record<string, unknown>): Promise<CairnError> {
  const directory = dirname(action.path);
  const free = await freeBytes(directory).catch(() => null);
  const needed = action.neededBytes ?? null;
  const numbers = [
    needed === null ? null : `${needed} bytes needed`,
    free === null ? null : `${free} bytes free in ${directory}`,
  ].filter((part) => part !== null);
  const quota = details.errno === 'EDQUOT' ? ' (quota)' : '';
  return new CairnError('NOSPACE', `no space left${quota} to ${action.doing}: ${numbers.join(', ')}`, {
    hint: 'Free space on that disk, or lower backup.retention.max_count, and try again.',
    details: { ...details, neededBytes: needed, freeBytes: free },
    cause: thrown,
  });
}
