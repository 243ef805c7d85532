/** D6: SIGKILL while a backup is deleted or pruned. It is there or it is not, nobody else is harmed, leftovers are swept. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { admin, list } from '../support/admin.js';
import { startServer, withoutArchive } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

for (const point of ['manifest-removed', 'object-removed']) {
  for (const command of [
    ['DELETE', '1'],
    ['PRUNE', 'MAXCOUNT', '1'],
  ]) {
    t.test(`D6: killed at ${point} of ${command.join(' ')}, the backup is gone and the others restore`, async (t) => {
      const dir = scratch(t);
      const armed = await startServer(t, { dir, args: withoutArchive, env: { CAIRN_FAULT_POINTS: `${point}=kill` } });
      const client = await armed.client();
      for (const round of [1, 2, 3]) {
        for (let i = 0; i < 100; i += 1) await client.set(`key:${round}:${i}`, 'x'.repeat(round * 10));
        await admin(client, 'CREATE');
      }
      await t.rejects(client.call('ADMIN.BACKUP', ...command));
      t.equal((await armed.process.ended).signal, 'SIGKILL');

      const again = await startServer(t, { dir });
      const after = await again.client();
      const ids = (await list(after)).backups.map(({ id }) => id);
      t.notOk(ids.includes(1), 'its manifest went first');
      t.ok(ids.includes(3));
      await admin(after, 'VERIFY', 'ALL', 'FULL');
      for (const id of ids) await admin(after, 'RESTORE', id, 'TO', `of-${id}`);
      for (const id of ids) await admin(after, 'DELETE', id, 'FORCE');
      const left = (await readdir(join(dir, 'backups'), { recursive: true })).filter((name) =>
        /^(files|lists|states)\/.*[0-9a-f]{8}/.test(name),
      );
      t.same(left, [], 'nothing is left that nobody refers to');
      await again.stop();
    });
  }
}
