/** What the wire demands: order, pieces, pipelines, broken requests, clients that leave or do not read. */
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { capturingLog } from '../support/log.js';
import { multibulk, readAllWire } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { overTls, RawClient, startTestServer } from '../support/server.js';

const MB = 1024 * 1024;

t.test('requests split at every byte are answered as if they were whole', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  const bytes = Buffer.concat([multibulk('SET', 'k', 'v\r\n'), Buffer.from('GET k\r\n'), multibulk('PING')]);
  for (let cut = 1; cut < bytes.length; cut++) {
    client.send(bytes.subarray(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    client.send(bytes.subarray(cut));
    const replies = await client.take(3);
    if (JSON.stringify(replies.map((reply) => (reply as { text: string }).text)) !== '["OK","v\\r\\n","PONG"]') {
      t.fail(`cut at ${cut}: ${JSON.stringify(replies)}`);
    }
  }
});

t.test('a pipeline of 10^5 (over TLS 20,000) writes and reads is answered in order', async (t) => {
  const server = await startTestServer(t);
  const count = overTls ? 10_000 : 50_000;
  const parts: Buffer[] = [];
  for (let nth = 0; nth < count; nth++)
    parts.push(multibulk('SET', `key:${nth}`, `value:${nth}`), multibulk('GET', `key:${nth}`));
  const { socket } = await server.open();
  socket.removeAllListeners('data');
  const chunks: Buffer[] = [];
  let lines = 0;
  const begin = performance.now();
  socket.write(Buffer.concat(parts));
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      for (const byte of chunk) if (byte === 10) lines++;
      if (lines === count * 3) resolve();
    });
  });
  t.comment(`${Math.round((2 * count) / (performance.now() - begin))} thousand requests a second`);
  const replies = readAllWire(Buffer.concat(chunks));
  t.equal(replies.length, 2 * count);
  t.ok(
    replies.every((reply, nth) => (reply as { text: string }).text === (nth % 2 === 0 ? 'OK' : `value:${nth >> 1}`)),
    'every reply in its place',
  );
});

t.test('after a protocol error what came before is answered, then the error, then the end', async (t) => {
  const server = await startTestServer(t);
  for (const [bytes, what] of [
    ['*1\r\n!', "expected '$', got '!'"],
    ['*x\r\n', 'invalid multibulk length'],
    ['*1\r\n$-5\r\n', 'invalid bulk length'],
    ['GET "a\r\n', 'unbalanced quotes in request'],
  ] as const) {
    const client = await server.open();
    client.send(`SET k v\r\nPING\r\n${bytes}PING\r\n`);
    t.equal((await client.rest()).toString(), `+OK\r\n+PONG\r\n-ERR Protocol error: ${what}\r\n`);
  }
});

t.test('what a browser sends closes the connection without an answer', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, {}, log);
  for (const first of ['POST / HTTP/1.1', 'host: localhost']) {
    const client = await server.open();
    client.send(`${first}\r\nContent-Length: 12\r\n\r\nSET http yes\r\n`);
    t.equal((await client.rest()).toString(), '');
  }
  t.equal(await (await server.open()).ask('EXISTS', 'http'), ':0');
  t.equal(records.filter(({ event }) => event.startsWith('HTTP request')).length, 1, 'told of once in a while');
});

t.test('who closes its side still gets the answers to what it sent', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  client.send('SET k v\r\nGET k\r\nPI');
  client.socket.end();
  t.equal((await client.rest()).toString(), '+OK\r\n$1\r\nv\r\n');
});

t.test('a client that leaves with commands in flight harms nobody', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, {}, log);
  for (let nth = 0; nth < 30; nth++) {
    const client = await server.open();
    client.send('WATCH a\r\nMULTI\r\nSET a 1\r\nEXEC\r\nSET b 1\r\nADMIN.BACKUP VERIFY ALL\r\nSET c 1\r\nGET c\r\n');
    if (nth % 2 === 0 && !overTls) client.socket.resetAndDestroy();
    else client.close();
  }
  const other = await server.open();
  while ([...server.server.sessions()].length > 1) await other.ask('PING');
  t.equal(await other.ask('PING'), 'PONG');
  t.same(
    records.filter(({ level }) => level === 'error'),
    [],
  );
});

t.test('a command that waits holds up its own connection alone', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  const other = await server.open();
  client.send('ADMIN.BACKUP CREATE\r\nSET after create\r\nPING\r\n');
  t.equal(await other.ask('PING'), 'PONG');
  const replies = await client.take(3);
  t.same(
    replies.map((reply) => reply?.type),
    ['array', 'simple', 'simple'],
  );
});

// Over TLS there is no word for it before the handshake, which is refused.
t.test('one client too many is told so and turned away', { skip: overTls }, async (t) => {
  const server = await startTestServer(t, { maxclients: 2 });
  const first = await server.open();
  const second = await server.open();
  await first.ask('PING');
  await second.ask('PING');
  const third = await server.open();
  t.equal((await third.rest()).toString(), '-ERR max number of clients reached\r\n');
  first.close();
  while ([...server.server.sessions()].length > 1) await second.ask('PING');
  t.equal(await (await server.open()).ask('PING'), 'PONG');
  t.match(await second.ask('INFO', 'stats'), /rejected_connections:1\r\n/);
});

t.test('an idle client is closed after the timeout, one that waits for a command is not', async (t) => {
  const server = await startTestServer(t, { timeoutSeconds: 1 });
  const idle = await server.open();
  const busy = await server.open();
  const { backup } = server.fixture;
  const wait = backup.wait.bind(backup);
  let finish = (): void => {};
  backup.wait = async () => {
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    return null as never;
  };
  t.teardown(() => {
    backup.wait = wait;
  });
  busy.send('ADMIN.BACKUP WAIT 1\r\n');
  await idle.ask('PING');
  t.equal((await idle.rest()).length, 0);
  t.equal(busy.ended, false);
  finish();
});

t.test('output that is not read makes further commands wait, and then goes on', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  await client.ask('SET', 'big', 'x'.repeat(4 * MB));
  client.socket.pause();
  const count = overTls ? 80 : 150;
  client.send('GET big\r\n'.repeat(count));
  const other = await server.open();
  let pending = 0;
  for (let still = 0; still < 50; ) {
    await other.ask('PING');
    const now = Math.max(...[...server.server.sessions()].map((session) => session.pendingOutputBytes));
    still = now === pending && now > 0 ? still + 1 : 0;
    pending = now;
  }
  t.ok(pending < 300 * MB, `${Math.round(pending / MB)} MB wait of ${count * 4}`);
  let received = 0;
  client.socket.removeAllListeners('data');
  await new Promise<void>((resolve) => {
    client.socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received === count * (4 * MB + 12)) resolve();
    });
    client.socket.resume();
  });
  t.equal(received, count * (4 * MB + 12));
});

t.test('a client that does not read is cut off at the configured limit', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, { outputLimitBytes: 8 * MB }, log);
  const client = await server.open();
  await client.ask('SET', 'big', 'x'.repeat(4 * MB));
  client.socket.pause();
  client.send('GET big\r\n'.repeat(100));
  const other = await server.open();
  while ([...server.server.sessions()].length > 1) await other.ask('PING');
  const cut = records.find(({ event }) => event.startsWith('client cut off'));
  t.equal(cut?.limitBytes, 8 * MB);
});

t.test('a request longer than the limit is refused before it is taken', async (t) => {
  const server = await startTestServer(t, { protoMaxBulkLen: 1000 });
  const client = await server.open();
  client.send('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1001\r\n');
  t.equal((await client.rest()).toString(), '-ERR Protocol error: invalid bulk length\r\n');
});

t.test('a value of 64 MB (over TLS 16 MB) goes in and comes out', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  const value = Buffer.alloc((overTls ? 16 : 64) * MB, 'abcdefg');
  const socket = client.socket;
  socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${value.length}\r\n`);
  socket.write(value);
  socket.write('\r\n');
  t.same(await client.next(), { type: 'simple', text: 'OK' });
  socket.removeAllListeners('data');
  const chunks: Buffer[] = [];
  let received = 0;
  const expected = value.length + `$${value.length}\r\n\r\n`.length;
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received === expected) resolve();
    });
    socket.write('GET k\r\n');
  });
  t.ok(Buffer.concat(chunks).subarray(11, -2).equals(value));
});

t.test('a command that fails unexpectedly is a bug: logged with its stack, told, and survived', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, {}, log);
  const client = await server.open();
  const { keyspace } = server.fixture;
  const nowUs = keyspace.nowUs.bind(keyspace);
  keyspace.nowUs = () => {
    throw new TypeError('a bug');
  };
  t.match(await client.ask('TIME'), /^-ERR internal error in 'time'/);
  keyspace.nowUs = nowUs;
  t.type(await client.ask('TIME'), Array);
  t.match(
    records.filter(({ level }) => level === 'error'),
    [{ event: 'a command failed unexpectedly', command: 'time', error: { stack: /TypeError: a bug\n/ } }],
  );
});

t.test('a unix socket serves as well; a stale one is replaced, a used one is not', async (t) => {
  const directory = scratch(t);
  const unixsocket = join(directory, 'cairn.sock');
  const server = await startTestServer(t, { unixsocket });
  const socket = connect(unixsocket);
  t.teardown(() => socket.destroy());
  socket.write('CLIENT INFO\r\n');
  const [chunk] = (await new Promise<Buffer[]>((resolve) =>
    socket.once('data', (data: Buffer) => resolve([data])),
  )) as [Buffer];
  t.match(chunk.toString(), ` addr=${unixsocket}:0 `);
  t.match(chunk.toString(), ' flags=U ');
  await t.rejects(startTestServer(t, { unixsocket }), { code: 'ERR', message: /cannot listen on .*EADDRINUSE/ });
  t.same(server.server.addresses, [`${overTls ? 'tls://' : ''}127.0.0.1:${server.port}`, unixsocket]);
});

t.test('the place of the unix socket: what is no stale socket stays, at the start and at the end', async (t) => {
  const directory = scratch(t, { precious: 'precious' });
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  symlinkSync('precious', join(directory, 'link'));
  symlinkSync('nothing', join(directory, 'dangling'));
  mkdirSync(join(directory, 'directory'));
  const before = readdirSync(directory);
  for (const name of before) {
    const refused = { code: 'ERR', message: /it is there, and it is not a socket/ };
    await t.rejects(startTestServer(t, { unixsocket: join(directory, name) }), refused, name);
  }
  const long = join(directory, 's'.repeat(120));
  await t.rejects(startTestServer(t, { unixsocket: long }), { message: /a socket's path has at most 10[37] bytes/ });
  t.same(readdirSync(directory), before);
  t.equal(readFileSync(join(directory, 'precious'), 'utf8'), 'precious');

  const unixsocket = join(directory, 'cairn.sock');
  const listening = `require('net').createServer().listen(${JSON.stringify(unixsocket)}, () => process.kill(process.pid, 9))`;
  spawnSync(process.execPath, ['-e', listening]);
  t.ok(lstatSync(unixsocket).isSocket(), 'a killed program left it');
  const { server } = await startTestServer(t, { unixsocket });
  t.equal(lstatSync(unixsocket).mode & 0o777, 0o700);
  rmSync(unixsocket);
  writeFileSync(unixsocket, 'of somebody else');
  await server.stop();
  t.equal(readFileSync(unixsocket, 'utf8'), 'of somebody else');
  rmSync(unixsocket);

  const next = await startTestServer(t, { unixsocket });
  await next.server.stop();
  t.same(readdirSync(directory), before, 'its own socket goes, and nothing else is left');
});

t.test('a port that is taken is named, and nothing stays open', async (t) => {
  const server = await startTestServer(t);
  await t.rejects(startTestServer(t, { port: server.port }), {
    message: `cannot listen on 127.0.0.1:${server.port}: EADDRINUSE`,
    hint: /another port/,
  });
});

t.test('stopping ends what runs, answers it, and closes every connection', async (t) => {
  const server = await startTestServer(t);
  const busy = await server.open();
  const idle = await server.open();
  await idle.ask('PING');
  await busy.ask('SET', 'k', 'v');
  busy.send('ADMIN.BACKUP CREATE\r\nSET k never\r\n');
  const other = await RawClient.connect(server.port);
  while (!((await other.ask('CLIENT', 'LIST')) as string).includes('cmd=admin.backup|create')) {}
  await server.server.stop();
  await idle.rest();
  t.equal((await busy.next())?.type, 'array', 'the running command was answered');
  t.equal(await busy.next(), null, 'the next one was not run');
  t.same([...server.server.sessions()], []);
  await t.rejects(RawClient.connect(server.port), { code: 'ECONNREFUSED' });
});
