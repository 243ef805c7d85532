/**
 * Reads keys from memory while the tables that they are in are opened by reads of other keys. Few files may be open here, so
 * that they are closed again all the time. Says on stdout how often a table was opened under such a read, and what was read wrongly.
 */
import { BatchBuilder } from '../../src/engine/batch.js';
import { openDatabase } from '../../src/engine/index.js';

const TABLES = 60;
const ROUNDS = 10;

const [path] = process.argv.slice(2) as [string];
const key = (table: number, nth: number) => Buffer.from(`key:${String(table).padStart(4, '0')}:${nth}`);
const value = (table: number) => `value of ${table}`;

const database = await openDatabase(path, { createIfMissing: true });
for (let table = 0; table < TABLES; table += 1) {
  const batch = new BatchBuilder();
  for (const nth of [0, 1]) batch.put(key(table, nth), Buffer.from(value(table)));
  await database.write(batch.finish(), {});
  await database.flush();
}

const wrong: string[] = [];
let opened = 0;
for (let nth = 0; nth < TABLES * ROUNDS; nth += 1) {
  const table = nth % TABLES;
  const other = key(table, 1);
  let found = database.getCached(other);
  const opening = found === null;
  const fetched = database.get(key(table, 0));
  // The pool opens the table meanwhile.
  for (const end = performance.now() + 1000; found === null && performance.now() < end; )
    found = database.getCached(other);
  await fetched;
  if (opening && found !== null) opened += 1;
  if (found !== null && found?.toString() !== value(table)) wrong.push(`${other}: ${found?.toString() ?? 'missing'}`);
}
await database.close();
process.stdout.write(JSON.stringify({ opened, wrong: wrong.slice(0, 3) }));
