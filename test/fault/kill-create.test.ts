/**
 * A1: SIGKILL at each step of CREATE. Afterwards the backup is complete or not there at all, older ones are whole, the data
 * is what it was, and what was left is swept.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { admin, dump, list } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';

/** Whether the backup is listed after a kill at the point. */
const points: [string, boolean][] = [
  ['checkpoint-made', false],
  ['file-copied', false],
  ['file-copied=kill:3', false],
  ['manifest-written', false],
  ['manifest-renamed', true],
  ['before-retention', true],
];

for (const [point, listed] of points) {
  const spec = point.includes('=') ? point : `${point}=kill`;
  t.test(
    `A1: killed at ${spec} of a create, the backup is ${listed ? 'complete' : 'not listed'} and nothing else is harmed`,
    async (t) => {
      const dir = scratch(t);
      const first = await startServer(t, { dir });
      const before = await first.client();
      for (let i = 0; i < 200; i += 1) await before.set(`key:${i}`, `value:${i}`);
      await admin(before, 'CREATE');
      for (let i = 200; i < 400; i += 1) await before.set(`key:${i}`, `value:${i}`);
      const content = await dump(before);
      await first.stop();

      const armed = await startServer(t, { dir, env: { CAIRN_FAULT_POINTS: spec } });
      const client = await armed.client();
      await t.rejects(client.call('ADMIN.BACKUP', 'CREATE'), 'the connection breaks');
      t.equal((await armed.process.ended).signal, 'SIGKILL');

      const again = await startServer(t, { dir });
      const after = await again.client();
      const found = await list(after);
      t.same(
        found.backups.map(({ id, status }) => [id, status]),
        listed
          ? [
              [2, 'complete'],
              [1, 'complete'],
            ]
          : [[1, 'complete']],
      );
      t.match(await admin(after, 'STATUS', 2), { last_operation: 'create', last_status: listed ? 'ok' : 'err' });
      if (listed) t.match(await admin(after, 'WAIT', 2), { id: 2, status: 'complete' });
      await admin(after, 'VERIFY', 'ALL', 'DEEP');
      t.same(await dump(after), content);
      const next = await admin<{ id: number }>(after, 'CREATE');
      t.equal(next.id, 3, 'its id is not given again');
      await admin(after, 'DELETE', 3);
      if (listed) await admin(after, 'DELETE', 2);
      await admin(after, 'DELETE', 1, 'FORCE');
      const left = (await readdir(join(dir, 'backups'), { recursive: true })).filter((name) =>
        /^(files|lists|states)\/.*[0-9a-f]{8}/.test(name),
      );
      t.same(left, [], 'nothing is left that nobody refers to');
      t.notOk((await readdir(dir)).includes('staging') && (await readdir(join(dir, 'staging'))).length > 0);
      await again.stop();
    },
  );
}
