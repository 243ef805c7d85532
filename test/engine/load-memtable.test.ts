/**
 * A database opened for loading orders what it has gathered by itself (native/load-memtable). Whatever the keys have in common, wherever
 * they end, and whenever somebody looks, it has what a database with RocksDB's own memtable has.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { BatchBuilder, openDatabase } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { scratch } from '../support/scratch.js';
import { database, reopen, scan } from './support/databases.js';

/** Long beginnings in common, ends in zeros, keys that are the beginning of others. */
const aKey = fc
  .tuple(
    fc.constantFrom('', '\x00', '\x01\x00', 'user:0000000000:', 'user:0000000000:session:', '\xff\xff'.repeat(40)),
    fc.constantFrom('', '\x00', '\x00\x00\x00\x00\x00\x00\x00\x00', '0', '\xff'),
    fc.constantFrom('', '1', '12345678', '123456789', '\x00', 'abcdefgh'.repeat(3)),
    fc.nat({ max: 12 }).map((n) => '\x00'.repeat(n)),
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ key: aKey, value: fc.nat({ max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ key: aKey, value: fc.constant(null) }) },
  { weight: 1, arbitrary: fc.tuple(aKey, aKey).filter(([from, to]) => from.compare(to) < 0) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ write: fc.array(change, { minLength: 1, maxLength: 60 }) }) },
  { weight: 1, arbitrary: fc.constantFrom('scan', 'back', 'get', 'flush' as const) },
);

function batchOf(changes: readonly (readonly [Buffer, Buffer] | { key: Buffer; value: number | null })[]): Buffer {
  const batch = new BatchBuilder();
  for (const each of changes) {
    if ('key' in each) {
      if (each.value === null) batch.delete(each.key);
      else batch.put(each.key, Buffer.alloc(each.value, each.value));
    } else batch.deleteRange(each[0], each[1]);
  }
  return batch.finish();
}

async function same(loaded: Database, plain: Database, how: 'scan' | 'back' | 'get', key: Buffer): Promise<void> {
  if (how === 'get') assert.deepEqual(await loaded.get(key), await plain.get(key));
  else
    assert.deepEqual(await scan(loaded, { reverse: how === 'back' }), await scan(plain, { reverse: how === 'back' }));
  assert.deepEqual(await scan(loaded, { gte: key }), await scan(plain, { gte: key }));
  assert.deepEqual(await scan(loaded, { lt: key, reverse: true }), await scan(plain, { lt: key, reverse: true }));
}

t.test('it has what any other has, looked at whenever, and after a flush', async (t) => {
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      fc.array(aKey, { minLength: 12, maxLength: 12 }),
      async (steps, keys) => {
        const directory = scratch(t);
        const [loaded, plain] = await Promise.all([
          openDatabase(`${directory}/loaded-${runs}`, {
            createIfMissing: true,
            load: true,
            writeBufferBytes: 64 << 10,
          }),
          openDatabase(`${directory}/plain-${runs++}`, { createIfMissing: true }),
        ]);
        try {
          for (const [nth, each] of steps.entries()) {
            if (each === 'flush') await loaded.flush();
            else if (typeof each === 'string') await same(loaded, plain, each, keys[nth] as Buffer);
            else await Promise.all([loaded, plain].map((db) => db.write(batchOf(each.write), { disableWal: true })));
          }
          await loaded.flush();
          await same(loaded, plain, 'scan', keys[0] as Buffer);
          assert.equal(loaded.latestSequence(), plain.latestSequence());
        } finally {
          await Promise.all([loaded.close(), plain.close()]);
        }
      },
    ),
    { numRuns: 80 },
  );
  t.equal(runs >= 80, true);
});

t.test('keys that are each the beginning of the next one are put in order too, in time', async (t) => {
  const [loaded, plain] = [await database(t, { load: true }), await database(t)];
  const batch = new BatchBuilder();
  // Each window of eight bytes tells one key from the others; the last ones are 16 KB long.
  for (let n = 0; n < 2000; n += 1) batch.put(Buffer.alloc(8 * ((n * 1117) % 2000), 'a'), Buffer.of(n & 0xff));
  const rep = batch.finish();
  await Promise.all([loaded.write(Buffer.from(rep)), plain.write(rep)]);
  await loaded.flush();
  t.same(await scan(loaded), await scan(plain));
  await loaded.close();
  t.same(await scan(await reopen(t, loaded.path)), await scan(plain));
});

t.test('it can be read while a flush has it, and written to beside', async (t) => {
  const db = await database(t, { load: true, writeBufferBytes: 1 << 20 });
  const model = new Map<string, string>();
  const flushes: Promise<void>[] = [];
  for (let round = 0; round < 30; round += 1) {
    const batch = new BatchBuilder();
    for (let i = 0; i < 500; i += 1) {
      const name = `key:${String((i * 7919 + round * 13) % 4001).padStart(12, '0')}`;
      batch.put(Buffer.from(name), Buffer.alloc(100, `${round % 10}`));
      model.set(name, String(round % 10).repeat(100));
    }
    await db.write(batch.finish(), { disableWal: true });
    flushes.push(db.flush());
    if (round % 3 === 0) {
      const some = [...model.keys()][round * 7] as string;
      t.equal(String(await db.get(Buffer.from(some))), model.get(some));
      t.equal((await scan(db)).length, model.size);
    }
  }
  await Promise.all(flushes);
  t.same(
    await scan(db),
    [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
});
