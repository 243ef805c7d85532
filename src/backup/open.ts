/** Puts the backup layer together: journal, repository, service; removes what operations of a dead server left. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { WallClock } from '../base/clock.js';
import { faultPoint } from '../base/fault-points.js';
import { removeTree } from '../base/fs.js';
import type { Database, FileLock, OpenOptions } from '../engine/types.js';
import type { KeyspaceKind, KnownPosition, LivePort, Position } from '../keyspace/port.js';
import type { Log } from '../observability/log.js';
import type { Store } from '../storage/store.js';
import type { DataDirectory } from './data-directory.js';
import { fileJournal, type Journal, lenientJournal, memoryJournal } from './journal.js';
import { repositoryMemory } from './known-repository.js';
import { type OperationRecord, Operations } from './operations.js';
import { onSameDevice } from './paths.js';
import { Repository } from './repository.js';
import { BackupService, type BackupSettings } from './service.js';

export interface OpenBackupOptions {
  /** null: the server serves a plain directory; the repository is only read. */
  directory: DataDirectory | null;
  live: LivePort;
  store: Store;
  restoreDirectory: string;
  scratchDirectory: string;
  settings: BackupSettings;
  clock: WallClock;
  log: Log;
  versions: { cairn: string; rocksdb: string; node: string };
  openDatabase: (path: string, options?: OpenOptions) => Promise<Database>;
  readPosition: (database: Database, kind: KeyspaceKind) => Promise<Position | null>;
  correctPosition: (database: Database, known: KnownPosition & { timeline: number }) => Promise<unknown>;
  /** Takes the OS lock on a file; throws when another process holds it. */
  acquireLock: (path: string) => Promise<FileLock> | FileLock;
}

export async function openBackupService(options: OpenBackupOptions): Promise<BackupService> {
  const { directory, store, clock, log } = options;
  const journal: Journal<OperationRecord> =
    directory === null
      ? memoryJournal()
      : lenientJournal(fileJournal(join(directory.path, 'operations.jsonl'), isOperationRecord), (error) =>
          log.warn('an operation could not be noted in operations.jsonl', { error }),
        );
  const { operations, interrupted } = await Operations.open(journal, clock, async ({ operation, ids, paths }) => {
    log.warn('an operation was interrupted by a stop of the server', { operation, ids });
    await faultPoint('interrupted-found');
    for (const path of paths) {
      await removeTree(path).catch((error: unknown) => log.warn('leftovers could not be removed', { path, error }));
    }
  });
  const repository = new Repository({
    store,
    databaseId: () => directory?.live?.database_id ?? null,
    timeline: () => directory?.live?.timeline ?? 1,
    acquireLock: async () => options.acquireLock(join(store.location, 'LOCK')),
    readOnlyReason:
      directory === null ? 'this server serves a plain directory (--data-dir) and only reads the repository' : null,
    ...(directory === null ? {} : { memory: repositoryMemory(directory.path) }),
    clock,
    log,
  });
  const sameDevice = directory !== null && (await onSameDevice(directory.path, store.location));
  if (sameDevice) {
    log.warn('backups share the disk of the data: one dying disk takes both; set backup.dir to another one', {
      location: store.location,
    });
  }
  const service = new BackupService({ ...options, operations, repository, host: hostname(), sameDevice });
  await service.start(interrupted);
  return service;
}

function isOperationRecord(value: unknown): value is OperationRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { number, operation, ids, startedAtUs, status, paths } = value as Partial<OperationRecord>;
  return (
    Number.isSafeInteger(number) &&
    typeof operation === 'string' &&
    Array.isArray(ids) &&
    ids.every(Number.isSafeInteger) &&
    Number.isSafeInteger(startedAtUs) &&
    ['running', 'ok', 'err', 'cancelled'].includes(status ?? '') &&
    Array.isArray(paths) &&
    paths.every((path) => typeof path === 'string' && /^\/.*\.partial-\d+-\d+$/.test(path))
  );
}
