/** Whether a read looks in memory first: not where that mostly finds nothing, and again once it does (native/cached-reads.h). */
import t from 'tap';
import { BatchBuilder, openDatabase } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { scratch } from '../support/scratch.js';
import { bytes } from './support/databases.js';

const KEYS = 2000;
const key = (n: number): Buffer => bytes(`key:${n}`);
const value = (n: number): Buffer => Buffer.alloc(1000, n % 251);

/** How many of these reads asked RocksDB (some twice, for a new slab), and how many it answered. */
function looks(db: Database, reads: number, toBeWritten = false): { made: number; found: number } {
  const asked = (): number => db.statistics()['rocksdb.number.keys.read'] as number;
  const before = asked();
  let found = 0;
  for (let n = 0; n < reads; n++) {
    const cached = db.getCached(key(n % KEYS), undefined, toBeWritten);
    if (cached === null) continue;
    found++;
    if (!cached?.equals(value(n % KEYS))) throw new Error(`key ${n % KEYS} is another one`);
  }
  return { made: asked() - before, found };
}

t.test('few looks where they find nothing, all of them again soon after they do', async (t) => {
  const path = `${scratch(t)}/db`;
  const filled = await openDatabase(path, { createIfMissing: true });
  const batch = new BatchBuilder();
  for (let n = 0; n < KEYS; n++) batch.put(key(n), value(n));
  await filled.write(batch.finish());
  await filled.flush();
  await filled.close();

  const db = await openDatabase(path, { blockCacheBytes: 16 << 20 });
  const first = looks(db, 512);
  t.same(first, { made: 512, found: 0 }, 'it is not known yet');
  const cold = looks(db, 8000);
  t.same(cold, { made: 1000, found: 0 }, 'one of eight');
  const writes = looks(db, 400, true);
  t.same(writes, { made: 400, found: 0 }, 'keys that are to be written are judged apart');

  for (let n = 0; n < KEYS; n++) await db.get(key(n));
  const warming = looks(db, 1024);
  t.ok(
    warming.found > 400 && warming.found < 1024,
    `${warming.found} of 1024 reads were answered until it was noticed`,
  );
  t.equal(looks(db, KEYS).found, KEYS, 'all are answered');
  await db.close();
});

t.test('of what need not be read some is left out, and what is cached is told without being read', async (t) => {
  const path = `${scratch(t)}/db`;
  const filled = await openDatabase(path, { createIfMissing: true });
  const batch = new BatchBuilder();
  for (let n = 0; n < 100; n++) batch.put(key(n), value(n));
  batch.put(bytes('empty'), bytes(''));
  await filled.write(batch.finish());
  await filled.flush();
  await filled.close();

  const db = await openDatabase(path, { blockCacheBytes: 16 << 20, valueCacheBytes: 1 << 20 });
  t.notOk(db.isCached(key(1), false), 'on disk');
  t.notOk(db.isCached(key(1), true));
  const asked = [...Array.from({ length: 100 }, (_, n) => key(n)), bytes('none')];
  const some = await db.multiGetSome(asked, 10_000);
  const read = some.filter((record) => record !== null && record !== undefined);
  t.ok(read.length >= 10 && read.length < 50, `${read.length} values of 1,000 bytes`);
  for (const [n, record] of some.entries()) if (record) t.ok(record.equals(value(n)), `key ${n}`);
  t.ok(some.includes(null), 'the others were left out');
  const all = await db.multiGetSome(asked, 1 << 20);
  t.equal(all.filter((record) => record?.length === 1000).length, 100);
  t.equal(all.at(-1), undefined, 'not there');
  t.same(await db.multiGetSome([], 1), []);

  const { bytes: used } = db.valueCache();
  t.ok(db.isCached(key(1), false) && db.isCached(bytes('none'), false), 'read meanwhile, or known to be absent');
  await db.get(bytes('empty'));
  t.ok(db.isCached(bytes('empty'), false));
  t.equal(db.valueCache().bytes, used, 'nothing was kept for it');
  await db.close();
  t.throws(() => db.isCached(key(1), false));
});
