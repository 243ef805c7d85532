import t from 'tap';
import { decodeState } from '../../src/keyspace/state-record.js';
import { bytes, commit, gate, open, set, TestClock, until } from './harness.js';
import { readWal } from './wal.js';

const put = (key: string, value = 'v') => ({ key, value });

t.test('commits of one turn share one write, and of the time that a write takes the next one', async (t) => {
  const { keyspace, database, hand } = await open(`${t.testdir()}/db`);
  const held = gate();
  hand.beforeWrite = () => held.opened;
  const write = ({ key, value }: { key: string; value: string }) =>
    keyspace.execute((tx) => tx.put(0, bytes(key), { type: 'string', bytes: bytes(value), expiresAtMs: null }));
  const first = [write(put('a')), write(put('b'))] as { durable: Promise<void> }[];
  t.equal(first[0]?.durable, first[1]?.durable);
  t.equal(hand.writes.length, 0, 'the turn is not over');
  await until('the write begins', () => hand.writes.length === 1);
  const second = [write(put('c')), write(put('a', 'w'))] as { durable: Promise<void> }[];
  t.not(second[0]?.durable, first[0]?.durable);
  t.equal(second[0]?.durable, second[1]?.durable);
  held.open();
  await second[1]?.durable;
  t.equal(hand.writes.length, 2);
  const groups = await readWal(database);
  t.same(
    groups.map(({ commits }) => commits.map(({ records }) => records.length)),
    [
      [1, 1],
      [1, 1],
    ],
    'each commit after its mark',
  );
  t.same(
    groups.map(({ states }) => states.map((state) => decodeState(state, 16).commitCount)),
    [[2], [4]],
    'one reserved key per group, at its end',
  );
  await keyspace.close();
});

t.test('a group of many bytes is closed, and the rest goes into the next', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  const large = Buffer.alloc(1 << 20);
  const written = [];
  for (let i = 0; i < 10; i += 1) {
    written.push(
      await keyspace.execute((tx) => tx.put(0, bytes(`k${i}`), { type: 'string', bytes: large, expiresAtMs: null })),
    );
  }
  await Promise.all(written.map(({ durable }) => durable));
  t.ok(hand.writes.length >= 3);
  t.ok(hand.writes.every((write) => write.bytes < 6 << 20));
  t.same(keyspace.position.keyCounts[0], 10);
  await keyspace.close();
});

t.test('everything that one transaction wrote is one commit', async (t) => {
  const { keyspace, database } = await open(`${t.testdir()}/db`);
  await commit(keyspace, (tx) => {
    for (let i = 0; i < 20; i += 1)
      tx.put(i % 3, bytes(`k${i}`), { type: 'string', bytes: bytes('v'), expiresAtMs: null });
    tx.delete(0, bytes('k0'));
  });
  const [group] = await readWal(database);
  t.equal(group?.commits.length, 1);
  t.equal(group?.commits[0]?.records.length, 19, 'what came and went inside it leaves no record');
  t.equal(keyspace.position.commitCount, 1);
  await keyspace.close();
});

t.test('commit times rise strictly when the clock steps back, over restarts and from the floor on', async (t) => {
  const path = `${t.testdir()}/db`;
  const clock = new TestClock(1_700_000_000_000_000);
  const first = await open(path, { wallClock: clock });
  await set(first.keyspace, 'a', '1');
  clock.us -= 86_400_000_000;
  await set(first.keyspace, 'a', '2');
  await set(first.keyspace, 'a', '3');
  await first.keyspace.close();
  clock.us -= 86_400_000_000;
  const second = await open(path, { wallClock: clock });
  t.ok(second.keyspace.nowUs() > 1_700_000_000_000_000, 'the commit clock goes on where it was');
  await set(second.keyspace, 'a', '4');
  second.keyspace.raiseClock(1_900_000_000_000_000);
  await set(second.keyspace, 'a', '5');
  await second.keyspace.close();
  const third = await open(path, { wallClock: clock, clockFloorUs: 2_000_000_000_000_000, timeline: 7 });
  await set(third.keyspace, 'a', '6');
  const marks = (await readWal(third.database)).flatMap(({ commits }) => commits.map(({ mark }) => mark));
  t.equal(marks.length, 6);
  for (let i = 1; i < marks.length; i += 1) t.ok((marks[i]?.timeUs ?? 0) > (marks[i - 1]?.timeUs ?? 0));
  t.ok((marks[4]?.timeUs ?? 0) > 1_900_000_000_000_000);
  t.ok((marks[5]?.timeUs ?? 0) > 2_000_000_000_000_000);
  t.same(
    marks.map(({ timeline }) => timeline),
    [1, 1, 1, 1, 1, 7],
  );
  t.same(third.keyspace.position.commitCount, 6);
  await third.keyspace.close();
});

t.test('always syncs each write, everysec within about a second, no never; it may change meanwhile', async (t) => {
  let durability: 'always' | 'everysec' | 'no' = 'no';
  const { keyspace, hand } = await open(`${t.testdir()}/db`, { durability: () => durability });
  await set(keyspace, 'a', '1');
  t.same(
    hand.writes.map(({ sync }) => sync),
    [false],
  );
  durability = 'always';
  await set(keyspace, 'a', '2');
  t.same(
    hand.writes.map(({ sync }) => sync),
    [false, true],
  );
  durability = 'everysec';
  await set(keyspace, 'a', '3');
  t.equal(hand.writes[2]?.sync, false);
  const startedAt = Date.now();
  const syncs = hand.syncs;
  await until('the log is synced', () => hand.syncs > syncs, 3000);
  t.ok(Date.now() - startedAt < 2500);
  await keyspace.close();
});

t.test('while nothing is written everysec syncs nothing', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`, { durability: () => 'everysec' });
  await set(keyspace, 'a', '1');
  await until('the log is synced', () => hand.syncs === 1, 3000);
  const looked = Date.now();
  await until('another interval is over', () => Date.now() - looked > 1300);
  t.equal(hand.syncs, 1);
  await keyspace.close();
});
