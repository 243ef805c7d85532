/** Reads of one pass of the event loop: few calls, each asker gets what it asked for, and nobody another one's failure. */
import t from 'tap';
import type { Database } from '../../src/engine/types.js';
import { ReadsTogether } from '../../src/keyspace/reads-together.js';

/** Answers each key with itself; what begins with 'no' is not there, a call with 'bad' in it fails. */
function reader(calls: string[][]): Database {
  return {
    multiGet: async (keys: Buffer[]) => {
      const names = keys.map(String);
      calls.push(names);
      if (names.includes('bad')) throw new Error('a block is damaged');
      return names.map((name) => (name.startsWith('no') ? undefined : Buffer.from(name)));
    },
  } as unknown as Database;
}

const keysOf = (...names: string[]): Buffer[] => names.map((name) => Buffer.from(name));
const shown = (records: (Buffer | undefined)[]): (string | undefined)[] => records.map((record) => record?.toString());

t.test('a few are one call, many are three, and all that was asked for is answered in order', async (t) => {
  for (const askers of [1, 5, 8, 9, 50, 1000]) {
    const calls: string[][] = [];
    const [reads, database] = [
      new ReadsTogether((database, keys) => database.multiGet(keys), { calls: 3 }),
      reader(calls),
    ];
    const asked = Array.from({ length: askers }, (_, n) => (n % 7 === 3 ? [`a${n}`, `no${n}`, `b${n}`] : [`a${n}`]));
    const answers = await Promise.all(asked.map((names) => reads.read(database, keysOf(...names))));
    for (const [n, names] of asked.entries()) {
      t.same(
        shown(answers[n] ?? []),
        names.map((name) => (name.startsWith('no') ? undefined : name)),
      );
    }
    t.same(calls.flat(), asked.flat());
    t.ok(calls.length <= 3, `${calls.length} calls for ${askers}`);
    if (asked.flat().length <= 8) t.equal(calls.length, 1);
  }
});

t.test('what fails for one fails for that one alone', async (t) => {
  const calls: string[][] = [];
  const [reads, database] = [
    new ReadsTogether((database, keys) => database.multiGet(keys), { calls: 3 }),
    reader(calls),
  ];
  const outcomes = await Promise.allSettled(
    [['x'], ['bad', 'y'], ['z']].map((names) => reads.read(database, keysOf(...names))),
  );
  t.same(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? shown(outcome.value) : String(outcome.reason))),
    [['x'], 'Error: a block is damaged', ['z']],
  );
});

t.test('each is read from the database that it was asked of', async (t) => {
  const [before, after]: [string[][], string[][]] = [[], []];
  const [reads, first, second] = [
    new ReadsTogether((database, keys) => database.multiGet(keys), { calls: 3 }),
    reader(before),
    reader(after),
  ];
  await Promise.all([
    reads.read(first, keysOf('a')),
    reads.read(second, keysOf('b')),
    reads.read(second, keysOf('c')),
    reads.read(first, keysOf('d')),
  ]);
  t.same(before, [['a'], ['d']]);
  t.same(after, [['b', 'c']]);
});

t.test('with a limit, what is too much waits until a call has ended, and all is answered', async (t) => {
  let [running, most] = [0, 0];
  const sizes: number[] = [];
  const slow = async (_: Database, keys: Buffer[]): Promise<string[]> => {
    most = Math.max(most, ++running);
    sizes.push(keys.length);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    if (keys.some((key) => key.toString() === 'bad')) throw new Error('a block is damaged');
    return keys.map(String);
  };
  const reads = new ReadsTogether(slow, { calls: 2, running: 2, keys: 20 });
  const names = Array.from({ length: 40 }, (_, n) => Array.from({ length: 5 }, (_, m) => `${n}.${m}`));
  const database = reader([]);
  const ask = (asked: string[][]): Promise<unknown[]> =>
    Promise.all(asked.map((each) => reads.read(database, keysOf(...each)).catch(String)));
  const first = ask(names);
  await new Promise((resolve) => setImmediate(resolve));
  const second = ask([['later'], ['bad', 'x'], ['last']]);
  t.same(await first, names);
  t.same(await second, [['later'], 'Error: a block is damaged', ['last']]);
  t.ok(most <= 2 + 3, `${most} at once`);
  t.ok(Math.max(...sizes) <= 20 + 4);
  t.same(await ask([['again']]), [['again']], 'later passes are served as well');
});

t.test('what is withdrawn before it is read is not, and holds up nobody', async (t) => {
  const calls: string[][] = [];
  const database = reader(calls);
  const reads = new ReadsTogether((database, keys) => database.multiGet(keys), { calls: 1, running: 1, keys: 1 });
  const [first, second, third] = ['a', 'b', 'c'].map((name) => reads.ask(database, keysOf(name)));
  second?.withdraw();
  second?.withdraw();
  t.equal(await second?.records, null);
  t.same(shown((await third?.records) ?? []), ['c']);
  first?.withdraw();
  t.same(shown((await first?.records) ?? []), ['a'], 'too late');
  t.same(calls, [['a'], ['c']]);
});
