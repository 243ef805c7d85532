import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { CairnError } from '../../src/base/errors.js';
import { openDatabase } from '../../src/engine/index.js';
import { capturingLog } from '../support/log.js';
import { allKeys, bytes, commit, gate, get, open, remove, set, until } from './harness.js';

t.test(
  'a failed write rejects everything that rests on it, with the first cause, and is as if it had not been',
  async (t) => {
    const { log, records } = capturingLog();
    const { keyspace, hand } = await open(`${t.testdir()}/db`, { log });
    await set(keyspace, 'kept', 'v');
    const before = keyspace.position;
    const held = gate();
    hand.beforeWrite = async () => {
      await held.opened;
      throw new CairnError('NOSPACE', 'No space left on device (1)');
    };
    const put = (key: string) =>
      keyspace.execute((tx) => {
        tx.put(0, bytes(key), { type: 'string', bytes: bytes('v'), expiresAtMs: null });
        tx.delete(0, bytes('kept'));
      });
    const first = await put('lost1');
    await until('the write begins', () => hand.writes.length === 2);
    const second = await put('lost2');
    const reader = await keyspace.execute((tx) => tx.get(0, bytes('lost1'))?.bytes.toString());
    t.equal(reader.value, 'v');
    const watch = keyspace.watch(null, [{ database: 0, key: bytes('lost2') }]);
    held.open();
    for (const { durable } of [first, second, reader]) {
      await t.rejects(durable as Promise<void>, { code: 'MISCONF', message: /No space left on device \(1\)/ });
    }
    t.equal(await get(keyspace, 'lost1'), null);
    t.equal(await get(keyspace, 'kept'), 'v', 'reads go on');
    t.same(await allKeys(keyspace), ['kept']);
    t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), 1);
    t.same(keyspace.position, before);
    t.match(keyspace.writesRefused, { code: 'MISCONF' });
    hand.beforeWrite = async () => {
      throw new CairnError('NOSPACE', 'No space left on device (2)');
    };
    await t.rejects(
      async () => set(keyspace, 'x', 'y'),
      { code: 'MISCONF', message: /device \(1\)/ },
      'the first cause stays',
    );
    await t.rejects(keyspace.setReadOnly(false), { code: 'MISCONF', message: /still refuses writes: .*device \(2\)/ });
    t.match(keyspace.writesRefused, { code: 'MISCONF', message: /device \(1\)/ });
    hand.beforeWrite = async () => {};
    await keyspace.setReadOnly(false);
    t.equal(keyspace.writesRefused, null);
    await set(keyspace, 'lost1', 'again');
    t.same(await allKeys(keyspace), ['kept', 'lost1']);
    t.equal(keyspace.position.keyCounts[0], 2);
    watch.release();
    t.equal(records.filter(({ level }) => level === 'error').length, 1, 'logged once, where it failed');
    await keyspace.close();
  },
);

t.test('a failed sync of everysec stops writes too', async (t) => {
  const { keyspace, hand } = await open(`${t.testdir()}/db`, { durability: () => 'everysec' });
  hand.beforeSync = async () => {
    throw new CairnError('MISCONF', 'Input/output error');
  };
  await set(keyspace, 'a', '1');
  await until('writes are refused', () => keyspace.writesRefused !== null, 4000);
  await t.rejects(async () => set(keyspace, 'a', '2'), { code: 'MISCONF', message: /Input\/output error/ });
  t.equal(await get(keyspace, 'a'), '1');
  hand.beforeSync = async () => {};
  await keyspace.setReadOnly(false);
  await set(keyspace, 'a', '3');
  await keyspace.close();
});

t.test('a sync that goes on failing is logged once', async (t) => {
  const { log, records } = capturingLog();
  const { keyspace, hand } = await open(`${t.testdir()}/db`, { durability: () => 'everysec', log });
  await set(keyspace, 'a', '1');
  let tried = 0;
  hand.beforeSync = async () => {
    tried += 1;
    throw new Error('Input/output error');
  };
  await until('it was tried again', () => tried === 3, 8000);
  t.match(
    records.map(({ event }) => event),
    ['sync failed, writes are refused'],
  );
  t.equal(records.length, 1);
  hand.beforeSync = async () => {};
  await keyspace.setReadOnly(false);
  await set(keyspace, 'a', '2');
  await keyspace.close();
});

t.test('READONLY ON refuses writes once what was executed is written; reads go on; OFF lets them in', async (t) => {
  const { keyspace, clock } = await open(`${t.testdir()}/db`);
  await set(keyspace, 'a', '1');
  const expiresAtMs = Math.trunc(clock.us / 1000) + 50;
  await set(keyspace, 'e', '1', expiresAtMs);
  const pending = await keyspace.execute((tx) =>
    tx.put(0, bytes('b'), { type: 'string', bytes: bytes('2'), expiresAtMs: null }),
  );
  await keyspace.setReadOnly(true);
  await pending.durable;
  await t.rejects(async () => set(keyspace, 'a', '2'), {
    code: 'READONLY',
    message: /^You can't write against a read only/,
  });
  await t.rejects(async () => remove(keyspace, 'a'), { code: 'READONLY' });
  await t.rejects(async () => commit(keyspace, (tx) => tx.flush('all')), { code: 'READONLY' });
  t.equal(await get(keyspace, 'a'), '1');
  clock.advanceMs(51);
  t.equal(await get(keyspace, 'e'), null, 'what has expired looks gone');
  t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), 3, 'but is not removed');
  await keyspace.setReadOnly(false);
  t.equal(await get(keyspace, 'e'), null);
  t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), 2);
  await keyspace.close();
});

t.test('a disk that is really full: MISCONF, reads go on, and writes again once there is space', async (t) => {
  const mount = mkdtempSync(join(tmpdir(), 'cairn-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount], { stdio: 'pipe' });
  } catch {
    rmSync(mount, { recursive: true });
    t.comment('not run: a small file system cannot be mounted here');
    return;
  }
  t.teardown(() => {
    execFileSync('umount', ['-l', mount]);
    rmSync(mount, { recursive: true });
  });
  const { keyspace } = await open(join(mount, 'db'), { durability: () => 'always' }, { writeBufferBytes: 2 << 20 });
  await set(keyspace, 'first', 'v');
  const ballast = join(mount, 'ballast');
  writeFileSync(ballast, Buffer.alloc(16 << 20));
  const acknowledged: string[] = [];
  const fill = async () => {
    for (let i = 0; i < 100; i += 1) {
      await set(keyspace, `k${i}`, 'x'.repeat(256 << 10));
      acknowledged.push(`k${i}`);
    }
  };
  await t.rejects(fill, { code: 'MISCONF', message: /[Nn]o space/ });
  t.ok(acknowledged.length > 3);
  t.equal((await get(keyspace, `${acknowledged.at(-1)}`))?.length, 256 << 10);
  t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), acknowledged.length + 1);
  await t.rejects(async () => set(keyspace, 'more', 'v'), { code: 'MISCONF' });
  rmSync(ballast);
  await keyspace.setReadOnly(false);
  await set(keyspace, 'more', 'v');
  t.same(await allKeys(keyspace), [...acknowledged, 'first', 'more'].sort());
  t.equal(await commit(keyspace, (tx) => tx.keyCount(0)), acknowledged.length + 2);
  await keyspace.close();
  const again = await open(join(mount, 'db'));
  t.same(await allKeys(again.keyspace), [...acknowledged, 'first', 'more'].sort(), 'and after a restart');
  t.equal(again.keyspace.position.keyCounts[0], acknowledged.length + 2);
  await again.keyspace.close();
});

t.test(
  'a log that takes no more writes: the database is opened anew, and what keeps that from working is said',
  async (t) => {
    const path = `${t.testdir()}/db`;
    const opened: string[] = [];
    let failure: CairnError | null = new CairnError('NOSPACE', 'No space left on device');
    const reopen = async (at: string) => {
      opened.push(at);
      if (failure !== null) throw failure;
      return openDatabase(at, { createIfMissing: false, walTtlSeconds: 'forever' });
    };
    const { keyspace, hand } = await open(path, { reopen });
    await set(keyspace, 'kept', 'v');
    hand.beforeWrite = async () => {
      throw new CairnError('NOSPACE', 'No space left on device (1)');
    };
    await t.rejects(set(keyspace, 'lost', 'v'), { code: 'MISCONF' });
    Object.assign(hand.database, { logUnusable: true });
    await t.rejects(keyspace.setReadOnly(false), { code: 'MISCONF', message: /still refuses writes: No space left/ });
    t.throws(() => keyspace.execute((tx) => tx.get(0, bytes('kept'))), {
      code: 'MISCONF',
      message: /did not open: No space left/,
    });
    t.ok(hand.database.closed);
    failure = null;
    await keyspace.setReadOnly(false);
    t.same(opened, [path, path]);
    await set(keyspace, 'after', 'v');
    t.same(await allKeys(keyspace), ['after', 'kept']);
    await keyspace.close();
    await t.rejects(keyspace.setReadOnly(false), { code: 'LOADING' }, 'nothing is opened after the end');
  },
);

t.test('a keyspace whose database could not be opened anew opens nothing once it is closed', async (t) => {
  let opened = 0;
  const reopen = async () => {
    opened += 1;
    throw new CairnError('NOSPACE', 'No space left on device');
  };
  const { keyspace, hand } = await open(`${t.testdir()}/db`, { reopen });
  hand.beforeWrite = async () => {
    throw new CairnError('NOSPACE', 'No space left on device (1)');
  };
  await t.rejects(set(keyspace, 'lost', 'v'), { code: 'MISCONF' });
  Object.assign(hand.database, { logUnusable: true });
  await t.rejects(keyspace.setReadOnly(false), { code: 'MISCONF' });
  const closed = keyspace.close();
  await t.rejects(keyspace.setReadOnly(false), { code: 'LOADING' });
  await closed;
  t.equal(opened, 1);
});
