/** A7: places where a repository must not be. The start refuses them and leaves everything as it was. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { admin } from '../support/admin.js';
import { failToStart, startServer } from '../support/built-server.js';
import { freePort } from '../support/ports.js';
import { scratch } from '../support/scratch.js';
import { cannotMount, smallDisk } from '../support/small-disk.js';

t.test(
  'A7: a repository inside a database, at the data directory, above it, through a link, at / or at a file is refused',
  async (t) => {
    const root = scratch(t, { file: 'x' });
    const dir = join(root, 'data');
    const first = await startServer(t, { dir });
    const client = await first.client();
    await client.set('a', '1');
    const { target } = await admin<{ id: number }>(client, 'CREATE').then(() =>
      admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'plain'),
    );
    await first.stop();
    symlinkSync(join(dir, 'db-000001'), join(root, 'link'));
    symlinkSync(dir, join(root, 'dir-link'));
    const names = (): string[] =>
      readdirSync(root, { recursive: true })
        .map(String)
        .filter((name) => !/db-000001.|link.|staging/.test(name))
        .sort();
    const before = names();
    const places = [
      join(dir, 'db-000001'),
      join(dir, 'db-000001', 'backups'),
      join(dir, 'db-000007', 'backups'),
      dir,
      root,
      '/',
      '',
      join(root, 'link', 'backups'),
      join(root, 'dir-link'),
      join(root, 'file'),
      join(root, 'file', 'below'),
      join(target, 'backups'),
    ];
    for (const place of places) {
      const { code, stdout, stderr } = await failToStart(t, [
        '--port',
        String(await freePort()),
        '--dir',
        dir,
        '--backup-dir',
        place,
      ]);
      t.ok(code !== 0, `${JSON.stringify(place)}: exit ${code}`);
      t.equal(stdout, '', 'it never said that it was ready');
      t.match(stderr, /backup\.dir|backup-dir|not a directory|ENOTDIR/, place);
    }
    t.same(names(), before, 'nothing was made anywhere');
    t.notOk(existsSync(join(dir, 'db-000001', 'backups')));
    const again = await startServer(t, { dir });
    t.equal(await (await again.client()).get('a'), '1');
    t.match(await admin(await again.client(), 'VERIFY', 1), { status: 'VALID' });
    await again.stop();
  },
);

t.test('A7: a repository reached through a link to a harmless place works', async (t) => {
  const root = scratch(t);
  mkdirSync(join(root, 'real'));
  symlinkSync(join(root, 'real'), join(root, 'link'));
  const server = await startServer(t, { args: ['--backup-dir', join(root, 'link')] });
  const client = await server.client();
  await client.set('a', '1');
  t.match(await admin(client, 'CREATE', 'VERIFY'), { status: 'complete' });
  t.ok(readdirSync(join(root, 'real')).includes('REPOSITORY.json'));
  await server.stop();
});

t.test('A7: a read-only repository is read; writing says why, and data is served', { skip: cannotMount }, async (t) => {
  const disk = smallDisk(t, 16);
  const repository = join(disk.path, 'repository');
  const server = await startServer(t, { args: ['--backup-dir', repository] });
  const client = await server.client();
  await client.set('a', '1');
  await admin(client, 'CREATE');
  await server.stop();
  execFileSync('mount', ['-o', 'remount,ro', disk.path]);
  t.teardown(() => execFileSync('mount', ['-o', 'remount,rw', disk.path]));
  const reading = await startServer(t, { dir: server.dir, args: ['--backup-dir', repository] });
  const other = await reading.client();
  t.equal(await other.get('a'), '1');
  t.match(await admin(other, 'LIST'), { total: 1, latest: 1 });
  t.match(await admin(other, 'VERIFY', 1, 'DEEP'), { status: 'VALID' });
  t.match(await admin(other, 'RESTORE', 1, 'TO', 'out'), { id: 1 });
  await t.rejects(other.call('ADMIN.BACKUP', 'CREATE'), { message: /^BACKUPFAILED .*read-only/i });
  await t.rejects(other.call('ADMIN.BACKUP', 'DELETE', '1', 'FORCE'), { message: /read-only/i });
  t.match(await admin(other, 'LIST'), { total: 1, latest: 1 });
  await reading.stop();
  // A new server on it, with no repository there yet.
  const { stderr } = await failToStart(t, [
    '--port',
    String(await freePort()),
    '--dir',
    scratch(t),
    '--backup-dir',
    join(disk.path, 'new'),
  ]);
  t.match(stderr, /could not start.*cannot open the directory/);
});

t.test(
  'an unmounted backup disk: nothing is written to the mount point, and it goes on when it is back',
  { skip: cannotMount },
  async (t) => {
    const disk = smallDisk(t, 16);
    const server = await startServer(t, { args: ['--backup-dir', disk.path] });
    const client = await server.client();
    await client.set('a', '1');
    await admin(client, 'CREATE');
    // Another, empty file system over it: what an operator sees who mounted the wrong disk.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', disk.path]);
    await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), {
      message: /^BACKUPFAILED .*no longer the directory that was opened/,
    });
    await t.rejects(client.call('ADMIN.BACKUP', 'LIST'), { message: /^BACKUPFAILED / });
    t.same(readdirSync(disk.path), []);
    t.equal(await client.get('a'), '1');
    execFileSync('umount', [disk.path]);
    t.match(await admin(client, 'CREATE'), { status: 'complete' });
    t.match(await admin(client, 'LIST'), { total: 2 });
    await server.stop();
  },
);

t.test(
  'G8: a data directory that cannot be written to stops the start, and says so; nothing in it changes',
  { skip: cannotMount },
  async (t) => {
    const disk = smallDisk(t, 16);
    const dir = join(disk.path, 'data');
    const server = await startServer(t, { dir });
    await (await server.client()).set('a', '1');
    await server.stop();
    execFileSync('mount', ['-o', 'remount,ro', disk.path]);
    t.teardown(() => execFileSync('mount', ['-o', 'remount,rw', disk.path]));
    for (const place of [dir, join(disk.path, 'new', 'below')]) {
      const { code, stdout, stderr } = await failToStart(t, ['--port', String(await freePort()), '--dir', place]);
      t.equal(code, 1);
      t.equal(stdout, '');
      t.match(stderr, /could not start.*(Read-only file system|read-only file system)/, place);
    }
    execFileSync('mount', ['-o', 'remount,rw', disk.path]);
    const again = await startServer(t, { dir });
    t.equal(await (await again.client()).get('a'), '1');
    await again.stop();
  },
);

t.test(
  'G8: a data directory that a newer version wrote is left as it is: MISCONF, and a restart with that version',
  async (t) => {
    const server = await startServer(t);
    await (await server.client()).set('a', '1');
    await server.stop();
    const path = join(server.dir, 'LIVE');
    const before = readFileSync(path, 'utf8');
    const newer = withOwnHash(before.replace('"format": 1', '"format": 2'));
    writeFileSync(path, newer);
    const again = await startServer(t, { dir: server.dir });
    await t.rejects((await again.client()).get('a'), { message: /^MISCONF .*LIVE .*format 2/ });
    await again.stop();
    t.equal(readFileSync(path, 'utf8'), newer);
    writeFileSync(path, before);
    const back = await startServer(t, { dir: server.dir });
    t.equal(await (await back.client()).get('a'), '1');
    await back.stop();
  },
);

/** A document whose own hash fits what was edited. */
function withOwnHash(text: string): string {
  const zeros = '0'.repeat(64);
  const blank = text.replace(/"self_sha256": "[0-9a-f]{64}"/, `"self_sha256": "${zeros}"`);
  return blank.replace(zeros, createHash('sha256').update(blank).digest('hex'));
}
