import t from 'tap';
import type { Keyspace, Watch } from '../../src/keyspace/keyspace.js';
import { bytes, commit, get, open, remove, set } from './harness.js';

const watch = (keyspace: Keyspace, key: string, previous: Watch | null = null, database = 0) =>
  keyspace.watch(previous, [{ database, key: bytes(key) }]);

t.test('a watch is touched by writes of its keys, and of no others', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  const watches = {
    overwritten: watch(keyspace, 'a'),
    other: watch(keyspace, 'b'),
    otherDatabase: watch(keyspace, 'a', null, 1),
    both: watch(keyspace, 'a', watch(keyspace, 'b')),
    released: watch(keyspace, 'a'),
  };
  watches.released.release();
  await set(keyspace, 'a', '1');
  t.ok(watches.overwritten.touched, 'the same value is a write');
  t.notOk(watches.other.touched);
  t.notOk(watches.otherDatabase.touched);
  t.ok(watches.both.touched);
  t.notOk(watches.released.touched);
  await remove(keyspace, 'b');
  t.notOk(watches.other.touched, 'removing what is not there changes nothing');
  await set(keyspace, 'b', '1');
  t.ok(watches.other.touched);
  const removed = watch(keyspace, 'b');
  await remove(keyspace, 'b');
  t.ok(removed.touched);
  const thrown = watch(keyspace, 'a');
  t.throws(() =>
    keyspace.execute((tx) => {
      tx.delete(0, bytes('a'));
      throw new Error('no');
    }),
  );
  t.notOk(thrown.touched, 'what was not committed touches nobody');
  await keyspace.close();
});

t.test('a flush touches who watched a key that was there', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'there', '1');
  await set(keyspace, 'there', '1', null, 1);
  const there = watch(keyspace, 'there');
  const missing = watch(keyspace, 'missing');
  const elsewhere = watch(keyspace, 'there', null, 1);
  await commit(keyspace, (tx) => tx.flush(0));
  t.same([there.touched, missing.touched, elsewhere.touched], [true, false, false]);
  await keyspace.close();
});

t.test('a watch is touched when its key expires, removed or not', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'k', '1', Math.trunc(clock.us / 1000) + 10);
  const before = watch(keyspace, 'k');
  t.notOk(before.touched);
  clock.advanceMs(11);
  t.ok(before.touched);
  const after = watch(keyspace, 'k');
  t.equal(await get(keyspace, 'k'), null);
  t.notOk(after.touched, 'it had expired already: its removal is no change');
  await keyspace.close();
});

t.test('what a key is may be looked up on disk, without keeping anybody waiting', async (t) => {
  const { keyspace, hand, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'k', '1', Math.trunc(clock.us / 1000) + 10);
  const { getCached, get: read } = hand.database;
  const looks: Promise<unknown>[] = [];
  hand.database.getCached = () => null;
  hand.database.get = (...key) => {
    const look = read.apply(hand.database, key);
    looks.push(look);
    return look;
  };
  const watched = watch(keyspace, 'k');
  hand.database.getCached = getCached;
  hand.database.get = read;
  t.equal(looks.length, 1, 'looked up on disk');
  await Promise.all(looks);
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(watched.touched);
  clock.advanceMs(11);
  t.ok(watched.touched);
  watched.release();
  await keyspace.close();
});
