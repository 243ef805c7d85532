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
    const [reads, database] = [new ReadsTogether((database, keys) => database.multiGet(keys)), reader(calls)];
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
  const [reads, database] = [new ReadsTogether((database, keys) => database.multiGet(keys)), reader(calls)];
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
    new ReadsTogether((database, keys) => database.multiGet(keys)),
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
