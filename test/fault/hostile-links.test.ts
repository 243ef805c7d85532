/**
 * Whoever can write to a repository, or beside it, puts links, pipes and devices where files should be.
 * Every attack is refused with an error that names it; nothing outside changes; data is served; honest backups go on working.
 */
/**
 * Whoever can write to a repository, or to a place beside it, tries to make the server read, write or make something elsewhere.
 * Every attack is refused with an error that names it; nothing outside changes; data is served; honest backups go on working.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { attacked, honestList, type ListedFile } from '../support/attacked.js';
import { openFixture } from '../support/backup-fixture.js';
import { startServer } from '../support/built-server.js';
import { freePort } from '../support/ports.js';
import { manifestPath, objectPath } from '../support/repository-files.js';

t.test('C13: links, pipes and devices in a repository are not followed, read or written through', async (t) => {
  const { server, client, repository, outside, untouched } = await attacked(t);
  await server.stop();
  void client;
  const { files } = honestList(repository);
  const [file] = files as [ListedFile];
  const object = objectPath(repository, file.sha256);
  const attacks: [string, (repository: string) => void][] = [
    [
      'an object is a link to the right bytes',
      (at) => {
        const path = objectPath(at, file.sha256);
        rmSync(path);
        symlinkSync(object, path);
      },
    ],
    [
      'the directory of an object is a link',
      (at) => {
        const path = dirname(objectPath(at, file.sha256));
        rmSync(path, { recursive: true });
        symlinkSync(dirname(object), path);
      },
    ],
    ['files/ is a link', (at) => replaceByLink(join(at, 'files'), outside)],
    ['backups/ is a link', (at) => replaceByLink(join(at, 'backups'), outside)],
    ['lists/ is a link', (at) => replaceByLink(join(at, 'lists'), outside)],
    ['a manifest is a device', (at) => replaceByLink(manifestPath(at, 1), '/dev/zero')],
    [
      'a manifest is a pipe',
      (at) => {
        rmSync(manifestPath(at, 1));
        execFileSync('mkfifo', [manifestPath(at, 1)]);
      },
    ],
    [
      'an object is a pipe',
      (at) => {
        rmSync(objectPath(at, file.sha256));
        execFileSync('mkfifo', [objectPath(at, file.sha256)]);
      },
    ],
    ['next_id is a link', (at) => replaceByLink(join(at, 'next_id'), join(outside, 'secret.txt'))],
    ['latest is a link', (at) => replaceByLink(join(at, 'latest'), join(outside, 'secret.txt'))],
  ];
  for (const [what, attack] of attacks) {
    const copy = join(dirname(repository), 'attacked');
    rmSync(copy, { recursive: true, force: true });
    cpSync(repository, copy, { recursive: true });
    attack(copy);
    const again = await openFixture(server.dir, { repository: copy });
    t.equal(await again.get('key'), 'value', what);
    const { backup } = again;
    const [verified] = await Promise.allSettled([backup.verify(1, 'FULL').then(({ done }) => done)]);
    const isPartOfIt = !/^(next_id|latest) /.test(what);
    t.equal(verified.status, isPartOfIt ? 'rejected' : 'fulfilled', `${what}: VERIFY`);
    await Promise.allSettled([backup.list({}), again.create(), again.restore({ to: 'x' })]);
    await Promise.allSettled([backup.delete(1, true)]);
    await again.close();
    untouched(t, what);
    t.ok(existsSync(object), `${what}: nothing was removed through it`);
  }
});

t.test('C13: a lock or journal that is a link to elsewhere makes no file there', async (t) => {
  const { server, repository, outside, untouched } = await attacked(t);
  await server.stop();
  const places: [string, string[]][] = [
    [join(server.dir, 'LOCK'), ['--backup-dir', repository]],
    ...readdirSync(repository)
      .filter((name) => /lock/i.test(name))
      .map((name): [string, string[]] => [join(repository, name), ['--backup-dir', repository]]),
  ];
  t.equal(places.length, 2, 'both locks are known');
  for (const [place, args] of places) {
    renameSync(place, `${place}.kept`);
    symlinkSync(join(outside, 'made'), place);
    const { code, stderr } = await runBriefly(t, server.dir, args);
    t.match(stderr, /it is not a regular file/, place);
    t.ok(code === 0 || code === 1, `exit ${code}`);
    untouched(t, place);
    rmSync(place);
    renameSync(`${place}.kept`, place);
  }
});

function replaceByLink(path: string, target: string): void {
  rmSync(path, { recursive: true });
  symlinkSync(target, path);
}

/** Starts, lets it say what it has to say, and ends it if it serves. */
async function runBriefly(t: Test, dir: string, args: string[]): Promise<{ code: number | null; stderr: string }> {
  try {
    const server = await startServer(t, { dir, args, port: await freePort() });
    await (await server.client()).call('ADMIN.BACKUP', 'CREATE').catch(() => undefined);
    const { code } = await server.stop();
    return { code, stderr: server.stderr() };
  } catch (error) {
    return { code: 1, stderr: (error as Error).message };
  }
}
