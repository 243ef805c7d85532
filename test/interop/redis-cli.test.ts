/** redis-cli's and redis-benchmark's modes: what works on strings works, what cannot is refused so that one sees why. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Server, startServer } from '../support/built-server.js';
import { isInstalled, runToEnd, start } from '../support/processes.js';
import { multibulk } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const skip = isInstalled('redis-cli') ? false : 'redis-cli is not installed (Debian: redis-tools)';
if (skip) console.error(`SKIPPED: ${skip}`);

t.test('redis-cli', { skip }, async (t) => {
  const server = await startServer(t);
  const client = await server.client();
  const cli = (args: string[], input = '') =>
    runToEnd('redis-cli', ['-p', String(server.port), ...args], { input, timeoutMs: 30_000 });
  await client.mset('key:1', 'one', 'key:2', 'twenty', 'other', 'x'.repeat(1000));

  await t.test('--scan, with a pattern', async (t) => {
    const { code, stdout } = await cli(['--scan', '--pattern', 'key:*']);
    t.same([code, stdout.trim().split('\n').sort()], [0, ['key:1', 'key:2']]);
  });
  await t.test('--bigkeys and --memkeys find the largest', async (t) => {
    const big = await cli(['--bigkeys']);
    t.equal(big.code, 0);
    t.match(big.stdout, /Biggest string found '"other"' has 1000 bytes/);
    t.match(big.stdout, /Sampled 3 keys in the keyspace!/);
    const memory = await cli(['--memkeys']);
    t.equal(memory.code, 0);
    t.match(memory.stdout, /Biggest string found so far '"other"' with 1008 bytes/);
  });
  await t.test('--hotkeys is told that frequencies are not counted', async (t) => {
    const { code, stdout, stderr } = await cli(['--hotkeys']);
    t.equal(code, 1);
    t.match(stdout + stderr, /An LFU maxmemory policy is not selected/);
  });
  await t.test('--pipe takes raw commands by the thousand', async (t) => {
    const commands = Array.from({ length: 5000 }, (_, nth) =>
      multibulk('SET', `piped:${nth}`, String(nth)).toString('latin1'),
    );
    const { code, stdout } = await cli(['--pipe'], commands.join(''));
    t.equal(code, 0);
    t.match(stdout, /errors: 0, replies: 5000/);
    t.equal(await client.get('piped:4999'), '4999');
  });
  await t.test('--rdb is refused, and leaves no file', async (t) => {
    const file = join(scratch(t), 'dump.rdb');
    const { code, stdout, stderr } = await cli(['--rdb', file]);
    t.equal(code, 1);
    t.match(stdout + stderr, /unknown command 'SYNC'/);
    t.notOk(existsSync(file));
  });
  await t.test('--json, --csv and -3', async (t) => {
    t.same(JSON.parse((await cli(['-3', '--json', 'MGET', 'key:1', 'none'])).stdout), ['one', null]);
    const listed = JSON.parse((await cli(['-3', '--json', 'ADMIN.BACKUP', 'STATUS'])).stdout) as Record<
      string,
      unknown
    >;
    t.equal(listed.state, 'idle');
    t.equal((await cli(['--csv', 'MGET', 'key:1', 'none', 'key:2'])).stdout, '"one",NULL,"twenty"\n');
  });
  await t.test('-e makes an error an exit code, -x takes the last argument from the input', async (t) => {
    t.equal((await cli(['-e', 'INCR', 'key:1'])).code, 1);
    t.equal((await cli(['-e', 'GET', 'key:1'])).code, 0);
    t.equal((await cli(['-x', 'SET', 'from input'], 'a\nb')).stdout, 'OK\n');
    t.equal(await client.get('from input'), 'a\nb');
  });
  await t.test('--latency and --latency-dist measure, --stat shows', async (t) => {
    const latency = await cli(['--latency', '-i', '1']);
    t.equal(latency.code, 0);
    t.match(latency.stdout, /^\d+ \d+ \d+\.\d+ \d+\n$/);
    const stat = start(t, ['redis-cli', '-p', String(server.port), '--stat', '-i', '0.05']);
    await waitFor(() => stat.stdout().split('\n').length > 3, { what: 'lines of --stat' });
    t.match(stat.stdout(), /^5004\s+\d+\.\d+M\s/m, 'the keys, and the memory');
    await stat.end('SIGINT');
  });
  await t.test('-n, -r, --no-raw and a script of commands on the input', async (t) => {
    t.equal((await cli(['-n', '3', 'SET', 'there', '1'])).stdout, 'OK\n');
    t.equal((await cli(['-n', '3', '-r', '3', 'INCR', 'there'])).stdout, '2\n3\n4\n');
    t.equal((await cli(['--no-raw', 'GET', 'none'])).stdout, '(nil)\n');
    t.equal((await cli([], 'SELECT 3\nGET there\nSWAPDB 3 4\nDBSIZE\n')).stdout, 'OK\n4\nOK\n0\n');
  });
  await server.stop();
});

/** Tests of redis-benchmark that need strings alone; the others need lists, sets, hashes and streams. */
const onStrings = ['ping_inline', 'ping_mbulk', 'set', 'get', 'incr', 'mset'];
const noBenchmark = isInstalled('redis-benchmark') ? false : 'redis-benchmark is not installed (Debian: redis-tools)';

t.test('redis-benchmark runs every test that works on strings, pipelined too', { skip: noBenchmark }, async (t) => {
  const server: Server = await startServer(t);
  for (const more of [[], ['-P', '16'], ['--threads', '2'], ['-3']]) {
    const args = [
      '-p',
      String(server.port),
      '-t',
      onStrings.join(),
      '-n',
      '500',
      '-c',
      '10',
      '-r',
      '1000',
      '--csv',
      ...more,
    ];
    const { code, stdout, stderr } = await runToEnd('redis-benchmark', args);
    t.equal(code, 0, stderr);
    const rows = stdout.trim().split('\n').slice(1);
    t.equal(rows.length, onStrings.length, more.join(' '));
    for (const row of rows) t.ok(Number(row.split(',')[1]?.replaceAll('"', '')) > 0, row);
  }
  const refused = await runToEnd('redis-benchmark', [
    '-p',
    String(server.port),
    '-t',
    'lpush',
    '-n',
    '10',
    '-c',
    '1',
    '-q',
  ]);
  t.match(refused.stdout + refused.stderr, /unknown command 'LPUSH'/);
  await server.stop();
});
