/** Whatever the shell's umask is, what the server makes is for its user alone: every file 0600, every directory 0700. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { admin } from '../support/admin.js';
import { startServer } from '../support/built-server.js';
import { freePort } from '../support/ports.js';
import { type Running, runToEnd, start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const program = join(process.cwd(), 'dist', 'cli', 'main.js');

async function serveWithUmaskZero(t: Test, args: string[]): Promise<{ client: Redis; running: Running }> {
  const port = await freePort();
  const command = ['sh', '-c', 'umask 0; exec "$@"', 'sh', process.execPath, program, 'serve', '--port', String(port)];
  const running = start(t, [...command, ...args]);
  await waitFor(() => /^cairn ready on /m.test(running.stdout()), { what: 'the ready line', timeoutMs: 20_000 });
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  t.teardown(() => client.disconnect());
  return { client, running };
}

/** What is wider than it should be, below and with the directory itself. */
function tooWide(root: string): string[] {
  const names = ['', ...readdirSync(root, { recursive: true }).map(String)];
  if (names.length < 2) throw new Error(`${root} is empty`);
  return names.flatMap((name) => {
    const stats = lstatSync(join(root, name));
    const wanted = stats.isDirectory() ? 0o700 : 0o600;
    const mode = stats.mode & 0o777;
    return mode === wanted || (stats.isSocket() && mode === 0o700) ? [] : [`${mode.toString(8)} ${join(root, name)}`];
  });
}

t.test(
  'after backups, increments, restores, archive, DEEP verification, ACL and audit, with a umask of 0',
  async (t) => {
    const root = scratch(t);
    const dir = join(root, 'data');
    const repository = join(root, 'repository');
    mkdirSync(join(root, 'run'), { mode: 0o700 });
    const aclfile = join(root, 'run', 'users.acl');
    writeFileSync(aclfile, '', { mode: 0o600 });
    const args = ['--dir', dir, '--backup-dir', repository, '--set', `aclfile=${aclfile}`];
    const { client, running } = await serveWithUmaskZero(t, [
      ...args,
      ...['--set', `unixsocket=${join(root, 'run', 'cairn.sock')}`, '--set', 'write_buffer_size=1mb'],
    ]);
    for (let round = 0; round < 3; round++) {
      for (let nth = 0; nth < 40; nth++) await client.set(`key:${round}:${nth}`, 'x'.repeat(50_000));
      await admin(client, 'CREATE', round === 0 ? 'FULL' : 'INCREMENTAL');
    }
    await client.call('ACL', 'SETUSER', 'bob', 'on', '>secret', '+get');
    await client.call('ACL', 'SAVE');
    await admin(client, 'TAG', 'here');
    await admin(client, 'PIN', 1).catch(() => client.call('ADMIN.BACKUP', 'PIN', '1'));
    await admin(client, 'VERIFY', 1, 'DEEP');
    await admin(client, 'RESTORE', 1, 'TO', 'aside');
    await admin(client, 'RESTORE', 'LATEST', 'TAG', 'here', 'TO', 'moment');
    t.same(tooWide(dir), [], 'while it runs');
    await admin(client, 'RESTORE', 2);
    await client.set('after', 'the restore');
    await admin(client, 'CREATE', 'FULL');
    t.same([...tooWide(dir), ...tooWide(repository), ...tooWide(join(root, 'run'))], []);
    t.same(await running.end('SIGTERM'), { code: 0, signal: null });
    t.same([...tooWide(dir), ...tooWide(repository)], [], 'after the stop');
    t.notMatch(running.stderr(), /other users of this machine/);

    const again = await serveWithUmaskZero(t, args);
    t.equal(await again.client.get('after'), 'the restore');
    await again.running.end('SIGTERM');
    t.same([...tooWide(dir), ...tooWide(repository)], [], 'after another start');

    const original = join(dir, 'restores', 'aside');
    for (const name of readdirSync(original)) chmodSync(join(original, name), 0o644);
    const copy = join(root, 'adopted');
    const adopt = `umask 0; exec "$0" "${program}" adopt "${original}" --dir "${copy}"`;
    const adopted = await runToEnd('sh', ['-c', adopt, process.execPath]);
    t.equal(adopted.code, 0, adopted.stderr);
    t.same(tooWide(copy), [], 'what was adopted');
  },
);

t.test('places that others can read are said at the start, with what mends it, and left as they are', async (t) => {
  const dir = join(scratch(t), 'data');
  mkdirSync(dir);
  chmodSync(dir, 0o755);
  const server = await startServer(t, { dir });
  const warning =
    /warn {2}the data directory can be read by other users of this machine .*mode=755 mend="chmod -R go= (.*)"/;
  t.equal(warning.exec(server.stderr())?.[1], dir);
  t.equal(statSync(dir).mode & 0o777, 0o755);
  await server.stop();
  chmodSync(dir, 0o700);
  const again = await startServer(t, { dir });
  t.notMatch(again.stderr(), /other users of this machine/);
});

t.test('unixsocketperm opens the socket to others than its user', async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'cairn.sock');
  await startServer(t, { args: ['--set', `unixsocket=${path}`, '--set', 'unixsocketperm=770'] });
  t.equal(statSync(path).mode & 0o777, 0o770);
});
