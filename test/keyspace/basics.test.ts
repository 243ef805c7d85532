import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { allKeys, bytes, commit, get, open, remove, set } from './harness.js';

t.test('what was written is read, also before it is durable and after a reopen', async (t) => {
  const directory = t.testdir();
  const first = await open(`${directory}/db`);
  const written = await first.keyspace.execute((tx) =>
    tx.put(3, bytes('k'), { type: 'string', bytes: bytes('v\0\xff'), expiresAtMs: null }),
  );
  const read = await first.keyspace.execute((tx) => tx.get(3, bytes('k'))?.bytes);
  t.equal(read.value?.toString('latin1'), 'v\0\xff');
  t.ok(written.durable !== null && read.durable === written.durable, 'the reader waits for what it saw');
  await written.durable;
  const later = await first.keyspace.execute((tx) => tx.get(3, bytes('k'))?.bytes);
  t.equal(later.durable, null, 'nothing to wait for once it is written');
  t.equal(await get(first.keyspace, 'k', 2), null, 'another database is another place');
  await first.keyspace.close();
  t.ok(first.database.closed);
  const second = await open(`${directory}/db`);
  t.equal(await get(second.keyspace, 'k', 3), 'v\0\xff');
  t.same(second.keyspace.position.keyCounts, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  t.equal(second.keyspace.position.commitCount, 1);
  await second.keyspace.close();
});

t.test('a body that throws has written nothing', async (t) => {
  const { keyspace, database } = await open(`${t.testdir()}/db`);
  const before = database.latestSequence();
  t.throws(
    () =>
      keyspace.execute((tx) => {
        tx.put(0, bytes('k'), { type: 'string', bytes: bytes('v'), expiresAtMs: null });
        throw new CairnError('ERR', 'no');
      }),
    { code: 'ERR' },
  );
  t.equal(await get(keyspace, 'k'), null);
  t.equal(database.latestSequence(), before);
  t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), 0);
  await keyspace.close();
});

t.test('a key that is too long to be held as text is refused', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  const key = Buffer.alloc((256 << 20) + 1);
  t.throws(() => keyspace.execute((tx) => tx.get(0, key)), { code: 'ERR', message: /268435457 bytes is longer/ });
  await keyspace.close();
});

t.test('a transaction inside a transaction is a bug and says so', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  t.throws(() => keyspace.execute(() => keyspace.execute(() => 1)), /bug in Cairn/);
  t.equal(await commit(keyspace, () => 5), 5, 'and the next one runs');
  await keyspace.close();
});

t.test('the key count is exact over puts, overwrites, deletes and flushes', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  const count = (database: number) => commit(keyspace, (tx) => tx.keyCount(database));
  for (const key of ['a', 'b', 'c', 'a']) await set(keyspace, key, 'x');
  await set(keyspace, 'a', 'x', null, 1);
  t.equal(await count(0), 3);
  t.equal(await remove(keyspace, 'b'), true);
  t.equal(await remove(keyspace, 'b'), false);
  t.equal(await count(0), 2);
  await commit(keyspace, (tx) => {
    tx.delete(0, bytes('a'));
    tx.put(0, bytes('a'), { type: 'string', bytes: bytes('y'), expiresAtMs: null });
    t.equal(tx.keyCount(0), 2, 'inside a transaction too');
    tx.flush(0);
    t.equal(tx.keyCount(0), 0);
    t.equal(tx.get(0, bytes('c')), undefined);
    tx.put(0, bytes('d'), { type: 'string', bytes: bytes('y'), expiresAtMs: null });
  });
  t.equal(await count(0), 1);
  t.equal(await count(1), 1, 'a flush of one database leaves the others');
  t.same(await allKeys(keyspace), ['d']);
  await commit(keyspace, (tx) => tx.flush('all'));
  t.same([await count(0), await count(1)], [0, 0]);
  t.same(await allKeys(keyspace, 1), []);
  await keyspace.close();
});

t.test('scans give keys in byte order, page by page, with what is not written yet', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  for (const key of ['b', 'd', 'f', 'ab', '\xff']) await set(keyspace, key, 'x');
  const pending = await keyspace.execute((tx) => {
    for (const key of ['a', 'e', 'g']) tx.put(0, bytes(key), { type: 'string', bytes: bytes('y'), expiresAtMs: null });
    tx.delete(0, bytes('d'));
  });
  t.same(await allKeys(keyspace), ['a', 'ab', 'b', 'e', 'f', 'g', '\xff']);
  await pending.durable;
  const seen: string[] = [];
  let after: Buffer | null = null;
  do {
    const request = { database: 0, after, prefix: Buffer.alloc(0), limit: 2, accept: () => true };
    const page: { keys: Buffer[]; next: Buffer | null } = await keyspace.scan(request);
    t.ok(page.keys.length <= 2);
    for (const key of page.keys) seen.push(key.toString('latin1'));
    after = page.next;
  } while (after !== null);
  t.same(seen, ['a', 'ab', 'b', 'e', 'f', 'g', '\xff']);
  const inside = await commit(keyspace, (tx) => {
    tx.put(0, bytes('aa'), { type: 'string', bytes: bytes('y'), expiresAtMs: null });
    return tx.scan({ database: 0, after: null, prefix: bytes('a'), limit: 100, accept: () => true });
  });
  t.same(inside.keys.map(String), ['a', 'aa', 'ab'], 'inside a transaction its own writes are there');
  await keyspace.close();
});

t.test('a native keyspace refuses a directory that another program wrote', async (t) => {
  const { openDatabase, BatchBuilder } = await import('../../src/engine/index.js');
  const path = `${t.testdir()}/db`;
  const database = await openDatabase(path, { createIfMissing: true });
  const batch = new BatchBuilder();
  batch.put(bytes('foreign'), bytes('x'));
  await database.write(batch.finish());
  await database.close();
  await t.rejects(open(path), { code: 'MISCONF', message: /holds keys, but none of the form that Cairn writes/ });
});

t.test('without a database every data command answers MISCONF with the cause', async (t) => {
  const failure = new CairnError('MISCONF', 'Corruption: bad block in 000007.sst');
  const { openKeyspace } = await import('../../src/keyspace/open.js');
  const { TestClock } = await import('./harness.js');
  const { silentLog } = await import('../support/log.js');
  const { openDatabase } = await import('../../src/engine/index.js');
  const keyspace = await openKeyspace({
    database: null,
    failure,
    kind: 'native',
    timeline: 1,
    clockFloorUs: 77,
    durability: () => 'always',
    expire: true,
    log: silentLog(),
    wallClock: new TestClock(50),
  });
  t.throws(() => keyspace.execute(() => 1), { code: 'MISCONF', message: /did not open: Corruption: bad block/ });
  await t.rejects(
    keyspace.pausedBetweenGroups(async () => 1),
    { code: 'MISCONF' },
  );
  await t.rejects(keyspace.setReadOnly(false), { code: 'MISCONF' });
  t.ok(keyspace.nowUs() >= 77);
  const path = `${t.testdir()}/db`;
  const swapped = await keyspace.exchange(async (position) => {
    t.equal(position, null);
    return { database: await openDatabase(path, { createIfMissing: true }), timeline: 4, kind: 'native' };
  });
  t.equal(swapped.previous, null);
  await set(keyspace, 'k', 'v');
  t.equal(await get(keyspace, 'k'), 'v');
  t.equal(keyspace.position.timeline, 4);
  await keyspace.close();
});
