import t from 'tap';
import { allKeys, bytes, commit, get, open, remove, set, until } from './harness.js';
import { readWal } from './wal.js';

const nowMs = (clock: { us: number }) => Math.trunc(clock.us / 1000);

t.test('a key is there through the millisecond of its expiry, and gone after it', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'k', 'v', nowMs(clock) + 1000);
  clock.advanceMs(1000);
  t.equal(await get(keyspace, 'k'), 'v');
  clock.advanceMs(1);
  t.equal(await get(keyspace, 'k'), null);
  t.equal(await remove(keyspace, 'k'), false);
  await keyspace.close();
});

t.test('a read that finds an expired key removes it, as a commit of its own', async (t) => {
  const { keyspace, clock, database } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'k', 'v', nowMs(clock) + 10);
  clock.advanceMs(11);
  const groups = (await readWal(database)).length;
  t.equal(await get(keyspace, 'k'), null);
  const removal = (await readWal(database)).slice(groups);
  t.equal(removal.length, 1);
  t.same(
    removal[0]?.commits[0]?.records.map(({ kind }) => kind),
    ['delete', 'delete'],
    'record and index entry',
  );
  await keyspace.close();
});

t.test('expired keys go by themselves, thousands of them, also those of before a restart', async (t) => {
  const path = `${t.testdir()}/db`;
  const first = await open(path);
  const at = nowMs(first.clock) + 500;
  for (let batch = 0; batch < 10; batch += 1) {
    await commit(first.keyspace, (tx) => {
      for (let i = 0; i < 250; i += 1) {
        tx.put(batch % 3, bytes(`k${batch}-${i}`), { type: 'string', bytes: bytes('v'), expiresAtMs: at + i });
      }
    });
  }
  await set(first.keyspace, 'stays', 'v', at + 3_600_000);
  await first.keyspace.close();
  first.clock.advanceMs(2000);
  const { keyspace, database } = await open(path, { wallClock: first.clock });
  await until('all are removed', () => keyspace.position.keyCounts.reduce((a, b) => a + b) === 1);
  t.same(await allKeys(keyspace), ['stays']);
  const sizes = (await readWal(database)).flatMap(({ commits }) => commits.map(({ records }) => records.length));
  t.ok(Math.max(...sizes.slice(11)) <= 400, 'in bounded steps');
  await set(keyspace, 'soon', 'v', nowMs(first.clock) + 5);
  first.clock.advanceMs(6);
  await until('a new one is removed too', () => keyspace.position.keyCounts[0] === 1);
  await keyspace.close();
});

t.test('a key that was given another expiry, or none, does not go at the old one', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  const at = nowMs(clock) + 100;
  for (const key of ['later', 'never', 'again']) await set(keyspace, key, 'v', at);
  await set(keyspace, 'later', 'v', at + 100_000);
  await set(keyspace, 'never', 'v');
  await remove(keyspace, 'again');
  await set(keyspace, 'again', 'v');
  await set(keyspace, 'goes', 'v', at);
  clock.advanceMs(200);
  await until('the expired one is removed', () => keyspace.position.keyCounts[0] === 3);
  t.same(await allKeys(keyspace), ['again', 'later', 'never']);
  await keyspace.close();
});

t.test('with expire off everything is read as if no time had come, and nothing is removed', async (t) => {
  const path = `${t.testdir()}/db`;
  const first = await open(path);
  await set(first.keyspace, 'k', 'v', nowMs(first.clock) + 10);
  await first.keyspace.close();
  first.clock.advanceMs(1000);
  const { keyspace, clock } = await open(path, { expire: false, wallClock: first.clock });
  t.equal(await get(keyspace, 'k'), 'v');
  t.same(await allKeys(keyspace), ['k']);
  const watch = keyspace.watch(null, [{ database: 0, key: bytes('k') }]);
  clock.advanceMs(1000);
  t.notOk(watch.touched);
  const looked = Date.now();
  await until('the active expiry would have come', () => Date.now() - looked > 350);
  t.equal(keyspace.position.keyCounts[0], 1);
  await keyspace.close();
});

t.test('nothing is removed while writes are refused, and scans leave expired keys out', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', 'v', nowMs(clock) + 10);
  await set(keyspace, 'b', 'v');
  await keyspace.setReadOnly(true);
  clock.advanceMs(100);
  const looked = Date.now();
  await until('the active expiry would have come', () => Date.now() - looked > 350);
  t.equal(keyspace.position.keyCounts[0], 2);
  t.same(await allKeys(keyspace), ['b']);
  await keyspace.setReadOnly(false);
  await until('it is removed then', () => keyspace.position.keyCounts[0] === 1);
  await keyspace.close();
});
