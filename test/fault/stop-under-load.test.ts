/** G5: an orderly stop while clients write. What was acknowledged is there afterwards, whatever the durability. */
import type { Redis } from 'ioredis';
import t from 'tap';
import { startServer } from '../support/built-server.js';
import { waitFor } from '../support/wait.js';

const WRITERS = 8;

for (const durability of ['always', 'everysec']) {
  t.test(`G5: SIGTERM under load loses nothing acknowledged, durability ${durability}`, async (t) => {
    const server = await startServer(t, { args: ['--set', `durability=${durability}`] });
    const acknowledged = Array.from({ length: WRITERS }, () => 0);
    const write = async (client: Redis, at: number): Promise<void> => {
      for (let next = 1; ; next += 1) {
        // Pipelines of ten: some of one are answered when the stop comes, and some are not run.
        const calls = Array.from({ length: 10 }, (_, nth) => client.set(`w${at}:${next}:${nth}`, `${next}`));
        const settled = await Promise.allSettled(calls);
        const answered = settled.findIndex(({ status }) => status === 'rejected');
        acknowledged[at] = (next - 1) * 10 + (answered === -1 ? 10 : answered);
        if (answered !== -1) return;
      }
    };
    const clients = await Promise.all(acknowledged.map(() => server.client()));
    const writers = clients.map((client, at) => write(client, at));
    await waitFor(() => acknowledged.every((count) => count > 200), {
      what: 'all of them to be writing',
      timeoutMs: 30_000,
    });
    t.same(await server.stop(), { code: 0, signal: null });
    await Promise.all(writers);

    const again = await startServer(t, { dir: server.dir });
    const client = await again.client();
    let beyond = 0;
    for (const [at, count] of acknowledged.entries()) {
      const keys = Array.from({ length: count + 10 }, (_, n) => `w${at}:${Math.trunc(n / 10) + 1}:${n % 10}`);
      const values = await client.mget(keys);
      t.equal(values.slice(0, count).indexOf(null), -1, `${count} acknowledged writes of one client are there`);
      beyond += values.slice(count).filter((value) => value !== null).length;
    }
    t.comment(`${acknowledged.reduce((sum, count) => sum + count, 0)} acknowledged; ${beyond} more were written`);
  });
}
