/** The backup layer on a real database and a real repository: what it promises, and what it refuses. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/engine/index.js';
import { type Fixture, openFixture } from '../support/backup-fixture.js';

async function fixture(t: Test, options: Parameters<typeof openFixture>[1] = {}): Promise<Fixture> {
  const opened = await openFixture(t.testdir(), options);
  t.teardown(() => opened.close());
  return opened;
}

/** All objects below files/, by key. */
async function objects(repository: string): Promise<string[]> {
  const found = await readdir(join(repository, 'files'), { recursive: true }).catch(() => []);
  return found.filter((name) => name.includes('/')).map((name) => join(repository, 'files', name));
}

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

t.test('a backup restores in place to exactly what was there, on a new timeline, and PREVIOUS goes back', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 500; i += 1) await f.set(`key:${i}`, `value:${i}`, i % 3);
  const id = await f.create({ label: 'first' });
  await f.set('key:0', 'changed');
  await f.set('later', 'yes');
  const restored = await (await f.backup.restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: 1 }))
    .done;
  t.match(restored, { id, target: 'in-place', timeline: 1, timeline_new: 2, commits_left_behind: 2 });
  t.equal(await f.get('key:0'), 'value:0');
  t.equal(await f.get('later'), null);
  t.equal(f.keyspace.position.timeline, 2);
  t.same(f.keyspace.position.keyCounts.slice(0, 3), [167, 167, 166]);
  await f.set('on-two', '2');
  const back = await (
    await f.backup.restore({ backup: 'PREVIOUS', target: null, timeline: null, to: null, ifTimeline: 2 })
  ).done;
  t.match(back, { id: null, timeline_new: 3 });
  t.equal(await f.get('later'), 'yes');
  t.equal(await f.get('on-two'), null);
});

t.test('IFTIMELINE refuses a restore that was sent twice', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const id = await f.create();
  await (await f.backup.restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: 1 })).done;
  await f.set('a', '2');
  await t.rejects(
    f.backup
      .restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: 1 })
      .then((started) => started.done),
    { code: 'RESTOREFAILED' },
  );
  t.equal(await f.get('a'), '2');
});

t.test('A13: a second full of an unchanged database stores no table again', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 2000; i += 1) await f.set(`key:${i}`, 'x'.repeat(100));
  await f.keyspace.database?.flush();
  const first = await f.backup.info(await f.create());
  const second = await f.backup.info(await f.create());
  t.ok(
    (second.stored_size as number) < (first.stored_size as number) / 5,
    `${second.stored_size} of ${first.stored_size} bytes`,
  );
  t.equal((second.size as number) > 0, true);
});

t.test('nothing in the repository shares an inode with live data', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 100; i += 1) await f.set(`key:${i}`, 'x');
  await f.keyspace.database?.flush();
  await f.create();
  const live = new Set<number>();
  const path = f.directory.livePath as string;
  for (const name of await readdir(path)) live.add((await stat(join(path, name))).ino);
  const stored = await objects(f.repository);
  t.ok(stored.length >= 4);
  for (const object of stored) t.notOk(live.has((await stat(object)).ino), object);
  t.notOk(
    (await readdir(f.dir)).includes('staging') && (await readdir(join(f.dir, 'staging'))).length > 0,
    'staging is empty',
  );
});

t.test('the checksum of a backup is the sha256sum of its manifest', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const id = await f.create();
  const bytes = await readFile(join(f.repository, 'backups', `${String(id).padStart(8, '0')}.json`));
  t.equal((await f.backup.info(id)).checksum, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
});

t.test(
  'E1: a flipped bit in any object is named by VERIFY, refused by RESTORE, and LATEST is then the backup before',
  async (t) => {
    const f = await fixture(t);
    await f.set('a', '1');
    const good = await f.create();
    for (let i = 0; i < 3000; i += 1) await f.set(`key:${i}`, String(i));
    await f.keyspace.database?.flush();
    const before = new Set(await objects(f.repository));
    const bad = await f.create();
    const added = (await objects(f.repository)).filter((path) => !before.has(path));
    t.ok(added.length > 0);
    for (const path of added) {
      for (const offset of [0, 10, -1]) {
        await flip(path, offset);
        await t.rejects(
          f.backup.verify(bad, 'FULL').then(({ done }) => done),
          { code: 'BACKUPCORRUPT' },
          `${path} at ${offset}`,
        );
        t.equal((await f.backup.list({})).latest, good);
        await flip(path, offset);
        await (await f.backup.verify(bad, 'FULL')).done;
        t.equal((await f.backup.list({})).latest, bad, 'a verification that passes makes it complete again');
      }
    }
    await flip(added[0] as string, 3);
    await t.rejects(
      f.backup
        .restore({ backup: bad, target: null, timeline: null, to: null, ifTimeline: null })
        .then(({ done }) => done),
      { code: 'BACKUPCORRUPT' },
    );
    t.equal(await f.get('key:2999'), '2999', 'live data is as it was');
    t.match(await f.backup.info(bad), { status: 'corrupt', verify_status: 'invalid' });
    t.match(await f.backup.list({ status: 'complete' }), { backups: [{ id: good }], latest: good });
  },
);

t.test('a full stores an object again whose last verification failed', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 3000; i += 1) await f.set(`key:${i}`, String(i));
  await f.keyspace.database?.flush();
  const first = await f.create();
  const list = (await f.backup.info(first)).files_list as { name: string; sha256: string }[];
  const table = list.find(({ name }) => name.endsWith('.sst'));
  t.ok(table);
  const path = join(f.repository, 'files', table?.sha256.slice(0, 2) ?? '', table?.sha256 ?? '');
  await flip(path, 100);
  await t.rejects(
    f.backup.verify(first, 'FULL').then(({ done }) => done),
    { code: 'BACKUPCORRUPT' },
  );
  const second = await f.create();
  await (await f.backup.verify(second, 'DEEP')).done;
  await (await f.backup.verify(first, 'FULL')).done;
  t.equal((await f.backup.info(first)).status, 'complete', 'the first is whole again too');
});

t.test('E3: missing, truncated and longer objects are told apart, and missing comes before damaged', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 1000; i += 1) await f.set(`key:${i}`, String(i));
  await f.keyspace.database?.flush();
  const id = await f.create();
  const [first, second] = await objects(f.repository);
  const original = await readFile(first as string);
  await writeFile(first as string, original.subarray(0, original.length - 1));
  await t.rejects(
    f.backup.verify(id, 'QUICK').then(({ done }) => done),
    { code: 'BACKUPCORRUPT', message: /bytes instead of/ },
  );
  await writeFile(first as string, Buffer.concat([original, Buffer.from('x')]));
  await t.rejects(
    f.backup.verify(id, 'QUICK').then(({ done }) => done),
    { code: 'BACKUPCORRUPT', message: /bytes instead of/ },
  );
  await rm(second as string);
  await t.rejects(
    f.backup.verify(id, 'FULL').then(({ done }) => done),
    { code: 'BACKUPINCOMPLETE', message: /1 missing, 1 damaged/ },
  );
  t.equal((await f.backup.list({})).backups[0]?.status, 'incomplete');
});

t.test('E4: an edited manifest is found, and hides nobody else', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const one = await f.create();
  const two = await f.create();
  const path = join(f.repository, 'backups', `${String(two).padStart(8, '0')}.json`);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"label": null', '"label": "x"'));
  await t.rejects(
    f.backup.verify(two, 'QUICK').then(({ done }) => done),
    { code: 'BACKUPMANIFEST' },
  );
  const { backups, latest } = await f.backup.list({});
  t.same(
    backups.map(({ id, status }) => [id, status]),
    [
      [two, 'corrupt'],
      [one, 'complete'],
    ],
  );
  t.equal(latest, one);
  await t.rejects(
    f.backup.verifyAll('QUICK').then(({ done }) => done),
    { code: 'BACKUPMANIFEST', message: /1 of 2/ },
  );
  t.match(await f.backup.info(two), { id: two, status: 'corrupt', type: null });
});

t.test('VERIFY DEEP counts and digests what a restore yields, and finds the same the second time', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 200; i += 1) await f.set(`key:${i}`, String(i), i % 2);
  const id = await f.create();
  t.match(await (await f.backup.verify(id, 'DEEP')).done, { status: 'VALID', mode: 'DEEP' });
  t.match(await (await f.backup.verify(id, 'DEEP')).done, { status: 'VALID' });
  t.match(await f.backup.info(id), { verify_status: 'valid', verifications: [{ mode: 'DEEP' }, { mode: 'DEEP' }] });
  t.same(await readdir(join(f.dir, 'scratch')), [], 'the scratch directory is empty again');
});

t.test('RESTORE TO makes a plain directory that RocksDB opens, and leaves the server alone', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const id = await f.create();
  await f.set('a', '2');
  const restored = await (
    await f.backup.restore({ backup: id, target: null, timeline: null, to: 'drill', ifTimeline: null })
  ).done;
  t.equal(restored.target, join(f.dir, 'restores', 'drill'));
  const database = await openDatabase(restored.target, { createIfMissing: false });
  t.equal((await database.get(Buffer.from('\x01\x00a', 'latin1')))?.toString('latin1'), '\x001');
  await database.close();
  t.equal(await f.get('a'), '2');
  await t.rejects(f.backup.restore({ backup: id, target: null, timeline: null, to: 'drill', ifTimeline: null }), {
    code: 'RESTOREDIR',
  });
});

t.test('C9: names that leave the restore directory are refused', async (t) => {
  const f = await fixture(t);
  await f.set('a', '1');
  const id = await f.create();
  for (const name of ['..', '../x', '/etc', 'a/b', '.hidden', '', 'x'.repeat(129), 'a\0b', 'é']) {
    await t.rejects(
      f.backup.restore({ backup: id, target: null, timeline: null, to: name, ifTimeline: null }),
      { code: 'RESTOREDIR' },
      JSON.stringify(name),
    );
  }
});

t.test('deleting one backup harms no other, in any order', async (t) => {
  const f = await fixture(t);
  const ids: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    for (let i = 0; i < 300; i += 1) await f.set(`key:${round}:${i}`, 'x'.repeat(50));
    await f.keyspace.database?.flush();
    ids.push(await f.create());
  }
  for (const id of [ids[1], ids[3], ids[0]] as number[]) {
    t.same((await f.backup.delete(id, false)).deleted, [id]);
    await (await f.backup.verifyAll('FULL')).done;
  }
  await t.rejects(f.backup.delete(ids[2] as number, false), { code: 'BACKUPINUSE', message: /only complete/ });
  t.same((await f.backup.delete(ids[2] as number, true)).kept, []);
  t.same(await objects(f.repository), [], 'nothing is left without a manifest');
});

t.test('D9: pinned backups survive retention and DELETE', async (t) => {
  const f = await fixture(t, { maxCount: () => 1 });
  await f.set('a', '1');
  const one = await f.create({ pin: true });
  const two = await f.create();
  await f.create();
  t.same(
    (await f.backup.list({})).backups.map(({ id }) => id),
    [3, one],
  );
  t.not(two, one);
  await t.rejects(f.backup.delete(one, true), { code: 'BACKUPINUSE', message: /pinned/ });
  await f.backup.setPinned(one, false);
  t.same((await f.backup.delete(one, false)).deleted, [one]);
});

t.test('a state document that was lost means pinned', async (t) => {
  const f = await fixture(t, { maxCount: () => 1 });
  await f.set('a', '1');
  const one = await f.create();
  await rm(join(f.repository, 'states', `${String(one).padStart(8, '0')}.json`));
  await f.create();
  t.match(await f.backup.info(one), { id: one, pinned: 1, status: 'complete' });
});

t.test('ids rise and are never used again, also after a delete and a restart', async (t) => {
  const dir = t.testdir();
  let f = await openFixture(dir);
  await f.set('a', '1');
  t.equal(await f.create(), 1);
  t.equal(await f.create(), 2);
  await f.backup.delete(2, false);
  await f.close();
  f = await openFixture(dir);
  t.teardown(() => f.close());
  t.equal(await f.create(), 3);
  t.match(
    await f.backup.status(2),
    { last_operation: 'delete', last_id: 2, last_status: 'ok' },
    'outcomes survive the restart',
  );
});

t.test('D10: an empty server over a full repository restores from it, and cannot change it until then', async (t) => {
  const repository = t.testdir();
  const first = await openFixture(join(repository, 'a'), { repository: join(repository, 'r') });
  await first.set('a', '1');
  const id = await first.create();
  await first.create();
  await first.close();
  const second = await openFixture(join(repository, 'b'), { repository: join(repository, 'r'), maxCount: () => 1 });
  t.teardown(() => second.close());
  t.equal((await second.backup.list({})).total, 2);
  await (await second.backup.verify(id, 'FULL')).done;
  await t.rejects(second.create(), { code: 'REPOFOREIGN' });
  await t.rejects(second.backup.prune({ maxCount: 1 }, false), { code: 'REPOFOREIGN' });
  await t.rejects(second.backup.delete(id, true), { code: 'REPOFOREIGN' });
  await t.rejects(second.backup.setPinned(id, true), { code: 'REPOFOREIGN' });
  t.equal((await second.backup.list({})).total, 2, 'nothing went');
  await (await second.backup.restore({ backup: id, target: null, timeline: null, to: null, ifTimeline: null })).done;
  t.equal(await second.get('a'), '1');
  t.ok((await second.create()) > 2, 'the id was taken over');
});

t.test('ADOPTREPO gives the repository to this database, on a timeline of its own', async (t) => {
  const root = t.testdir();
  const first = await openFixture(join(root, 'a'), { repository: join(root, 'r') });
  await first.set('a', '1');
  await first.create();
  await first.close();
  const second = await openFixture(join(root, 'b'), { repository: join(root, 'r') });
  t.teardown(() => second.close());
  const { repository_id: id } = JSON.parse(await readFile(join(root, 'r', 'REPOSITORY.json'), 'utf8')) as {
    repository_id: string;
  };
  await t.rejects(second.backup.adoptRepository('0'.repeat(32)), { code: 'ERR' });
  await second.backup.adoptRepository(id);
  await second.set('b', '2');
  const backup = await second.create();
  t.match(await second.backup.info(backup), { id: 2, timeline: 2 });
  await (await second.backup.restore({ backup, target: null, timeline: null, to: null, ifTimeline: null })).done;
  t.equal(await second.get('b'), '2');
});

t.test('CANCEL and WAIT say so when there is nothing to stop or to wait for', async (t) => {
  const f = await fixture(t);
  await t.rejects(f.backup.cancel(null), { code: 'ERR', message: 'no backup operation is running' });
  await t.rejects(f.backup.wait(9, 0), { code: 'BACKUPNOTFOUND' });
});

t.test('a second exclusive operation is told at once what is in its way', async (t) => {
  const f = await fixture(t);
  for (let i = 0; i < 2000; i += 1) await f.set(`key:${i}`, 'x'.repeat(200));
  const trigger = { command: 'test', user: null, address: null };
  const first = f.backup.create({
    type: 'full',
    parent: null,
    strict: false,
    label: null,
    verify: true,
    pin: false,
    trigger,
  });
  t.throws(
    () =>
      f.backup.create({ type: 'full', parent: null, strict: false, label: null, verify: false, pin: false, trigger }),
    {
      code: 'BACKUPBUSY',
      message: /create/,
    },
  );
  const { id, status } = await first.begun;
  t.equal(status, 'running');
  t.match((await f.backup.list({ status: 'running' })).backups, [{ id, status: 'running' }]);
  await first.done;
  t.match(await f.backup.wait(id, 0), { id, status: 'complete' });
});
