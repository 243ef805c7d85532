/** The audit log of the built server: rotation by SIGHUP, a clean stop, a file that cannot be used, INFO. */
import { existsSync, readFileSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { failToStart, startServer } from '../support/built-server.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

function commands(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const { argv, outcome } = JSON.parse(line) as { argv: string[]; outcome: string };
      return `${argv.join(' ')}: ${outcome}`;
    });
}

t.test(
  'SIGHUP after a rename: each record is in one of the files; the server goes on; SHUTDOWN is the last',
  async (t) => {
    const server = await startServer(t);
    const path = join(server.dir, 'audit.jsonl');
    t.equal(statSync(path).mode & 0o777, 0o600);
    const client = await server.client();
    await client.flushall();
    await waitFor(() => commands(path).length === 1, { what: 'the first record' });
    renameSync(path, `${path}.1`);
    process.kill(server.pid, 'SIGHUP');
    await waitFor(() => existsSync(path), { what: 'the new file' });
    await client.config('SET', 'maxclients', '99');
    t.match(await client.info('audit'), /audit_enabled:1\r\naudit_records:2\r\naudit_records_lost:0/);
    client.shutdown('NOSAVE').catch(() => {});
    t.same(await server.process.ended, { code: 0, signal: null });
    t.same(commands(`${path}.1`), ['flushall: ok']);
    t.same(commands(path), ['config SET maxclients 99: ok', 'shutdown NOSAVE: ok']);
  },
);

t.test('G5: SIGTERM while calls run: every call that was answered has its record', async (t) => {
  const server = await startServer(t, { args: ['--set', 'durability=always'] });
  const clients = await Promise.all([1, 2, 3, 4].map(() => server.client()));
  let answered = 0;
  let stopped = false;
  const loops = clients.map(async (client) => {
    while (!stopped) {
      const done = await client.flushdb().then(
        () => true,
        () => false,
      );
      if (!done) return;
      answered++;
    }
  });
  await waitFor(() => answered > 50, { what: '50 answers' });
  t.same(await server.stop(), { code: 0, signal: null });
  stopped = true;
  await Promise.all(loops);
  const recorded = commands(join(server.dir, 'audit.jsonl')).filter((line) => line === 'flushdb: ok').length;
  t.ok(recorded >= answered, `${answered} answered, ${recorded} recorded`);
});

t.test('an audit log that cannot be used stops the start, with what to do; empty means none', async (t) => {
  const dir = scratch(t, { 'elsewhere.txt': 'untouched' });
  symlinkSync(join(dir, 'elsewhere.txt'), join(dir, 'audit.jsonl'));
  const refused = await failToStart(t, ['--port', '0', '--dir', dir]);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /it is a symbolic link, which is not followed/);
  t.match(refused.stderr, /Set audit\.file to a file in a directory/);
  t.equal(readFileSync(join(dir, 'elsewhere.txt'), 'utf8'), 'untouched');
  const server = await startServer(t, { dir, args: ['--set', 'audit.file='] });
  const client = await server.client();
  await client.flushall();
  t.match(await client.info('audit'), /audit_enabled:0\r\naudit_records:0/);
  await server.stop();
  t.equal(readFileSync(join(dir, 'elsewhere.txt'), 'utf8'), 'untouched');
});
