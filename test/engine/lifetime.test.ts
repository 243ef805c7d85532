import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import {
  acquireFileLock,
  BatchBuilder,
  openDatabase,
  readCommit,
  replayRecords,
  unlinkArchivedLog,
} from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { scratch } from '../support/scratch.js';
import { anchor, MARK, readerFrom, TIMELINE } from './support/commits.js';
import { bytes, database, failure, put, reopen, scan } from './support/databases.js';
import { PROGRAM, program } from './support/start.js';

const FOREVER = { walTtlSeconds: 'forever' } as const;

async function fill(db: Database, batches = 20): Promise<void> {
  for (let i = 0; i < batches; i++) {
    const batch = new BatchBuilder();
    for (let j = 0; j < 1000; j++) batch.put(bytes(`key-${i}-${j}`), Buffer.alloc(100, j));
    await db.write(batch.finish());
  }
}

t.test('close waits for every operation in flight, and each of them ends well', async (t) => {
  const db = await database(t, FOREVER);
  await fill(db);
  const copy = join(scratch(t), 'copy');
  const settled: string[] = [];
  const note = (name: string, running: Promise<unknown>) => running.then(() => settled.push(name));
  const running = [
    note('checkpoint', db.checkpoint(copy)),
    note('write', put(db, { late: 'write' })),
    note('flush', db.flush()),
    note('get', db.get(bytes('key-1-1'))),
    note('multiGet', db.multiGet([bytes('key-1-1')])),
    note('liveFiles', db.liveFiles()),
  ];
  const closing = db.close().then(() => settled.push('close'));
  t.equal(db.closed, true);
  await Promise.all([...running, closing]);
  t.equal(settled.at(-1), 'close');
  t.equal(settled.length, 7);
  t.ok((await scan(await reopen(t, copy))).length >= 20_000);
  t.equal(String(await (await reopen(t, db.path)).get(bytes('late'))), 'write');
});

t.test('a verification or compaction that runs does not hold up close, and says that it was stopped', async (t) => {
  const db = await database(t);
  for (let round = 0; round < 6; round++) {
    await fill(db, 5);
    await db.flush();
  }
  const verifications = Array.from({ length: 4 }, () => failure(() => db.verifyChecksums()));
  const compaction = failure(() => db.compactRange());
  await db.close();
  for (const result of await Promise.all(verifications)) t.ok([null, 'closed'].includes(result.kind as string | null));
  await compaction;
});

t.test('iterators, WAL readers and snapshots that are alive at close answer that it is closed', async (t) => {
  const db = await database(t, FOREVER);
  await fill(db);
  const idle = db.iterate();
  const half = db.iterate({ blockBytes: 100 });
  await half.next();
  const busy = db.iterate();
  const fresh = db.updatesSince(1);
  const reader = db.updatesSince(1);
  await reader.next(100);
  const snapshot = db.snapshot();
  const inFlight = busy.next().then(
    (block) => block !== null,
    (error: Error & { details: { kind: string } }) => error.details.kind === 'closed',
  );
  const reading = reader.next(1 << 20);
  await db.close();
  t.ok(await inFlight);
  await reading;
  for (const iterator of [idle, half, busy]) {
    t.match(await failure(() => iterator.next()), { code: 'MISCONF', kind: 'closed' });
    t.match(await failure(() => iterator.nextSync()), { code: 'MISCONF', kind: 'closed' });
  }
  for (const wal of [fresh, reader]) t.match(await failure(() => wal.next(1)), { code: 'MISCONF', kind: 'closed' });
  snapshot.release();
  for (const handle of [idle, half, busy, fresh, reader]) await handle.close();
  t.equal((await reopen(t, db.path)).latestSequence(), 20_000);
});

t.test('every call on a closed database is a typed error', async (t) => {
  const db = await database(t);
  await put(db, { a: '1' });
  const snapshot = db.snapshot();
  await db.close();
  await db.close();
  const key = bytes('a');
  const calls: Record<string, () => unknown> = {
    getCached: () => db.getCached(key),
    get: () => db.get(key),
    getWithSnapshot: () => db.get(key, snapshot),
    multiGet: () => db.multiGet([key]),
    write: () => put(db, { a: '2' }),
    iterate: () => db.iterate(),
    snapshot: () => db.snapshot(),
    latestSequence: () => db.latestSequence(),
    flush: () => db.flush(),
    flushWal: () => db.flushWal(),
    syncWal: () => db.syncWal(),
    disableFileDeletions: () => db.disableFileDeletions(),
    enableFileDeletions: () => db.enableFileDeletions(),
    liveFiles: () => db.liveFiles(),
    checkpoint: () => db.checkpoint(join(scratch(t), 'x')),
    updatesSince: () => db.updatesSince(1),
    commitsSince: () => readerFrom(db, 0),
    readCommit: () => readCommit(db, 1, MARK),
    replayRecords: () => replayRecords(db, key, { timeline: TIMELINE, digest: anchor(), expectedSequence: 1 }),
    unlinkArchivedLog: () => unlinkArchivedLog(db, '000004.log'),
    verifyChecksums: () => db.verifyChecksums(),
    compactRange: () => db.compactRange(),
    resume: () => db.resume(),
    property: () => db.property('rocksdb.stats'),
    statistics: () => db.statistics(),
    tableProperties: () => db.tableProperties(),
  };
  for (const [name, call] of Object.entries(calls)) {
    t.match(
      await failure(call),
      { code: 'MISCONF', kind: name === 'getWithSnapshot' ? /closed|invalid/ : 'closed' },
      name,
    );
  }
});

t.test('a database cannot be opened twice, by this process or another, until it is closed', async (t) => {
  const db = await database(t);
  t.match(await failure(() => openDatabase(db.path)), {
    code: 'MISCONF',
    kind: 'locked',
    message: /is locked by another/,
  });
  const { said, ended } = program(t, 'open', db.path);
  t.match(await said, /^MISCONF .*is locked by another process/);
  await ended;
  await put(db, { still: 'works' });
  await db.close();
  const again = await reopen(t, db.path);
  t.equal(String(await again.get(bytes('still'))), 'works');
});

t.test('a directory that another process has open is a typed error, and free once that is killed', async (t) => {
  const path = join(scratch(t), 'db');
  const { child, said, ended } = program(t, 'hold', path);
  t.equal(await said, 'holding');
  t.match(await failure(() => openDatabase(path)), { code: 'MISCONF', kind: 'locked' });
  child.kill('SIGKILL');
  await ended;
  t.equal((await scan(await reopen(t, path))).length, 1);
});

t.test('a file lock excludes this process and others, and goes with its holder', async (t) => {
  const path = join(scratch(t), 'LOCK');
  const lock = acquireFileLock(path);
  t.match(await failure(() => acquireFileLock(path)), {
    code: 'MISCONF',
    kind: 'locked',
    message: /locked by another process/,
  });
  const { said, ended } = program(t, 'lock', path);
  t.match(await said, /^MISCONF /);
  await ended;
  lock.release();
  lock.release();
  const other = program(t, 'lock', path);
  t.equal(await other.said, 'locked');
  t.match(await failure(() => acquireFileLock(path)), { kind: 'locked' });
  other.child.kill('SIGKILL');
  await other.ended;
  acquireFileLock(path).release();
  t.match(await failure(() => acquireFileLock(join(path, 'no', 'such'))), { code: 'MISCONF' });
});

t.test('worker threads have databases of their own, and one that is terminated leaves none locked', async (t) => {
  const root = scratch(t);
  const paths = ['one', 'two', 'three'].map((name) => join(root, name));
  const workers = paths.map((path) => new Worker(PROGRAM, { argv: ['busy', path], stdout: true }));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  t.match(await failure(() => openDatabase(paths[0] as string)), { kind: 'locked' });
  await Promise.all(workers.map((worker) => worker.terminate()));
  for (const path of paths) {
    const db = await reopen(t, path);
    t.ok(db.latestSequence() >= 1000);
    await db.verifyChecksums();
  }
});

t.test(
  'a worker thread that is terminated while it reads, lists and measures files takes nobody with it',
  async (t) => {
    const path = scratch(t, { file: 'x'.repeat(2 << 20) });
    for (let round = 0; round < 10; round++) {
      const worker = new Worker(PROGRAM, { argv: ['files', path], stdout: true });
      await once(worker, 'message');
      await sleep(20);
      await worker.terminate();
    }
    t.pass('this process is there');
  },
);
