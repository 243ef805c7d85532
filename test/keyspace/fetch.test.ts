/** Reads that go to the disk while others write: nobody may ever use what is no longer so. */
import t from 'tap';
import { NO_PREFIX } from '../../src/engine/types.js';
import type { Keyspace } from '../../src/keyspace/keyspace.js';
import { bytes, commit, gate, get, open, set, until } from './harness.js';

/** Of what getCached was asked for. */
function wholeKey(key: Buffer, prefix = NO_PREFIX): string {
  const before = prefix === NO_PREFIX ? [] : [prefix >> 8, prefix & 0xff];
  return Buffer.concat([Buffer.from(before), key]).toString('latin1');
}

async function increment(keyspace: Keyspace, key: string, more: string[] = []): Promise<void> {
  const outcome = await keyspace.execute(
    (tx) => {
      const before = Number(tx.get(0, bytes(key))?.bytes.toString() ?? 0);
      for (const other of more) tx.get(0, bytes(other));
      tx.put(0, bytes(key), { type: 'string', bytes: bytes(String(before + 1)), expiresAtMs: null });
    },
    () => [key, ...more].map((name) => ({ database: 0, key: bytes(name) })),
  );
  await outcome.durable;
}

t.test('counters that have to be fetched lose no increment, whatever runs beside', async (t) => {
  const path = `${t.testdir()}/db`;
  const names = Array.from({ length: 40 }, (_, i) => `counter${i}`);
  const first = await open(path);
  for (const name of names) await set(first.keyspace, name, '0');
  await first.keyspace.close();
  const { keyspace, database, hand } = await open(path, {}, { blockCacheBytes: 1 << 12 });
  let fetched = 0;
  const { multiGet } = hand.database;
  hand.database.multiGet = (keys) => {
    fetched += 1;
    return multiGet.call(database, keys);
  };
  const expected = new Map<string, number>();
  for (let round = 0; round < 15; round += 1) {
    // What is in tables and out of the cache has to be fetched.
    await database.flush();
    const running: Promise<void>[] = [];
    for (let i = 0; i < 200; i += 1) {
      const name = names[(i * 7 + round) % names.length] as string;
      const others = [names[(i * 3) % names.length] as string, names[(i * 5 + 1) % names.length] as string];
      running.push(increment(keyspace, name, others));
      expected.set(name, (expected.get(name) ?? 0) + 1);
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(running);
  }
  for (const name of names) t.equal(await get(keyspace, name), String(expected.get(name) ?? 0), name);
  t.ok(fetched > 0, `${fetched} fetches`);
  await keyspace.close();
});

t.test('what is fetched is dropped when the key is written, flushed or expires meanwhile', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  for (const key of ['written', 'deleted', 'flushed', 'other'])
    await set(keyspace, key, 'old', null, key === 'flushed' ? 1 : 0);
  const { multiGet } = hand.database;
  const cold = new Set(
    ['written', 'deleted', 'flushed'].map((key) => `\x01${key === 'flushed' ? '\x01' : '\0'}${key}`),
  );
  const { getCached } = hand.database;
  hand.database.getCached = (...asked) => (cold.has(wholeKey(asked[0], asked[1])) ? null : getCached(...asked));
  const held = gate();
  let fetched = 0;
  hand.database.multiGet = async (keys) => {
    const records = await multiGet(keys);
    fetched += keys.length;
    await held.opened;
    cold.clear();
    return records;
  };
  const read = (key: string, database = 0) => keyspace.execute((tx) => tx.get(database, bytes(key))?.bytes.toString());
  const reading = [read('written'), read('deleted'), read('flushed', 1)];
  t.ok(reading.every((each) => each instanceof Promise));
  await until('all are fetched', () => fetched === 3);
  const blind = new Set(cold);
  cold.clear();
  await set(keyspace, 'written', 'new');
  await commit(keyspace, (tx) => tx.delete(0, bytes('deleted')));
  await commit(keyspace, (tx) => tx.flush(1));
  for (const each of blind) cold.add(each);
  held.open();
  const [written, deleted, flushed] = await Promise.all(reading);
  t.equal(written?.value, 'new');
  t.equal(deleted?.value, undefined);
  t.equal(flushed?.value, undefined);
  await keyspace.close();
});

t.test('what is executed but not written is never fetched from below it', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', 'old');
  await set(keyspace, 'b', 'v');
  const cold = new Set(['\x01\0b']);
  const { getCached, multiGet } = hand.database;
  hand.database.getCached = (...asked) => (cold.has(wholeKey(asked[0], asked[1])) ? null : getCached(...asked));
  const fetched: string[] = [];
  hand.database.multiGet = async (keys) => {
    fetched.push(...keys.map((key) => key.toString('latin1')));
    const records = await multiGet(keys);
    cold.clear();
    return records;
  };
  const held = gate();
  hand.beforeWrite = () => held.opened;
  const writing = await keyspace.execute((tx) =>
    tx.put(0, bytes('a'), { type: 'string', bytes: bytes('new'), expiresAtMs: null }),
  );
  await until('the write begins', () => hand.writes.length === 3);
  const reading = keyspace.execute(
    (tx) => ['a', 'b'].map((key) => tx.get(0, bytes(key))?.bytes.toString()),
    () => ['a', 'b'].map((key) => ({ database: 0, key: bytes(key) })),
  );
  const result = await reading;
  t.same(result.value, ['new', 'v']);
  t.same(fetched, ['\x01\0b']);
  held.open();
  await Promise.all([writing.durable, result.durable]);
  await keyspace.close();
});

t.test('a body that swallows the signal to fetch is run again all the same', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', 'v');
  let cold = true;
  const { getCached } = hand.database;
  hand.database.getCached = (...asked) => (cold ? null : getCached(...asked));
  let runs = 0;
  const outcome = await keyspace.execute((tx) => {
    runs += 1;
    try {
      return tx.get(0, bytes('a'))?.bytes.toString();
    } catch {
      return 'swallowed';
    }
  });
  t.equal(outcome.value, 'v');
  t.equal(runs, 2);
  cold = false;
  await keyspace.close();
});

t.test(
  'after a miss, a key that has to be fetched is found out before the body runs, and once found it is not looked up again',
  async (t) => {
    const { keyspace, hand } = await open(`${t.testdir()}/db`);
    const names = ['first', 'cold', 'warm'];
    for (const name of names) await set(keyspace, name, `of ${name}`);
    const { getCached } = hand.database;
    const looks: string[] = [];
    hand.database.getCached = (key, prefix, toBeWritten) => {
      const name = wholeKey(key, prefix).slice(2);
      looks.push(name);
      return name === 'warm' ? getCached.call(hand.database, key, prefix, toBeWritten) : null;
    };
    const runs: string[] = [];
    const read = async (name: string): Promise<string | undefined> => {
      const key = bytes(name);
      const outcome = await keyspace.execute(
        (tx) => {
          runs.push(name);
          return tx.get(0, key)?.bytes.toString();
        },
        () => [{ database: 0, key }],
      );
      return outcome.value;
    };
    for (const name of [...names, 'absent']) t.equal(await read(name), name === 'absent' ? undefined : `of ${name}`);
    t.same(runs, ['first', 'first', 'cold', 'warm', 'absent'], 'only the first miss was found out by its body');
    t.same(looks, ['first', 'cold', 'warm', 'absent']);
    await keyspace.close();
  },
);
