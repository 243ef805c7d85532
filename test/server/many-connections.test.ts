/** Ten thousand clients at once, and what happens where the system has not got the files for them. */
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { clientsThatFit, openFilesLimit, reservedFiles } from '../../src/cli/open-files.js';
import { startServer } from '../support/built-server.js';
import { freePort } from '../support/ports.js';
import { start } from '../support/processes.js';
import { scratch } from '../support/scratch.js';
import { RawClient } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const CLIENTS = 10_000;

/** One that said PING and was answered. */
function served(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write('PING\r\n'));
    socket.once('error', reject);
    socket.once('data', (bytes: Buffer) => {
      socket.on('error', () => {});
      if (bytes.toString() === '+PONG\r\n') resolve(socket);
      else reject(new Error(bytes.toString()));
    });
  });
}

async function serveAll(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Math.min(250, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => served(port)))));
  }
  return sockets;
}

function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

const openFiles = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
const field = async (client: RawClient, section: string, name: string) =>
  Number(new RegExp(`^${name}:(\\d+)`, 'm').exec((await client.ask('INFO', section)) as string)?.[1]);

const skip =
  process.platform !== 'linux' || clientsThatFit(openFilesLimit()) <= CLIENTS
    ? `NOT LOOKED AT: this machine allows ${openFilesLimit()} open files, too few for ${CLIENTS} clients (ulimit -n)`
    : false;

t.test(
  'G3: 10,000 connections are served, the next one is refused, and all of them leave nothing',
  { skip },
  async (t) => {
    const server = await startServer(t, { args: ['--set', `maxclients=${CLIENTS}`] });
    const control = await RawClient.connect(server.port);
    t.teardown(() => control.close());
    await control.ask('PING');
    const before = { rss: residentBytes(server.pid), files: openFiles(server.pid) };
    const sockets = await serveAll(server.port, CLIENTS - 1);
    t.teardown(() => sockets.forEach((socket) => void socket.destroy()));
    const each = (residentBytes(server.pid) - before.rss) / sockets.length;
    t.comment(`${sockets.length + 1} clients, ${(each / 1024).toFixed(1)} KB of memory for each`);
    t.ok(each < 64 * 1024, 'a connection is cheap');
    t.equal(await field(control, 'clients', 'connected_clients'), CLIENTS);
    for (const _ of [1, 2, 3]) {
      const refused = await RawClient.connect(server.port);
      t.equal((await refused.rest()).toString(), '-ERR max number of clients reached\r\n');
    }
    t.equal(await field(control, 'stats', 'rejected_connections'), 3);
    t.match(await control.ask('ADMIN.BACKUP', 'CREATE', 'VERIFY'), ['id'], 'what needs files has them');
    for (const socket of sockets) socket.destroy();
    await waitFor(async () => (await field(control, 'clients', 'connected_clients')) === 1, {
      what: 'all of them to be gone',
      timeoutMs: 30_000,
    });
    await waitFor(() => openFiles(server.pid) <= before.files + 32, { what: 'their files to be closed' });
    t.equal(await field(control, 'memory', 'mem_clients_normal'), 0);
    for (const socket of await serveAll(server.port, 100)) socket.destroy();
  },
);

t.test(
  'G3: where the system has too few open files, fewer clients are served, loudly, and files are left for the data',
  { skip: process.platform === 'linux' ? false : 'ulimit -n is looked at on Linux' },
  async (t) => {
    const limit = 400;
    const most = clientsThatFit(limit);
    const port = await freePort();
    const program = join(process.cwd(), 'dist', 'cli', 'main.js');
    const serve = `ulimit -S -n 256 && ulimit -H -n ${limit} && exec "$0" "$@"`;
    const server = start(t, [
      'bash',
      '-c',
      serve,
      process.execPath,
      program,
      'serve',
      '--port',
      String(port),
      '--dir',
      scratch(t),
    ]);
    await waitFor(() => /^cairn ready/m.test(server.stdout()), { what: `the ready line; it said ${server.stderr()}` });
    t.match(
      server.stderr(),
      new RegExp(
        `fewer clients are served than maxclients says.* maxclients=10000 served=${most} openFiles=${limit} reserved=160`,
      ),
      'the soft limit was raised to the hard one',
    );
    const control = await RawClient.connect(port);
    t.teardown(() => control.close());
    t.match(
      await control.ask('CONFIG', 'SET', 'maxclients', String(most + 1)),
      new RegExp(
        `^-ERR CONFIG SET failed .* The operating system is not able to handle the specified number of clients, try with ${most}`,
      ),
    );
    const sockets = await serveAll(port, most - 1);
    t.teardown(() => sockets.forEach((socket) => void socket.destroy()));
    // Far more than there are files for.
    const crowd = await Promise.all(Array.from({ length: 300 }, () => RawClient.connect(port)));
    for (const client of crowd)
      t.match((await client.rest()).toString(), /^(-ERR max number of clients reached\r\n)?$/);
    t.equal(await control.ask('SET', 'k', 'v'), 'OK');
    t.match(await control.ask('ADMIN.BACKUP', 'CREATE', 'VERIFY'), ['id']);
    t.notMatch(server.stderr(), /EMFILE|ENFILE|could not be accepted/);
    t.same(await server.end('SIGTERM'), { code: 0, signal: null });
  },
);

t.test('files for the data are kept back, and a limit that leaves none for clients stops the start', async (t) => {
  t.same([256, 1024, 20_000, Number.POSITIVE_INFINITY].map(reservedFiles), [160, 256, 5000, 1024]);
  t.equal(clientsThatFit(160), 0);
  t.equal(clientsThatFit(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  const program = join(process.cwd(), 'dist', 'cli', 'main.js');
  const serve = 'ulimit -n 150 && exec "$0" "$@"';
  const server = start(t, [
    'bash',
    '-c',
    serve,
    process.execPath,
    program,
    'serve',
    '--port',
    '0',
    '--dir',
    scratch(t),
  ]);
  t.not((await server.ended).code, 0);
  t.match(server.stderr(), /the system allows 150 open files, of which Cairn keeps 160.*ulimit -n/);
});
