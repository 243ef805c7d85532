import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';
import { RawClient } from '../support/server.js';
import { waitFor } from '../support/wait.js';
import { cairn, program, serve } from './program.js';

t.test('it makes its directory, says when it is ready, stops on SIGTERM with 0 and finds its data again', async (t) => {
  const cwd = scratch(t);
  const first = await serve(t, [], { cwd });
  t.match(first.stdout(), /^cairn ready on 127\.0\.0\.1:\d+\n$/);
  await first.client.set('key', 'value');
  const begin = performance.now();
  t.same(await first.end('SIGTERM'), { code: 0, signal: null });
  t.ok(performance.now() - begin < 5000);
  t.match(first.stderr(), /info {2}stopping reason=SIGTERM\n[\s\S]*info {2}stopped\n$/);
  t.ok(statSync(join(cwd, 'cairn-data', 'LIVE')).isFile());
  const second = await serve(t, [], { cwd });
  t.equal(await second.client.get('key'), 'value');
  t.same(await second.end('SIGINT'), { code: 0, signal: null });
});

t.test('SHUTDOWN ends it with 0', async (t) => {
  const server = await serve(t, ['--dir', scratch(t)]);
  await server.client.shutdown().catch(() => {});
  t.same(await server.ended, { code: 0, signal: null });
});

t.test('settings come from the file, CONFIG REWRITE writes them, the next start has them', async (t) => {
  const cwd = scratch(t, { 'c.yaml': '# mine\nbackup:\n  retention:\n    max_count: 3\n' });
  const first = await serve(t, ['--config', 'c.yaml'], { cwd, env: { CAIRN_TIMEOUT: '77' } });
  t.same(await first.client.config('GET', 'backup.retention.max_count'), ['backup.retention.max_count', '3']);
  t.same(await first.client.config('GET', 'timeout'), ['timeout', '77']);
  t.equal(await first.client.config('SET', 'backup.retention.max_age', '90d'), 'OK');
  t.equal(await first.client.call('CONFIG', 'REWRITE'), 'OK');
  await first.end('SIGTERM');
  t.match(
    readFileSync(join(cwd, 'c.yaml'), 'utf8'),
    /^# mine\nbackup:\n {2}retention:\n {4}max_count: 3\n {4}max_age: 90d\n/,
  );
  const second = await serve(t, ['--config', 'c.yaml'], { cwd });
  t.same(await second.client.config('GET', 'backup.retention.max_age'), ['backup.retention.max_age', '90d']);
});

t.test('CONFIG SET holds at once: password, log level, all or nothing', async (t) => {
  const { client, port, stderr } = await serve(t, ['--dir', scratch(t)]);
  await t.rejects(client.config('SET', 'timeout', '5', 'dir', '/x'), {
    message: "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
  });
  t.same(await client.config('GET', 'timeout'), ['timeout', '0']);
  await t.rejects(client.call('CONFIG', 'SET', 'timeout', '5', 'maxclients'), {
    message: 'ERR syntax error',
  });
  await t.rejects(client.call('CONFIG', 'SET', 'requirepass', Buffer.of(0xff, 0xfe)), /must be UTF-8/);
  t.equal(await client.config('SET', 'requirepass', 'hunter2', 'log.level', 'debug'), 'OK');
  const other = await RawClient.connect(port);
  t.match(await other.ask('GET', 'x'), /^-NOAUTH /);
  t.equal(await other.ask('AUTH', 'hunter2'), 'OK');
  other.close();
  t.match(stderr(), /settings changed settings=/);
  t.notMatch(stderr(), /hunter2/);
  t.notMatch(JSON.stringify(await client.config('GET', '*')), /hunter2/);
});

t.test(
  'a directory that RESTORE TO made is served beside the first server, with and without its repository',
  async (t) => {
    const dir = scratch(t);
    const first = await serve(t, ['--dir', dir]);
    await first.client.set('key', 'value');
    await first.client.call('ADMIN.BACKUP', 'CREATE');
    await first.client.call('ADMIN.BACKUP', 'RESTORE', 'LATEST', 'TO', 'copy');
    await first.client.set('key', 'later');
    for (const repository of [[], ['--backup-dir', join(dir, 'backups')]]) {
      const second = await serve(t, ['--data-dir', join(dir, 'restores', 'copy'), ...repository]);
      t.equal(await second.client.get('key'), 'value');
      await t.rejects(second.client.call('ADMIN.BACKUP', 'CREATE'), { message: /^REPOFOREIGN / });
      const list = JSON.parse(String(await second.client.call('ADMIN.BACKUP', 'LIST', 'FORMAT', 'JSON')));
      t.equal(list.total, repository.length === 0 ? 0 : 1);
      await second.client.set('own', '1');
      t.same(await second.end('SIGTERM'), { code: 0, signal: null });
    }
    t.equal(await first.client.get('key'), 'later');
    t.same(readdirSync(join(dir, 'restores')), ['copy'], 'nothing is left beside it');
  },
);

t.test('nobody reading stdout does no harm', async (t) => {
  const dir = scratch(t);
  const shell = `"$0" "$1" serve --port 0 --dir "$2" | true`;
  const run = start(t, ['sh', '-c', shell, process.execPath, program, dir]);
  await waitFor(() => /info {2}ready/.test(run.stderr()), { what: 'ready in the log' });
  const pid = Number(/ready .* pid=(\d+)/.exec(run.stderr())?.[1]);
  process.kill(pid, 'SIGTERM');
  await run.ended;
  t.match(run.stderr(), /info {2}stopped\n$/);
});

t.test('an exception that nobody expected is logged with its stack and ends the process with 70', async (t) => {
  for (const bug of ['throw new Error("boom")', 'Promise.reject(new Error("boom"))']) {
    const hook = `process.on("SIGUSR2", () => { ${bug} })`;
    const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(hook)}` };
    const server = await serve(t, ['--dir', scratch(t), '--set', 'log.format=json'], { env });
    t.same(await server.end('SIGUSR2'), { code: 70, signal: null });
    const last = JSON.parse(server.stderr().trimEnd().split('\n').at(-1) ?? '');
    t.match(last, { level: 'error', error: { message: 'boom', stack: /at / } });
  }
});

t.test('a Unix socket alone is enough', async (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'run'));
  const path = join(dir, 'run', 's');
  const run = cairn(t, ['serve', '--dir', join(dir, 'd'), '--bind', '', '--set', `unixsocket=${path}`]);
  await waitFor(() => run.stdout() === `cairn ready on ${path}\n`, { what: 'the ready line' });
  t.same(await run.end('SIGTERM'), { code: 0, signal: null });
});
