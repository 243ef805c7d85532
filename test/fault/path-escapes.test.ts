/**
 * Places given by an operator, and links that wait in them, lead no restore and no adopt elsewhere.
 * Every attack is refused with an error that names it; nothing outside changes; data is served; honest backups go on working.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { checkRestorePath } from '../../src/backup/paths.js';
import { admin } from '../support/admin.js';
import { attacked } from '../support/attacked.js';
import { openFixture } from '../support/backup-fixture.js';
import { failToStart } from '../support/built-server.js';
import { freePort } from '../support/ports.js';
import { runToEnd } from '../support/processes.js';
import { scratch } from '../support/scratch.js';

t.test(
  'C9: restore_dir may not be a place of data, of backups or inside a database, through no link either',
  async (t) => {
    const { server, repository, outside, untouched } = await attacked(t);
    await server.stop();
    const link = join(dirname(outside), 'restores-link');
    for (const target of [server.dir, join(server.dir, 'db-000001'), repository, join(repository, 'files')]) {
      for (const place of [target, join(target, 'new'), link, join(link, 'new')]) {
        rmSync(link, { force: true });
        symlinkSync(target, link);
        const checking = checkRestorePath(place, server.dir, repository);
        const isBelowData = place.endsWith('new') && target === server.dir;
        if (isBelowData) await t.resolves(checking, `${place} → ${target}`);
        else await t.rejects(checking, { code: 'ERR', message: /restore_dir/ }, `${place} → ${target}`);
      }
    }
    const args = ['--port', String(await freePort()), '--dir', server.dir, '--backup-dir', repository];
    const { code, stdout, stderr } = await failToStart(t, [...args, '--set', `backup.restore_dir=${link}`]);
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(stderr, /backup\.restore_dir '.*' cannot be used: it is in the repository .*Choose a directory of its own/);
    rmSync(link);
    untouched(t, 'restore_dir');
  },
);

t.test('C9: a link that waits where a state is rebuilt is not built through', async (t) => {
  const root = scratch(t, { outside: {} });
  const fixture = await openFixture(join(root, 'data'));
  await fixture.set('key', 'value');
  await fixture.create();
  mkdirSync(join(root, 'data', 'scratch'));
  for (let number = 1; number < 10; number++) {
    symlinkSync(join(root, 'outside'), join(root, 'data', 'scratch', `verify-1-${number}`));
  }
  await t.rejects(
    fixture.backup.verify(1, 'DEEP').then(({ done }) => done),
    { message: /EEXIST/ },
  );
  t.same(readdirSync(join(root, 'outside')), []);
  await fixture.close();
});

t.test('A7: adopt follows no link out of the directory that it takes over', async (t) => {
  const { server, client, outside, untouched } = await attacked(t);
  const { target } = await admin<{ target: string }>(client, 'RESTORE', 1, 'TO', 'foreign');
  await server.stop();
  const program = join(process.cwd(), 'dist', 'cli', 'main.js');
  const to = join(dirname(outside), 'adopted');
  const adopt = () => runToEnd(process.execPath, [program, 'adopt', target, '--dir', to]);
  for (const [name, leadsTo] of [
    ['000099.sst', join(outside, 'secret.txt')],
    ['OPTIONS-999999', '/dev/zero'],
    ['000098.log', join(outside, 'nowhere')],
  ] as const) {
    symlinkSync(leadsTo, join(target, name));
    const { code, stderr } = await adopt();
    t.equal(code, 1, name);
    t.match(stderr, /symbolic link|not a regular file|ELOOP/, name);
    t.notOk(existsSync(to), 'nothing is left');
    rmSync(join(target, name));
  }
  const { code, stderr } = await adopt();
  t.equal(code, 0, stderr);
  untouched(t, 'adopt');
});
