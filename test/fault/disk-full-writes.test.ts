/** Ordinary writes while the disk fills up, under each durability: what was acknowledged is there, now and after a kill. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t from 'tap';
import { admin, dump, sameContent } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { randomOf } from '../support/seeded.js';
import { cannotMount, smallDisk } from '../support/small-disk.js';
import { waitFor } from '../support/wait.js';

const skip = cannotMount;
const MB = 1 << 20;
const seed = Number(process.env.CAIRN_SEED ?? Math.floor(Math.random() * 1e9));

for (const durability of ['always', 'everysec', 'no']) {
  t.test(
    `A2: writers with durability ${durability} fill the disk: nothing acknowledged is lost, and they go on without a restart`,
    { skip },
    async (t) => {
      t.comment(`CAIRN_SEED=${seed}`);
      const random = randomOf(seed);
      const disk = smallDisk(t, 96);
      const dir = join(disk.path, 'data');
      mkdirSync(dir);
      const args = ['--set', 'write_buffer_size=1mb', '--set', `durability=${durability}`];
      const server = await startServer(t, { dir, args });
      const clients = await Promise.all([0, 1, 2, 3].map(() => server.client()));
      const acknowledged = new Map<string, string>();
      let next = 0;
      const writeUntilRefused = async (client: Redis): Promise<string> => {
        for (;;) {
          const key = `key:${next++}`;
          const value = randomBytes(5_000 + Math.floor(random() * 20_000)).toString('latin1');
          try {
            await client.set(key, value);
          } catch (error) {
            return (error as Error).message;
          }
          acknowledged.set(key, value);
        }
      };
      const [first] = clients as [Redis];
      for (const left of [0, 1, 2].map((step) => Math.floor(step * MB * (0.5 + random())))) {
        disk.fillUpTo(left);
        for (const said of await Promise.all(clients.map(writeUntilRefused))) t.match(said, /^MISCONF /);
        t.ok(sameContent(await dump(first), acknowledged), `${left} bytes left, CAIRN_SEED=${seed}`);
        disk.free();
        await waitFor(() => first.call('ADMIN.READONLY', 'OFF').then(() => true), { what: 'writes that go on' });
        t.equal(await first.set(`after:${left}`, '1'), 'OK');
        acknowledged.set(`after:${left}`, '1');
      }
      t.match(await admin(first, 'CREATE', 'VERIFY'), { status: 'complete' });
      await server.kill9();
      const again = await startServer(t, { dir, args });
      t.ok(sameContent(await dump(await again.client()), acknowledged), `after kill -9, CAIRN_SEED=${seed}`);
      t.match(await admin(await again.client(), 'CREATE', 'VERIFY'), { status: 'complete' });
      await again.stop();
    },
  );
}
