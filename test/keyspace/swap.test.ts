/** SWAPDB: which database is in which slot is a record like any other, and everything that goes by databases follows it. */
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { correctPosition } from '../../src/keyspace/correct-position.js';
import type { Keyspace, Watch } from '../../src/keyspace/keyspace.js';
import { readPosition, survey } from '../../src/keyspace/survey.js';
import { allKeys, bytes, commit, get, open, remove, set } from './harness.js';
import { readWal } from './wal.js';

const swap = (keyspace: Keyspace, first = 0, second = 1): Promise<void> =>
  commit(keyspace, (tx) => tx.swap(first, second));
const watch = (keyspace: Keyspace, key: string, database = 0): Watch =>
  keyspace.watch(null, [{ database, key: bytes(key) }]);
const counts = ({ position }: Keyspace): number[] => position.keyCounts.slice(0, 3);

t.test('keys, counts, scans and flushes follow; twice is as if never', async (t) => {
  const { keyspace, database } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '0');
  await set(keyspace, 'b', '0');
  await set(keyspace, 'a', '1', null, 1);
  await swap(keyspace);
  t.same([await get(keyspace, 'a'), await get(keyspace, 'a', 1), await get(keyspace, 'b')], ['1', '0', null]);
  t.same([await allKeys(keyspace), await allKeys(keyspace, 1)], [['a'], ['a', 'b']]);
  t.same(counts(keyspace), [1, 2, 0]);
  const inTransaction = await commit(keyspace, (tx) => {
    tx.swap(0, 2);
    const seen = [tx.keyCount(0), tx.keyCount(2), tx.get(2, bytes('a'))?.bytes.toString()];
    tx.swap(2, 0);
    return seen;
  });
  t.same(inTransaction, [0, 1, '1']);
  await commit(keyspace, (tx) => tx.flush(0));
  t.same([counts(keyspace), await get(keyspace, 'a', 1)], [[0, 2, 0], '0']);
  t.ok((await database.get(Buffer.from('\0cairn.databases'))) !== undefined);
  await swap(keyspace, 1, 0);
  t.same([counts(keyspace), await get(keyspace, 'a')], [[2, 0, 0], '0']);
  t.equal(await database.get(Buffer.from('\0cairn.databases')), undefined, 'no record is left');
  await commit(keyspace, (tx) => tx.swap(5, 5));
  await keyspace.close();
});

t.test('a swap survives a reopen, a reopen of what was flushed to tables, and expires what is due', async (t) => {
  const path = `${t.testdir()}/db`;
  const first = await open(path);
  const nowMs = Math.trunc(first.clock.us / 1000);
  await set(first.keyspace, 'due', '0', nowMs + 50);
  await set(first.keyspace, 'stays', '0');
  await swap(first.keyspace, 0, 14);
  await first.database.flush();
  await first.keyspace.close();

  const second = await open(path, { wallClock: first.clock });
  t.equal(await get(second.keyspace, 'stays', 14), '0');
  t.equal(await get(second.keyspace, 'stays'), null);
  second.clock.advanceMs(100);
  t.equal(await get(second.keyspace, 'due', 14), null);
  t.same([second.keyspace.position.keyCounts[0], second.keyspace.position.keyCounts[14]], [0, 1]);
  await second.keyspace.close();
});

t.test('a watch is touched when its key is in either database, and goes on with its database else', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'here', '0');
  await set(keyspace, 'there', '1', null, 1);
  const watches = {
    here: watch(keyspace, 'here'),
    hereFromThere: watch(keyspace, 'here', 1),
    there: watch(keyspace, 'there'),
    thereFromThere: watch(keyspace, 'there', 1),
  };
  const other = watch(keyspace, 'here', 2);
  const [missing, missingThere] = [watch(keyspace, 'missing'), watch(keyspace, 'missing', 1)];
  await swap(keyspace);
  for (const [name, each] of Object.entries(watches)) t.ok(each.touched, name);
  t.same([other.touched, missing.touched, missingThere.touched], [false, false, false]);
  await set(keyspace, 'missing', '0');
  t.same([missing.touched, missingThere.touched], [true, false], 'it watches the database that it named');
  await set(keyspace, 'missing', '1', null, 1);
  t.ok(missingThere.touched);

  const released = watch(keyspace, 'again');
  await swap(keyspace);
  released.release();
  await set(keyspace, 'again', '0');
  t.notOk(released.touched);
  const removed = watch(keyspace, 'here', 0);
  await commit(keyspace, (tx) => {
    tx.delete(0, bytes('here'));
    tx.swap(0, 1);
  });
  t.ok(removed.touched, 'what the same transaction did before its swap counts');
  await set(keyspace, 'k', '0');
  const twice = watch(keyspace, 'k');
  await commit(keyspace, (tx) => {
    tx.swap(0, 1);
    tx.swap(0, 1);
  });
  t.ok(twice.touched, 'there and back is a change, as in Redis');
  await keyspace.close();
});

t.test('a watch of a key that expired before the swap is touched', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'k', '0', Math.trunc(clock.us / 1000) + 10);
  const expired = watch(keyspace, 'k');
  clock.advanceMs(20);
  await swap(keyspace);
  t.ok(expired.touched);
  await keyspace.close();
});

t.test('a swap whose write failed never was', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '0');
  const watched = watch(keyspace, 'missing');
  hand.beforeWrite = async () => {
    throw new CairnError('MISCONF', 'the disk is full');
  };
  await t.rejects(swap(keyspace), { code: 'MISCONF' });
  t.equal(await get(keyspace, 'a'), '0');
  t.same(counts(keyspace), [1, 0, 0]);
  t.ok(watched.touched, 'who watched starts again');
  hand.beforeWrite = async () => {};
  await keyspace.setReadOnly(false);
  await swap(keyspace);
  t.equal(await get(keyspace, 'a', 1), '0');
  await keyspace.close();
});

t.test('the log has the swap in its own commit, also within a group', async (t) => {
  const { keyspace, database } = await open(`${t.testdir()}/db`);
  const outcomes = await Promise.all([
    keyspace.execute((tx) => tx.put(0, bytes('k'), { type: 'string', bytes: bytes('0'), expiresAtMs: null })),
    keyspace.execute((tx) => tx.swap(0, 1)),
    keyspace.execute((tx) => tx.put(0, bytes('k'), { type: 'string', bytes: bytes('1'), expiresAtMs: null })),
    keyspace.execute((tx) => tx.swap(1, 0)),
  ]);
  await Promise.all(outcomes.map(({ durable }) => durable));
  const groups = await readWal(database);
  const shown = groups.flatMap(({ commits }) =>
    commits.map(({ records }) =>
      records.map((record) => ('key' in record ? `${record.kind} ${record.key.toString('hex')}` : record.kind)),
    ),
  );
  const map = Buffer.from('\0cairn.databases').toString('hex');
  t.same(shown, [['put 01006b'], [`put ${map}`], ['put 01016b'], [`delete ${map}`]]);
  t.equal(groups.length, 1);
  await keyspace.close();
});

t.test('a state between two commits of a group says itself which databases are where', async (t) => {
  const path = `${t.testdir()}/db`;
  const { keyspace, database } = await open(path);
  await set(keyspace, 'k', '0');
  await swap(keyspace);
  const [plain, known] = [await survey(database, 'native'), await readPosition(database, 'native')];
  t.same(plain.keyCounts.slice(0, 2), [0, 1], 'counted by database, not by slot');
  t.same(known?.keyCounts.slice(0, 2), [0, 1]);
  const corrected = await correctPosition(database, {
    ...{ lastCommitUs: 5, commitCount: 2, keyCounts: null, expiryCounts: null, timeline: 3 },
  });
  t.same(corrected.keyCounts.slice(0, 2), [0, 1]);
  const record = await database.get(Buffer.from('\0cairn.state'));
  t.equal(record?.[0], 4, 'a version that knows no slots will not serve it');
  await swap(keyspace);
  t.not((await survey(database, 'native')).digest, plain.digest, 'the digest tells a swapped state from another');
  t.equal((await database.get(Buffer.from('\0cairn.state')))?.[0], 3);
  await keyspace.close();
});

t.test('an older directory has no such record and is served as it is', async (t) => {
  const path = `${t.testdir()}/db`;
  const { keyspace, database } = await open(path);
  await set(keyspace, 'k', '0', null, 3);
  t.equal(await database.get(Buffer.from('\0cairn.databases')), undefined);
  await keyspace.close();
  const again = await open(path);
  t.equal(await get(again.keyspace, 'k', 3), '0');
  t.ok(await remove(again.keyspace, 'k', 3));
  await again.keyspace.close();
});

t.test('a raw keyspace has one database', async (t) => {
  const path = `${t.testdir()}/db`;
  const { keyspace } = await open(path, { kind: 'raw', rawStatePath: `${path}.json` });
  await set(keyspace, 'k', '0');
  await commit(keyspace, (tx) => tx.swap(0, 0));
  t.equal(await get(keyspace, 'k'), '0');
  await keyspace.close();
});
