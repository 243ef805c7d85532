import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Database, LiveFile } from '../../src/engine/types.js';
import { scratch } from '../support/scratch.js';
import { commits, database, failure, reopen, scan } from './support/databases.js';

function copyOut(files: LiveFile[], target: string): void {
  mkdirSync(target);
  for (const file of files) {
    const path = join(target, file.name);
    if (file.contents !== null) {
      writeFileSync(path, file.contents);
    } else {
      cpSync(join(file.directory, file.name), path);
      if (file.trimToSize) truncateSync(path, file.sizeBytes);
    }
  }
}

async function hashes(db: Database): Promise<[string, string | null, string][]> {
  const files = await db.liveFiles();
  return files
    .filter((file) => file.kind === 'table')
    .map((file) => {
      const content = readFileSync(join(file.directory, file.name));
      return [file.name, file.sha256, createHash('sha256').update(content).digest('hex')];
    });
}

t.test('live files with trimmed tails are a database at the sequence of the cut, though writes went on', async (t) => {
  const db = await database(t, { walTtlSeconds: 'forever', fileChecksum: 'sha256' });
  await commits(db, 0, 50);
  await db.flush();
  await commits(db, 50, 50);
  await db.disableFileDeletions();
  const sequence = db.latestSequence();
  const files = await db.liveFiles();
  await commits(db, 100, 200);
  await db.flush();
  await commits(db, 300, 50);
  const copy = join(scratch(t), 'copy');
  copyOut(files, copy);
  await db.enableFileDeletions();
  const restored = await reopen(t, copy);
  t.equal(restored.latestSequence(), sequence);
  t.equal(restored.tornTail, null);
  t.equal((await scan(restored)).length, 100);
});

t.test('listing the files flushes nothing, and says of each what it is', async (t) => {
  const db = await database(t, { fileChecksum: 'sha256' });
  await commits(db, 0, 20);
  await db.flush();
  await commits(db, 20, 20);
  const files = await db.liveFiles();
  t.same(files.map((file) => file.kind).sort(), ['current', 'manifest', 'options', 'table', 'wal']);
  for (const file of files) {
    t.equal(file.directory, db.path);
    if (file.kind === 'wal' || file.kind === 'manifest') {
      t.ok(file.trimToSize && file.sizeBytes > 0, file.name);
    } else {
      t.notOk(file.trimToSize, file.name);
    }
    t.equal(file.contents !== null, file.kind === 'current');
    t.equal(file.sha256 !== null, file.kind === 'table');
    t.equal(file.number > 0, file.kind !== 'current', file.name);
  }
});

t.test('the stored SHA-256 of a table is that of its bytes, after flush, compaction and reopening', async (t) => {
  const db = await database(t, { fileChecksum: 'sha256' });
  for (let round = 0; round < 5; round++) {
    await commits(db, round * 100, 300, 500);
    await db.flush();
  }
  let tables = await hashes(db);
  t.ok(tables.length >= 1);
  for (const [name, stored, actual] of tables) t.equal(stored, actual, name);
  await db.compactRange();
  tables = await hashes(db);
  for (const [name, stored, actual] of tables) t.equal(stored, actual, name);
  await db.close();
  const again = await reopen(t, db.path);
  for (const [name, stored, actual] of await hashes(again)) t.equal(stored, actual, `${name}, opened without hashing`);
});

t.test('a table has no SHA-256 where RocksDB computed none or another', async (t) => {
  for (const fileChecksum of ['none', 'crc32c'] as const) {
    const db = await database(t, { fileChecksum });
    await commits(db, 0, 5);
    await db.flush();
    const table = (await db.liveFiles()).find((file) => file.kind === 'table');
    t.equal(table?.sha256, null, fileChecksum);
    await db.close();
    const again = await reopen(t, db.path, { fileChecksum: 'sha256' });
    t.equal((await again.liveFiles()).find((file) => file.kind === 'table')?.sha256, null);
    await again.verifyChecksums();
  }
});

t.test('a flipped bit in a table fails verification, with the file named', async (t) => {
  const db = await database(t);
  for (let round = 0; round < 3; round++) {
    await commits(db, round * 100, 100, 300);
    await db.flush();
  }
  await db.verifyChecksums();
  await db.close();
  const name = readdirSync(db.path)
    .filter((file) => file.endsWith('.sst'))
    .sort()[1] as string;
  const content = readFileSync(join(db.path, name));
  content[100] = (content[100] as number) ^ 4;
  writeFileSync(join(db.path, name), content);
  const again = await reopen(t, db.path);
  const error = await failure(() => again.verifyChecksums());
  t.match(error, { code: 'MISCONF', kind: 'corruption' });
  t.ok(error.message.includes(join(db.path, name)), error.message);
  t.match(await failure(() => scan(again)), { code: 'MISCONF', kind: 'corruption' });
});

t.test('verification goes on over compactions that take its tables away', async (t) => {
  const db = await database(t, { writeBufferBytes: 1 << 16 });
  for (let round = 0; round < 10; round++) {
    await commits(db, round * 50, 100, 500);
    await db.flush();
  }
  const verifications = Array.from({ length: 3 }, () => db.verifyChecksums());
  await Promise.all([...verifications, db.compactRange()]);
  t.equal((await scan(db)).length, 550);
});
