/** Joins the backup service to the settings, the data and the repository. */
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBackupService } from '../backup/open.js';
import { checkRepositoryPath, checkRestorePath } from '../backup/paths.js';
import type { BackupService } from '../backup/service.js';
import type { WallClock } from '../base/clock.js';
import type { ConfigService } from '../config/service.js';
import { acquireFileLock, nativeFiles, openDatabase, rocksdbVersion } from '../engine/index.js';
import { correctPosition } from '../keyspace/correct-position.js';
import { readPosition } from '../keyspace/survey.js';
import type { Log } from '../observability/log.js';
import { openLocalStore, type Store } from '../storage/index.js';
import { databaseOptions, type OpenedData } from './data.js';
import { cairnVersion } from './version.js';

const US_PER_MS = 1000;

export interface OpenedBackup {
  backup: BackupService;
  close(): Promise<void>;
}

export async function openBackup(
  config: ConfigService,
  data: OpenedData,
  log: Log,
  clock: WallClock,
): Promise<OpenedBackup> {
  const { store, close } = await openRepository(config);
  try {
    const { values } = config;
    const backup = await openBackupService({
      directory: data.directory,
      live: data.keyspace,
      store,
      restoreDirectory: values['backup.restore_dir'],
      scratchDirectory: data.scratchDirectory,
      settings: {
        retention: () => ({
          maxCount: config.get('backup.retention.max_count'),
          maxAgeUs: config.get('backup.retention.max_age') * US_PER_MS,
        }),
        verifyAfterCreate: () => config.get('backup.verify_after_create'),
        keepPreviousUs: () => config.get('restore.keep_previous') * US_PER_MS,
        archive: () => config.get('backup.wal.archive'),
        intervalMs: () => config.get('backup.wal.interval'),
        walRetentionUs: () => config.get('backup.wal.retention') * US_PER_MS,
        spoolMaxBytes: () => config.get('wal.spool_max'),
      },
      clock,
      log,
      versions: { cairn: cairnVersion(), rocksdb: rocksdbVersion(), node: process.version },
      openDatabase: (path, options) => openDatabase(path, { ...databaseOptions(config), ...options }),
      readPosition,
      correctPosition,
      acquireLock: acquireFileLock,
    });
    return { backup, close: () => backup.close().finally(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openRepository(config: ConfigService): Promise<{ store: Store; close(): Promise<void> }> {
  const { dir, data_dir: plain, 'backup.dir': path } = config.values;
  if (path !== null) await checkRepositoryPath(path, plain ?? dir);
  await checkRestorePath(config.values['backup.restore_dir'], plain ?? dir, path);
  if (path === null) return openNoRepository();
  // A plain directory's server only reads: it makes no repository either.
  const store = await openLocalStore(path, { create: plain === null, files: nativeFiles });
  return { store, close: () => store.close() };
}

/** A plain directory without a repository: reading commands find an empty one, writing ones answer REPOFOREIGN. */
async function openNoRepository(): Promise<{ store: Store; close(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-no-repository-'));
  const store = await openLocalStore(path, { files: nativeFiles });
  return { store, close: () => store.close().then(() => rmdir(path)) };
}
