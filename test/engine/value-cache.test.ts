/**
 * The cache of values in front of getCached never answers what the database does not have: whatever is written, deleted, replaced,
 * flushed, however small the cache, and while writes overlap. The database without one, and a Map, say what is right.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { BatchBuilder, openDatabase } from '../../src/engine/index.js';
import { type Database, NO_PREFIX } from '../../src/engine/types.js';
import { scratch } from '../support/scratch.js';
import { bytes } from './support/databases.js';

const SMALLEST = 64 * 1024;

type Change = { key: number; value: number | null } | { from: number; to: number };

const key = (n: number): Buffer => bytes(`key:${'k'.repeat(n % 50)}${n}`);
/** Recognised by its bytes, of many lengths; 4097 is one more than is kept. */
const value = (n: number): Buffer => Buffer.alloc([1, 7, 100, 101, 1000, 4096, 4097][n % 7] as number, n % 251);

const aKey = fc.integer({ min: 0, max: 299 });
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ key: aKey, value: fc.option(fc.integer({ min: 0, max: 5000 }), { freq: 4 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ from: aKey, to: aKey }).filter(({ from, to }) => key(from).compare(key(to)) < 0),
  },
);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      write: fc.array(fc.array(change, { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ read: fc.array(aKey, { minLength: 1, maxLength: 100 }) }) },
  { weight: 1, arbitrary: fc.constant('flush' as const) },
);

function batchOf(changes: readonly Change[]): Buffer {
  const batch = new BatchBuilder();
  for (const each of changes) {
    if ('from' in each) batch.deleteRange(key(each.from), key(each.to));
    else if (each.value === null) batch.delete(key(each.key));
    else batch.put(key(each.key), value(each.value));
  }
  return batch.finish();
}

function apply(model: Map<string, Buffer>, changes: readonly Change[]): void {
  for (const each of changes) {
    if ('from' in each) {
      const [from, to] = [key(each.from).toString('latin1'), key(each.to).toString('latin1')];
      for (const id of [...model.keys()]) if (id >= from && id < to) model.delete(id);
    } else if (each.value === null) model.delete(key(each.key).toString('latin1'));
    else model.set(key(each.key).toString('latin1'), value(each.value));
  }
}

/** What the pool has read lies in the block cache, so that getCached has no reason for null. */
async function read(db: Database, n: number): Promise<Buffer | undefined> {
  const cached = db.getCached(key(n));
  return cached === null ? db.get(key(n)) : cached;
}

t.test('whatever is written, alone or at once, what is cached is what is there', async (t) => {
  let hits = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
      const model = new Map<string, Buffer>();
      try {
        for (const each of steps) {
          if (each === 'flush') await db.flush();
          else if ('write' in each) {
            // All in flight at once: RocksDB puts them in an order, which is the one in which they were queued only if each waits.
            const [first, ...more] = each.write;
            await db.write(batchOf(first as Change[]));
            apply(model, first as Change[]);
            await Promise.all(more.map((changes) => db.write(batchOf(changes))));
            if (more.length === 1) apply(model, more[0] as Change[]);
            else if (more.length > 1) await learn(db, model);
          } else {
            for (const n of each.read) {
              assert.deepEqual(await read(db, n), model.get(key(n).toString('latin1')), `key ${n}`);
            }
          }
        }
        for (let n = 0; n < 300; n += 1) {
          const there = await db.get(key(n));
          assert.deepEqual(there, model.get(key(n).toString('latin1')), `key ${n} on disk`);
          assert.deepEqual(await read(db, n), there, `key ${n}`);
          assert.deepEqual(await read(db, n), there, `key ${n} again`);
        }
        hits += db.valueCache().hits;
      } finally {
        await db.close();
      }
    }),
    { numRuns: 60 },
  );
  t.ok(hits > 1000, `${hits} answers came from the cache`);
});

/** Of writes that ran at once only the database knows which came last. */
async function learn(db: Database, model: Map<string, Buffer>): Promise<void> {
  for (let n = 0; n < 300; n += 1) {
    const there = await db.get(key(n));
    if (there === undefined) model.delete(key(n).toString('latin1'));
    else model.set(key(n).toString('latin1'), there);
  }
}

t.test('reads between a write and its end may see either value, and afterwards the new one', async (t) => {
  const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
  t.teardown(() => db.close());
  await db.write(batchOf([{ key: 1, value: 0 }]));
  for (let round = 1; round < 300; round += 1) {
    const writing = db.write(batchOf([{ key: 1, value: round }]));
    const [before, after] = [value(round - 1), value(round)];
    for (let i = 0; i < 50; i += 1) {
      const seen = db.getCached(key(1));
      assert.ok(seen?.equals(before) || seen?.equals(after), `round ${round}`);
    }
    await writing;
    assert.ok(db.getCached(key(1))?.equals(after), `round ${round}`);
  }
});

t.test('that a key is not there is known too, until it is', async (t) => {
  const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
  t.teardown(() => db.close());
  const asked = (n: number) => {
    const before = db.valueCache().hits;
    return { value: db.getCached(key(n)), fromCache: db.valueCache().hits > before };
  };
  for (let n = 0; n < 200; n += 1) {
    t.same(asked(n), { value: undefined, fromCache: false });
    t.same(asked(n), { value: undefined, fromCache: true });
    const writing = db.write(batchOf([{ key: n, value: n }]));
    for (let i = 0; i < 20; i += 1) {
      const seen = db.getCached(key(n));
      assert.ok(seen === undefined || seen?.equals(value(n)), `key ${n}`);
    }
    await writing;
    t.same(db.getCached(key(n)), value(n));
    await db.write(batchOf([{ key: n, value: null }]));
    t.equal(db.getCached(key(n)), undefined);
    t.same(asked(n), { value: undefined, fromCache: true });
  }
  await db.write(
    batchOf([
      { key: 7, value: 7 },
      { from: 0, to: 1 },
    ]),
  );
  t.same(db.getCached(key(7)), value(7), 'also beside a range deletion, which empties the cache');
});

t.test(
  'a key is the same one with its first two bytes apart, whatever its length and wherever its value is',
  async (t) => {
    const path = `${scratch(t)}/db`;
    const keys = [
      Buffer.alloc(0),
      Buffer.from('k'),
      Buffer.alloc(1022, 'x'),
      Buffer.alloc(1023, 'y'),
      Buffer.alloc(70_000, 'z'),
    ];
    const whole = (key: Buffer) => Buffer.concat([Buffer.of(0x01, 0xf0), key]);
    const values = [
      Buffer.alloc(0),
      Buffer.from('v'),
      Buffer.alloc(4096, 'a'),
      Buffer.alloc(4097, 'b'),
      Buffer.alloc(100_000, 'c'),
    ];
    const batch = new BatchBuilder();
    for (const [nth, key] of keys.entries()) batch.put(whole(key), values[nth] as Buffer);
    for (const valueCacheBytes of [0, SMALLEST]) {
      const db = await openDatabase(path, { createIfMissing: true, valueCacheBytes });
      if (valueCacheBytes === 0) await db.write(batch.finish());
      for (const round of [1, 2]) {
        for (const [nth, key] of keys.entries()) {
          await db.get(whole(key));
          t.same(db.getCached(key, 0x01f0), values[nth], `key ${nth}, round ${round}`);
          t.same(db.getCached(whole(key)), values[nth]);
          t.equal(db.getCached(key, 0x01f1), undefined);
          t.equal(db.getCached(key), undefined);
        }
      }
      await db.close();
      t.throws(() => db.getCached(Buffer.from('k'), 0x01f0), { message: /closed/ });
    }
  },
);

t.test('what is asked for because it will be written is not remembered as absent', async (t) => {
  const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
  t.teardown(() => db.close());
  t.equal(db.getCached(key(1), NO_PREFIX, true), undefined);
  t.equal(db.valueCache().bytes, 0);
  t.equal(db.getCached(key(1)), undefined);
  t.ok(db.valueCache().bytes > 0);
  t.equal(db.getCached(key(1), NO_PREFIX, true), undefined);
  t.equal(db.valueCache().hits, 1);
});

t.test('what fits stays, however often it is asked for', async (t) => {
  const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
  t.teardown(() => db.close());
  // Of 100 bytes each.
  const some = Array.from({ length: 350 }, (_, n) => ({ key: n, value: 7 * n + 2 }));
  await db.write(batchOf(some));
  const filled = db.valueCache().bytes;
  t.ok(filled > SMALLEST * 0.6 && filled < SMALLEST * 0.85, `${filled} of ${SMALLEST} bytes`);
  const before = db.valueCache().misses;
  for (let i = 0; i < 20_000; i += 1) assert.ok(db.getCached(key((i * i * 131) % some.length)));
  t.equal(db.valueCache().misses, before);
  t.equal(db.valueCache().bytes, filled, 'and nothing was copied, for there is room');
});

t.test('a write that is refused leaves what was there', async (t) => {
  const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
  t.teardown(() => db.close());
  await db.write(batchOf([{ key: 1, value: 2 }]));
  const broken = batchOf([
    { key: 1, value: 3 },
    { key: 2, value: 3 },
  ]);
  broken.writeUInt32LE(7, 8);
  await t.rejects(db.write(broken));
  t.same(db.getCached(key(1)), value(2));
  t.equal(db.getCached(key(2)), undefined);
  await t.rejects(db.write(Buffer.from('no batch')));
  t.same(db.getCached(key(1)), value(2));
});

t.test('its memory is what it was given, whatever goes through, and a closed database has none', async (t) => {
  const db = await openDatabase(`${scratch(t)}/db`, { createIfMissing: true, valueCacheBytes: SMALLEST });
  for (let round = 0; round < 40; round += 1) {
    await db.write(batchOf(Array.from({ length: 100 }, (_, n) => ({ key: round * 100 + n, value: n }))));
  }
  const { bytes: used } = db.valueCache();
  t.ok(used > SMALLEST / 2 && used <= SMALLEST, String(used));
  t.same(db.getCached(key(3999)), value(99), 'the newest is there');
  t.equal(db.valueCache().hits, 1);
  await db.close();
  t.throws(() => db.getCached(key(3999)), { message: /closed/ });
});
