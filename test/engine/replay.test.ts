import { cpSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { BatchBuilder, replayProven, replayRecords, verifyRecords } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { frameRecord } from '../../src/format/segment.js';
import { scratch } from '../support/scratch.js';
import {
  anchor,
  type Change,
  frameAll,
  parseRecords,
  readerFrom,
  START_US,
  type TestCommit,
  type TestRecord,
  TIMELINE,
  writeCommits,
  writeGroup,
} from './support/commits.js';
import { bytes, database, failure, put, reopen, scan } from './support/databases.js';

const FOREVER = { walTtlSeconds: 'forever' } as const;

/** A database's content, commit by commit, without RocksDB. */
class Model {
  readonly content = new Map<string, string>();

  apply(changes: Change[]): void {
    for (const change of changes) {
      if ('put' in change) this.content.set(change.put[0], change.put[1]);
      else if ('delete' in change) this.content.delete(change.delete);
      else {
        const [from, to] = change.deleteRange;
        for (const key of [...this.content.keys()]) if (key >= from && key < to) this.content.delete(key);
      }
    }
  }

  get entries(): [string, string][] {
    return [...this.content].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

const key = fc.constantFrom('a', 'b', 'ba', 'c', 'd', 'e', 'state');
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ put: fc.tuple(key, fc.string({ maxLength: 40, unit: 'grapheme-ascii' })) }) },
  { weight: 2, arbitrary: fc.record({ delete: key }) },
  {
    weight: 1,
    arbitrary: fc.tuple(key, key).map(([a, b]): Change => ({ deleteRange: a < b ? [a, b] : [b, `${a}+`] })),
  },
);
const changes = fc.array(change, { minLength: 1, maxLength: 5 });
/** A write group, and whether a flush (a log roll) follows. */
const group = fc.record({
  foreign: fc.boolean(),
  commits: fc.array(changes, { minLength: 1, maxLength: 4 }),
  flush: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
});

async function framedFrom(db: Database, sequence: number, digest = anchor(TIMELINE, sequence)) {
  const reader = readerFrom(db, sequence, { digest });
  const framed = await frameAll(reader);
  await reader.close();
  return framed;
}

t.test('replayed on a copy of its base, any history gives the same content, sequence and digest', async (t) => {
  const history = fc.record({
    base: fc.array(group, { maxLength: 4 }),
    delta: fc.array(group, { minLength: 1, maxLength: 8 }),
    batchBytes: fc.constantFrom(1, 60, 1 << 20),
    load: fc.boolean(),
    flushThreads: fc.constantFrom(1, 2),
    stop: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ base, delta, batchBytes, load, flushThreads, stop }) => {
      const db = await database(t, FOREVER);
      const model = new Model();
      const states: [string, string][][] = [];
      let timeUs = START_US;
      const write = async ({ foreign, commits, flush }: { foreign: boolean; commits: Change[][]; flush: boolean }) => {
        const marked = commits.map((some, i): TestCommit => {
          timeUs += 1 + (timeUs % 3);
          return { timeUs: foreign && i === 0 ? null : timeUs, changes: some };
        });
        await writeGroup(db, marked);
        for (const some of commits) {
          model.apply(some);
          states.push(model.entries);
        }
        if (flush) await db.flush();
      };
      for (const one of base) await write(one);
      const from = db.latestSequence();
      const copy = join(scratch(t), 'copy');
      await db.checkpoint(copy);
      const before = states.length === 0 ? [] : (states.at(-1) as [string, string][]);
      states.length = 0;
      for (const one of delta) await write(one);
      const framed = await framedFrom(db, from);
      t.equal(framed.count, states.length);
      t.equal(framed.sequenceTo, db.latestSequence());

      const at = stop % (states.length + 1);
      const records = parseRecords(framed.records, framed.digestFrom);
      const stopAfterSequence = at === 0 ? from : (records[at - 1] as TestRecord).lastSequence;
      const target = await reopen(t, copy, { load, flushThreads });
      const range = { timeline: TIMELINE, digest: framed.digestFrom, expectedSequence: from };
      const half = await replayRecords(target, framed.records, { ...range, stopAfterSequence, batchBytes });
      t.match(half, { commits: at, sequence: stopAfterSequence });
      t.equal(target.latestSequence(), stopAfterSequence);
      t.same(await scan(target), at === 0 ? before : states[at - 1], 'at the stop');
      const rest = { ...range, from: half.offset, digest: half.digest, expectedSequence: half.sequence };
      const done = await replayRecords(target, framed.records, { ...rest, batchBytes, expectedDigest: framed.digest });
      t.match(done, { commits: states.length - at, sequence: framed.sequenceTo, offset: framed.records.length });
      t.same(done.digest, framed.digest);
      t.same(await scan(target), await scan(db));
      await target.flush();
      await target.close();
      const again = await reopen(t, copy);
      t.equal(again.latestSequence(), db.latestSequence(), 'the sequence, after a restart');
      t.same(await scan(again), states.at(-1));
      await again.close();
      await db.close();
    }),
    { numRuns: 40 },
  );
});

t.test('opened for loading, a database takes many memtables of changes', async (t) => {
  const db = await database(t, FOREVER);
  for (let round = 0; round < 8; round++) {
    const batch = new BatchBuilder();
    for (let i = 0; i < 2000; i++) batch.put(bytes(`key-${(i * 7919) % 3001}`), Buffer.alloc(100, round));
    batch.deleteRange(bytes(`key-${round}`), bytes(`key-${round}9`));
    batch.delete(bytes('key-2000'));
    await db.write(batch.finish());
  }
  const framed = await framedFrom(db, 0);
  for (const flushThreads of [1, 2, 3]) {
    const target = await database(t, { load: true, writeBufferBytes: 64 << 10, flushThreads });
    const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0, expectedDigest: framed.digest };
    t.match(await replayRecords(target, framed.records, { ...range, batchBytes: 1 << 16 }), { commits: 8 });
    await target.flush();
    await target.close();
    const again = await reopen(t, target.path);
    t.equal(again.latestSequence(), db.latestSequence());
    t.same(await scan(again), await scan(db));
    await again.close();
  }
});

t.test(
  'bytes that are proven otherwise are applied alike without the running digest, and each record is checked',
  async (t) => {
    const db = await database(t, FOREVER);
    for (let n = 0; n < 40; n++) {
      await writeGroup(db, [{ timeUs: START_US + n, changes: [{ put: [`k${n}`, `${n}`] }] as Change[] }]);
    }
    const framed = await framedFrom(db, 0);
    const range = { timeline: TIMELINE, expectedSequence: 0 };
    const target = await database(t, { load: true });
    const progress = await replayProven(target, framed.records, range);
    t.match(progress, { commits: 40, sequence: framed.sequenceTo, offset: framed.records.length });
    await target.flush();
    t.same(await scan(target), await scan(db));
    const damaged = Buffer.from(framed.records);
    damaged[damaged.length - 1] = ~(damaged.at(-1) as number) & 0xff;
    const other = await database(t, { load: true });
    await t.rejects(replayProven(other, damaged, range), { code: 'BACKUPCORRUPT', details: { reason: 'crc32c' } });
  },
);

t.test('of many batches, those before a record that is wrong are applied, and none behind it', async (t) => {
  const db = await database(t, FOREVER);
  for (let n = 0; n < 40; n++) {
    await writeGroup(db, [{ timeUs: START_US + n, changes: [{ put: [`k${n}`, `${n}`] }] as Change[] }]);
  }
  const framed = await framedFrom(db, 0);
  const records = parseRecords(framed.records, anchor());
  for (const wrong of [0, 1, 20, 39]) {
    const damaged = Buffer.from(framed.records);
    const { offset, lastSequence } = records[wrong] as TestRecord;
    damaged.writeUInt8((damaged[offset + 30] as number) ^ 1, offset + 30);
    const target = await database(t, { load: true });
    const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0, batchBytes: 1 };
    await t.rejects(replayRecords(target, damaged, range), { code: 'BACKUPCORRUPT', details: { offset } });
    t.ok(target.latestSequence() < lastSequence, `nothing of record ${wrong}`);
    await target.close();
  }
});

t.test('a replay stops at every commit and every time, with the digest of that moment', async (t) => {
  const db = await database(t, FOREVER);
  for (let n = 0; n < 12; n += 3) {
    await writeGroup(
      db,
      [0, 1, 2].map((i) => ({
        timeUs: START_US + 10 * (n + i),
        changes: [{ put: ['a', `${n + i}`] }, { put: [`b${n + i}`, ''] }] as Change[],
      })),
    );
  }
  const framed = await framedFrom(db, 0);
  const records = parseRecords(framed.records, anchor());
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0 };
  for (const [i, record] of records.entries()) {
    const stops = [
      { stopAfterSequence: record.lastSequence },
      { stopAfterSequence: record.lastSequence + 1 },
      { stopAfterTimeUs: record.timeUs },
      { stopAfterTimeUs: record.timeUs + 9 },
      { stopAfterTimeUs: record.timeUs + 9, stopAfterSequence: record.lastSequence + 6 },
    ];
    for (const stop of stops) {
      const target = await database(t);
      const progress = await replayRecords(target, framed.records, { ...range, ...stop });
      t.match(progress, { commits: i + 1, sequence: record.lastSequence, lastTimeUs: record.timeUs });
      t.equal(progress.offset, record.offset + record.bytes.length);
      t.same(progress.digest, record.after);
      t.equal(target.latestSequence(), record.lastSequence);
      t.equal(String(await target.get(bytes('a'))), String(i));
      await target.close();
    }
  }
  const none = await verifyRecords(framed.records, { ...range, stopAfterTimeUs: START_US - 1 });
  t.match(none, { commits: 0, sequence: 0, lastTimeUs: 0, offset: 0, bytes: 0 });
  t.same(none.digest, anchor());
});

t.test('what lies behind the commit to stop at may be damaged', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 10);
  const framed = await framedFrom(db, 0);
  const fifth = parseRecords(framed.records, anchor())[5] as TestRecord;
  const damaged = Buffer.concat([framed.records.subarray(0, fifth.offset), Buffer.alloc(40, 0xff)]);
  const target = await database(t);
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0 };
  t.match(await replayRecords(target, damaged, { ...range, stopAfterSequence: 5 }), { commits: 5, sequence: 5 });
});

t.test('a flipped bit anywhere in the records is found, and says where', async (t) => {
  const db = await database(t, FOREVER);
  await writeGroup(db, [
    { timeUs: START_US, changes: [{ put: ['a', '1'] }, { delete: 'b' }] },
    { timeUs: START_US + 1, changes: [{ deleteRange: ['a', 'c'] }] },
    { timeUs: START_US + 2, changes: [{ put: ['c', ''] }] },
  ]);
  const framed = await framedFrom(db, 0);
  const records = parseRecords(framed.records, anchor());
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0, expectedDigest: framed.digest };
  await verifyRecords(framed.records, range);
  for (let bit = 0; bit < framed.records.length * 8; bit++) {
    const damaged = Buffer.from(framed.records);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    const error = await verifyRecords(damaged, range).then(
      () => null,
      (thrown) => thrown,
    );
    const record = records.findLast(({ offset }) => offset <= bit >> 3) as TestRecord;
    t.match(error, { code: 'BACKUPCORRUPT', details: { kind: 'corruption', offset: record.offset } }, `bit ${bit}`);
  }
});

t.test('records that are cut short, missing, doubled or of another chain are found', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 6);
  const { records: area, digest } = await framedFrom(db, 0);
  const records = parseRecords(area, anchor());
  const part = (from: number, to: number) => area.subarray(records[from]?.offset, records[to]?.offset ?? area.length);
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0, expectedDigest: digest };
  const body = (records[1] as TestRecord).bytes.subarray(28);
  const cases: [string, Buffer, object, object][] = [
    ['header', area.subarray(0, area.length - (records[5]?.bytes.length ?? 0) + 5), {}, { expected: 28, actual: 5 }],
    ['length', area.subarray(0, area.length - 1), {}, {}],
    ['sequence', Buffer.concat([part(0, 2), part(3, 6)]), {}, { expected: 3, actual: 4 }],
    ['sequence', Buffer.concat([part(0, 2), part(1, 6)]), {}, { expected: 3, actual: 2 }],
    ['time', Buffer.concat([part(0, 1), frameRecord({ sequence: 2, timeUs: 1, count: 1, body })]), {}, { actual: 1 }],
    ['sequence', area, { expectedSequence: 5 }, { expected: 6, actual: 1 }],
    ['digest', part(0, 5), {}, {}],
    ['digest', area, { digest: anchor(TIMELINE, 1) }, {}],
    ['digest', area, { timeline: TIMELINE + 1 }, { offset: area.length }],
  ];
  for (const [reason, damaged, other, details] of cases) {
    await t.rejects(verifyRecords(damaged, { ...range, ...other }), {
      code: 'BACKUPCORRUPT',
      details: { reason, ...details },
    });
  }
  const inside = Buffer.concat([Buffer.alloc(160), area, Buffer.alloc(99)]);
  const verified = await verifyRecords(inside, { ...range, from: 160, to: 160 + area.length });
  t.match(verified, { commits: 6, offset: 160 + area.length });
  await t.rejects(verifyRecords(area, { ...range, to: area.length + 1 }), TypeError);
});

t.test('a body that RocksDB would not take is refused before it reaches the database', async (t) => {
  const db = await database(t, FOREVER);
  await put(db, { a: '1' });
  const { records } = await framedFrom(db, 0);
  const body = records.subarray(28);
  const bodies: [string, number, Buffer][] = [
    ['body', 1, Buffer.concat([body, bytes('\x07\x01a')])],
    ['body', 1, body.subarray(0, -1)],
    ['body', 1, Buffer.from([1, 0xff, 0xff, 0xff, 0xff, 0xff, 1])],
    ['body', 1, bytes('\x0f\x01a\x01a')],
    ['count', 2, body],
    ['count', 1, Buffer.concat([body, body])],
    ['count', 1, Buffer.alloc(0)],
  ];
  for (const [reason, count, wrong] of bodies) {
    const target = await database(t);
    const area = frameRecord({ sequence: 1, timeUs: 1, count, body: wrong });
    const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0 };
    await t.rejects(replayRecords(target, area, range), { code: 'BACKUPCORRUPT', details: { reason, offset: 0 } });
    t.equal(target.latestSequence(), 0);
  }
});

t.test('a database that does not stand where the records begin is not touched', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 6);
  const { records } = await framedFrom(db, 0);
  const target = await database(t);
  await put(target, { already: 'here' });
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0 };
  t.match(await failure(() => replayRecords(target, records, range)), {
    code: 'MISCONF',
    kind: 'sequence',
    message: /is at sequence 1, and should be at 0/,
  });
  t.same(await scan(target), [['already', 'here']]);
});

t.test('a close during a replay ends it between two batches; the next call answers closed', async (t) => {
  const db = await database(t, FOREVER);
  for (let i = 0; i < 20; i++) await writeCommits(db, i * 1000, 1000, 1000, 200);
  const { records } = await framedFrom(db, 0);
  const target = await database(t);
  const range = { timeline: TIMELINE, digest: anchor(), expectedSequence: 0 };
  const replaying = failure(() => replayRecords(target, records, { ...range, batchBytes: 1000 }));
  await target.close();
  t.match(await replaying, { code: 'MISCONF', kind: 'closed' });
  t.match(await failure(() => replayRecords(target, records, range)), { code: 'MISCONF', kind: 'closed' });
});

t.test('a foreign database, copied with its content, takes what was written to it since', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 10);
  await db.flush();
  await db.close();
  const copy = join(scratch(t), 'copy');
  cpSync(db.path, copy, { recursive: true });
  const live = await reopen(t, db.path, FOREVER);
  const batch = new BatchBuilder();
  for (let i = 0; i < 1000; i++) batch.put(bytes(`bulk-${i}`), Buffer.alloc(100));
  await live.write(batch.finish());
  const framed = await framedFrom(live, 10);
  t.match(framed, { count: 1, sequenceFrom: 10, sequenceTo: 1010 });
  const target = await reopen(t, copy, { load: true });
  const range = { timeline: TIMELINE, digest: framed.digestFrom, expectedSequence: 10 };
  await replayRecords(target, framed.records, range);
  await target.flush();
  await target.close();
  t.same(await scan(await reopen(t, copy)), await scan(live));
});
