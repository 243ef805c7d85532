/** Hands that slip: files removed under the server, and disks filled. What can be saved is, and nothing makes it worse. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer, withoutArchive } from '../support/built-server.js';
import { objectKeys } from '../support/repository-files.js';
import { cannotMount, smallDisk } from '../support/small-disk.js';

t.test(
  'a lost LIVE: a restore heals it, and the databases that were there are kept, now and over restarts',
  async (t) => {
    const first = await startServer(t);
    const before = await first.client();
    await before.set('a', 'backed up');
    await admin(before, 'CREATE');
    await before.set('a', 'after the backup');
    await first.stop();
    rmSync(join(first.dir, 'LIVE'));

    const server = await startServer(t, { dir: first.dir });
    const client = await server.client();
    await admin(client, 'RESTORE', 'LATEST');
    t.equal(await client.get('a'), 'backed up');
    await server.stop();
    const again = await startServer(t, { dir: first.dir });
    const later = await again.client();
    t.ok(existsSync(join(first.dir, 'db-000001')), 'a start does not sweep it away');
    t.match(await admin(later, 'RESTORE', 'PREVIOUS'), { timeline: 1, timeline_new: 3 });
    t.equal(await later.get('a'), 'after the backup', 'nothing was lost');
    t.match(await admin(later, 'CREATE'), { id: 2, status: 'complete' });
    t.match(await admin(later, 'VERIFY', 2, 'DEEP'), { status: 'VALID' });
    await again.stop();
  },
);

t.test(
  'LIVE removed while backups are made and restored: the server writes it anew, and a restart finds it',
  async (t) => {
    const first = await startServer(t);
    const client = await first.client();
    await client.set('a', '1');
    rmSync(join(first.dir, 'LIVE'));
    await admin(client, 'CREATE');
    await client.set('a', '2');
    t.same(await first.stop(), { code: 0, signal: null });
    const again = await startServer(t, { dir: first.dir });
    const later = await again.client();
    t.equal(await later.get('a'), '2');
    rmSync(join(first.dir, 'LIVE'));
    await admin(later, 'RESTORE', 'LATEST');
    t.equal(await later.get('a'), '1');
    await again.kill9();
    t.equal(await (await (await startServer(t, { dir: first.dir })).client()).get('a'), '1');
  },
);

t.test(
  'manifests removed: neither DELETE, PRUNE, retention nor a restart takes what they need; bringing them back heals',
  async (t) => {
    const first = await startServer(t, { args: [...withoutArchive, '--set', 'backup.retention.max_count=1'] });
    const client = await first.client();
    for (let i = 0; i < 200; i += 1) await client.set(`key:${i}`, `value:${i}`);
    await admin(client, 'CREATE', 'PIN');
    await client.set('more', '1');
    await admin(client, 'CREATE', 'PIN');
    const repository = join(first.dir, 'backups');
    const files = objectKeys(repository, 'files');
    renameSync(join(repository, 'backups'), join(first.dir, 'manifests'));
    await admin(client, 'CREATE');
    await client.set('more', '2');
    t.match(await admin(client, 'CREATE'), { id: 4, pruned: [3] });
    await admin(client, 'DELETE', 4, 'FORCE');
    await first.stop();

    const again = await startServer(t, { dir: first.dir });
    const later = await again.client();
    t.match(await list(later), { total: 0 });
    t.match(await admin(later, 'CREATE'), { id: 5 });
    t.match(again.stderr(), /manifests are missing/);
    const left = new Set(objectKeys(repository, 'files'));
    t.same(
      files.filter((key) => !left.has(key)),
      [],
    );
    for (const name of readdirSync(join(first.dir, 'manifests'))) {
      renameSync(join(first.dir, 'manifests', name), join(repository, 'backups', name));
    }
    t.equal((await admin<unknown[]>(later, 'VERIFY', 'ALL', 'DEEP')).length, 3);
    t.match(await admin(later, 'RESTORE', 1), { id: 1 });
    t.equal(await later.dbsize(), 200);
    await again.stop();
  },
);

t.test(
  'live tables removed under the server: CREATE names the file; a restore in place saves the day without a restart',
  async (t) => {
    const first = await startServer(t);
    const before = await first.client();
    for (let i = 0; i < 200; i += 1) await before.set(`key:${i}`, `value:${i}`);
    await first.stop();
    const server = await startServer(t, { dir: first.dir });
    const client = await server.client();
    await admin(client, 'CREATE');
    const live = join(first.dir, 'db-000001');
    for (const name of readdirSync(live)) if (name.endsWith('.sst')) rmSync(join(live, name));
    await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), {
      message: /^BACKUPFAILED the live file \S+\.sst is gone from .*db-000001/,
    });
    t.match(await list(client, 'STATUS', 'all'), { total: 1, latest: 1 });
    await admin(client, 'RESTORE', 'LATEST');
    t.equal(await client.get('key:199'), 'value:199');
    t.match(await admin(client, 'CREATE', 'VERIFY'), { status: 'complete' });
    await server.stop();
  },
);

t.test('staging, scratch, restores and the journal removed under the server: they are made again', async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  await admin(client, 'VERIFY', 1, 'DEEP');
  await admin(client, 'RESTORE', 1, 'TO', 'one');
  for (const name of ['staging', 'scratch', 'restores', 'operations.jsonl'])
    rmSync(join(server.dir, name), { recursive: true });
  t.match(await admin(client, 'CREATE'), { id: 2 });
  t.match(await admin(client, 'VERIFY', 2, 'DEEP'), { status: 'VALID' });
  t.match(await admin(client, 'RESTORE', 2, 'TO', 'one'), { id: 2 });
  t.match(await admin(client, 'RESTORE', 2), { id: 2 });
  await server.stop();
});

t.test(
  'data and backups on one disk that is full: PRUNE and DELETE still work, and the way out needs no restart',
  { skip: cannotMount },
  async (t) => {
    const disk = smallDisk(t, 64);
    const dir = join(disk.path, 'data');
    mkdirSync(dir);
    const server = await startServer(t, {
      dir,
      args: [...withoutArchive, '--set', 'write_buffer_size=1mb', '--set', 'backup.wal.interval=1h'],
    });
    const client = await server.client();
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 8; i += 1) await client.set(`key:${i}`, randomBytes(250_000).toString('latin1'));
      await admin(client, 'CREATE');
    }
    disk.fillUpTo(0);
    await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), { message: /^(NOSPACE|BACKUPFAILED) / });
    t.match(await list(client), { total: 3, latest: 3 });
    t.match(await admin(client, 'VERIFY', 3), { status: 'VALID' });
    t.match(await admin(client, 'DELETE', 1), { deleted: [1] });
    t.match(await admin(client, 'PRUNE', 'MAXCOUNT', 1), { deleted: [2], kept: [3] });
    disk.free();
    await client.call('ADMIN.READONLY', 'OFF');
    t.equal(await client.set('b', '1'), 'OK');
    t.match(await admin(client, 'CREATE', 'VERIFY'), { status: 'complete' });
    await server.stop();
  },
);
