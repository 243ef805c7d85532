/** A repository and the servers that are not, or not yet, its owner; and two that both think they are. */

import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin, dump, list } from '../support/admin.js';
import { type Server, startServer, withoutArchive } from '../support/built-server.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const writing: string[][] = [
  ['ADMIN.BACKUP', 'CREATE'],
  ['ADMIN.BACKUP', 'CREATE', 'ASYNC'],
  ['ADMIN.BACKUP', 'PRUNE', 'MAXCOUNT', '1'],
  ['ADMIN.BACKUP', 'PRUNE', 'MAXAGE', '1ms'],
  ['ADMIN.BACKUP', 'DELETE', '1'],
  ['ADMIN.BACKUP', 'DELETE', '1', 'FORCE'],
  ['ADMIN.BACKUP', 'PIN', '1'],
  ['ADMIN.BACKUP', 'UNPIN', '1'],
  ['SAVE'],
  ['BGSAVE'],
];

async function refusesToWrite(t: Test, client: Redis, message: RegExp): Promise<void> {
  for (const words of writing) {
    await t.rejects(client.call(words[0] as string, ...words.slice(1)), { message }, words.join(' '));
  }
}

/** A repository with two backups of a server that is gone. */
async function orphaned(t: Test): Promise<{ repository: string; content: Map<string, string | null>; dir: string }> {
  const repository = join(scratch(t), 'repository');
  const server = await startServer(t, { args: ['--backup-dir', repository] });
  const client = await server.client();
  for (let i = 0; i < 100; i += 1) await client.set(`key:${i}`, `value:${i}`);
  await admin(client, 'CREATE', 'LABEL', 'first');
  await client.set('more', 'yes');
  await admin(client, 'CREATE');
  const content = await dump(client);
  await server.stop();
  return { repository, content, dir: server.dir };
}

const snapshot = (repository: string): string[] =>
  objectKeys(repository).map(
    (key) =>
      `${key} ${createHash('sha256')
        .update(readFileSync(join(repository, key)))
        .digest('hex')}`,
  );

t.test(
  'D10: an empty data directory over a full repository: nothing created, nothing removed, everything restorable',
  async (t) => {
    const { repository, content } = await orphaned(t);
    const before = snapshot(repository);
    const server = await startServer(t, {
      args: [
        ...withoutArchive,
        '--backup-dir',
        repository,
        '--set',
        'backup.retention.max_count=1',
        '--set',
        'backup.retention.max_age=1ms',
      ],
    });
    const client = await server.client();
    await client.set('mine', '1');
    t.match(await list(client), { total: 2, latest: 2 });
    t.match(await admin(client, 'INFO', 1), { label: 'first', status: 'complete' });
    t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, 2);
    t.match(await admin(client, 'RESTORE', 1, 'DRYRUN'), { id: 1 });
    t.match(await admin(client, 'RESTORE', 1, 'TO', 'look'), { id: 1 });
    await refusesToWrite(
      t,
      client,
      /^REPOFOREIGN .*belongs to database [0-9a-f-]{36}.*this server's database is [0-9a-f-]{36}.*ADOPTREPO/,
    );
    t.same(snapshot(repository), before, 'not a byte of the repository changed');

    t.match(await admin(client, 'RESTORE', 'LATEST'), { id: 2, timeline_new: 2 });
    t.same(await dump(client), content);
    t.match(await admin(client, 'CREATE'), { id: 3, timeline: 2, pruned: [1, 2] }, 'the restore took the id over');
    t.match(await admin(client, 'VERIFY', 3, 'DEEP'), { status: 'VALID' });
    await admin(client, 'RESTORE', 'PREVIOUS');
    t.equal(await client.get('mine'), '1', 'what was there before is a step back');
    await server.stop();
  },
);

t.test('PREVIOUS after a takeover leads back to a database that is foreign again', async (t) => {
  const { repository } = await orphaned(t);
  const server = await startServer(t, { args: ['--backup-dir', repository] });
  const client = await server.client();
  await client.set('mine', '1');
  await admin(client, 'RESTORE', 'LATEST');
  await admin(client, 'RESTORE', 'PREVIOUS');
  t.equal(await client.get('mine'), '1');
  await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), { message: /^REPOFOREIGN / });
  await admin(client, 'RESTORE', 'PREVIOUS');
  t.equal(await client.get('more'), 'yes');
  t.match(await admin(client, 'CREATE'), { status: 'complete' });
  await server.stop();
});

t.test('ADOPTREPO says that this database replaces the other; the other is then the foreign one', async (t) => {
  const { repository, content, dir } = await orphaned(t);
  const server = await startServer(t, { args: ['--backup-dir', repository] });
  const client = await server.client();
  await client.set('mine', '1');
  await t.rejects(client.call('ADMIN.BACKUP', 'ADOPTREPO', 'not-its-id'), {
    message: /^ERR .*has id [0-9a-f-]{36}, not not-its-id/,
  });
  const { repository_id: id } = JSON.parse(readFileSync(join(repository, 'REPOSITORY.json'), 'utf8')) as {
    repository_id: string;
  };
  t.equal(await client.call('ADMIN.BACKUP', 'ADOPTREPO', id), 'OK');
  t.equal(await client.call('ADMIN.BACKUP', 'ADOPTREPO', id), 'OK', 'a second time changes nothing');
  t.match(await admin(client, 'CREATE'), { id: 3, timeline: 2 });
  t.match(await list(client), { total: 3, latest: 3 });
  t.match(await admin(client, 'RESTORE', 2), { timeline: 1, timeline_new: 3 });
  t.same(await dump(client), content, 'the old backups restore as before');
  await admin(client, 'RESTORE', 3);
  t.equal(await client.get('mine'), '1');
  await server.stop();

  const replaced = await startServer(t, { dir, args: ['--backup-dir', repository] });
  const other = await replaced.client();
  t.same(await dump(other), content, 'it serves its data');
  await refusesToWrite(t, other, /^REPOFOREIGN /);
  await replaced.stop();
});

t.test('A8: two servers, one repository: the second is told REPOLOCKED, reads, and serves on', async (t) => {
  const repository = join(scratch(t), 'repository');
  const first = await startServer(t, { args: ['--backup-dir', repository] });
  const one = await first.client();
  await one.set('a', '1');
  await admin(one, 'CREATE');

  // A copy of the data directory has the same database id: only the lock tells the two apart.
  const copy = join(scratch(t), 'copy');
  await first.stop();
  cpSync(first.dir, copy, { recursive: true });
  const owner = await startServer(t, { dir: first.dir, args: ['--backup-dir', repository] });
  const owning = await owner.client();
  await admin(owning, 'CREATE');
  const second = await startServer(t, { dir: copy, args: ['--backup-dir', repository] });
  const two = await second.client();
  t.equal(await two.get('a'), '1');
  t.equal(await two.set('b', '2'), 'OK', 'a lock never stops serving');
  await refusesToWrite(t, two, /^REPOLOCKED .*held by another server/);
  await t.rejects(two.call('ADMIN.BACKUP', 'RESTORE', '1'), { message: /^REPOLOCKED / });
  t.match(await list(two), { total: 2, latest: 2 });
  t.match(await admin(two, 'VERIFY', 2, 'DEEP'), { status: 'VALID' });
  t.match(await admin(two, 'RESTORE', 1, 'TO', 'look'), { id: 1 });
  t.match(await admin(owning, 'CREATE'), { id: 3, pruned: [] }, 'the holder is not disturbed');
  t.match(await list(two), { latest: 3 }, 'and the reader sees what it makes');

  await owner.kill9();
  t.match(await admin(two, 'CREATE'), { id: 4 }, 'the lock of a dead server is nobody’s');
  await second.stop();
});

t.test('two servers that CREATE at once: one wins, the other is told; every listed backup restores', async (t) => {
  const repository = join(scratch(t), 'repository');
  const seed = await startServer(t, { args: ['--backup-dir', repository] });
  await (await seed.client()).set('a', '1');
  await seed.stop();
  const copy = join(scratch(t), 'copy');
  cpSync(seed.dir, copy, { recursive: true });
  const servers: Server[] = await Promise.all([
    startServer(t, { dir: seed.dir, args: ['--backup-dir', repository] }),
    startServer(t, { dir: copy, args: ['--backup-dir', repository] }),
  ]);
  const clients = await Promise.all(servers.map((server) => server.client()));
  const outcomes = await Promise.allSettled(clients.map((client) => admin(client, 'CREATE')));
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  const lost = outcomes.find((outcome) => outcome.status === 'rejected') as PromiseRejectedResult;
  t.match(lost.reason, { message: /^REPOLOCKED / });
  for (const client of clients) t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, 1);
  await Promise.all(servers.map((server) => server.stop()));
});

t.test('REPOFORMAT: a repository of a newer format is neither read as ours nor written to', async (t) => {
  const { repository, content, dir } = await orphaned(t);
  const path = join(repository, 'REPOSITORY.json');
  const zeros = '0'.repeat(64);
  const whole = readFileSync(path, 'utf8');
  const newer = whole
    .replace('"format": 1', '"format": 2')
    .replace(/"self_sha256": "[0-9a-f]{64}"/, `"self_sha256": "${zeros}"`);
  writeFileSync(path, newer.replace(zeros, createHash('sha256').update(newer).digest('hex')));
  const before = snapshot(repository);
  const server = await startServer(t, { dir, args: ['--backup-dir', repository] });
  const client = await server.client();
  t.same(await dump(client), content, 'data is served');
  await refusesToWrite(t, client, /^REPOFORMAT .*format 2.*reads format 1/);
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1'), { message: /^REPOFORMAT / });
  await t.rejects(client.call('ADMIN.BACKUP', 'LIST'), { message: /^REPOFORMAT / });
  await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', '1'), { message: /^REPOFORMAT / });
  await t.rejects(client.call('ADMIN.BACKUP', 'ADOPTREPO', 'x'), { message: /^REPOFORMAT / });
  t.same(snapshot(repository), before);
  writeFileSync(path, whole);
  t.match(await admin(client, 'CREATE'), { id: 3 });
  await server.stop();
});

t.test('a lost or damaged REPOSITORY.json stops writing, not reading; bringing it back is enough', async (t) => {
  const { repository, dir } = await orphaned(t);
  const path = join(repository, 'REPOSITORY.json');
  const whole = readFileSync(path);
  const server = await startServer(t, { dir, args: ['--backup-dir', repository] });
  const client = await server.client();
  for (const harm of [
    () => rmSync(path),
    () => writeFileSync(path, whole.subarray(0, 50)),
    () => writeFileSync(path, ''),
  ]) {
    harm();
    await refusesToWrite(t, client, /^BACKUPMANIFEST REPOSITORY\.json /);
    t.match(await list(client), { total: 2, latest: 2 });
    await t.rejects(client.call('ADMIN.BACKUP', 'VERIFY', 'ALL'), { message: /^BACKUP[A-Z]+ .*REPOSITORY\.json/ });
    t.match(await admin(client, 'VERIFY', 2), { status: 'VALID' }, 'the backups themselves are whole');
    t.match(await admin(client, 'RESTORE', 2, 'TO', `way-out-${Math.random()}`.slice(0, 20)), { id: 2 });
  }
  writeFileSync(path, whole);
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL')).length, 2);
  t.match(await admin(client, 'CREATE'), { id: 3 });
  await waitFor(async () => (await list(client)).total === 3, { what: 'the third' });
  await server.stop();
});
