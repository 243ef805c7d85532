import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BatchBuilder, decodeBlock, openDatabase, openSecondary, visitBlock } from '../../src/engine/index.js';
import { scratch } from '../support/scratch.js';
import { bytes, commits, database, failure, put, reopen, scan } from './support/databases.js';

t.test('what was written is read, cached or not, one key or many', async (t) => {
  const db = await database(t);
  await put(db, { a: '1', b: '', c: 'x'.repeat(100_000) });
  t.equal(String(db.getCached(bytes('a'))), '1');
  t.equal(db.getCached(bytes('b'))?.length, 0);
  t.equal(db.getCached(bytes('c'))?.length, 100_000);
  t.equal(db.getCached(bytes('nope')), undefined);
  t.equal(String(await db.get(bytes('a'))), '1');
  t.equal(await db.get(bytes('nope')), undefined);
  const many = await db.multiGet([bytes('c'), bytes('nope'), bytes('b'), bytes('a')]);
  t.same(
    many.map((value) => value?.length),
    [100_000, undefined, 0, 1],
  );
  t.same(await db.multiGet([]), []);
  for (const where of ['memtable', 'table']) {
    const asked = Array.from({ length: 100 }, (_, n) => ['a', 'nope', 'c', 'b'][n % 4] as string);
    const found = await db.multiGet(asked.map(bytes));
    t.same(
      found.map((value) => value?.length),
      asked.map((name) => ({ a: 1, b: 0, c: 100_000 })[name]),
      `keys asked for several times at once, of a ${where}`,
    );
    await db.flush();
  }
});

t.test('values that getCached gave stay what they were', async (t) => {
  const db = await database(t);
  const batch = new BatchBuilder();
  for (let i = 0; i < 500; i++) batch.put(bytes(`k${i}`), Buffer.alloc(i * 10, i % 251));
  await db.write(batch.finish());
  const values = Array.from({ length: 500 }, (_, i) => db.getCached(bytes(`k${i}`)));
  t.ok(values.every((value, i) => value?.equals(Buffer.alloc(i * 10, i % 251))));
});

t.test(
  'a read that would touch the disk is null on the calling thread, and cached after a read in the pool',
  async (t) => {
    const db = await database(t);
    await put(db, { key: 'value' });
    await db.flush();
    const path = db.path;
    await db.close();
    const again = await reopen(t, path);
    t.equal(again.getCached(bytes('key')), null);
    t.equal(String(await again.get(bytes('key'))), 'value');
    t.equal(String(again.getCached(bytes('key'))), 'value');
  },
);

t.test('an empty key is a key like any other', async (t) => {
  const db = await database(t);
  await put(db, { '': 'empty' });
  t.equal(String(db.getCached(Buffer.alloc(0))), 'empty');
  t.equal(String(await db.get(Buffer.alloc(0))), 'empty');
  t.same(await scan(db), [['', 'empty']]);
});

t.test('a scan honours bounds, direction, values and block limits', async (t) => {
  const db = await database(t);
  await put(db, { a: '1', b: '2', c: '3', d: '4' });
  t.same(await scan(db, { gte: bytes('b'), lt: bytes('d') }), [
    ['b', '2'],
    ['c', '3'],
  ]);
  t.same(
    (await scan(db, { reverse: true, lt: bytes('d') })).map(([key]) => key),
    ['c', 'b', 'a'],
  );
  t.same(await scan(db, { values: false, gte: bytes('c') }), [
    ['c', ''],
    ['d', ''],
  ]);
  t.same(await scan(db, { gte: bytes('x') }), []);
  const iterator = db.iterate({ blockEntries: 3 });
  t.equal([...decodeBlock((await iterator.next()) as Buffer)].length, 3);
  let visited = 0;
  visitBlock(iterator.nextSync() as Buffer, () => ++visited < 3);
  t.equal(visited, 1);
  t.equal(await iterator.next(), null);
  t.equal(await iterator.next(), null, 'the end stays the end');
  await iterator.close();
  const small = db.iterate({ blockBytes: 1 });
  t.equal([...decodeBlock((await small.next()) as Buffer)].length, 1, 'a block has an entry, however small');
  await small.close();
});

t.test('a scan shows the moment it was made at, a snapshot its own', async (t) => {
  const db = await database(t);
  await put(db, { a: '1' });
  const snapshot = db.snapshot();
  t.equal(snapshot.sequence, db.latestSequence());
  await put(db, { a: '2', b: '2' });
  const iterator = db.iterate();
  await put(db, { c: '3' });
  t.equal([...decodeBlock((await iterator.next()) as Buffer)].length, 2);
  await iterator.close();
  t.same(await scan(db, { snapshot }), [['a', '1']]);
  t.equal(String(await db.get(bytes('a'), snapshot)), '1');
  snapshot.release();
  snapshot.release();
  t.match(await failure(() => scan(db, { snapshot })), { code: 'MISCONF', kind: 'invalid' });
  t.match(await failure(() => db.get(bytes('a'), snapshot)), { code: 'MISCONF', kind: 'invalid' });
});

t.test('two calls at once on one iterator are refused, and the first is not disturbed', async (t) => {
  const db = await database(t);
  await put(db, { a: '1' });
  const iterator = db.iterate();
  const first = iterator.next();
  t.match(await failure(() => iterator.nextSync()), { kind: 'busy' });
  t.match(await failure(() => iterator.next()), { kind: 'busy' });
  t.equal([...decodeBlock((await first) as Buffer)].length, 1);
  await iterator.close();
  await iterator.close();
  t.match(await failure(() => iterator.next()), { kind: 'closed' });
  t.match(await failure(() => iterator.nextSync()), { kind: 'closed' });
});

t.test('deletions and range deletions take effect', async (t) => {
  const db = await database(t);
  await put(db, { a: '1', b: '2', c: '3', d: '4' });
  const batch = new BatchBuilder();
  batch.delete(bytes('a'));
  batch.deleteRange(bytes('b'), bytes('d'));
  await db.write(batch.finish());
  t.same(await scan(db), [['d', '4']]);
});

t.test('a malformed batch is refused before RocksDB logs it', async (t) => {
  const db = await database(t);
  await put(db, { a: '1' });
  const backwards = new BatchBuilder();
  backwards.deleteRange(bytes('z'), bytes('a'));
  // RocksDB counts it but gives it no sequence number: after a flush and a restart the last sequence would be lower.
  const empty = new BatchBuilder();
  empty.deleteRange(bytes('a'), bytes('a'));
  const sound = new BatchBuilder();
  sound.put(bytes('k'), bytes('v'));
  const rep = sound.finish();
  const miscounted = Buffer.from(rep);
  miscounted.writeUInt32LE(2, 8);
  const merge = Buffer.from(rep);
  merge[12] = 0x02;
  const single = Buffer.concat([rep.subarray(0, 12), Buffer.from([0x07, 1, 0x61])]);
  const family = Buffer.concat([rep.subarray(0, 12), Buffer.from([0x05, 1, 1, 0x61, 1, 0x61])]);
  const cases = {
    'a range that ends before it starts': backwards.finish(),
    'a range that ends where it starts': empty.finish(),
    'a wrong count': miscounted,
    'a merge': merge,
    'a single deletion': single,
    'another column family': family,
    'a record cut short': rep.subarray(0, rep.length - 1),
    'no header': Buffer.alloc(3),
    'nothing at all': Buffer.alloc(0),
  };
  for (const [name, bad] of Object.entries(cases)) {
    t.match(await failure(() => db.write(bad)), { code: 'MISCONF', kind: 'invalid' }, name);
  }
  t.equal(db.latestSequence(), 1);
  await put(db, { b: '2' });
  await db.close();
  const again = await reopen(t, db.path);
  t.same(await scan(again), [
    ['a', '1'],
    ['b', '2'],
  ]);
});

t.test('a sync write without a WAL is refused', async (t) => {
  const db = await database(t);
  t.match(await failure(() => put(db, { a: '1' }, { sync: true, disableWal: true })), { kind: 'invalid' });
});

t.test('the sequence counts records, also across a clean restart', async (t) => {
  const db = await database(t);
  t.equal(db.latestSequence(), 0);
  await commits(db, 0, 5);
  await put(db, { a: '1', b: '2' }, { disableWal: true });
  t.equal(db.latestSequence(), 7);
  await db.flushWal();
  await db.syncWal();
  await db.close();
  const again = await reopen(t, db.path);
  t.equal(again.latestSequence(), 7);
  t.equal((await scan(again)).length, 7, 'what was written without a WAL was flushed by close');
});

t.test('a database must be there, or not, as the caller says', async (t) => {
  const root = scratch(t);
  t.match(await failure(() => openDatabase(join(root, 'none'))), { code: 'MISCONF', kind: 'missing' });
  t.notOk(existsSync(join(root, 'none', 'CURRENT')));
  const db = await database(t);
  await db.close();
  t.match(await failure(() => openDatabase(db.path, { errorIfExists: true })), { code: 'MISCONF', kind: 'invalid' });
});

t.test('a read-only database reads, and refuses to write', async (t) => {
  const db = await database(t);
  await put(db, { a: '1' });
  await db.close();
  const before = readdirSync(db.path).sort();
  const reader = await reopen(t, db.path, { readOnly: true });
  t.same(await scan(reader), [['a', '1']]);
  t.match(await failure(() => put(reader, { b: '2' })), { code: 'MISCONF', kind: 'unsupported' });
  t.match(await failure(() => reader.flush()), { code: 'MISCONF', kind: 'unsupported' });
  await reader.close();
  t.same(
    readdirSync(db.path).filter((name) => !/^LOG/.test(name)),
    before.filter((name) => !/^LOG/.test(name)),
  );
});

t.test('a secondary follows its primary when it is told to', async (t) => {
  const db = await database(t);
  await put(db, { a: '1' });
  const secondary = await openSecondary(db.path, join(scratch(t), 'log'));
  t.teardown(() => secondary.close());
  t.same(await scan(secondary), [['a', '1']]);
  await put(db, { b: '2' });
  t.same(await scan(secondary), [['a', '1']]);
  await secondary.catchUp();
  t.equal((await scan(secondary)).length, 2);
  t.match(await failure(() => put(secondary, { c: '3' })), { kind: 'unsupported' });
});

t.test('compaction, properties, statistics and table properties answer', async (t) => {
  const db = await database(t);
  await commits(db, 0, 100);
  await db.flush();
  await commits(db, 50, 100);
  await db.flush();
  await db.compactRange();
  await db.compactRange(bytes('commit-0'), bytes('commit-9'));
  await db.resume();
  const tables = Object.entries(await db.tableProperties());
  t.equal(tables.length, 1);
  t.match(tables[0]?.[0], /^\d+\.sst$/);
  t.match(tables[0]?.[1], { entries: 150, compression: 'Snappy', comparator: 'leveldb.BytewiseComparator' });
  t.equal(db.property('rocksdb.num-files-at-level1') !== null, true);
  t.equal(db.property('no.such.property'), null);
  t.ok((db.statistics()['rocksdb.number.keys.written'] ?? 0) >= 200);
});

t.test('a checkpoint is a database of its own', async (t) => {
  const db = await database(t);
  await commits(db, 0, 10);
  const copy = join(scratch(t), 'copy');
  await db.checkpoint(copy);
  await commits(db, 10, 10);
  t.match(await failure(() => db.checkpoint(copy)), { code: 'MISCONF' }, 'a target that exists is refused');
  t.equal((await scan(await reopen(t, copy))).length, 10);
});
