/** The built program as a process: what it acknowledged outlives a kill, and redis-cli talks to it. */
import t from 'tap';
import { startServer } from '../support/built-server.js';
import { isInstalled } from '../support/processes.js';

t.test('what was acknowledged with durability always is there after a kill -9', async (t) => {
  const first = await startServer(t, { args: ['--set', 'durability=always'] });
  const client = await first.client();
  await Promise.all(Array.from({ length: 500 }, (_, index) => client.set(`key:${index}`, String(index))));
  await first.kill9();

  const second = await startServer(t, { dir: first.dir });
  const values = await (await second.client()).mget(Array.from({ length: 500 }, (_, index) => `key:${index}`));
  t.same(
    values,
    Array.from({ length: 500 }, (_, index) => String(index)),
  );
  t.same(await second.stop(), { code: 0, signal: null });
});

t.test(
  'redis-cli talks to it',
  { skip: isInstalled('redis-cli') ? false : 'redis-cli is not installed' },
  async (t) => {
    const server = await startServer(t);
    t.same(await server.redisCli('SET', 'stone', 'one'), { code: 0, stdout: 'OK\n', stderr: '' });
    t.equal((await server.redisCli('GET', 'stone')).stdout, 'one\n');
    t.equal((await server.redisCli('NO.SUCH')).code, 1, 'redis-cli -e says by its exit code that it was an error');
    await server.stop();
  },
);
