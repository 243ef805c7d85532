/** The pause between two groups and the exchange of the database, each under load. */
import t from 'tap';
import { openDatabase } from '../../src/engine/index.js';
import { openKeyspace } from '../../src/keyspace/open.js';
import type { Position } from '../../src/keyspace/port.js';
import { decodeState } from '../../src/keyspace/state-record.js';
import { silentLog } from '../support/log.js';
import { allKeys, bytes, commit, get, type Opened, open, set, until } from './harness.js';
import { readWal } from './wal.js';

/** Writes without end, several commits a turn, in transactions of two keys that always agree. */
function load({ keyspace }: Opened): { stop: () => Promise<number> } {
  let going = true;
  let executed = 0;
  const pending = new Set<Promise<unknown>>();
  const run = async (): Promise<void> => {
    while (going) {
      for (let i = 0; i < 5; i += 1) {
        executed += 1;
        const value = bytes(String(executed));
        const outcome = keyspace.execute((tx) => {
          for (const name of [`left${executed % 50}`, `right${executed % 50}`]) {
            tx.put(0, bytes(name), { type: 'string', bytes: value, expiresAtMs: null });
          }
        });
        const durable = (outcome as { durable: Promise<void> }).durable;
        pending.add(durable);
        durable.then(
          () => pending.delete(durable),
          () => pending.delete(durable),
        );
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const running = run();
  return {
    stop: async () => {
      going = false;
      await running;
      await Promise.all(pending);
      return executed;
    },
  };
}

t.test('a pause is between two groups: position, clock and content agree, and nothing is written in it', async (t) => {
  const opened = await open(`${t.testdir()}/db`);
  const { keyspace, database, hand, clock } = opened;
  const writer = load(opened);
  const cuts: { position: Position; markUs: number }[] = [];
  for (let i = 0; i < 20; i += 1) {
    await until('some more is written', () => hand.writes.length > 3 * i);
    clock.advanceMs(1);
    await keyspace.pausedBetweenGroups(async (position, markUs) => {
      cuts.push({ position, markUs });
      const writes = hand.writes.length;
      t.equal(position.sequence, database.latestSequence());
      const state = decodeState((await database.get(bytes('\0cairn.state'))) as Buffer, 16);
      t.equal(state.commitCount, position.commitCount);
      t.equal(state.lastCommitUs, position.lastCommitUs);
      t.same(state.keyCounts, position.keyCounts);
      t.same(state.expiryCounts, position.expiryCounts);
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      t.equal(hand.writes.length, writes, 'no write begins');
      t.equal(position.sequence, database.latestSequence());
    });
  }
  const executed = await writer.stop();
  t.equal(keyspace.position.commitCount, executed);
  const commits = (await readWal(database)).flatMap((group) =>
    group.commits.map(({ mark }) => ({ timeUs: mark.timeUs, sequence: group.sequence })),
  );
  for (const { position, markUs } of cuts) {
    const before = commits.filter(({ timeUs }) => timeUs <= markUs);
    t.equal(before.length, position.commitCount, 'the mark divides the commits as the sequence does');
    t.equal(before.at(-1)?.timeUs ?? 0, position.lastCommitUs);
    t.ok((before.at(-1)?.timeUs ?? 0) < markUs);
    t.equal(commits.filter(({ sequence }) => sequence <= position.sequence).length, position.commitCount);
  }
  await keyspace.close();
});

t.test(
  'an exchange takes all that was executed to the old database, answers LOADING, then serves the new one',
  async (t) => {
    const directory = t.testdir();
    const opened = await open(`${directory}/old`);
    const { keyspace, database } = opened;
    await set(keyspace, 'old', 'v');
    const other = await open(`${directory}/new`, { clockFloorUs: 3_000_000_000_000_000 });
    await set(other.keyspace, 'new', 'w');
    await set(other.keyspace, 'new2', 'w', null, 2);
    await other.keyspace.close();
    const writer = load(opened);
    await until('some is written', () => keyspace.position.commitCount > 100);
    const executed = await writer.stop();
    const watch = keyspace.watch(null, [{ database: 0, key: bytes('untouched') }]);
    const last = await keyspace.execute((tx) => tx.delete(0, bytes('old')));
    const generation = keyspace.generation;
    const { previous, downtimeMs } = await keyspace.exchange(async (position) => {
      t.equal(position?.commitCount, executed + 2);
      await last.durable;
      t.match(keyspace.unavailable, { code: 'LOADING' });
      t.throws(() => keyspace.execute(() => 1), { code: 'LOADING' });
      await t.rejects(allKeys(keyspace), { code: 'LOADING' });
      return { database: await openDatabase(`${directory}/new`), timeline: 9, kind: 'native' };
    });
    t.equal(previous?.path, database.path);
    t.equal(previous?.closed, false);
    t.ok(downtimeMs >= 0 && downtimeMs < 10_000);
    t.equal(keyspace.unavailable, null);
    t.ok(watch.touched);
    watch.release();
    t.not(keyspace.generation, generation);
    t.same(await allKeys(keyspace), ['new']);
    t.equal(await commit(keyspace, (tx) => tx.keyCount(2)), 1);
    await set(keyspace, 'after', 'v');
    t.equal(keyspace.position.timeline, 9);
    t.ok(keyspace.position.lastCommitUs > 3_000_000_000_000_000, 'the clock went on after the new state');
    t.equal(keyspace.position.commitCount, 3);
    await previous?.close();
    await keyspace.close();
    const old = await open(`${directory}/old`);
    t.equal(await get(old.keyspace, 'old'), null);
    t.equal(old.keyspace.position.commitCount, executed + 2);
    await old.keyspace.close();
  },
);

t.test('when the exchange fails the old database serves on, with everything', async (t) => {
  const { keyspace } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  const executed = await keyspace.execute((tx) =>
    tx.put(0, bytes('b'), { type: 'string', bytes: bytes('2'), expiresAtMs: null }),
  );
  const waiting = keyspace.exchange(async () => {
    throw new Error('the swap failed');
  });
  await t.rejects(waiting, /the swap failed/);
  await executed.durable;
  t.equal(keyspace.unavailable, null);
  t.same(await allKeys(keyspace), ['a', 'b']);
  await set(keyspace, 'c', '3');
  await keyspace.close();
});

t.test('a commit clock that is ahead of a restored state does not go back to it', async (t) => {
  const directory = t.testdir();
  const { keyspace, clock } = await open(`${directory}/old`);
  await set(keyspace, 'a', '1');
  const lastUs = keyspace.position.lastCommitUs;
  clock.advanceMs(-1_000_000);
  const { previous } = await keyspace.exchange(async () => ({
    database: await openDatabase(`${directory}/new`, { createIfMissing: true }),
    timeline: 2,
    kind: 'native',
  }));
  await set(keyspace, 'b', '1');
  t.ok(keyspace.position.lastCommitUs > lastUs);
  await previous?.close();
  await keyspace.close();
});

t.test('a transaction that waits for the disk when the database is exchanged runs on the new one', async (t) => {
  const directory = t.testdir();
  const first = await open(`${directory}/old`);
  await set(first.keyspace, 'k', 'old');
  await first.keyspace.close();
  const second = await open(`${directory}/new`);
  await set(second.keyspace, 'k', 'new');
  await second.keyspace.close();
  const database = await openDatabase(`${directory}/old`);
  await database.flush();
  let fetches = 0;
  let fetched = (): void => {};
  const cold = new Proxy(database, {
    get(target, name) {
      if (name === 'getCached') return () => null;
      if (name === 'multiGet') {
        return async (keys: Buffer[]) => {
          fetches += 1;
          await new Promise<void>((resolve) => {
            fetched = resolve;
          });
          return target.multiGet(keys);
        };
      }
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const keyspace = await openKeyspace({
    database: cold,
    kind: 'native',
    timeline: 1,
    clockFloorUs: 0,
    durability: () => 'no',
    expire: true,
    log: silentLog(),
    wallClock: first.clock,
  });
  const reading = keyspace.execute((tx) => tx.get(0, bytes('k'))?.bytes.toString());
  await until('the read is on its way', () => fetches === 1);
  const { previous } = await keyspace.exchange(async () => {
    fetched();
    return { database: await openDatabase(`${directory}/new`), timeline: 2, kind: 'native' };
  });
  t.equal((await reading).value, 'new');
  await previous?.close();
  await keyspace.close();
});
