/**
 * A whole backup layer on a real directory, without sockets: data directory, database, keyspace, repository, service.
 * Close and open it again to see what outlives a stop.
 */
import { join } from 'node:path';
import { DataDirectory } from '../../src/backup/data-directory.js';
import { openBackupService } from '../../src/backup/open.js';
import type { BackupService } from '../../src/backup/service.js';
import { systemClock, type WallClock } from '../../src/base/clock.js';
import { acquireFileLock, openDatabase } from '../../src/engine/index.js';
import type { Keyspace } from '../../src/keyspace/keyspace.js';
import { openKeyspace } from '../../src/keyspace/open.js';
import { readPosition } from '../../src/keyspace/survey.js';
import { openLocalStore } from '../../src/storage/index.js';
import { silentLog } from './log.js';

export interface Fixture {
  dir: string;
  repository: string;
  directory: DataDirectory;
  keyspace: Keyspace;
  backup: BackupService;
  set(key: string, value: string, database?: number): Promise<void>;
  get(key: string, database?: number): Promise<string | null>;
  create(options?: { label?: string | null; verify?: boolean; pin?: boolean }): Promise<number>;
  close(): Promise<void>;
}

export interface FixtureOptions {
  maxCount?: () => number;
  maxAgeUs?: () => number;
  keepPreviousUs?: () => number;
  clock?: WallClock;
  repository?: string;
}

export async function openFixture(dir: string, options: FixtureOptions = {}): Promise<Fixture> {
  const log = silentLog();
  const clock = options.clock ?? systemClock();
  const directory = await DataDirectory.open(dir, 'native');
  await directory.sweep();
  const live = directory.live;
  if (live === null) throw new Error('the fixture needs a readable LIVE');
  const database = await openDatabase(directory.livePath as string, {
    createIfMissing: live.fresh,
    fileChecksum: 'sha256',
  });
  await directory.markCreated();
  const keyspace = await openKeyspace({
    database,
    kind: live.keyspace,
    timeline: live.timeline,
    clockFloorUs: live.clock_floor_us,
    durability: () => 'no',
    expire: true,
    log,
    wallClock: clock,
    rawStatePath: join(dir, 'raw-state.json'),
  });
  const repository = options.repository ?? join(dir, 'backups');
  const backup = await openBackupService({
    directory,
    live: keyspace,
    store: await openLocalStore(repository, { create: true }),
    restoreDirectory: join(dir, 'restores'),
    scratchDirectory: join(dir, 'scratch'),
    settings: {
      retention: () => ({ maxCount: options.maxCount?.() ?? 0, maxAgeUs: options.maxAgeUs?.() ?? 0 }),
      verifyAfterCreate: () => false,
      keepPreviousUs: () => options.keepPreviousUs?.() ?? 0,
    },
    clock,
    log,
    versions: { cairn: '0.0.0', rocksdb: 'test', node: process.version },
    openDatabase: (path, open) => openDatabase(path, { ...open, fileChecksum: 'sha256' }),
    readPosition,
    acquireLock: acquireFileLock,
  });
  const trigger = { command: 'test', user: null, address: null };
  return {
    dir,
    repository,
    directory,
    keyspace,
    backup,
    async set(key, value, number = 0) {
      const outcome = await keyspace.execute((tx) =>
        tx.put(number, Buffer.from(key), { type: 'string', bytes: Buffer.from(value), expiresAtMs: null }),
      );
      await outcome.durable;
    },
    async get(key, number = 0) {
      const outcome = await keyspace.execute((tx) => tx.get(number, Buffer.from(key)));
      return outcome.value?.bytes.toString() ?? null;
    },
    async create(request = {}) {
      const record = await backup.create({ label: null, verify: false, pin: false, ...request, trigger }).done;
      return record.id;
    },
    async close() {
      await backup.close();
      await keyspace.close();
    },
  };
}
