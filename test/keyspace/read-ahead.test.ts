/** What a client's next commands ask for is read with what its current one misses, and is never older than what was written since. */
import t from 'tap';
import { ReadAhead } from '../../src/keyspace/fetches.js';
import type { Keyspace, Outcome } from '../../src/keyspace/keyspace.js';
import { bytes, commit, gate, get, type Opened, open, remove, set, until } from './harness.js';

interface Cold extends Opened {
  /** The keys of each call that reads, and of each that reads ahead. */
  read: string[][];
  readAhead: string[][];
  /** Awaited by reads and reads ahead, once they have their records. */
  hold: { opened: Promise<void> };
  /** Runs the body with what is cached. */
  warm: (body: () => Promise<unknown>) => Promise<void>;
}

/** A keyspace of which nothing is cached. */
async function cold(path: string, keys: readonly string[]): Promise<Cold> {
  const opened = await open(path);
  const { database } = opened.hand;
  for (const key of keys) await set(opened.keyspace, key, `${key} 1`);
  const { getCached, multiGet, multiGetSome } = database;
  const names = (asked: readonly Buffer[]): string[] => asked.map((key) => key.toString('latin1', 2));
  const result: Cold = { ...opened, read: [], readAhead: [], hold: { opened: Promise.resolve() }, warm };
  async function warm(body: () => Promise<unknown>): Promise<void> {
    database.getCached = getCached;
    await body();
    database.getCached = () => null;
  }
  Object.assign(database, {
    getCached: () => null,
    isCached: () => false,
    multiGet: async (asked: Buffer[]) => {
      result.read.push(names(asked));
      const records = await multiGet(asked);
      await result.hold.opened;
      return records;
    },
    multiGetSome: async (asked: Buffer[], enough: number) => {
      result.readAhead.push(names(asked));
      const records = await multiGetSome(asked, enough);
      await result.hold.opened;
      return records;
    },
  });
  return result;
}

const ahead = (...keys: string[]): ReadAhead =>
  new ReadAhead(() => keys.map((key) => ({ database: 0, key: bytes(key), toBeWritten: false })));

const read = (keyspace: Keyspace, key: string, with_?: ReadAhead): unknown =>
  keyspace.execute((tx) => tx.get(0, bytes(key))?.bytes.toString() ?? null, undefined, with_);
const value = async (outcome: unknown): Promise<unknown> => ((await outcome) as Outcome<unknown>).value;

t.test('the next commands run at once, each with its own record, until the end', async (t) => {
  const { keyspace, read: calls, readAhead } = await cold(`${t.testdir()}/db`, ['a', 'b', 'c']);
  const next = ahead('b', 'none', 'c', 'b');
  const first = read(keyspace, 'a', next);
  t.ok(first instanceof Promise);
  t.equal(await value(first), 'a 1');
  for (const [key, expected] of [
    ['b', 'b 1'],
    ['none', null],
    ['c', 'c 1'],
    ['b', 'b 1'],
  ] as const) {
    const outcome = read(keyspace, key, next);
    t.notOk(outcome instanceof Promise, `${key} waits for nothing`);
    t.equal(await value(outcome), expected);
  }
  t.same([calls, readAhead], [[['a']], [['b', 'none', 'c']]]);
  next.end();
  const after = read(keyspace, 'b', next);
  t.ok(after instanceof Promise, 'nothing is left of it');
  t.equal(await value(after), 'b 1');
  await keyspace.close();
});

t.test('what others write, delete, flush or swap meanwhile is what the next commands see', async (t) => {
  for (const when of ['while it is read', 'after it was read']) {
    const keys = ['a', 'b', 'c', 'd'];
    const { keyspace, hold, readAhead, warm } = await cold(`${t.testdir()}/${when}`, keys);
    const next = ahead('b', 'c', 'd');
    const held = gate();
    if (when === 'while it is read') hold.opened = held.opened;
    const first = read(keyspace, 'a', next);
    const change = () =>
      warm(async () => {
        await set(keyspace, 'b', 'b 2');
        await set(keyspace, 'c', 'c 2');
        await remove(keyspace, 'c');
      });
    if (when === 'while it is read') {
      await until('both are asked for', () => readAhead.length === 1);
      await change();
      held.open();
    }
    t.equal(await value(first), 'a 1');
    if (when === 'after it was read') await change();
    t.equal(await value(read(keyspace, 'b', next)), 'b 2', `b, ${when}`);
    t.equal(await value(read(keyspace, 'c', next)), null, `c, ${when}`);
    t.equal(await value(read(keyspace, 'd', next)), 'd 1', `d, ${when}`);
    // 'a' as another one's first: 'd' is read ahead anew.
    const again = ahead('d');
    t.equal(await value(read(keyspace, 'a', again)), 'a 1');
    await commit(keyspace, (tx) => tx.flush(0));
    t.equal(await value(read(keyspace, 'd', again)), null, `flushed, ${when}`);
    await keyspace.close();
  }
});

t.test('one whose client goes away while it is read sees what is written since, or nothing', async (t) => {
  const { keyspace, hold, readAhead, warm } = await cold(`${t.testdir()}/db`, ['a', 'b']);
  const next = ahead('b');
  const held = gate();
  hold.opened = held.opened;
  const both = keyspace.execute(
    (tx) => ['a', 'b'].map((key) => tx.get(0, bytes(key))?.bytes.toString()),
    () => [{ database: 0, key: bytes('a') }],
    next,
  );
  await until('both are asked for', () => readAhead.length === 1);
  next.end();
  await warm(() => set(keyspace, 'b', 'b 2'));
  held.open();
  t.same(await value(both), ['a 1', 'b 2']);
  await keyspace.close();
});

t.test('what is left out, or cannot be read ahead, is read when its command runs', async (t) => {
  const { keyspace, hand, read: calls } = await cold(`${t.testdir()}/db`, ['a', 'b', 'c']);
  const { multiGetSome } = hand.database;
  hand.database.multiGetSome = async (keys, enough) =>
    (await multiGetSome(keys, enough)).map((_, n) => (n > 0 ? null : _));
  const next = ahead('b', 'c');
  t.equal(await value(read(keyspace, 'a', next)), 'a 1');
  t.notOk(read(keyspace, 'b', next) instanceof Promise);
  t.equal(await value(read(keyspace, 'c', next)), 'c 1', 'left out');
  t.same(calls, [['a'], ['c']]);
  hand.database.multiGetSome = () => Promise.reject(new Error('a block is damaged'));
  t.equal(await value(read(keyspace, 'a', next)), 'a 1');
  t.equal(await value(read(keyspace, 'b', next)), 'b 1', 'failed');
  await keyspace.close();
});

t.test(
  'a command whose own read fails waits for what is read ahead: the next one never meets an old record',
  async (t) => {
    const { keyspace, hand, hold, readAhead, warm } = await cold(`${t.testdir()}/db`, ['a', 'b', 'c']);
    const next = ahead('b');
    const held = gate();
    const { multiGet } = hand.database;
    hand.database.multiGet = () => Promise.reject(new Error('a block is damaged'));
    hold.opened = held.opened;
    let over = false;
    const failing = Promise.resolve(read(keyspace, 'a', next)).finally(() => {
      over = true;
    });
    failing.catch(() => {});
    await until('it is read ahead', () => readAhead.length === 1);
    await warm(() => set(keyspace, 'b', 'b 2'));
    hand.database.multiGet = multiGet;
    t.notOk(over);
    held.open();
    await t.rejects(failing, /damaged/);
    t.equal(await value(read(keyspace, 'c', next)), 'c 1');
    t.equal(await value(read(keyspace, 'b', next)), 'b 2');
    await keyspace.close();
  },
);

t.test('in a long pipeline what was used goes, and reading ahead goes on', async (t) => {
  const { keyspace, read: calls, readAhead } = await cold(`${t.testdir()}/db`, []);
  const keys = Array.from({ length: 300 }, (_, n) => `key${n}`);
  for (const key of keys) await set(keyspace, key, key.repeat(2500));
  calls.length = 0;
  const upcoming = [...keys];
  const next = new ReadAhead(() =>
    upcoming.slice(0, 50).map((key) => ({ database: 0, key: bytes(key), toBeWritten: false })),
  );
  for (const key of keys) {
    upcoming.shift();
    t.equal(await value(read(keyspace, key, next)), key.repeat(2500), key);
  }
  // More than 3 MB in all, each once: one command in 51 had to wait.
  t.same([calls.length, readAhead.length], [6, 6]);
  t.equal(calls.flat().length + readAhead.flat().length, keys.length);
  next.end();
  await keyspace.close();
});

t.test('a command with many keys reads those that were not read ahead', async (t) => {
  const keys = Array.from({ length: 30 }, (_, n) => `key${n}`);
  const { keyspace, read: calls, readAhead } = await cold(`${t.testdir()}/db`, ['a', ...keys]);
  calls.length = 0;
  const next = ahead(...keys.slice(0, 20));
  t.equal(await value(read(keyspace, 'a', next)), 'a 1');
  const all = keyspace.execute(
    (tx) => keys.map((key) => tx.get(0, bytes(key))?.bytes.toString()),
    () => keys.map((key) => ({ database: 0, key: bytes(key) })),
    next,
  );
  t.same(
    await value(all),
    keys.map((key) => `${key} 1`),
  );
  t.same([calls, readAhead], [[['a'], keys.slice(20)], [keys.slice(0, 20)]]);
  next.end();
  await keyspace.close();
});

t.test('values too large to be read ahead are read once ahead and once by their commands at most', async (t) => {
  const keys = Array.from({ length: 40 }, (_, n) => `key${(n * 17) % 40}`);
  const { keyspace, read: calls, readAhead, hand } = await cold(`${t.testdir()}/db`, []);
  const large = 'v'.repeat(1 << 20);
  for (const key of ['first', ...keys]) await set(keyspace, key, large);
  calls.length = 0;
  let [bytesAhead, left] = [0, 0];
  const { multiGetSome } = hand.database;
  hand.database.multiGetSome = async (asked, enough) => {
    const records = await multiGetSome(asked, enough);
    bytesAhead += records.reduce((sum, record) => sum + (record?.length ?? 0), 0);
    left += records.filter((record) => record === null).length;
    return records;
  };
  const upcoming = [...keys];
  const next = new ReadAhead(() => upcoming.map((key) => ({ database: 0, key: bytes(key), toBeWritten: false })));
  for (const key of ['first', ...keys]) {
    t.equal(await value(read(keyspace, key, next)), large, key);
    upcoming.shift();
  }
  t.equal(readAhead.length, 1, 'not again in this pipeline');
  t.ok(bytesAhead <= 6 << 20, `${bytesAhead} bytes`);
  t.equal(calls.length, 1 + left);
  next.end();
  await keyspace.close();
});

t.test('commands of one client that write what it read ahead', async (t) => {
  const { keyspace } = await cold(`${t.testdir()}/db`, []);
  const keys = Array.from({ length: 20 }, (_, n) => `counter${n % 5}`);
  const add = (key: string, next: ReadAhead) =>
    keyspace.execute(
      (tx) => {
        const count = Number(tx.get(0, bytes(key))?.bytes.toString() ?? 0) + 1;
        tx.put(0, bytes(key), { type: 'string', bytes: bytes(String(count)), expiresAtMs: null });
        return count;
      },
      undefined,
      next,
    );
  const clients = Array.from({ length: 6 }, async () => {
    for (let round = 0; round < 5; round++) {
      const next = ahead(...keys);
      for (const key of keys) await (await add(key, next)).durable;
      next.end();
    }
  });
  await Promise.all(clients);
  for (const key of new Set(keys)) t.equal(await get(keyspace, key), String((6 * 5 * 20) / 5), key);
  await keyspace.close();
});
