/** TLS as a way in: who gets in, who does not, what a certificate's renewal does, and that nobody is held up by others. */
import { rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import type { ServerSettings, TlsSettings } from '../../src/server/settings.js';
import { authority, fingerprint, type Issued, issue } from '../support/certificates.js';
import { capturingLog } from '../support/log.js';
import { freePort } from '../support/ports.js';
import { scratch } from '../support/scratch.js';
import { startTestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const ca = authority('root');

interface TlsServer {
  port: number;
  plainPort: number;
  settings: TlsSettings;
  install(issued: Issued): void;
  /** A secured socket, closed with the test; rejects with what the client saw. */
  client(options?: ConnectionOptions): Promise<TLSSocket>;
  raw(): Promise<Socket>;
  server: Awaited<ReturnType<typeof startTestServer>>;
  records: ReturnType<typeof capturingLog>['records'];
}

async function startTls(
  t: Test,
  tls: Partial<TlsSettings> = {},
  more: Partial<ServerSettings> = {},
): Promise<TlsServer> {
  const directory = scratch(t, { 'ca.pem': ca.cert });
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem'), ca: join(directory, 'ca.pem') };
  const install = ({ cert, key }: Issued) => {
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key, { mode: 0o600 });
  };
  install(issue(ca, 'one'));
  const port = await freePort();
  const settings: TlsSettings = { port, ...files, keyPassword: '', clientAuth: 'no', minVersion: '1.2', ...tls };
  const { log, records } = capturingLog();
  const server = await startTestServer(t, { tls: settings, ...more }, log);
  const keep = <S extends Socket>(socket: S): S => {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    return socket;
  };
  return {
    port,
    plainPort: server.port,
    settings,
    install,
    server,
    records,
    client: (options = {}) =>
      new Promise((resolve, reject) => {
        const socket = keep(connectTls({ port, host: '127.0.0.1', ca: ca.cert, ...options }));
        socket.once('error', reject);
        socket.once('secureConnect', () => resolve(socket));
      }),
    raw: () =>
      new Promise((resolve) => {
        const socket = keep(connect(port, '127.0.0.1'));
        socket.once('connect', () => resolve(socket));
      }),
  };
}

/** The answer to one command; '' when the connection was closed instead. */
function ask(socket: Socket, line: string): Promise<string> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString().trimEnd()));
    socket.once('close', () => resolve(''));
    socket.write(`${line}\r\n`);
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
    socket.resume();
  });
}

t.test('plain and TLS side by side: each with its own port, CLIENT LIST with the right addresses', async (t) => {
  const { client, server, port } = await startTls(t);
  const tls = await client();
  t.equal(tls.authorized, true);
  t.equal(tls.getProtocol(), 'TLSv1.3');
  const line = await ask(tls, 'CLIENT INFO');
  t.match(line, ` addr=127.0.0.1:${tls.localPort} laddr=127.0.0.1:${port} `);
  const plain = await server.open();
  t.equal(await plain.ask('PING'), 'PONG');
  t.same(server.server.addresses, [`127.0.0.1:${server.port}`, `tls://127.0.0.1:${port}`]);
});

t.test('INFO says the port and when the certificate expires, in unix seconds', async (t) => {
  const { server, port, install, client } = await startTls(t);
  const plain = await server.open();
  await ask(await client(), 'PING');
  const info = String(await plain.ask('INFO', 'tls'));
  t.match(info, new RegExp(`tls_port:${port}\r\n`));
  const expires = Number(/tls_certificate_expires_time:(\d+)/.exec(info)?.[1]);
  t.ok(Math.abs(expires - (Date.now() / 1000 + 86_400)) < 60, `${expires}`);
  t.match(info, /tls_certificate_subject:CN=one\r\ntls_handshakes:1\r\ntls_handshakes_pending:0\r\n/);
  install(issue(ca, 'two', 3 * 86_400_000));
  await plain.ask('ADMIN.TLS', 'RELOAD');
  const after = String(await plain.ask('INFO', 'tls'));
  t.ok(Number(/tls_certificate_expires_time:(\d+)/.exec(after)?.[1]) > expires + 86_400);
  t.match(after, /tls_last_reload_time:[1-9]\d+\r\ntls_last_reload_error:\r\n/);
});

t.test('TLS 1.1 is refused, 1.2 is the oldest; with min_version 1.3 that is refused too', async (t) => {
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const both = await startTls(t);
  await t.rejects(both.client(old), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  const second = await both.client({ maxVersion: 'TLSv1.2' });
  t.equal(second.getProtocol(), 'TLSv1.2');
  t.equal(await ask(second, 'PING'), '+PONG');
  const strict = await startTls(t, { minVersion: '1.3' });
  await t.rejects(strict.client({ maxVersion: 'TLSv1.2' }), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  t.equal(await ask(await strict.client(), 'PING'), '+PONG');
  await waitFor(() => strict.records.find(({ event }) => event === 'a TLS handshake failed'), { what: 'the log' });
  const said = strict.records.find(({ event }) => event === 'a TLS handshake failed');
  t.match(said, { level: 'warn', reason: /older than tls\.min_version/, client: /^127\.0\.0\.1:\d+$/ });
});

t.test('a connection is not negotiated anew: one handshake is all that a client can ask of it', async (t) => {
  const { client, server } = await startTls(t);
  const socket = await client({ maxVersion: 'TLSv1.2' });
  t.equal(await ask(socket, 'PING'), '+PONG');
  const outcome = await new Promise<Error | null>((resolve) => {
    socket.once('error', resolve);
    socket.renegotiate({}, resolve);
  });
  t.match(outcome, { code: 'ERR_SSL_NO_RENEGOTIATION' });
  t.equal(server.server.tls?.status.handshaking, 0);
  t.equal(await ask(await client({ maxVersion: 'TLSv1.2' }), 'PING'), '+PONG');
});

t.test('a client that trusts another authority does not come in', async (t) => {
  const { client } = await startTls(t);
  await t.rejects(client({ ca: authority('other').cert }), { code: /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET/ });
});

t.test('client_auth required: a certificate of tls.ca, no other, and not none', async (t) => {
  const { client, server } = await startTls(t, { clientAuth: 'required' });
  t.equal(await ask(await client(issue(ca, 'me')), 'PING'), '+PONG');
  for (const options of [{}, issue(authority('other'), 'stranger')]) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const answer = await client({ ...options, maxVersion }).then(
        (socket) => ask(socket, 'SET k v'),
        () => '',
      );
      t.equal(answer, '', `${maxVersion} ${Object.keys(options)}`);
    }
  }
  const plain = await server.open();
  t.equal(await plain.ask('GET', 'k'), null, 'nothing of theirs ran');
  t.match(
    await plain.ask('INFO', 'tls'),
    /tls_handshakes:1\r\ntls_handshakes_pending:0\r\ntls_handshake_failures:4\r\n/,
  );
});

t.test('client_auth optional: none is fine, a bad one is not', async (t) => {
  const { client } = await startTls(t, { clientAuth: 'optional' });
  t.equal(await ask(await client(), 'PING'), '+PONG');
  t.equal(await ask(await client(issue(ca, 'me')), 'PING'), '+PONG');
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const stranger = await client({ ...issue(authority('other'), 'stranger'), maxVersion }).then(
      (socket) => ask(socket, 'PING'),
      () => '',
    );
    t.equal(stranger, '', maxVersion);
  }
});

t.test('a new certificate is for new connections; the old ones live on', async (t) => {
  const { client, install, server, records } = await startTls(t);
  const before = await client();
  const next = issue(ca, 'two');
  install(next);
  const plain = await server.open();
  const answer = String(await plain.ask('ADMIN.TLS', 'RELOAD', 'FORMAT', 'JSON'));
  t.match(JSON.parse(answer), { subject: 'CN=two', fingerprint: fingerprint(next.cert), reload_error: null });
  t.equal(await ask(before, 'PING'), '+PONG');
  t.equal(before.getPeerCertificate().subject.CN, 'one');
  t.equal((await client()).getPeerCertificate().subject.CN, 'two');
  t.ok(records.some(({ event }) => event === 'TLS certificate read anew'));
});

t.test('a new certificate that is not usable is refused loudly, and the old one stays', async (t) => {
  const { client, install, server, records, settings } = await startTls(t);
  const plain = await server.open();
  const good = issue(ca, 'good');
  const cases: [string, () => void, RegExp][] = [
    [
      'no pair',
      () => install({ cert: good.cert, key: issue(ca, 'x').key }),
      /are not a pair\. Put both files of one issue/,
    ],
    [
      'no certificate',
      () => install({ ...good, cert: 'nonsense' }),
      /tls\.cert = '.*' is not usable: there is no certificate/,
    ],
    ['cut', () => install({ ...good, cert: good.cert.slice(0, 300) }), /tls\.cert/],
    ['no key', () => install({ ...good, key: 'nonsense' }), /tls\.key = '.*' is not usable/],
    ['empty', () => install({ cert: '', key: '' }), /tls\.cert/],
    ['expired', () => install(issue(ca, 'old', -60_000)), /has expired/],
    ['gone', () => rmSync(settings.key), /tls\.key = '.*' cannot be read: ENOENT/],
  ];
  for (const [what, change, expected] of cases) {
    install(good);
    change();
    t.match(await plain.ask('ADMIN.TLS', 'RELOAD'), expected, what);
    const status = String(await plain.ask('ADMIN.TLS', 'STATUS', 'FORMAT', 'JSON'));
    t.match(JSON.parse(status), { subject: 'CN=one', reload_error: expected }, what);
    t.equal((await client()).getPeerCertificate().subject.CN, 'one', what);
  }
  const said = records.filter(({ event }) => event === 'the new TLS certificate is not usable: the old one stays');
  t.equal(said.length, cases.length);
  t.notMatch(JSON.stringify(records), /PRIVATE KEY/);
  install(good);
  t.match(JSON.parse(String(await plain.ask('ADMIN.TLS', 'RELOAD', 'FORMAT', 'JSON'))), { reload_error: null });
});

t.test('G3: 200 handshakes that are never finished hold up nobody, and are given up', async (t) => {
  const { client, raw, server, records } = await startTls(t);
  const idle = await Promise.all(Array.from({ length: 200 }, raw));
  for (const [nth, socket] of idle.entries()) if (nth % 2 === 0) socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02]));
  const plain = await server.open();
  await waitFor(async () => /tls_handshakes_pending:200/.test(String(await plain.ask('INFO', 'tls'))), {
    what: 'all of them to wait',
  });
  t.equal(await ask(await client(), 'PING'), '+PONG');
  // One byte a second is no progress.
  const trickle = setInterval(() => {
    for (const socket of idle) if (!socket.destroyed) socket.write(Buffer.from([0]));
  }, 1000);
  t.teardown(() => clearInterval(trickle));
  await waitFor(async () => /tls_handshakes_pending:0\r\n/.test(String(await plain.ask('INFO', 'tls'))), {
    what: 'them to be given up',
    timeoutMs: 15_000,
    everyMs: 100,
  });
  await Promise.all(idle.map(closed));
  const said = records.filter(({ event }) => event === 'a TLS handshake failed');
  t.ok(said.length <= 3, `${said.length} lines about it`);
  t.match(await plain.ask('INFO', 'tls'), /tls_handshake_failures:200\r\n/);
});

t.test('who is not TLS, goes away, or resets in the handshake leaves nothing behind', async (t) => {
  const { client, raw, server, records } = await startTls(t);
  const plain = await server.open();
  for (const bytes of ['PING\r\n', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', Buffer.alloc(100_000, 0xff), Buffer.alloc(5)]) {
    const socket = await raw();
    socket.write(bytes);
    await closed(socket);
  }
  const ended = await raw();
  ended.end();
  await closed(ended);
  const reset = await raw();
  reset.resetAndDestroy();
  await waitFor(async () => /tls_handshake_failures:6\r\n/.test(String(await plain.ask('INFO', 'tls'))), {
    what: 'all to be counted',
  });
  t.match(await plain.ask('INFO', 'tls'), /tls_handshakes_pending:0\r\n/);
  t.match(
    records.filter(({ event }) => event === 'a TLS handshake failed'),
    [{ reason: 'the client does not speak TLS' }],
    'said once, not six times',
  );
  t.equal(await ask(await client(), 'PING'), '+PONG');
  t.equal([...server.server.sessions()].length, 2);
});

t.test('maxclients counts handshakes; protected mode and passwords are as without TLS', async (t) => {
  const few = await startTls(t, {}, { maxclients: 3 });
  const plain = await few.server.open();
  await plain.ask('PING');
  const pending = await few.raw();
  await ask(await few.client(), 'PING');
  await waitFor(async () => /tls_handshakes_pending:1/.test(String(await plain.ask('INFO', 'tls'))), { what: 'both' });
  await t.rejects(few.client(), 'there is no place for a third');
  t.match(await (await few.server.open()).rest(), /max number of clients reached/);
  pending.destroy();
  await waitFor(async () => /tls_handshakes_pending:0/.test(String(await plain.ask('INFO', 'tls'))), {
    what: 'a place',
  });
  t.equal(await ask(await few.client(), 'PING'), '+PONG');

  const locked = await startTls(t);
  locked.server.setPassword('secret');
  const client = await locked.client();
  t.equal(await ask(client, 'PING'), '-NOAUTH Authentication required.');
  t.equal(await ask(client, 'AUTH secret'), '+OK');
});

t.test('TLS alone: nobody listens in the clear', async (t) => {
  const { server, client, port } = await startTls(t, {}, { port: null });
  t.same(server.server.addresses, [`tls://127.0.0.1:${port}`]);
  t.equal(server.server.port, 0);
  t.equal(await ask(await client(), 'PING'), '+PONG');
  t.match(await ask(await client(), 'INFO server'), /tcp_port:0\r\n/);
});

t.test('a certificate that is about to expire is said at the start', async (t) => {
  const { records } = await startTls(t);
  t.match(
    records.filter(({ event }) => event.startsWith('the TLS certificate')),
    [{ level: 'warn', event: 'the TLS certificate expires soon', subject: 'CN=one' }],
  );
});
