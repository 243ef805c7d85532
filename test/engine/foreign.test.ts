/** The build of RocksDB on npm (6.17) as the independent reader and writer of the files. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { scratch } from '../support/scratch.js';
import { commits, database, put, reopen, scan } from './support/databases.js';

const PROGRAM = fileURLToPath(new URL('./support/npm-rocksdb.js', import.meta.url));

async function npmRocksdb(...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args]);
  return stdout.split('\n').slice(0, -1);
}

t.test('what the engine writes, tables, filters and log, the npm build reads', async (t) => {
  const db = await database(t, { walTtlSeconds: 'forever', fileChecksum: 'sha256' });
  await commits(db, 0, 5000, 100);
  await db.flush();
  await commits(db, 4000, 3000, 100);
  await db.flush();
  await db.compactRange();
  await put(db, { 'in the log': 'yes' });
  await db.close();
  const read = await npmRocksdb('read', db.path, 'commit-0', 'commit-4321', 'commit-6999', 'in the log');
  t.same(read, ['0'.repeat(100), '1'.repeat(100), '9'.repeat(100), 'yes']);
});

t.test('what the npm build writes, the engine reads, writes on, and gives back', async (t) => {
  const path = join(scratch(t), 'db');
  const entries = Array.from({ length: 100 }, (_, i) => [`key-${i}`, `value-${i}`]);
  await npmRocksdb('write', path, ...entries.flat());
  const db = await reopen(t, path, { walTtlSeconds: 'forever', fileChecksum: 'sha256' });
  t.equal((await scan(db)).length, 100);
  await put(db, { more: 'data' });
  await db.flush();
  await db.compactRange();
  await db.close();
  t.same(await npmRocksdb('read', path, 'key-99', 'more'), ['value-99', 'data']);
});
