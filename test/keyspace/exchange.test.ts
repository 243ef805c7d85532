/**
 * An exchange to a state whose place is known better than its reserved key says, an exchange of the timeline alone, and
 * what may be done between opening and beginning.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { BatchBuilder, openDatabase, splitBatch } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { correctPosition } from '../../src/keyspace/correct-position.js';
import { readPosition } from '../../src/keyspace/survey.js';
import { allKeys, bytes, commit, get, handled, open, remove, set, until } from './harness.js';
import { readWal } from './wal.js';

/** A group of three commits, of which a database gets the first two: its reserved key knows of none. */
async function stoppedInsideGroup(directory: string): Promise<{ database: Database; lastCommitUs: number }> {
  const source = await open(`${directory}/source`);
  const writes = ['a', 'b', 'c'].map((key) => set(source.keyspace, key, `value of ${key}`));
  await Promise.all(writes);
  const reader = source.database.updatesSince(1);
  const [batch] = await reader.next(1 << 20);
  await reader.close();
  const parts = splitBatch(batch?.rep as Buffer);
  t.equal(parts.length, 3);
  const database = await openDatabase(`${directory}/stopped`, { createIfMissing: true, walTtlSeconds: 'forever' });
  const builder = new BatchBuilder();
  for (const part of parts.slice(0, 2)) builder.appendRecords(part.records, part.count);
  await database.write(builder.finish(), { disableWal: true });
  await database.flush();
  const [group] = await readWal(source.database);
  await source.keyspace.close();
  return { database, lastCommitUs: group?.commits[1]?.mark.timeUs as number };
}

t.test('a state that was stopped inside a group says where it is before anything else is written', async (t) => {
  const directory = t.testdir();
  const { database, lastCommitUs } = await stoppedInsideGroup(directory);
  const { keyspace, clock } = await open(`${directory}/old`);
  await set(keyspace, 'old', 'v');
  const leftUs = keyspace.position.lastCommitUs;
  const position = { lastCommitUs, commitCount: 2, keyCounts: [2], expiryCounts: null };
  const { previous } = await keyspace.exchange(async () => ({ database, timeline: 5, kind: 'native', position }));
  await previous?.close();
  const at = keyspace.position;
  t.match(at, { sequence: 3, timeline: 5, commitCount: 3 });
  t.equal(at.keyCounts.length, 16);
  t.equal(at.keyCounts[0], 2);
  t.ok(at.lastCommitUs > leftUs && at.lastCommitUs > lastCommitUs, 'after both lines');
  t.same(await readPosition(database, 'native'), at, 'and so it is stored');
  clock.advanceMs(1);
  await set(keyspace, 'd', '1');
  t.same(await allKeys(keyspace), ['a', 'b', 'd']);
  const [first, second, ...rest] = await readWal(database, 3);
  t.same(rest, []);
  t.same(
    first?.commits,
    [{ mark: { timeUs: at.lastCommitUs, timeline: 5 }, records: [] }],
    'the first on its timeline',
  );
  t.match(second?.commits, [{ mark: { timeline: 5 } }]);
  t.match(keyspace.position, { commitCount: 4, sequence: 5 });
  await keyspace.close();
});

t.test('keys that nobody counted are counted', async (t) => {
  const directory = t.testdir();
  const { database, lastCommitUs } = await stoppedInsideGroup(directory);
  const { keyspace } = await open(`${directory}/old`);
  const position = { lastCommitUs, commitCount: 2, keyCounts: null, expiryCounts: null };
  const { previous } = await keyspace.exchange(async () => ({ database, timeline: 2, kind: 'native', position }));
  await previous?.close();
  t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), 2);
  await keyspace.close();
});

t.test(
  'when that first commit fails the new state is served, and the check that allows writes makes it good',
  async (t) => {
    const directory = t.testdir();
    const { database, lastCommitUs } = await stoppedInsideGroup(directory);
    const hand = handled(database);
    hand.beforeWrite = async () => {
      throw new CairnError('NOSPACE', 'No space left on device');
    };
    const { keyspace } = await open(`${directory}/old`);
    const position = { lastCommitUs, commitCount: 2, keyCounts: [2], expiryCounts: null };
    const { previous } = await keyspace.exchange(async () => ({
      database: hand.database,
      timeline: 2,
      kind: 'native',
      position,
    }));
    await previous?.close();
    t.equal(keyspace.unavailable, null);
    t.equal(await get(keyspace, 'b'), 'value of b');
    t.match(keyspace.writesRefused, { code: 'MISCONF', message: /No space left/ });
    t.match(keyspace.position, { commitCount: 2, lastCommitUs });
    hand.beforeWrite = async () => {};
    await keyspace.setReadOnly(false);
    t.match(keyspace.position, { commitCount: 3, timeline: 2 });
    t.same(await readPosition(database, 'native'), keyspace.position);
    await keyspace.close();
  },
);

t.test('a raw state is known from its file, as given', async (t) => {
  const directory = t.testdir();
  const database = await openDatabase(`${directory}/foreign`, { createIfMissing: true });
  const batch = new BatchBuilder();
  for (const key of ['x', 'y', 'z']) batch.put(bytes(key), bytes('v'));
  await database.write(batch.finish());
  const rawStatePath = `${directory}/raw-state.json`;
  const { keyspace } = await open(`${directory}/old`, { rawStatePath });
  const position = { lastCommitUs: 1_600_000_000_000_000, commitCount: 77, keyCounts: null, expiryCounts: null };
  const { previous } = await keyspace.exchange(async () => ({ database, timeline: 3, kind: 'raw', position }));
  await previous?.close();
  t.same(keyspace.position, { ...position, sequence: 3, timeline: 3, keyCounts: [3], expiryCounts: [0] });
  t.match(JSON.parse(readFileSync(rawStatePath, 'utf8')), { directory: 'foreign', sequence: 3, commitCount: 77 });
  t.equal(database.latestSequence(), 3, 'nothing is written into it');
  await keyspace.close();
  const again = await open(`${directory}/foreign`, { kind: 'raw', rawStatePath, timeline: 3 });
  t.match(again.keyspace.position, { commitCount: 77, keyCounts: [3], lastCommitUs: position.lastCommitUs });
  await again.keyspace.close();
});

t.test('an exchange of the timeline alone disturbs nobody, and there is nothing to close', async (t) => {
  const path = `${t.testdir()}/db`;
  const { keyspace, database, hand } = await open(path, { durability: () => 'everysec' });
  await set(keyspace, 'a', '1');
  const executed = await keyspace.execute(
    (tx) => tx.delete(0, bytes('none')) || tx.get(0, bytes('a'))?.bytes.toString(),
  );
  const watch = keyspace.watch(null, [{ database: 0, key: bytes('a') }]);
  const { generation } = keyspace;
  const before = keyspace.position;
  const { previous } = await keyspace.exchange(async () => {
    t.match(keyspace.unavailable, { code: 'LOADING' });
    return { database: hand.database, timeline: 2, kind: 'native' };
  });
  t.equal(previous, null);
  t.equal(executed.value, '1');
  t.same(keyspace.position, { ...before, timeline: 2 });
  t.notOk(watch.touched);
  t.equal(keyspace.generation, generation);
  await until('what was written before is still synced', () => hand.syncs > 0, 3000);
  await set(keyspace, 'a', '2');
  t.ok(watch.touched);
  watch.release();
  t.equal(await get(keyspace, 'a'), '2');
  t.same(
    (await readWal(database)).flatMap(({ commits }) => commits.map(({ mark }) => mark.timeline)),
    [1, 2],
  );
  await keyspace.close();
  t.ok(database.closed);
  const again = await open(path, { timeline: 2 });
  t.equal(again.keyspace.position.commitCount, 2);
  await again.keyspace.close();
});

t.test('the same database may come back at a position, and its first commit is made too', async (t) => {
  const { keyspace, database, hand } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  const { lastCommitUs } = keyspace.position;
  const position = { lastCommitUs, commitCount: 1, keyCounts: [1], expiryCounts: null };
  await keyspace.exchange(async () => ({ database: hand.database, timeline: 2, kind: 'native', position }));
  t.match(keyspace.position, { commitCount: 2, timeline: 2 });
  t.same(await readPosition(database, 'native'), keyspace.position);
  await keyspace.close();
});

t.test('writes that a storage error stopped stay stopped on another timeline', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  hand.beforeWrite = async () => {
    throw new CairnError('MISCONF', 'Input/output error');
  };
  await t.rejects(set(keyspace, 'a', '2'), { code: 'MISCONF' });
  const { throughUs } = keyspace.written();
  await keyspace.exchange(async () => ({ database: hand.database, timeline: 2, kind: 'native' }));
  t.match(keyspace.writesRefused, { code: 'MISCONF', message: /Input\/output error/ });
  t.equal(keyspace.written().throughUs, throughUs);
  hand.beforeWrite = async () => {};
  await keyspace.setReadOnly(false);
  t.match(keyspace.position, { timeline: 2, commitCount: 2 });
  t.equal(await get(keyspace, 'a'), '1');
  await keyspace.close();
});

t.test(
  'opened paused, nothing is written before it begins, also on a timeline that was exchanged meanwhile',
  async (t) => {
    const path = `${t.testdir()}/db`;
    const first = await open(path);
    await set(first.keyspace, 'e', '1', Math.trunc(first.clock.us / 1000) + 10);
    await set(first.keyspace, 'k', '1');
    const left = first.keyspace.position;
    await first.keyspace.close();
    first.clock.advanceMs(60_000);
    const { keyspace, database, hand } = await open(path, { wallClock: first.clock, paused: true });
    t.match(keyspace.unavailable, { code: 'LOADING', message: 'the server is starting' });
    t.throws(() => keyspace.execute((tx) => tx.get(0, bytes('e'))), { code: 'LOADING' });
    await t.rejects(keyspace.setReadOnly(false), { code: 'LOADING' });
    const looked = Date.now();
    await until('the active expiry would have come', () => Date.now() - looked > 350);
    t.same(keyspace.position, left);
    t.equal(keyspace.written().sequence, left.sequence);
    await keyspace.pausedBetweenGroups(async (position) => t.same(position, left));
    await keyspace.exchange(async () => ({ database: hand.database, timeline: 4, kind: 'native' }));
    t.match(keyspace.unavailable, { code: 'LOADING' }, 'an exchange does not begin it');
    keyspace.raiseClock(first.clock.us + 3_600_000_000);
    t.equal(database.latestSequence(), left.sequence);
    keyspace.begin();
    keyspace.begin();
    t.equal(keyspace.unavailable, null);
    await until('the expired key goes', () => keyspace.position.keyCounts[0] === 1);
    t.match(keyspace.position, { timeline: 4, commitCount: left.commitCount + 1 });
    t.ok(keyspace.position.lastCommitUs > first.clock.us + 3_600_000_000);
    t.equal(await remove(keyspace, 'k'), true);
    await keyspace.close();
    keyspace.begin();
    t.match(keyspace.unavailable, { code: 'LOADING' });
  },
);

t.test('begun without a database it still answers MISCONF, until an exchange brings one', async (t) => {
  const directory = t.testdir();
  const failure = new CairnError('MISCONF', 'the directory is damaged');
  const { keyspace, database } = await open(`${directory}/db`, { database: null, failure, paused: true });
  t.match(keyspace.unavailable, { code: 'MISCONF', message: /the directory is damaged/ });
  keyspace.begin();
  t.match(keyspace.unavailable, { code: 'MISCONF', message: /the directory is damaged/ });
  await keyspace.exchange(async () => ({ database, timeline: 2, kind: 'native' }));
  await set(keyspace, 'a', '1');
  await keyspace.close();
});

t.test('a directory that nobody serves is told where it is', async (t) => {
  const directory = t.testdir();
  const { database, lastCommitUs } = await stoppedInsideGroup(directory);
  const known = { lastCommitUs, commitCount: 2, keyCounts: null, expiryCounts: null, timeline: 1 };
  const at = await correctPosition(database, known);
  t.match(at, { sequence: 3, timeline: 1, lastCommitUs: lastCommitUs + 1, commitCount: 3 });
  t.equal(at.keyCounts[0], 2);
  await database.flush();
  await database.close();
  const again = await openDatabase(`${directory}/stopped`);
  t.same(await readPosition(again, 'native'), at);
  const later = await correctPosition(again, { ...at, timeline: 6 }, { atUs: lastCommitUs + 500, sync: true });
  t.match(later, {
    sequence: 4,
    timeline: 6,
    lastCommitUs: lastCommitUs + 500,
    commitCount: 4,
    keyCounts: at.keyCounts,
  });
  t.match(await readWal(again, 4), [{ commits: [{ mark: { timeUs: lastCommitUs + 500, timeline: 6 }, records: [] }] }]);
  await again.close();
});
