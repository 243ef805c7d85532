/** TLS as operators and their clients use it: the built server with ioredis, node-redis and redis-cli. */
import { createPrivateKey } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config/load.js';
import { failToStart, type Server, startServer } from '../support/built-server.js';
import { authority, issue } from '../support/certificates.js';
import { freePort } from '../support/ports.js';
import { isInstalled, runToEnd } from '../support/processes.js';
import { scratch } from '../support/scratch.js';
import { waitFor } from '../support/wait.js';

const ca = authority('root');
const me = issue(ca, 'me');

function certificates(t: Test): { files: string; args: string[] } {
  const { cert, key } = issue(ca, 'one');
  const files = scratch(t, {
    'cert.pem': cert,
    'key.pem': key,
    'ca.pem': ca.cert,
    'me.pem': me.cert,
    'me.key': me.key,
  });
  chmodSync(join(files, 'key.pem'), 0o600);
  const set = (name: string, file: string) => ['--set', `${name}=${join(files, file)}`];
  return { files, args: [...set('tls.cert', 'cert.pem'), ...set('tls.key', 'key.pem'), ...set('tls.ca', 'ca.pem')] };
}

async function startTls(t: Test, more: string[] = []): Promise<{ server: Server; port: number; files: string }> {
  const { files, args } = certificates(t);
  const port = await freePort();
  const server = await startServer(t, { args: ['--set', `tls.port=${port}`, ...args, ...more] });
  return { server, port, files };
}

function overTls(t: Test, port: number, tls: object = { ca: ca.cert }): Redis {
  const client = new Redis({ port, host: '127.0.0.1', tls, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  t.teardown(() => client.disconnect());
  return client;
}

t.test(
  'ioredis, node-redis and redis-cli --tls, with a certificate of their own, and nobody in the clear',
  async (t) => {
    const { server, port, files } = await startTls(t, ['--set', 'tls.client_auth=required', '--set', 'port=off']);
    t.equal(server.stdout(), `cairn ready on 127.0.0.1:${port}\n`);
    const io = overTls(t, port, { ca: ca.cert, ...me });
    await io.set('key', 'from ioredis');
    t.same(await io.config('GET', 'port'), ['port', 'off']);
    t.same(await io.config('GET', 'tls-*'), [
      ...['tls-port', String(port), 'tls-cert-file', join(files, 'cert.pem'), 'tls-key-file', join(files, 'key.pem')],
      ...['tls-key-file-pass', '', 'tls-ca-cert-file', join(files, 'ca.pem')],
      ...['tls-auth-clients', 'yes', 'tls-protocols', 'TLSv1.2 TLSv1.3'],
    ]);
    const tls = { tls: true, ca: ca.cert, ...me } as const;
    const node = createClient({ socket: { host: '127.0.0.1', port, ...tls, reconnectStrategy: false } });
    await node.connect();
    t.equal(await node.get('key'), 'from ioredis');
    const values = await Promise.all(Array.from({ length: 1000 }, (_, nth) => node.set(`n${nth}`, `${nth}`)));
    t.equal(values.length, 1000);
    node.destroy();
    await t.rejects(overTls(t, port).ping(), 'no certificate');
    await t.rejects(
      overTls(t, port, { ca: ca.cert, ...issue(authority('other'), 'me') }).ping(),
      'of another authority',
    );
    if (!isInstalled('redis-cli')) return;
    const cli = (...args: string[]) => runToEnd('redis-cli', ['-e', '-p', String(port), ...args]);
    const own = ['--cert', join(files, 'me.pem'), '--key', join(files, 'me.key')];
    const trusting = ['--tls', '--cacert', join(files, 'ca.pem')];
    t.match(await cli(...trusting, ...own, 'GET', 'key'), { code: 0, stdout: 'from ioredis\n' });
    t.not((await cli(...trusting, 'GET', 'key')).stdout, 'from ioredis\n');
    t.not((await cli('GET', 'key')).code, 0, 'not in the clear');
    t.match(await cli(...trusting, ...own, 'ADMIN.BACKUP', 'CREATE'), { code: 0, stdout: /complete/ });
  },
);

t.test('SIGHUP takes a new certificate, refuses a broken one, and old connections live on', async (t) => {
  const { server, port, files } = await startTls(t);
  const before = overTls(t, port);
  await before.set('key', 'value');
  const next = issue(ca, 'two');
  writeFileSync(join(files, 'cert.pem'), next.cert);
  process.kill(server.pid, 'SIGHUP');
  await waitFor(() => /the new TLS certificate is not usable: the old one stays/.test(server.stderr()), { what: 'no' });
  t.match(server.stderr(), /are not a pair/);
  t.equal(await overTls(t, port).get('key'), 'value');
  writeFileSync(join(files, 'key.pem'), next.key);
  process.kill(server.pid, 'SIGHUP');
  await waitFor(() => /TLS certificate read anew.*CN=two/.test(server.stderr()), { what: 'the new certificate' });
  t.equal(await overTls(t, port).get('key'), 'value');
  t.equal(await before.get('key'), 'value');
});

t.test('G5: SIGTERM with TLS clients: what was answered is there, everybody is let go, out in time', async (t) => {
  const { server, port } = await startTls(t, ['--set', 'durability=always']);
  const clients = Array.from({ length: 8 }, () => overTls(t, port));
  const answered: number[] = [];
  const loops = clients.map(async (client, at) => {
    for (let nth = 0; ; nth++) {
      const id = nth * clients.length + at;
      const done = await client.set(`k${id}`, id).then(
        () => true,
        () => false,
      );
      if (!done) return;
      answered.push(id);
    }
  });
  await waitFor(() => answered.length > 200, { what: '200 answers' });
  t.same(await server.stop(), { code: 0, signal: null });
  await Promise.all(loops);
  const again = await startServer(t, { dir: server.dir });
  const client = await again.client();
  for (const id of answered) if ((await client.get(`k${id}`)) !== String(id)) t.fail(`k${id} is lost`);
  t.ok(answered.length > 200);
});

t.test(
  'a key with a password: the right one serves and is shown nowhere, another or none stops the start',
  async (t) => {
    const { files, args } = certificates(t);
    const passphrase = 'correct horse "battery": #staple';
    const key = createPrivateKey(readFileSync(join(files, 'key.pem'), 'utf8'));
    const locked = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase });
    writeFileSync(join(files, 'key.pem'), locked, { mode: 0o600 });
    const port = await freePort();
    const tls = ['--set', `tls.port=${port}`, ...args];
    const server = await startServer(t, { args: tls, env: { CAIRN_TLS_KEY_PASSWORD: passphrase } });
    const client = overTls(t, port);
    t.equal(await client.set('k', 'v'), 'OK');
    t.same(await client.config('GET', 'tls*pass*'), ['tls.key_password', '[secret]', 'tls-key-file-pass', '[secret]']);
    t.match(await client.call('ADMIN.TLS', 'RELOAD'), ['port', port, 'subject', 'CN=one']);
    const info = String(await client.info('everything'));
    for (const text of [info, server.stdout(), server.stderr()]) t.notMatch(text, /battery/);
    for (const given of [[], ['--set', 'tls.key_password=wrong']]) {
      const { code, stderr, stdout } = await failToStart(t, ['--port', '0', '--dir', scratch(t), ...tls, ...given]);
      t.equal(code, 1, stderr);
      t.match(stderr, /tls\.key = '.*' is not usable: .*Set tls\.key_password, or give a key without a password/);
      t.notMatch(stderr + stdout, /wrong'|battery|PRIVATE KEY/);
    }
  },
);

t.test('what is not usable stops the start, with what to do', async (t) => {
  const { files, args } = certificates(t);
  const port = await freePort();
  const tls = ['--set', `tls.port=${port}`];
  for (const [more, expected] of [
    [['--set', 'tls.cert='], /tls\.port is set, but tls\.cert is not\. Name the PEM file/],
    [['--set', 'tls.client_auth=required', '--set', 'tls.ca='], /tls\.client_auth = 'required' needs tls\.ca/],
    [['--set', `port=${port}`], /port and tls\.port are both \d+\. Choose two ports, or port = off/],
    [['--set', 'bind=', '--set', 'unixsocket=/tmp/x'], /tls\.port is set, but bind is empty/],
    [['--set', 'tls.port=0', '--set', 'port=off'], /nobody could connect/],
    [['--set', 'tls.min_version=1.1'], /tls\.min_version/],
  ] as const) {
    t.throws(() => loadConfig({ args: [...tls, ...args, ...more], environment: {} }), { message: expected });
  }
  const refused = (...more: string[]) => failToStart(t, ['--port', '0', '--dir', scratch(t), ...tls, ...args, ...more]);
  for (const [more, expected] of [
    [['--set', `tls.key=${join(files, 'me.key')}`], /are not a pair.*Put both files of one issue in place/],
    [['--set', `tls.key=${join(files, 'nothing')}`], /cannot be read: ENOENT.*Name a PEM file/],
  ] as const) {
    const { code, stderr, stdout } = await refused(...more);
    t.equal(code, 1, stderr);
    t.match(stderr, expected);
    t.equal(stdout, '');
  }
});
