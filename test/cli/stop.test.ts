/** A stop that hangs: an operation that is held by a fault point and cannot be cancelled. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';
import { type Served, serve } from './program.js';

async function hanging(t: Test): Promise<Served> {
  const dir = scratch(t);
  const gate = join(dir, 'gate');
  const server = await serve(t, ['--dir', join(dir, 'data')], {
    env: { CAIRN_FAULT_POINTS: `checkpoint-made=pause:${gate}` },
  });
  await server.client.set('key', 'value');
  server.client.call('ADMIN.BACKUP', 'CREATE').catch(() => {});
  await waitFor(() => existsSync(`${gate}.reached`), { what: 'the create to be held' });
  return server;
}

t.test(
  'a second signal ends a stop that hangs at once; one that follows within a moment is the same one',
  async (t) => {
    const server = await hanging(t);
    server.child.kill('SIGINT');
    server.child.kill('SIGINT');
    await waitFor(() => /stopping/.test(server.stderr()), { what: 'the stop to begin' });
    const begin = performance.now();
    await waitFor(() => performance.now() - begin > 1200, { what: 'the second signal to be another one' });
    t.equal(server.child.signalCode, null, 'it waits');
    t.same(await server.end('SIGTERM', 2000), { code: null, signal: 'SIGKILL' });
    t.match(server.stderr(), /error stopped at once, without closing the database reason="a second SIGTERM"/);
  },
);

t.test('a stop that hangs is over within 10 s', async (t) => {
  const server = await hanging(t);
  t.same(await server.end('SIGTERM', 10_000), { code: null, signal: 'SIGKILL' });
  t.match(server.stderr(), /the stop took longer than 9500 ms/);
});
