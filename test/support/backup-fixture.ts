/**
 * A whole backup layer on a real directory, without sockets: data directory, database, keyspace, repository, service.
 * Close and open it again to see what outlives a stop.
 */
import { join } from 'node:path';
import { DataDirectory } from '../../src/backup/data-directory.js';
import { openBackupService } from '../../src/backup/open.js';
import type { RestoreRecord } from '../../src/backup/records.js';
import type { BackupService, CreateOptions, RestoreOptions } from '../../src/backup/service.js';
import { systemClock, type WallClock } from '../../src/base/clock.js';
import { acquireFileLock, nativeFiles, openDatabase } from '../../src/engine/index.js';
import type { Database, OpenOptions } from '../../src/engine/types.js';
import { correctPosition } from '../../src/keyspace/correct-position.js';
import type { Keyspace } from '../../src/keyspace/keyspace.js';
import { openKeyspace } from '../../src/keyspace/open.js';
import { readPosition } from '../../src/keyspace/survey.js';
import type { Log } from '../../src/observability/log.js';
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
  create(options?: Partial<CreateOptions>): Promise<number>;
  /** RESTORE; answers when it is done. */
  restore(options: Partial<RestoreOptions>): Promise<RestoreRecord>;
  close(): Promise<void>;
}

export interface FixtureOptions {
  maxCount?: () => number;
  maxAgeUs?: () => number;
  keepPreviousUs?: () => number;
  clock?: WallClock;
  repository?: string;
  /** Default: no archiving, so that tests of files alone see files alone. */
  archive?: () => boolean;
  /** Default: an hour, so that only what a test asks for is archived. */
  intervalMs?: number;
  walRetentionUs?: () => number;
  spoolMaxBytes?: () => number;
  writeBufferBytes?: number;
  log?: Log;
  /** A hand on the databases that restores and verifications open. */
  opened?: (database: Database) => Database;
}

function engineOptions({ writeBufferBytes }: FixtureOptions): OpenOptions {
  return {
    fileChecksum: 'sha256',
    walTtlSeconds: 'forever',
    ...(writeBufferBytes === undefined ? {} : { writeBufferBytes }),
  };
}

export async function openFixture(dir: string, options: FixtureOptions = {}): Promise<Fixture> {
  const log = options.log ?? silentLog();
  const clock = options.clock ?? systemClock();
  const directory = await DataDirectory.open(dir, 'native');
  await directory.sweep();
  const live = directory.live;
  if (live === null) throw new Error('the fixture needs a readable LIVE');
  const database = await openDatabase(directory.livePath as string, {
    createIfMissing: live.fresh,
    ...engineOptions(options),
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
    paused: true,
  });
  const repository = options.repository ?? join(dir, 'backups');
  const backup = await openBackupService({
    directory,
    live: keyspace,
    store: await openLocalStore(repository, { files: nativeFiles, create: true }),
    restoreDirectory: join(dir, 'restores'),
    scratchDirectory: join(dir, 'scratch'),
    settings: {
      retention: () => ({ maxCount: options.maxCount?.() ?? 0, maxAgeUs: options.maxAgeUs?.() ?? 0 }),
      verifyAfterCreate: () => false,
      keepPreviousUs: () => options.keepPreviousUs?.() ?? 0,
      archive: () => options.archive?.() ?? false,
      intervalMs: () => options.intervalMs ?? 3_600_000,
      walRetentionUs: () => options.walRetentionUs?.() ?? 0,
      spoolMaxBytes: () => options.spoolMaxBytes?.() ?? 0,
    },
    clock,
    log,
    versions: { cairn: '0.0.0', rocksdb: 'test', node: process.version },
    openDatabase: async (path, open) => {
      const database = await openDatabase(path, { ...engineOptions(options), ...open });
      return options.opened?.(database) ?? database;
    },
    readPosition,
    correctPosition,
    acquireLock: acquireFileLock,
  });
  keyspace.begin();
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
      const asked: CreateOptions = {
        ...{ type: 'full', parent: null, strict: false, label: null, verify: false, pin: false },
        ...request,
        trigger,
      };
      return (await backup.create(asked).done).id;
    },
    async restore(request) {
      const asked: RestoreOptions = {
        ...{ backup: 'LATEST', target: null, timeline: null, to: null, ifTimeline: null },
        ...request,
      };
      return (await backup.restore(asked)).done;
    },
    async close() {
      await backup.close();
      await keyspace.close();
    },
  };
}
