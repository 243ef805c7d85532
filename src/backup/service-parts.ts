/**
 * What the parts of the backup service share, and how a backup is found that somebody named. `open.ts` hands in the
 * outside, `service.ts` makes the rest.
 */
import type { WallClock } from '../base/clock.js';
import { CairnError } from '../base/errors.js';
import type { LivePort } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import type { ArchiveUpkeep } from './archive-upkeep.js';
import type { Archiver, ArchiveSettings } from './archiver.js';
import type { BackupEntry } from './catalog.js';
import type { CreateContext } from './create.js';
import type { DataDirectory } from './data-directory.js';
import type { MaterialiseContext } from './materialise.js';
import type { Moments } from './moments.js';
import type { Operations } from './operations.js';
import { notFound } from './removal.js';
import type { Repository } from './repository.js';
import type { RetentionPolicy } from './retention.js';
import type { VerifyContext } from './verification.js';

/** Settings that may change while the server runs, read anew at each use. */
export interface BackupSettings extends ArchiveSettings {
  /** The recovery window, in microseconds; 0: for ever. */
  walRetentionUs(): number;
  retention(): RetentionPolicy;
  verifyAfterCreate(): boolean;
  /** Microseconds; 0: for ever. */
  keepPreviousUs(): number;
}

export interface BackupServiceOptions extends Omit<MaterialiseContext, 'repository'> {
  live: LivePort;
  repository: Repository;
  operations: Operations;
  /** null: the server serves a plain directory. */
  directory: DataDirectory | null;
  restoreDirectory: string;
  scratchDirectory: string;
  settings: BackupSettings;
  clock: WallClock;
  log: Log;
  host: string;
  versions: CreateContext['versions'];
  sameDevice: boolean;
}

/** The options, and what the service made of them. */
export interface BackupParts extends BackupServiceOptions {
  /** null: the server serves a plain directory. */
  archiver: Archiver | null;
  upkeep: ArchiveUpkeep;
  moments: Moments;
  /** The backup with which the recovery window begins: retention spares it. */
  windowBase: () => number | null;
}

export type BackupReference = number | 'LATEST';

/** The backup that is meant, as the repository has it now. */
export async function resolveBackup(repository: Repository, reference: BackupReference): Promise<BackupEntry> {
  const { catalog } = repository;
  await repository.refresh();
  const entry = reference === 'LATEST' ? catalog.latestComplete() : catalog.get(reference);
  if (entry !== null) return entry;
  if (reference !== 'LATEST') throw notFound(reference);
  const others = catalog.entries().length;
  throw new CairnError(
    'BACKUPNOTFOUND',
    others === 0 ? 'there is no backup' : `none of the ${others} backups is complete`,
    {
      hint:
        others === 0
          ? 'Make one with ADMIN.BACKUP CREATE.'
          : 'ADMIN.BACKUP LIST shows them; VERIFY says what is wrong with each.',
    },
  );
}

/** The entry as it is now: its state may have changed since it was resolved, or it may be gone. */
export function currentEntry(repository: Repository, { id }: BackupEntry): BackupEntry {
  const entry = repository.catalog.get(id);
  if (entry === null) throw notFound(id);
  return entry;
}

export function verifyContext(parts: BackupParts): VerifyContext {
  const { repository, openDatabase, readPosition, correctPosition, scratchDirectory, clock, log } = parts;
  return {
    repository,
    openDatabase,
    readPosition,
    correctPosition,
    scratchDirectory,
    clock,
    log,
  };
}
