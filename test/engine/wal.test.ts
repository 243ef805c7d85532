import { readdirSync, readFileSync, renameSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BatchBuilder, splitBatch } from '../../src/engine/index.js';
import type { WalBatch, WalReader } from '../../src/engine/types.js';
import { bytes, commits, database, failure, put, reopen, scan } from './support/databases.js';

const FOREVER = { walTtlSeconds: 'forever' } as const;

async function drain(reader: WalReader, maxBytes = 1 << 20): Promise<WalBatch[]> {
  const all: WalBatch[] = [];
  for (let some = await reader.next(maxBytes); some.length > 0; some = await reader.next(maxBytes)) all.push(...some);
  return all;
}

function marks(batches: WalBatch[]): string[] {
  return batches.flatMap((batch) => splitBatch(batch.rep).map((part) => String(part.logData)));
}

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `mark-${from + i}`);
}

t.test('a reader gives every batch once, in order, and goes on at the tail, across log rolls', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 10);
  const reader = db.updatesSince(1);
  t.same(marks(await drain(reader)), numbered(0, 10));
  t.same(await reader.next(1000), [], 'the tail');
  await commits(db, 10, 5);
  t.same(marks(await drain(reader)), numbered(10, 15), 'the same reader goes on');
  await db.flush();
  t.same(await reader.next(1000), [], 'the tail, after a log roll');
  await commits(db, 15, 5);
  await db.flush();
  await commits(db, 20, 5);
  t.same(marks(await drain(reader)), numbered(15, 25), 'two log rolls further');
  await db.flush();
  await db.flush();
  t.same(await drain(reader), []);
  await commits(db, 25, 1);
  t.same(marks(await drain(reader)), ['mark-25']);
  await reader.close();
});

t.test('a reader keeps up with a writer and log rolls that go on meanwhile', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 1);
  const reader = db.updatesSince(1);
  const seen: WalBatch[] = [];
  let writing = true;
  const writer = (async () => {
    for (let n = 1; n < 2000; n++) {
      await commits(db, n, 1);
      if (n % 250 === 0) await db.flush();
    }
    writing = false;
  })();
  while (writing) seen.push(...(await reader.next(2000)));
  await writer;
  seen.push(...(await drain(reader)));
  await reader.close();
  t.same(marks(seen), numbered(0, 2000));
  const expected = seen.map((_, i) => 1 + seen.slice(0, i).reduce((sum, batch) => sum + batch.count, 0));
  t.same(
    seen.map((batch) => batch.sequence),
    expected,
    'sequences follow each other',
  );
});

t.test('maxBytes bounds what one call gives', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 20, 1000);
  const reader = db.updatesSince(1);
  t.equal((await reader.next(1)).length, 1);
  t.equal((await reader.next(5000)).length, 5);
  t.equal((await drain(reader)).length, 14);
  await reader.close();
});

t.test('the first batch is the one that holds the sequence, whole', async (t) => {
  const db = await database(t, FOREVER);
  await put(db, { a: '1', b: '2', c: '3' });
  await put(db, { d: '4' });
  for (const [from, first] of [
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 4],
  ] as const) {
    const reader = db.updatesSince(from);
    t.equal((await reader.next(1))[0]?.sequence, first, `from ${from}`);
    await reader.close();
  }
});

t.test('a reader at the sequence to come waits for it; one beyond is a gap', async (t) => {
  const db = await database(t, FOREVER);
  const reader = db.updatesSince(1);
  t.same(await reader.next(1000), []);
  await commits(db, 0, 1);
  t.equal((await reader.next(1000)).length, 1);
  await reader.close();
  const beyond = db.updatesSince(5);
  const error = await failure(() => beyond.next(1000));
  t.match(error, { code: 'WALGAP', message: /sequence 5 .*ends at sequence 1/ });
  await beyond.close();
});

t.test('commits whose log is gone are WALGAP, naming both ends', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 5);
  await db.flush();
  await commits(db, 5, 5);
  const archive = join(db.path, 'archive');
  for (const name of readdirSync(archive)) unlinkSync(join(archive, name));
  const reader = db.updatesSince(3);
  t.match(await failure(() => reader.next(1000)), {
    code: 'WALGAP',
    kind: 'gap',
    message: /from sequence 3 up to 5 .* 6/,
  });
  await reader.close();
  const later = db.updatesSince(6);
  t.same(marks(await drain(later)), numbered(5, 10));
  await later.close();
});

t.test('logs that cannot be looked at are no gap: they are read when they are back', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 5);
  await db.flush();
  await commits(db, 5, 5);
  renameSync(db.path, `${db.path}.away`);
  const reader = db.updatesSince(3);
  const error = await failure(() => reader.next(1000));
  t.match(error, { code: 'MISCONF', kind: 'storage', message: /the logs of .* cannot be read: ENOENT/ });
  renameSync(`${db.path}.away`, db.path);
  t.same(marks(await drain(reader)), numbered(2, 10));
  await reader.close();
});

t.test('without an archive a flush takes the log away: WALGAP, not silence', async (t) => {
  const db = await database(t);
  await commits(db, 0, 5);
  await db.flush();
  const reader = db.updatesSince(2);
  t.match(await failure(() => reader.next(1000)), { code: 'WALGAP', message: /sequence 2/ });
  await reader.close();
});

t.test('writes that skipped the WAL are a gap for the reader that meets them', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 3);
  await put(db, { x: '1', y: '2' }, { disableWal: true });
  await commits(db, 3, 3);
  const reader = db.updatesSince(1);
  t.same(marks(await reader.next(1 << 20)), numbered(0, 3), 'what is before the gap is delivered');
  t.match(await failure(() => reader.next(1000)), { code: 'WALGAP', message: /from sequence 4 / });
  await reader.close();
});

t.test('a flipped byte in a log is corruption, named by file and offset, and not a gap', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 50, 100);
  await db.flush();
  const name = readdirSync(join(db.path, 'archive')).find((file) => file.endsWith('.log')) as string;
  const path = join(db.path, 'archive', name);
  const log = readFileSync(path);
  const at = log.indexOf('mark-20');
  log[at] = (log[at] as number) ^ 1;
  writeFileSync(path, log);
  const reader = db.updatesSince(1);
  const read = await reader.next(1 << 20);
  t.same(marks(read), numbered(0, 20), 'everything before it is delivered');
  const error = await failure(() => reader.next(1 << 20));
  t.match(error, { code: 'MISCONF', kind: 'corruption' });
  t.ok(error.message.includes(path));
  t.match(error.message, /from sequence 21 .* offset \d+/);
  await reader.close();
});

t.test('log data alone is invisible at the tail until a real write follows', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 1);
  const reader = db.updatesSince(1);
  await drain(reader);
  const tag = new BatchBuilder();
  tag.logData(bytes('tag'));
  await db.write(tag.finish());
  t.same(await reader.next(1000), []);
  await commits(db, 1, 1);
  t.ok(marks(await drain(reader)).includes('mark-1'));
  await reader.close();
});

t.test('log data survives write groups that RocksDB merges, and re-applies with exact sequences', async (t) => {
  const db = await database(t, FOREVER);
  const writes: Promise<void>[] = [];
  for (let n = 0; n < 1000; n++) {
    const batch = new BatchBuilder();
    batch.logData(bytes(`mark-${n}`));
    batch.put(bytes(`key-${n % 97}`), bytes(`value-${n}`));
    batch.delete(bytes(`key-${(n + 5) % 97}`));
    writes.push(db.write(batch.finish()));
  }
  await Promise.all(writes);
  const reader = db.updatesSince(1);
  const batches = await drain(reader);
  await reader.close();
  const target = await database(t);
  const seen = new Set<string>();
  for (const batch of batches) {
    for (const part of splitBatch(batch.rep)) {
      t.equal(target.latestSequence() + 1, batch.sequence + part.sequenceOffset);
      seen.add(String(part.logData));
      const rebuilt = new BatchBuilder();
      rebuilt.appendRecords(part.records, part.count);
      await target.write(rebuilt.finish(), { disableWal: true });
    }
  }
  t.equal(seen.size, 1000);
  t.equal(target.latestSequence(), db.latestSequence());
  t.same(await scan(target), await scan(db));
});

t.test('archived logs stay, also when they are dated in the future, over a restart', async (t) => {
  const db = await database(t, FOREVER);
  await commits(db, 0, 5);
  await db.flush();
  const archive = join(db.path, 'archive');
  for (const name of readdirSync(archive)) utimesSync(join(archive, name), 4e9, 4e9);
  await db.close();
  const again = await reopen(t, db.path, FOREVER);
  await commits(again, 5, 5);
  await again.flush();
  const reader = again.updatesSince(1);
  t.same(marks(await drain(reader)), numbered(0, 10));
  await reader.close();
});
