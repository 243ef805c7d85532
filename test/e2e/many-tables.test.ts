/**
 * A18: a database with more tables than files may be open: it is adopted, served, backed up, proven and restored. By night there are
 * 50,000 of them.
 */
import { join } from 'node:path';
import t from 'tap';
import { BatchBuilder } from '../../src/engine/batch.js';
import { openDatabase } from '../../src/engine/index.js';
import { admin } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { night } from '../support/night.js';
import { start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';

const { long } = night(0);
const TABLES = long ? 50_000 : 350;
const OPEN_FILES = long ? 4096 : 256;

const key = (nth: number) => `key:${String(nth).padStart(8, '0')}`;
/** Some are empty, which RocksDB also says of what it has not open. */
const value = (nth: number) => `${nth}`.repeat(nth % 5 === 0 ? 0 : 100);

/** A table for each key, in key order, so that compactions move them and merge none. */
async function makeTables(path: string): Promise<void> {
  const database = await openDatabase(path, { createIfMissing: true });
  for (let nth = 0; nth < TABLES; nth += 1) {
    const batch = new BatchBuilder();
    batch.put(Buffer.from(key(nth)), Buffer.from(value(nth)));
    await database.write(batch.finish(), {});
    await database.flush();
  }
  await database.close();
}

t.test(`A18: ${TABLES} tables where ${OPEN_FILES} files may be open`, async (t) => {
  const root = scratch(t);
  const [source, dir] = [join(root, 'source'), join(root, 'data')];
  await makeTables(source);
  const few = ['bash', '-c', `ulimit -n ${OPEN_FILES} && exec "$0" "$@"`, process.execPath];
  const adopt = start(t, [...few, join(process.cwd(), 'dist', 'cli', 'main.js'), 'adopt', source, '--dir', dir]);
  t.same(await adopt.ended, { code: 0, signal: null }, adopt.stderr());
  const server = await startServer(t, { dir, through: few.slice(0, 3), readyTimeoutMs: 120_000 });
  const client = await server.client();
  t.equal(await client.get(key(TABLES - 1)), value(TABLES - 1));
  t.match(await admin(client, 'CREATE', 'VERIFY'), { status: 'complete', files: TABLES + 3 });
  t.match(await admin(client, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
  await client.set(key(0), 'changed');
  await admin(client, 'RESTORE', 1);
  t.equal(await client.get(key(0)), value(0));
  t.equal(await client.dbsize(), TABLES);
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'copy');
  t.ok(target);
  for (let nth = 0; nth < TABLES; nth += 7) t.equal(await client.get(key(nth)), value(nth), key(nth));
  t.notMatch(server.stderr(), /EMFILE|ENFILE|Too many open files/);
  await server.stop();
});
