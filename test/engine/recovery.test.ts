import { appendFileSync, cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openDatabase, scanLog, splitBatch } from '../../src/engine/index.js';
import type { Database } from '../../src/engine/types.js';
import { bytes, commits, database, failure, put, reopen, scan } from './support/databases.js';

/** The logs of a closed database, oldest first, with their bytes. */
function logs(path: string): { path: string; content: Buffer }[] {
  return readdirSync(path)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => ({ path: join(path, name), content: readFileSync(join(path, name)) }));
}

/** What a kill leaves: the files as they are, copied under the open database. */
async function killed(t: Parameters<typeof database>[0], fill: (db: Database) => Promise<void>): Promise<string> {
  const db = await database(t);
  await fill(db);
  const copy = `${db.path}-killed`;
  await db.disableFileDeletions();
  cpSync(db.path, copy, { recursive: true });
  return copy;
}

function lastLog(path: string): { path: string; content: Buffer } {
  const last = logs(path).at(-1);
  if (last === undefined) throw new Error(`no log in ${path}`);
  return last;
}

t.test('a kill loses nothing that was written', async (t) => {
  const path = await killed(t, (db) => commits(db, 0, 100));
  const db = await reopen(t, path);
  t.equal(db.tornTail, null);
  t.equal((await scan(db)).length, 100);
  t.equal(db.latestSequence(), 100);
});

t.test('a log cut at any byte opens with every commit that is whole, and says where it was torn', async (t) => {
  const path = await killed(t, (db) => commits(db, 0, 6, 20));
  const log = lastLog(path);
  const ends: number[] = [];
  for (let at = 0, i = 0; i < 6; i++) {
    at += 7 + log.content.readUInt16LE(at + 4);
    ends.push(at);
  }
  t.equal(ends.at(-1), log.content.length);
  for (let length = 1; length < log.content.length; length += 7) {
    const copy = `${path}-${length}`;
    cpSync(path, copy, { recursive: true });
    truncateSync(join(copy, log.path.slice(path.length + 1)), length);
    const whole = ends.filter((end) => end <= length).length;
    const db = await openDatabase(copy);
    t.equal(db.latestSequence(), whole, `cut to ${length} bytes`);
    if (!ends.includes(length)) {
      const offset = ends[whole - 1] ?? 0;
      t.match(db.tornTail, { offset, droppedBytes: length - offset });
    } else {
      t.equal(db.tornTail, null);
    }
    await db.close();
    const again = await openDatabase(copy);
    t.equal(again.latestSequence(), whole, 'and opens again');
    t.equal(again.tornTail, null);
    await again.close();
  }
});

t.test('a torn tail within a batch of many blocks is one, too', async (t) => {
  const path = await killed(t, async (db) => {
    await commits(db, 0, 3);
    await put(db, { big: 'x'.repeat(200_000) });
  });
  const log = lastLog(path);
  truncateSync(log.path, 3 * 32_768);
  const db = await reopen(t, path);
  t.equal(db.latestSequence(), 3);
  t.equal(db.tornTail?.path, log.path);
});

t.test('zeros and garbage after the last commit are a torn tail', async (t) => {
  for (const tail of [Buffer.alloc(5000), Buffer.alloc(5000, 0xa5)]) {
    const path = await killed(t, (db) => commits(db, 0, 10));
    appendFileSync(lastLog(path).path, tail);
    const db = await reopen(t, path);
    t.equal(db.latestSequence(), 10);
  }
});

t.test('a flipped bit anywhere ahead of intact commits is an error that names file and offset', async (t) => {
  const path = await killed(t, (db) => commits(db, 0, 6, 20));
  const log = lastLog(path);
  let last = 0;
  for (let at = 0; at < log.content.length; at += 7 + log.content.readUInt16LE(at + 4)) last = at;
  for (let at = 0; at < last; at += 5) {
    const damaged = Buffer.from(log.content);
    damaged[at] = (damaged[at] as number) ^ 0x10;
    writeFileSync(log.path, damaged);
    const error = await failure(() => openDatabase(path));
    t.match(error, { code: 'MISCONF', kind: 'corruption' }, `bit flipped at ${at}`);
    t.ok(error.message.includes(log.path) && /offset \d+/.test(error.message), error.message);
    t.match(await failure(() => openDatabase(path, { readOnly: true })), { kind: 'corruption' });
  }
  writeFileSync(log.path, log.content);
  t.equal((await reopen(t, path)).latestSequence(), 6, 'the refused opens changed nothing');
});

t.test('damage in a log that is not the last is an error, also at its end', async (t) => {
  const path = await killed(t, (db) => commits(db, 0, 5));
  const first = lastLog(path);
  // A second log after it, as RocksDB leaves it when it is killed before the first was flushed away.
  const donor = await database(t);
  await put(donor, { a: '1', b: '2', c: '3', d: '4', e: '5' });
  await commits(donor, 5, 5);
  const next = join(path, `${String(Number.parseInt(first.path.slice(-10), 10) + 1).padStart(6, '0')}.log`);
  writeFileSync(next, lastLog(donor.path).content);
  truncateSync(first.path, first.content.length - 1);
  t.match(await failure(() => openDatabase(path)), { code: 'MISCONF', kind: 'corruption' });
});

t.test('a damaged manifest is corruption, not a torn log', async (t) => {
  const path = await killed(t, async (db) => {
    await commits(db, 0, 5);
    await db.flush();
  });
  const manifest = readdirSync(path).find((name) => name.startsWith('MANIFEST-')) as string;
  const content = readFileSync(join(path, manifest));
  content[20] = (content[20] as number) ^ 1;
  writeFileSync(join(path, manifest), content);
  t.match(await failure(() => openDatabase(path)), { code: 'MISCONF', kind: 'corruption' });
});

t.test('a WAL reader passes over the torn tail that a recovery left in the archive', async (t) => {
  const path = await killed(t, (db) => commits(db, 0, 5));
  const log = lastLog(path);
  truncateSync(log.path, log.content.length - 1);
  const db = await reopen(t, path, { walTtlSeconds: 'forever' });
  t.equal(db.latestSequence(), 4);
  await commits(db, 4, 3);
  const reader = db.updatesSince(1);
  const seen: string[] = [];
  for (let some = await reader.next(1000); some.length > 0; some = await reader.next(1000)) {
    seen.push(...some.flatMap((batch) => splitBatch(batch.rep).map((part) => String(part.logData))));
  }
  await reader.close();
  t.same(
    seen,
    Array.from({ length: 7 }, (_, i) => `mark-${i}`),
  );
});

t.test('an intact log scans as intact, whatever its records are like', async (t) => {
  const path = await killed(t, async (db) => {
    await commits(db, 0, 300, 200);
    for (const size of [32_700, 32_750, 32_761, 32_768, 70_000, 1]) await put(db, { [`k${size}`]: 'x'.repeat(size) });
    await commits(db, 300, 300, 177);
  });
  for (const log of logs(path)) {
    t.match(await scanLog(log.path), { sizeBytes: statSync(log.path).size, firstSequence: 1, damage: null });
  }
});

t.test('the error of a directory that is no database says so', async (t) => {
  const db = await database(t);
  await db.close();
  writeFileSync(join(db.path, 'CURRENT'), bytes('MANIFEST-999999\n'));
  t.match(await failure(() => openDatabase(db.path)), { code: 'MISCONF', message: /999999/ });
});
