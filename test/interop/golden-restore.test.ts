/** C12: what format 1 wrote is restored by a fresh process: a repository that was made once and never changes, and one made now. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { admin, dump, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { goldenBackups, makeGoldenRepository } from '../support/golden-repository.js';
import { scratch } from '../support/scratch.js';

async function restores(t: Test, repository: string): Promise<void> {
  const server = await startServer(t, { args: ['--backup-dir', repository] });
  const client = await server.client();
  const { backups, latest } = await list(client);
  t.same(
    backups.map(({ id, status }) => [id, status]),
    [
      [3, 'complete'],
      [2, 'complete'],
      [1, 'complete'],
    ],
  );
  t.equal(latest, 3);
  t.equal((await admin<unknown[]>(client, 'VERIFY', 'ALL', 'DEEP')).length, 3);
  for (const { id, label, timeline, content } of goldenBackups) {
    t.match(await admin(client, 'INFO', id), { id, type: 'full', label, timeline, pinned: id === 1 ? 1 : 0 });
    t.match(await admin(client, 'RESTORE', id), { id, timeline });
    for (const [database, expected] of Object.entries(content)) {
      await client.select(Number(database));
      t.same(Object.fromEntries(await dump(client)), expected, `backup ${id}, database ${database}`);
      t.equal(await client.dbsize(), Object.keys(expected).length);
    }
    await client.select(0);
    t.match(await client.info('keyspace'), /db0:keys=\d+,expires=0,/);
    await client.expire('stone:1', 1000);
    t.match(await client.info('keyspace'), /db0:keys=\d+,expires=1,/, 'what was not counted then is from now on');
  }
  t.match(await admin(client, 'CREATE'), { id: 4, status: 'complete' }, 'and it goes on from there');
  await server.stop();
}

t.test('C12: a repository that the first version wrote is restored by this one', async (t) => {
  const copy = join(scratch(t), 'repository');
  cpSync('test/fixtures/restorable-v1', copy, { recursive: true });
  await restores(t, copy);
});

t.test('a repository that is written now is restored by a fresh process that never saw its data', async (t) => {
  const repository = join(scratch(t), 'repository');
  await makeGoldenRepository(repository);
  await restores(t, repository);
});
