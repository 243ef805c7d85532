/**
 * Clients of other languages and houses, as their users run them: data, errors that are errors, a backup, a restore in
 * place under an open connection, and a new connection after it. (ioredis and node-redis are what the other tests use.)
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import t from 'tap';
import { startServer } from '../support/built-server.js';
import { runToEnd } from '../support/processes.js';
import { scratch } from '../support/scratch.js';

const programs = join(process.cwd(), 'test', 'interop', 'programs');

/** What pkg-config or python say of it; false: it is there. */
function missing(command: string[], what: string): string | false {
  const [program = '', ...args] = command;
  const { status } = spawnSync(program, args);
  if (status === 0) return false;
  console.error(`SKIPPED: ${what} is not installed`);
  return `${what} is not installed`;
}

const header = ['-E', '-x', 'c', '-include', 'hiredis/hiredis.h', '/dev/null', '-o', '/dev/null'];
const noHiredis = missing(['gcc', ...header], 'hiredis with gcc (Debian: libhiredis-dev gcc)');
t.test('hiredis', { skip: noHiredis }, async (t) => {
  const server = await startServer(t);
  const program = join(scratch(t), 'hiredis-client');
  const compiled = await runToEnd('gcc', [
    '-Wall',
    '-Werror',
    '-o',
    program,
    join(programs, 'hiredis-client.c'),
    '-lhiredis',
  ]);
  t.equal(compiled.code, 0, compiled.stderr);
  const { code, stdout, stderr } = await runToEnd(program, [String(server.port)]);
  t.same([code, stderr], [0, '']);
  t.match(stdout, /restore in place\nreconnect\ndata after it\n$/);
  await server.stop();
});

const python = '/usr/bin/python3';
const noRedisPy = missing([python, '-c', 'import redis'], 'redis-py (Debian: python3-redis)');
t.test('redis-py', { skip: noRedisPy }, async (t) => {
  const server = await startServer(t);
  const { code, stdout, stderr } = await runToEnd(python, [join(programs, 'redis_py_client.py'), String(server.port)]);
  t.same([code, stderr], [0, '']);
  t.match(stdout, /restore in place\ndata after a reconnect\n$/);
  await server.stop();
});

t.test('iovalkey', async (t) => {
  // Made from ioredis, and typed as it is.
  const Client = createRequire(import.meta.url)('iovalkey') as typeof Redis;
  const server = await startServer(t);
  const client = new Client(server.port, '127.0.0.1', { maxRetriesPerRequest: 5 });
  t.teardown(() => client.disconnect());
  const binary = Buffer.from([0, 255, 13, 10]);
  t.equal(await client.set(binary, binary), 'OK');
  t.same(await client.getBuffer(binary), binary);
  t.equal(await client.incr('count'), 1);
  t.same(await client.mget('count', 'none'), ['1', null]);
  await t.rejects(client.incr(binary), { message: /not an integer/ });
  await t.rejects(client.sort('count'), { message: /^WRONGTYPE / });
  await t.rejects(client.hset('h', 'f', 'v'), { message: /^ERR unknown command/ });
  t.same(await client.multi().set('a', '1').incr('a').exec(), [
    [null, 'OK'],
    [null, 2],
  ]);
  t.same(await client.pipeline().get('a').incr('count').exec(), [
    [null, '2'],
    [null, 2],
  ]);
  const [, id] = (await client.call('ADMIN.BACKUP', 'CREATE')) as [string, number];
  await client.set('count', '99');
  await t.rejects(client.call('ADMIN.BACKUP', 'INFO', '4711'), { message: /^BACKUPNOTFOUND / });
  await client.call('ADMIN.BACKUP', 'RESTORE', String(id));
  t.equal(await client.get('count'), '2', 'on the connection that was open');
  const own = await client.client('ID');
  const other = await server.client();
  const reconnected = new Promise((resolve) => client.once('ready', resolve));
  await other.call('CLIENT', 'KILL', 'ID', String(own));
  await reconnected;
  t.equal(await client.get('count'), '2', 'after it connected anew by itself');
  t.not(await client.client('ID'), own);
  await server.stop();
});
