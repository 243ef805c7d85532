import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BatchBuilder, readCommit } from '../../src/engine/index.js';
import type { FramedCommits } from '../../src/engine/types.js';
import {
  anchor,
  EVERYTHING,
  frameAll,
  MARK,
  parseRecords,
  readerFrom,
  START_US,
  type TestCommit,
  TIMELINE,
  writeCommits,
  writeGroup,
} from './support/commits.js';
import { bytes, database, failure, put, reopen } from './support/databases.js';

const FOREVER = { walTtlSeconds: 'forever' } as const;

function lasts(framed: FramedCommits): number[] {
  return parseRecords(framed.records, framed.digestFrom).map((record) => record.lastSequence);
}

function times(framed: FramedCommits): number[] {
  return parseRecords(framed.records, framed.digestFrom).map((record) => record.timeUs - START_US);
}

t.test(
  'the commits of a write group are framed one by one, with times, sequences and the running digest',
  async (t) => {
    const db = await database(t, FOREVER);
    await writeGroup(db, [
      { timeUs: START_US, changes: [{ put: ['a', '1'] }, { put: ['b', ''] }] },
      { timeUs: START_US + 5, changes: [{ delete: 'a' }] },
      { timeUs: START_US + 9, changes: [{ deleteRange: ['b', 'c'] }, { put: ['state', 'x'] }] },
    ]);
    const reader = readerFrom(db, 0);
    const framed = await reader.next(1 << 20, EVERYTHING);
    const records = parseRecords(framed.records, anchor());
    t.same(lasts(framed), [2, 3, 5]);
    t.same(times(framed), [0, 5, 9]);
    t.match(framed, { count: 3, sequenceFrom: 0, sequenceTo: 5, firstTimeUs: START_US, lastTimeUs: START_US + 9 });
    t.same(framed.digestFrom, anchor());
    t.same(framed.digest, records[2]?.after);
    t.same(framed.index, [{ sequence: 1, timeUs: START_US, offset: 0, digest: anchor() }]);
    t.equal(records[2]?.bytes.subarray(28).toString('latin1'), '\x0f\x01b\x01c\x01\x05state\x01x', 'without the mark');
    const tail = await reader.next(1 << 20, EVERYTHING);
    t.match(tail, { count: 0, sequenceFrom: 5, sequenceTo: 5, firstTimeUs: 0, lastTimeUs: START_US + 9, index: [] });
    t.equal(tail.records.length, 0);
    t.same(tail.digest, framed.digest);
    await reader.close();
  },
);

t.test('a reader goes on at the tail, across log rolls, and its digest with it', async (t) => {
  const db = await database(t, FOREVER);
  const reader = readerFrom(db, 0);
  t.equal((await reader.next(1000, EVERYTHING)).count, 0);
  const parts: FramedCommits[] = [];
  for (let round = 0; round < 5; round++) {
    await writeCommits(db, round * 7, 7);
    if (round % 2 === 0) await db.flush();
    parts.push(await reader.next(1 << 20, EVERYTHING));
  }
  await reader.close();
  t.same(
    parts.map((part) => [part.sequenceFrom, part.sequenceTo]),
    [0, 1, 2, 3, 4].map((round) => [round * 7, round * 7 + 7]),
  );
  const again = readerFrom(db, 0);
  const whole = await frameAll(again);
  await again.close();
  t.same(Buffer.concat(parts.map((part) => part.records)), whole.records);
  t.same(parts[4]?.digest, whole.digest);
});

t.test('a commit is taken only when it ends at or before the limit, and is never cut', async (t) => {
  const db = await database(t, FOREVER);
  const two = (n: number): TestCommit => ({
    timeUs: START_US + n,
    changes: [{ put: ['a', '1'] }, { put: ['b', '2'] }],
  });
  await writeGroup(db, [two(0), two(1), two(2)]);
  const reader = readerFrom(db, 0);
  for (const [limit, expected] of [
    [1, []],
    [3, [2]],
    [3, []],
    [4, [4]],
    [EVERYTHING, [6]],
  ] as const) {
    t.same(lasts(await reader.next(1 << 20, limit)), expected, `up to ${limit}`);
  }
  await reader.close();
});

t.test('maxBytes bounds a call, but one commit is always taken', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 10, 10, 1000);
  const reader = readerFrom(db, 0);
  t.same(lasts(await reader.next(1, EVERYTHING)), [1]);
  const some = await reader.next(3500, EVERYTHING);
  t.same(lasts(some), [2, 3, 4]);
  t.ok(some.records.length <= 3500);
  await reader.close();
});

t.test('reading begins at any commit, also within a write group, and nowhere else', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 6, 6);
  await put(db, { x: '1', y: '2', z: '3' });
  for (let sequence = 0; sequence <= 6; sequence++) {
    const reader = readerFrom(db, sequence);
    const first = parseRecords((await reader.next(1, EVERYTHING)).records, anchor())[0];
    t.equal(first?.sequence, sequence + 1);
    await reader.close();
  }
  for (const sequence of [7, 8]) {
    const reader = readerFrom(db, sequence);
    for (let attempt = 0; attempt < 2; attempt++) {
      t.match(await failure(() => reader.next(1000, EVERYTHING)), {
        code: 'MISCONF',
        kind: 'invalid',
        message: /sequence [78] is inside the commit from 7 to 9/,
      });
    }
    await reader.close();
  }
  const reader = readerFrom(db, 9);
  t.equal((await reader.next(1000, EVERYTHING)).count, 0);
  await reader.close();
});

t.test(
  'a foreign write has the time of the commit before it; a mark with nothing behind it is no commit',
  async (t) => {
    const db = await database(t, FOREVER);
    await put(db, { foreign: '1' });
    await writeGroup(db, [
      { timeUs: START_US + 10, changes: [{ put: ['a', '1'] }] },
      { timeUs: START_US + 11, changes: [] },
      { timeUs: START_US + 12, changes: [{ put: ['b', '1'] }] },
    ]);
    await put(db, { foreign: '2', more: '3' });
    await writeGroup(db, [
      { timeUs: null, changes: [{ put: ['c', '1'] }] },
      { timeUs: START_US + 20, changes: [{ put: ['d', '1'] }] },
    ]);
    const reader = readerFrom(db, 0, { lastTimeUs: START_US + 7 });
    const framed = await frameAll(reader);
    await reader.close();
    t.same(times(framed), [7, 10, 12, 12, 12, 20]);
    t.same(lasts(framed), [1, 2, 3, 5, 6, 7]);
  },
);

t.test('log data that is no mark belongs to the commit that it is in', async (t) => {
  const db = await database(t, FOREVER);
  const batch = new BatchBuilder();
  batch.logData(bytes('not a mark'));
  batch.put(bytes('a'), bytes('1'));
  batch.logData(Buffer.concat([MARK.prefix, bytes('too long to be a mark')]));
  batch.put(bytes('b'), bytes('2'));
  await db.write(batch.finish());
  const reader = readerFrom(db, 0);
  t.same(lasts(await frameAll(reader)), [2]);
  await reader.close();
});

t.test('marks of an earlier timeline are taken, one of a later timeline is an error', async (t) => {
  const db = await database(t, FOREVER);
  const one = { timeUs: START_US, changes: [{ put: ['a', '1'] as [string, string] }] };
  await writeGroup(db, [one], TIMELINE - 1);
  await writeGroup(db, [one], TIMELINE);
  await writeGroup(db, [one], TIMELINE + 1);
  const reader = readerFrom(db, 0);
  t.same(lasts(await reader.next(1 << 20, EVERYTHING)), [1, 2]);
  t.match(await failure(() => reader.next(1 << 20, EVERYTHING)), {
    kind: 'invalid',
    message: /sequence 3 belongs to timeline 4, not 3/,
  });
  await reader.close();
});

t.test('a time that falls is an error: no segment may hold it', async (t) => {
  const db = await database(t, FOREVER);
  for (const timeUs of [START_US, START_US, START_US - 1]) {
    await writeGroup(db, [{ timeUs, changes: [{ put: ['a', '1'] }] }]);
  }
  const reader = readerFrom(db, 0);
  t.same(lasts(await reader.next(1 << 20, EVERYTHING)), [1, 2]);
  t.match(await failure(() => reader.next(1 << 20, EVERYTHING)), { kind: 'invalid', message: /sequence 3 has time/ });
  await reader.close();
});

t.test('the index has the first record of every 64 KiB, over several calls as over one', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 300, 20, 1000);
  await writeCommits(db, 300, 2, 1, 200_000);
  await writeCommits(db, 302, 100, 20, 1000);
  const expected: unknown[] = [];
  const whole = readerFrom(db, 0);
  const framed = await frameAll(whole, 1 << 30);
  await whole.close();
  let window = -1;
  for (const record of parseRecords(framed.records, anchor())) {
    if (Math.floor(record.offset / 65536) <= window) continue;
    window = Math.floor(record.offset / 65536);
    expected.push({ sequence: record.sequence, timeUs: record.timeUs, offset: record.offset, digest: record.before });
  }
  t.ok(expected.length > 7);
  t.same(framed.index, expected);
  for (const maxBytes of [1, 10_000, 70_000]) {
    const reader = readerFrom(db, 0);
    const joined = await frameAll(reader, maxBytes);
    await reader.close();
    t.same(joined.records, framed.records);
    t.same(joined.index, expected, `calls of ${maxBytes}`);
  }
});

t.test('commits whose log is gone are WALGAP, after what lies before was delivered', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 5, 1);
  const reader = readerFrom(db, 0);
  await db.flush();
  await put(db, { lost: '1' }, { disableWal: true });
  await writeCommits(db, 5, 5, 1);
  t.same(lasts(await reader.next(1 << 20, EVERYTHING)), [1, 2, 3, 4, 5]);
  for (let attempt = 0; attempt < 2; attempt++) {
    t.match(await failure(() => reader.next(1000, EVERYTHING)), {
      code: 'WALGAP',
      kind: 'gap',
      message: /from sequence 6 /,
    });
  }
  await reader.close();
  for (const name of readdirSync(join(db.path, 'archive'))) unlinkSync(join(db.path, 'archive', name));
  const late = readerFrom(db, 2);
  t.match(await failure(() => late.next(1000, EVERYTHING)), { code: 'WALGAP', message: /from sequence 3 up to 6/ });
  await late.close();
});

t.test('a flipped byte in a log is corruption, named by file and offset', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 50, 1, 100);
  await db.flush();
  const name = readdirSync(join(db.path, 'archive')).find((file) => file.endsWith('.log')) as string;
  const path = join(db.path, 'archive', name);
  const log = readFileSync(path);
  const at = log.indexOf('key-20');
  log[at] = (log[at] as number) ^ 1;
  writeFileSync(path, log);
  const reader = readerFrom(db, 0);
  t.equal((await reader.next(1 << 20, EVERYTHING)).sequenceTo, 20, 'what is before it is delivered');
  t.match(await failure(() => reader.next(1 << 20, EVERYTHING)), { code: 'MISCONF', kind: 'corruption' });
  await reader.close();
  t.match(await failure(() => readCommit(db, 21, MARK)), { code: 'MISCONF', kind: 'corruption' });
});

t.test('a reader keeps up with a writer and log rolls that go on meanwhile', async (t) => {
  const db = await database(t, FOREVER);
  const reader = readerFrom(db, 0);
  const parts: FramedCommits[] = [];
  let writing = true;
  const writer = (async () => {
    for (let n = 0; n < 3000; n += 6) {
      await writeCommits(db, n, 6, 3);
      if (n % 600 === 0) await db.flush();
    }
    writing = false;
  })();
  while (writing) parts.push(await reader.next(2000, db.latestSequence()));
  await writer;
  parts.push(await frameAll(reader));
  await reader.close();
  const records = parseRecords(Buffer.concat(parts.map((part) => part.records)), anchor());
  t.equal(records.length, 3000);
  t.ok(records.every((record, i) => record.sequence === i + 1 && record.timeUs === START_US + i));
  t.same(parts.at(-1)?.digest, records.at(-1)?.after);
});

t.test('a close while commits are read waits for the read, and then the reader answers closed', async (t) => {
  const db = await database(t, FOREVER);
  for (let i = 0; i < 10; i++) await writeCommits(db, i * 1000, 1000, 1000, 200);
  const reader = readerFrom(db, 0);
  const idle = readerFrom(db, 0);
  await idle.next(1, EVERYTHING);
  const reading = reader.next(1 << 30, EVERYTHING);
  t.match(await failure(() => reader.next(1, EVERYTHING)), { kind: 'busy' });
  await db.close();
  const framed = await reading;
  t.ok(parseRecords(framed.records, anchor()).length === framed.count);
  for (const one of [reader, idle]) {
    t.match(await failure(() => one.next(1, EVERYTHING)), { code: 'MISCONF', kind: 'closed' });
    await one.close();
  }
  t.match(await failure(() => readerFrom(db, 0)), { code: 'MISCONF', kind: 'closed' });
});

t.test('the reader closes itself after a next() that runs', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 10);
  const reader = readerFrom(db, 0);
  const reading = reader.next(1 << 20, EVERYTHING);
  await reader.close();
  t.equal((await reading).count, 10);
  t.match(await failure(() => reader.next(1, EVERYTHING)), { kind: 'closed' });
});

t.test('readCommit gives the record that was framed, from live and archived logs, and after a restart', async (t) => {
  const db = await database(t, FOREVER);
  await writeCommits(db, 0, 10);
  await db.flush();
  await writeCommits(db, 10, 5);
  await put(db, { foreign: '1', more: '2' });
  const reader = readerFrom(db, 0);
  const records = parseRecords((await frameAll(reader)).records, anchor());
  await db.close();
  const again = await reopen(t, db.path, FOREVER);
  for (const record of records) {
    const { lastSequence, timeUs } = record;
    t.same(await readCommit(again, lastSequence, MARK, { unmarkedTimeUs: timeUs }), record.bytes);
  }
  t.match(await failure(() => readCommit(again, 16, MARK)), { kind: 'invalid', message: /inside the commit/ });
  t.equal(await readCommit(again, 18, MARK), null, 'the database ends before it');
  t.equal(await readCommit(again, 1000, MARK), null);
  for (const name of readdirSync(join(db.path, 'archive'))) unlinkSync(join(db.path, 'archive', name));
  await again.close();
  const later = await reopen(t, db.path, FOREVER);
  t.equal(await readCommit(later, 5, MARK), null, 'the logs are gone');
});

t.test('what cannot be a digest, a mark or a database of the engine is refused at once', async (t) => {
  const db = await database(t, FOREVER);
  t.throws(() => readerFrom(db, 0, { digest: Buffer.alloc(31) }), TypeError);
  t.throws(() => readerFrom(db, 0, { mark: { ...MARK, timeOffset: 7 } }), TypeError);
  await t.rejects(readCommit({} as never, 1, MARK), TypeError);
});
