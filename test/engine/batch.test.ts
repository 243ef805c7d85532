import fc from 'fast-check';
import t from 'tap';
import { BatchBuilder, type BatchRecord, batchCount, decodeBatch, splitBatch } from '../../src/engine/index.js';
import type { Database, WalBatch } from '../../src/engine/types.js';
import { bytes, database, failure, scan } from './support/databases.js';

const blob = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const shortKey = fc.uint8Array({ maxLength: 2, max: 3 }).map((array) => Buffer.from(array));
const record: fc.Arbitrary<BatchRecord> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: shortKey, value: blob }),
  fc.record({ kind: fc.constant('delete' as const), key: shortKey }),
  fc.tuple(shortKey, shortKey).map(([a, b]) => {
    // Never empty: such a range is refused (database.test.ts).
    const [from, to] = Buffer.compare(a, b) < 0 ? [a, b] : [b, Buffer.concat([a, Buffer.of(0)])];
    return { kind: 'delete-range' as const, from, to };
  }),
  fc.record({ kind: fc.constant('log-data' as const), blob }),
);

function build(records: BatchRecord[]): Buffer {
  const batch = new BatchBuilder(12);
  add(batch, records);
  return batch.finish();
}

function add(batch: BatchBuilder, records: BatchRecord[]): void {
  for (const entry of records) {
    if (entry.kind === 'put') batch.put(entry.key, entry.value);
    else if (entry.kind === 'delete') batch.delete(entry.key);
    else if (entry.kind === 'delete-range') batch.deleteRange(entry.from, entry.to);
    else batch.logData(entry.blob);
  }
}

function apply(model: Map<string, string>, records: BatchRecord[]): void {
  for (const entry of records) {
    if (entry.kind === 'put') model.set(entry.key.toString('latin1'), entry.value.toString('latin1'));
    else if (entry.kind === 'delete') model.delete(entry.key.toString('latin1'));
    else if (entry.kind === 'delete-range') {
      for (const key of [...model.keys()]) {
        const at = Buffer.from(key, 'latin1');
        if (Buffer.compare(entry.from, at) <= 0 && Buffer.compare(at, entry.to) < 0) model.delete(key);
      }
    }
  }
}

t.test('RocksDB reads what the builder writes, and the reader reads what RocksDB logged', async (t) => {
  const db = await database(t, { walTtlSeconds: 'forever' });
  const model = new Map<string, string>();
  await fc.assert(
    fc.asyncProperty(fc.array(record, { maxLength: 30 }), async (records) => {
      const rep = build(records);
      t.same([...decodeBatch(rep)], records);
      const before = db.latestSequence();
      await db.write(rep);
      apply(model, records);
      const counted = records.filter((entry) => entry.kind !== 'log-data').length;
      t.equal(batchCount(rep), counted);
      t.equal(db.latestSequence(), before + counted);
      if (counted === 0) return;
      const [logged] = await readFrom(db, before + 1);
      t.equal(logged?.sequence, before + 1);
      t.equal(logged?.count, counted);
      t.ok(logged?.rep.subarray(8).equals(rep.subarray(8)), 'the log has the very bytes, but for the sequence');
    }),
    { numRuns: 150 },
  );
  const expected = [...model].sort(([a], [b]) => Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')));
  t.same(await scan(db), expected);
});

t.test('a merged batch splits at its log data, and its parts re-apply with exact sequences', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(record, { maxLength: 6 }), { maxLength: 8 }), async (groups) => {
      const batch = new BatchBuilder();
      groups.forEach((group, i) => {
        batch.logData(bytes(`commit ${i}`));
        add(
          batch,
          group.filter((entry) => entry.kind !== 'log-data'),
        );
      });
      const rep = batch.finish();
      const parts = splitBatch(rep);
      t.same(
        parts.map((part) => String(part.logData)),
        groups.map((_, i) => `commit ${i}`),
      );
      const rebuilt = new BatchBuilder();
      let sequence = 0;
      for (const part of parts) {
        t.equal(part.sequenceOffset, sequence);
        sequence += part.count;
        rebuilt.appendRecords(part.records, part.count);
      }
      t.ok(rebuilt.finish().equals(rep));
    }),
    { numRuns: 100 },
  );
});

t.test('large values are pieces of their own, which are not copied, and together are the same batch', async (t) => {
  const values = [1, 65_535, 65_536, 3, 200_000, 65_536, 0].map((length, nth) => Buffer.alloc(length, nth + 1));
  const [pieces, whole] = [new BatchBuilder(), new BatchBuilder()];
  for (const batch of [pieces, whole]) {
    for (const [nth, value] of values.entries()) {
      batch.logData(bytes(`commit ${nth}`));
      batch.put(bytes(`large:${nth}`), value);
    }
  }
  const length = pieces.byteLength;
  const parts = pieces.finishPieces();
  const rep = whole.finish();
  t.equal(length, rep.length);
  t.ok(Buffer.concat(parts).equals(rep));
  for (const value of values) t.equal(parts.includes(value), value.length >= 65_536, `${value.length} bytes`);
  t.equal([...decodeBatch(rep)].length, 2 * values.length);

  pieces.put(bytes('after'), bytes('v'));
  t.equal(batchCount(pieces.finish()), 1, 'the builder starts over');
  t.ok(Buffer.concat(parts).equals(rep), 'and leaves alone what it gave away');
  pieces.put(bytes('dropped'), Buffer.alloc(100_000));
  pieces.reset();
  pieces.put(bytes('kept'), bytes('v'));
  t.match([...decodeBatch(pieces.finish())], [{ key: bytes('kept') }]);

  const db = await database(t);
  await db.write(parts);
  for (const [nth, value] of values.entries())
    t.ok((await db.get(bytes(`large:${nth}`)))?.equals(value), `value ${nth}`);
});

t.test('records ahead of the first log data are a part without any', (t) => {
  const batch = new BatchBuilder();
  batch.put(bytes('a'), bytes('1'));
  batch.logData(bytes('x'));
  batch.delete(bytes('a'));
  const parts = splitBatch(batch.finish());
  t.match(parts, [
    { logData: null, sequenceOffset: 0, count: 1 },
    { sequenceOffset: 1, count: 1 },
  ]);
  t.same(splitBatch(new BatchBuilder().finish()), []);
  t.end();
});

t.test('large parts cross every length that the encoding changes at', (t) => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const value = Buffer.alloc(length, 7);
    const batch = new BatchBuilder();
    batch.put(bytes('k'), value);
    t.same([...decodeBatch(batch.finish())], [{ kind: 'put', key: bytes('k'), value }], String(length));
  }
  t.end();
});

t.test('finish hands the bytes over, reset drops them', (t) => {
  const batch = new BatchBuilder();
  batch.put(bytes('a'), bytes('1'));
  t.equal(batch.count, 1);
  const first = batch.finish();
  const copy = Buffer.from(first);
  batch.put(bytes('b'), bytes('2'));
  t.ok(first.equals(copy));
  batch.reset();
  t.equal(batch.count, 0);
  t.equal(batch.byteLength, 12);
  t.ok(batch.finish().equals(Buffer.alloc(12)));
  t.end();
});

t.test('the reader refuses bytes that are no batch, and never reads past them', async (t) => {
  const rep = build([
    { kind: 'put', key: bytes('key'), value: bytes('value') },
    { kind: 'log-data', blob: bytes('mark') },
  ]);
  for (let length = 0; length < rep.length; length++) {
    const result = await failure(() => [...decodeBatch(rep.subarray(0, length))]);
    // Cut between two records, only the count can tell; log data does not count.
    const wholeWithoutLogData = length === rep.length - 6;
    t.equal(result.kind, wholeWithoutLogData ? null : 'corruption', `cut to ${length} bytes`);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (array) => {
      try {
        for (const _ of decodeBatch(Buffer.from(array)));
        splitBatch(Buffer.from(array));
      } catch (thrown) {
        t.match(thrown, { code: 'MISCONF', details: { kind: 'corruption' } });
      }
    }),
  );
});

async function readFrom(db: Database, sequence: number): Promise<WalBatch[]> {
  const reader = db.updatesSince(sequence);
  try {
    return await reader.next(1);
  } finally {
    await reader.close();
  }
}
