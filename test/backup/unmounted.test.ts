/** A start that finds an empty directory where the repository was: a disk that is not mounted is no new repository. */
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Fixture, type FixtureOptions, openFixture } from '../support/backup-fixture.js';
import { objectKeys } from '../support/repository-files.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const create = (f: Fixture) => f.create();
const advice = /there is no repository in .*If its disk is not mounted.*remove .*repository\.json/s;

/** A data directory with a full at n = 1 and archived commits up to n = 2, its repository unmounted. */
async function unmounted(t: Test) {
  const dir = scratch(t);
  const repository = join(scratch(t), 'mount');
  const open = (options: FixtureOptions = {}) => openFixture(dir, { archive: () => true, repository, ...options });
  const first = await open();
  await first.set('n', '1');
  await first.create();
  await first.set('n', '2');
  await first.close();
  renameSync(repository, `${repository}.disk`);
  mkdirSync(repository);
  return { dir, repository, open };
}

t.test('nothing is made in the mount point, data is served, logs wait, and it says what to do', async (t) => {
  const { repository, open } = await unmounted(t);
  const f = await open({ intervalMs: 20, writeBufferBytes: 64 << 10 });
  const moments: number[] = [];
  for (let i = 3; i <= 30; i += 1) {
    await f.set('n', `${i}${'x'.repeat(5000)}`);
    moments.push(f.keyspace.position.lastCommitUs);
  }
  await f.keyspace.database?.flush();
  const error = await waitFor(async () => (await f.backup.status(null)).archive_error, {
    what: 'the archive to say so',
  });
  t.match(error, advice);
  t.match((await create(f).catch((thrown) => thrown)).line, advice);
  t.match((await f.backup.tag('x').catch((thrown) => thrown)).line, advice);
  t.same(readdirSync(repository), [], 'not a file was made');
  t.ok(objectKeys(f.directory.livePath as string, 'archive/').length > 0, 'logs wait');
  await f.close();
  t.same(readdirSync(repository), []);

  rmdirSync(repository);
  renameSync(`${repository}.disk`, repository);
  const again = await open();
  t.teardown(() => again.close());
  t.same((await again.backup.window())[0]?.gaps, [], 'no hole');
  await again.restore({ target: { at: String(moments[10]) } });
  t.match(await again.get('n'), /^13x/);
  await (await again.backup.verifyAll('FULL')).done;
});

t.test('what is gone for good is forgotten by removing repository.json, without a restart', async (t) => {
  const { dir, repository, open } = await unmounted(t);
  const f = await open();
  t.teardown(() => f.close());
  await t.rejects(create(f), { code: 'BACKUPFAILED' });
  rmSync(join(dir, 'repository.json'));
  t.match(await f.backup.info(await create(f)), { status: 'complete' });
  t.ok(readdirSync(repository).includes('REPOSITORY.json'));
});

t.test('another backup.dir is a new repository, and one that cannot be told from a new one is not made', async (t) => {
  const { dir, open } = await unmounted(t);
  const elsewhere = join(scratch(t), 'elsewhere');
  const f = await open({ repository: elsewhere });
  t.match(await f.backup.info(await create(f)), { status: 'complete' });
  await f.close();
  writeFileSync(join(dir, 'repository.json'), 'torn');
  const empty = await open({ repository: join(scratch(t), 'empty') });
  await t.rejects(create(empty), { code: 'BACKUPFAILED', message: /repository\.json.* cannot be read/ });
  await empty.close();
  const back = await open({ repository: elsewhere });
  t.match(await back.backup.info(await create(back)), { status: 'complete' });
  await back.close();
  const remembered = await open({ repository: join(scratch(t), 'third') });
  t.match(await remembered.backup.info(await create(remembered)), { status: 'complete' }, 'it was written anew');
  await remembered.close();
});
