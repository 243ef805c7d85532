/** R12: kill -9 under writers. What was acknowledged is there after the restart, whatever the durability; a transaction is there whole. */
import type { Redis } from 'ioredis';
import t from 'tap';
import { startServer } from '../support/built-server.js';
import { waitFor } from '../support/wait.js';

const WRITERS = 4;

for (const durability of ['always', 'everysec', 'no']) {
  t.test(
    `R12: nothing acknowledged is lost by kill -9 with durability ${durability}, and it is up again by itself`,
    async (t) => {
      const server = await startServer(t, { args: ['--set', `durability=${durability}`] });
      const acknowledged = Array.from({ length: WRITERS }, () => 0);
      const write = async (client: Redis, at: number): Promise<void> => {
        for (let next = 1; ; next += 1) {
          // One commit: both or none.
          await client.multi().set(`left:${at}`, String(next)).set(`right:${at}`, String(next)).exec();
          acknowledged[at] = next;
        }
      };
      const clients = await Promise.all(acknowledged.map(() => server.client()));
      const writers = clients.map((client, at) => write(client, at).catch(() => {}));
      await waitFor(() => acknowledged.every((count) => count > 100), {
        what: 'a hundred transactions of each writer',
      });
      await server.kill9();
      await Promise.all(writers);

      const begun = performance.now();
      const again = await startServer(t, { dir: server.dir });
      t.ok(performance.now() - begun < 30_000, 'RTO');
      const client = await again.client();
      for (const [at, count] of acknowledged.entries()) {
        const [left, right] = (await client.mget(`left:${at}`, `right:${at}`)).map(Number);
        t.equal(left, right, 'the transaction is whole');
        // One more than was acknowledged may have been written before the kill.
        t.ok(left === count || left === count + 1, `${left} of ${count} acknowledged`);
      }
      await again.stop();
    },
  );
}
