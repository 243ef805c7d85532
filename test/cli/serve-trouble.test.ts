/** What serve does when something is not as it should be. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';
import { cairn, serve } from './program.js';

t.test(
  'G8: a port that is taken, a directory in use or of another kind: a readable reason and exit code 1',
  async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    t.teardown(() => taken.close());
    await waitFor(() => taken.listening, { what: 'the listener' });
    const { port } = taken.address() as { port: number };
    const cwd = scratch(t, {
      file: 'x',
      db: { CURRENT: '', 'MANIFEST-000001': '' },
      repo: { CURRENT: '', 'MANIFEST-000001': '' },
    });
    await serve(t, ['--dir', join(cwd, 'used')]);
    const cases: [string[], RegExp][] = [
      [['--port', String(port), '--dir', 'd'], new RegExp(`cannot listen on 127.0.0.1:${port}: EADDRINUSE`)],
      [['--port', '0', '--dir', 'used'], /used.* is locked by another process/],
      [['--port', '0', '--dir', 'file'], /data directory .*file cannot be used/],
      [['--port', '0', '--dir', 'db'], /is a RocksDB directory, not a data directory.*cairn adopt/],
      [['--port', '0', '--data-dir', 'used'], /used is not a RocksDB directory/],
      [['--port', '0', '--data-dir', 'absent'], /absent is not a RocksDB directory/],
      [
        ['--port', '0', '--dir', 'e', '--backup-dir', 'repo/x'],
        /backup\.dir .* cannot be used: .*repo is a RocksDB directory/,
      ],
    ];
    for (const [args, expected] of cases) {
      const run = cairn(t, ['serve', ...args], { cwd });
      t.same(await run.ended, { code: 1, signal: null }, args.join(' '));
      t.match(run.stderr(), expected);
      t.equal(run.stdout(), '');
    }
    const again = await serve(t, ['--dir', join(cwd, 'd')]);
    t.equal(await again.client.ping(), 'PONG', 'what failed half-way left nothing locked');
  },
);

t.test('a live database that does not open leaves a server that answers MISCONF and shows its backups', async (t) => {
  const dir = scratch(t);
  const first = await serve(t, ['--dir', dir]);
  await first.client.set('key', 'value');
  await first.client.call('ADMIN.BACKUP', 'CREATE');
  await first.end('SIGTERM');
  writeFileSync(join(dir, 'db-000001', 'CURRENT'), 'MANIFEST-999999\n');
  const second = await serve(t, ['--dir', dir]);
  t.match(second.stderr(), /error the live database did not open/);
  await t.rejects(second.client.get('key'), { message: /^MISCONF / });
  const list = JSON.parse(String(await second.client.call('ADMIN.BACKUP', 'LIST', 'FORMAT', 'JSON')));
  t.equal(list.total, 1);
  await second.client.call('ADMIN.BACKUP', 'RESTORE', 'LATEST');
  t.equal(await second.client.get('key'), 'value');
});

t.test('a LIVE that cannot be read removes nothing and starts nothing anew', async (t) => {
  const dir = scratch(t);
  const first = await serve(t, ['--dir', dir]);
  await first.client.set('key', 'value');
  await first.end('SIGTERM');
  writeFileSync(join(dir, 'LIVE'), 'garbage');
  const second = await serve(t, ['--dir', dir]);
  await t.rejects(second.client.get('key'), { message: /^MISCONF .*LIVE/ });
  t.ok(readdirSync(dir).includes('db-000001'));
  await second.end('SIGTERM');
  t.equal(readFileSync(join(dir, 'LIVE'), 'utf8'), 'garbage');
});

t.test('a keyspace setting that contradicts what the directory holds stops the start', async (t) => {
  const dir = scratch(t);
  await (await serve(t, ['--dir', dir])).end('SIGTERM');
  const run = cairn(t, ['serve', '--port', '0', '--dir', dir, '--set', 'keyspace=raw']);
  t.same(await run.ended, { code: 1, signal: null });
  t.match(run.stderr(), /keyspace is set to 'raw', but the database in .* is native/);
});
