/**
 * Whoever can write to a repository makes documents that lie, with every hash right.
 * Every attack is refused with an error that names it; nothing outside changes; data is served; honest backups go on working.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { admin } from '../support/admin.js';
import { attacked, forge, honestList, type ListedFile, sealed, sha256, tryAll } from '../support/attacked.js';
import { startServer, withoutArchive } from '../support/built-server.js';
import { manifestPath, objectPath } from '../support/repository-files.js';

t.test('C13: hostile names in a list of files, every hash right, make no file anywhere', async (t) => {
  const { server, client, repository, outside, untouched } = await attacked(t);
  const { files } = honestList(repository);
  const [file] = files as [ListedFile];
  const hostile: [string, unknown[]][] = [
    ['up', [{ ...file, name: '../../outside/x' }]],
    ['absolute', [{ ...file, name: join(outside, 'x') }]],
    ['dots', [{ ...file, name: '..' }]],
    ['dot', [{ ...file, name: '.' }]],
    ['empty', [{ ...file, name: '' }]],
    ['NUL', [{ ...file, name: 'CURRENT\0.sst' }]],
    ['below', [{ ...file, name: 'a/b' }]],
    ['backslash', [{ ...file, name: '..\\x' }]],
    ['newline', [{ ...file, name: 'CURRENT\nx' }]],
    ['number', [{ ...file, name: 7 }]],
    ['twice', [...files, files.at(-1)]],
    ['no order', [...files].reverse()],
    ['negative', [{ ...file, size: -1 }]],
    ['too large', [{ ...file, size: 2 ** 53 }]],
    ['object elsewhere', [{ ...file, sha256: '../../../outside/secret.txt' }]],
    ['object absolute', [{ ...file, sha256: join(outside, 'secret.txt') }]],
    ['long', [{ ...file, name: 'x'.repeat(256) }]],
  ];
  for (const [nth, [, list]] of hostile.entries()) forge(repository, nth + 2, list);
  forge(repository, 50, files);
  await server.stop();
  const again = await startServer(t, {
    dir: server.dir,
    args: ['--backup-dir', repository, ...withoutArchive],
  });
  const other = await again.client();
  void client;
  t.match(await admin(other, 'VERIFY', 50), { status: 'VALID' }, 'the forger can make what is accepted');
  for (const [nth, [what]] of hostile.entries()) {
    for (const answer of await tryAll(other, nth + 2)) {
      t.match(answer, /^(BACKUPMANIFEST|BACKUPCORRUPT|BACKUPINCOMPLETE|BACKUPVERIFY) [^\r\n\0]*$/, what);
    }
  }
  untouched(t, 'names');
  t.notOk(existsSync(join(again.dir, 'restores')), 'not even where restores go');
  t.same(
    readdirSync(again.dir).filter((name) => name.startsWith('db-')),
    ['db-000001'],
  );
  t.equal(await other.get('key'), 'value');
  t.match(await admin(other, 'RESTORE', 1, 'TO', 'honest'), { id: 1 });
  await again.stop();
});

t.test('C13: sizes that lie, and documents of a terabyte, cost neither disk nor memory', async (t) => {
  const { server, client, repository, untouched } = await attacked(t);
  const { files } = honestList(repository);
  const table = files.find(({ size }) => size > 1000) ?? (files[0] as ListedFile);
  const others = files.filter((file) => file !== table);
  const withSize = (size: number) => [...others, { ...table, size }].sort((a, b) => (a.name < b.name ? -1 : 1));
  forge(repository, 2, withSize(10));
  forge(repository, 3, withSize(2 ** 45));
  // Honest by its list; its object has become a terabyte of zeros.
  const big = sha256('');
  mkdirSync(dirname(objectPath(repository, big)), { recursive: true });
  writeFileSync(objectPath(repository, big), '');
  truncateSync(objectPath(repository, big), 2 ** 40);
  forge(
    repository,
    4,
    [...files, { name: 'zeros', size: 0, sha256: big }].sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
  writeFileSync(manifestPath(repository, 5), '');
  truncateSync(manifestPath(repository, 5), 2 ** 40);
  forge(repository, 6, files);
  const { list } = JSON.parse(readFileSync(manifestPath(repository, 6), 'utf8')) as { list: { sha256: string } };
  const { self_sha256: _, ...sixth } = JSON.parse(readFileSync(manifestPath(repository, 6), 'utf8'));
  const huge = sha256('huge');
  writeFileSync(join(repository, 'lists', huge), '');
  truncateSync(join(repository, 'lists', huge), 2 ** 40);
  writeFileSync(manifestPath(repository, 6), sealed({ ...sixth, list: { ...list, sha256: huge } }));
  await server.stop();
  void client;
  const again = await startServer(t, { dir: server.dir, args: ['--backup-dir', repository, ...withoutArchive] });
  const other = await again.client();
  for (const id of [2, 3, 4, 5, 6]) {
    for (const answer of await tryAll(other, id)) {
      t.match(
        answer,
        /^(BACKUPMANIFEST|BACKUPCORRUPT|BACKUPINCOMPLETE|BACKUPVERIFY|NOSPACE) [^\r\n]*$/,
        `backup ${id}`,
      );
    }
  }
  untouched(t, 'sizes');
  const rssKb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${again.pid}/status`, 'utf8'))?.[1] ?? 0);
  t.ok(rssKb < 1_500_000, `${rssKb} KB at most`);
  t.match(await admin(other, 'VERIFY', 1), { status: 'VALID' });
  t.equal(await other.get('key'), 'value');
  await again.stop();
});
