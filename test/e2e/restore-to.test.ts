/** RESTORE … TO: a plain RocksDB directory beside the running server, which needs nothing of it and takes nothing from it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { admin, dump } from '../support/admin.js';
import { type Server, startServer } from '../support/built-server.js';
import { isInstalled } from '../support/processes.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';

interface Prepared {
  server: Server;
  client: import('ioredis').Redis;
  content: Map<string, string | null>;
}

async function prepared(t: Test, args: string[] = []): Promise<Prepared> {
  const server = await startServer(t, { args });
  const client = await server.client();
  for (let i = 0; i < 500; i += 1) await client.set(`key:${i}`, `value:${i}`);
  await client.set('ttl', 'x', 'EX', 1000);
  const content = await dump(client);
  await admin(client, 'CREATE');
  await client.set('key:0', 'changed');
  return { server, client, content };
}

t.test(
  'C14: a restored directory is served on another port while the first server runs, and needs nothing of its repository',
  async (t) => {
    const { server, client, content } = await prepared(t);
    const restored = await admin<{ target: string; sequence: number }>(client, 'RESTORE', 1, 'TO', 'drill');
    t.match(restored, {
      id: 1,
      target: join(server.dir, 'restores', 'drill'),
      timeline: 1,
      downtime_ms: 0,
      previous_dir: null,
      timeline_new: null,
      commits_left_behind: null,
      base: 1,
    });
    const second = await startServer(t, { dataDir: restored.target });
    const other = await second.client();
    t.same(await dump(other), content);
    t.ok((await other.ttl('ttl')) > 900);
    t.equal(await other.set('written', 'to the copy'), 'OK');
    t.equal(await client.get('written'), null, 'the first server knows nothing of it');
    t.equal(await client.get('key:0'), 'changed');
    await t.rejects(other.call('ADMIN.BACKUP', 'CREATE'), { message: /^REPOFOREIGN .*plain directory/ });
    await t.rejects(other.call('ADMIN.BACKUP', 'RESTORE', '1'), {
      message: /^(BACKUPNOTFOUND|RESTOREFAILED|REPOFOREIGN) /,
    });
    t.match(await admin(other, 'LIST'), { total: 0, latest: null });
    await second.stop();

    // Without the repository, and again after a stop.
    rmSync(join(server.dir, 'backups'), { recursive: true });
    const third = await startServer(t, { dataDir: restored.target });
    t.equal(await (await third.client()).get('written'), 'to the copy');
    await third.stop();
    await server.stop();
  },
);

t.test('serve --data-dir reads a repository that is named, and never writes to it', async (t) => {
  // The owner's archive is at rest: two listings are compared.
  const { server, client } = await prepared(t, ['--set', 'backup.wal.interval=1h']);
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'drill');
  const repository = join(server.dir, 'backups');
  const restores = scratch(t);
  const args = ['--backup-dir', repository, '--set', `backup.restore_dir=${restores}`];
  const second = await startServer(t, { dataDir: target, args });
  const other = await second.client();
  const before = objectKeys(repository);
  t.match(await admin(other, 'LIST'), { total: 1, latest: 1 });
  t.match(await admin(other, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
  t.match(await admin(other, 'RESTORE', 1, 'TO', 'again'), { target: join(restores, 'again') });
  for (const words of [
    ['CREATE'],
    ['PIN', '1'],
    ['DELETE', '1', 'FORCE'],
    ['PRUNE', 'MAXCOUNT', '1'],
    ['RESTORE', '1'],
  ]) {
    await t.rejects(
      other.call('ADMIN.BACKUP', ...words),
      { message: /^(REPOFOREIGN|RESTOREFAILED) / },
      words.join(' '),
    );
  }
  t.same(objectKeys(repository), before);
  t.match(await admin(client, 'CREATE'), { id: 2 }, 'the owner goes on');
  await second.stop();
  await server.stop();
});

t.test(
  'C9: target names that are not one level below restore_dir are refused, and so are occupied places',
  async (t) => {
    const { server, client } = await prepared(t);
    const outside = scratch(t, { 'file.txt': 'mine' });
    const restores = join(server.dir, 'restores');
    mkdirSync(join(restores, 'full'), { recursive: true });
    writeFileSync(join(restores, 'full', 'mine'), 'x');
    writeFileSync(join(restores, 'file'), 'x');
    symlinkSync(outside, join(restores, 'link'));
    symlinkSync(join(outside, 'nowhere'), join(restores, 'dangling'));
    mkdirSync(join(restores, 'empty'));
    const names = [
      '..',
      '.',
      '../x',
      '/etc',
      '/tmp/x',
      'a/b',
      'a\\b',
      '.hidden',
      '',
      'x'.repeat(129),
      'é',
      'a b',
      'a\0b',
      '-\n',
    ];
    for (const name of [...names, 'full', 'file', 'link', 'dangling']) {
      await t.rejects(
        client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', name),
        { message: /^RESTOREDIR [^\r\n]*$/ },
        JSON.stringify(name),
      );
    }
    t.same(readdirSync(outside), ['file.txt'], 'nothing outside was touched');
    t.same(readdirSync(join(restores, 'full')), ['mine']);
    for (const name of ['empty', 'x'.repeat(128), '-', 'A.b_c-9', 'FORCE']) {
      t.match(await admin(client, 'RESTORE', 1, 'TO', name), { target: join(restores, name) }, name);
    }
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', 'empty'), { message: /^RESTOREDIR .*not empty/ });
    await server.stop();
  },
);

t.test('C15: two restores at once, to two places and to one', async (t) => {
  const { server, client, content } = await prepared(t);
  const clients = await Promise.all([server.client(), server.client(), server.client(), server.client()]);
  const both = await Promise.all(
    ['one', 'two'].map((name, at) => admin<{ target: string }>(clients[at] as typeof client, 'RESTORE', 1, 'TO', name)),
  );
  for (const { target } of both) {
    const copy = await startServer(t, { dataDir: target });
    t.same(await dump(await copy.client()), content);
    await copy.stop();
  }
  const race = await Promise.allSettled(
    [2, 3].map((at) => admin<{ target: string }>(clients[at] as typeof client, 'RESTORE', 1, 'TO', 'same')),
  );
  t.equal(race.filter(({ status }) => status === 'fulfilled').length, 1, 'one of them wins');
  const lost = race.find((outcome) => outcome.status === 'rejected');
  t.match((lost as PromiseRejectedResult | undefined)?.reason, { message: /^RESTOREDIR / });
  t.same(readdirSync(join(server.dir, 'restores')).sort(), ['one', 'same', 'two'], 'nothing half-made is left');
  await server.stop();
});

t.test('no file of a restored directory shares an inode with the repository or with live data', async (t) => {
  const { server, client } = await prepared(t);
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'drill');
  const { previous_dir: previous } = await admin<{ previous_dir: string }>(client, 'RESTORE', 1);
  const inodes = (root: string): number[] =>
    readdirSync(root, { recursive: true })
      .map((name) => statSync(join(root, String(name))))
      .filter((stat) => stat.isFile())
      .map(({ ino }) => ino);
  const places = [target, previous, join(server.dir, 'db-000002'), join(server.dir, 'backups')].map(inodes);
  const all = places.flat();
  t.equal(new Set(all).size, all.length);
  t.ok(places.every(({ length }) => length > 3));
  await server.stop();
});

t.test('a failed RESTORE TO leaves nothing, also in a directory that was there empty', async (t) => {
  const pauseless = await startServer(t, { env: { CAIRN_FAULT_POINTS: 'proven=throw:EIO:1' } });
  const client = await pauseless.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  mkdirSync(join(pauseless.dir, 'restores', 'drill'), { recursive: true });
  await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', 'drill'), { message: /^RESTOREFAILED / });
  t.same(readdirSync(join(pauseless.dir, 'restores'), { recursive: true }), ['drill']);
  t.match(await admin(client, 'RESTORE', 1, 'TO', 'drill'), { id: 1 });
  await pauseless.stop();
});

t.test('a place of restores that cannot be looked at is named as what is wrong', async (t) => {
  const { server, client } = await prepared(t);
  const place = join(server.dir, 'restores');
  rmSync(place, { recursive: true, force: true });
  symlinkSync('restores', place);
  for (const words of [[], ['DRYRUN']]) {
    await t.rejects(client.call('ADMIN.BACKUP', 'RESTORE', '1', 'TO', 'x', ...words), {
      message: /^RESTOREDIR .*restores\/x cannot be looked at: ELOOP/,
    });
  }
  rmSync(place);
  await admin(client, 'RESTORE', 1, 'TO', 'x');
});

t.test('the restored directory opens in the rocksdb package from npm, with the same records', async (t) => {
  const { server, client } = await prepared(t);
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'drill');
  // biome-ignore lint/suspicious/noExplicitAny: the package has no types
  const rocksdb = createRequire(import.meta.url)('rocksdb') as any;
  const database = rocksdb(target);
  await promisify(database.open.bind(database))({ createIfMissing: false });
  const get = promisify(database.get.bind(database)) as (key: Buffer) => Promise<Buffer>;
  t.equal((await get(Buffer.from('\x01\x00key:0', 'latin1'))).toString('latin1'), '\x00value:0');
  t.equal((await get(Buffer.from('\x01\x00key:499', 'latin1'))).toString('latin1'), '\x00value:499');
  await promisify(database.close.bind(database))();
  await server.stop();
});

t.test(
  'the restored directory opens in ldb',
  { skip: isInstalled('ldb') ? false : 'ldb is not installed' },
  async (t) => {
    const { server, client } = await prepared(t);
    const { target, sequence } = await admin<{ target: string; sequence: number }>(client, 'RESTORE', 1, 'TO', 'drill');
    t.ok(sequence > 500);
    const ldb = (...args: string[]): string => execFileSync('ldb', [`--db=${target}`, ...args], { encoding: 'utf8' });
    const key = `0x${Buffer.from('\x01\x00key:42', 'latin1').toString('hex')}`;
    t.equal(ldb('get', key, '--hex').trim().toLowerCase(), `0x${Buffer.from('\0value:42').toString('hex')}`);
    t.match(ldb('checkconsistency'), /OK/);
    t.equal(ldb('scan', '--hex', '--from=0x0100', '--to=0x0101').trim().split('\n').length, 501);
    t.notOk(readdirSync(target).includes('archive') && readdirSync(join(target, 'archive')).length > 0);
    t.match(readFileSync(join(target, 'CURRENT'), 'utf8'), /^MANIFEST-/);
    await server.stop();
  },
);
