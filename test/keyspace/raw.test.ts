import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { BatchBuilder, openDatabase } from '../../src/engine/index.js';
import { allKeys, bytes, commit, get, open, remove, set } from './harness.js';

async function foreign(path: string): Promise<void> {
  const database = await openDatabase(path, { createIfMissing: true });
  const batch = new BatchBuilder();
  for (const key of ['', 'a', '\x01\0x', '\xff\xff']) batch.put(bytes(key), bytes(`value of ${key}`));
  await database.write(batch.finish());
  await database.close();
}

t.test('foreign keys are served as they are, and nothing of ours is written among them', async (t) => {
  const directory = t.testdir();
  await foreign(`${directory}/db`);
  const raw = { kind: 'raw', rawStatePath: `${directory}/raw-state.json` } as const;
  const { keyspace } = await open(`${directory}/db`, raw);
  t.equal(keyspace.kind, 'raw');
  t.same(keyspace.position.keyCounts, [4]);
  t.equal(await get(keyspace, 'a'), 'value of a');
  t.same(await allKeys(keyspace), ['', '\x01\0x', 'a', '\xff\xff']);
  await set(keyspace, 'b', 'plain');
  await remove(keyspace, 'a');
  t.throws(() => keyspace.execute((tx) => tx.get(1, bytes('a'))), { code: 'ERR', message: 'DB index is out of range' });
  await t.rejects(async () => set(keyspace, 'e', 'v', 1), { code: 'ERR', message: /do not expire in a raw keyspace/ });
  t.equal(keyspace.position.commitCount, 2);
  await keyspace.close();
  const database = await openDatabase(`${directory}/db`);
  t.equal((await database.get(bytes('b')))?.toString(), 'plain');
  t.equal(await database.get(bytes('\0cairn.state')), undefined);
  await database.close();
});

t.test('position and clock of a raw keyspace survive a restart, in their file', async (t) => {
  const directory = t.testdir();
  await foreign(`${directory}/db`);
  const raw = { kind: 'raw', rawStatePath: `${directory}/raw-state.json` } as const;
  const first = await open(`${directory}/db`, raw);
  await set(first.keyspace, 'b', 'v');
  const cut = await first.keyspace.pausedBetweenGroups(async (position) => position);
  t.match(JSON.parse(readFileSync(raw.rawStatePath, 'utf8')), { sequence: cut.sequence, commitCount: 1, keyCount: 5 });
  await set(first.keyspace, 'c', 'v');
  const last = first.keyspace.position;
  await first.keyspace.close();
  const second = await open(`${directory}/db`, { ...raw, wallClock: first.clock });
  t.same(second.keyspace.position, last);
  await second.keyspace.close();
});

t.test('after a crash the commits are read from the log and the keys are counted', async (t) => {
  const directory = t.testdir();
  await foreign(`${directory}/db`);
  const raw = { kind: 'raw', rawStatePath: `${directory}/raw-state.json` } as const;
  const first = await open(`${directory}/db`, raw);
  await first.keyspace.pausedBetweenGroups(async () => {});
  for (const key of ['b', 'c', 'b']) await set(first.keyspace, key, 'v');
  const last = first.keyspace.position;
  // The database ends without the keyspace: its file stays behind.
  await first.database.close();
  const second = await open(`${directory}/db`, { ...raw, wallClock: first.clock });
  t.same(second.keyspace.position, last);
  await second.keyspace.close();
});

t.test('a file of another directory, or none that can be read, counts for nothing', async (t) => {
  const directory = t.testdir({ 'raw-state.json': '{"version":1,' });
  await foreign(`${directory}/db`);
  const raw = { kind: 'raw', rawStatePath: `${directory}/raw-state.json` } as const;
  const first = await open(`${directory}/db`, raw);
  t.same(first.keyspace.position.keyCounts, [4]);
  await first.keyspace.close();
  await foreign(`${directory}/db-2`);
  const second = await open(`${directory}/db-2`, raw);
  t.same(second.keyspace.position.keyCounts, [4]);
  t.equal(second.keyspace.position.commitCount, 0);
  await second.keyspace.close();
  t.ok(existsSync(raw.rawStatePath));
});

t.test('a flush empties a raw keyspace, whatever its keys are', async (t) => {
  const directory = t.testdir();
  await foreign(`${directory}/db`);
  const { keyspace } = await open(`${directory}/db`, { kind: 'raw', rawStatePath: `${directory}/raw-state.json` });
  const pending = await keyspace.execute((tx) =>
    tx.put(0, Buffer.alloc(9, 0xff), { type: 'string', bytes: bytes('v'), expiresAtMs: null }),
  );
  await commit(keyspace, (tx) => {
    tx.flush(0);
    tx.put(0, bytes('after'), { type: 'string', bytes: bytes('v'), expiresAtMs: null });
  });
  await pending.durable;
  t.same(await allKeys(keyspace), ['after']);
  t.equal(keyspace.position.keyCounts[0], 1);
  await keyspace.close();
});

t.test('the kind may change with an exchange', async (t) => {
  const directory = t.testdir();
  await foreign(`${directory}/foreign`);
  const { keyspace } = await open(`${directory}/db`, { rawStatePath: `${directory}/raw-state.json` });
  await set(keyspace, 'native', 'v', null, 3);
  const { previous } = await keyspace.exchange(async () => ({
    database: await openDatabase(`${directory}/foreign`),
    timeline: 2,
    kind: 'raw',
  }));
  t.equal(keyspace.kind, 'raw');
  t.equal(await get(keyspace, 'a'), 'value of a');
  const back = await keyspace.exchange(async () => ({
    database: previous as NonNullable<typeof previous>,
    timeline: 3,
    kind: 'native',
  }));
  t.equal(await get(keyspace, 'native', 3), 'v');
  await back.previous?.close();
  await keyspace.close();
});
