/** What clients may make the server hold: slow ones, silent ones, greedy ones, and all of them together. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { Account, ClientMemory } from '../../src/server/client-memory.js';
import { RepeatedEvents } from '../../src/server/repeated.js';
import { capturingLog } from '../support/log.js';
import { multibulk } from '../support/resp.js';
import { type RawClient, startTestServer, type TestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';

const KB = 1024;
const MB = 1024 * KB;

/** Resolves when the server has seen so many bytes since `before`. */
async function seen(server: TestServer, before: number, bytes: number): Promise<void> {
  await waitFor(() => server.server.counters.inputBytes >= before + bytes, { what: `${bytes} bytes to arrive` });
}

const held = (server: TestServer) => server.server.clientBytes;

async function closedBy(server: TestServer, clients: readonly RawClient[], count: number): Promise<void> {
  await waitFor(() => clients.filter(({ ended }) => ended).length >= count, { what: `${count} clients to be cut off` });
  t.equal(await (await server.open()).ask('PING'), 'PONG');
}

t.test('G3: a client that sends byte after byte is served in its time, and others meanwhile', async (t) => {
  const server = await startTestServer(t);
  const [slow, other] = [await server.open(), await server.open()];
  const bytes = multibulk('SET', 'slow', 'x'.repeat(40));
  for (const [nth, byte] of bytes.entries()) {
    const before = server.server.counters.inputBytes;
    slow.send(Buffer.of(byte));
    await seen(server, before, 1);
    t.equal(await other.ask('PING', `${nth}`), `${nth}`);
  }
  t.same(await slow.next(), { type: 'simple', text: 'OK' });
  t.equal(await other.ask('STRLEN', 'slow'), ':40');
});

t.test(
  'G3: a client that reads slowly gets every byte of what it asked for, and then nothing of it is held',
  async (t) => {
    const server = await startTestServer(t);
    const client = await server.open();
    await client.ask('SET', 'big', 'x'.repeat(8 * MB));
    const { socket } = client;
    socket.removeAllListeners('data');
    socket.pause();
    const count = 10;
    client.send('GET big\r\n'.repeat(count));
    let received = 0;
    const wanted = count * (8 * MB + '$8388608\r\n\r\n'.length);
    while (received < wanted) {
      const chunk = socket.read();
      if (chunk !== null) received += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.equal(received, wanted);
    await waitFor(() => held(server) < KB, { what: 'everything to be let go' });
  },
);

t.test('G3: output beyond the soft limit is borne for its seconds, beyond the hard one not at all', async (t) => {
  const { log, records } = capturingLog();
  const outputBufferLimit = { hardBytes: 64 * MB, softBytes: 4 * MB, softSeconds: 1 };
  const server = await startTestServer(t, { outputBufferLimit }, log);
  const writer = await server.open();
  await writer.ask('SET', 'big', 'x'.repeat(16 * MB));
  await writer.ask('SET', 'small', 'x'.repeat(3 * MB));
  const [soft, hard, brief] = [await server.open(), await server.open(), await server.open()];
  for (const client of [soft, hard]) client.socket.pause();
  const begin = performance.now();
  soft.send('GET big\r\n');
  hard.send('GET big\r\n'.repeat(8));
  for (let nth = 0; nth < 5; nth++) {
    t.equal(((await brief.ask('GET', 'small')) as string).length, 3 * MB, 'what is within the soft limit is not meant');
  }
  await waitFor(() => [...server.server.sessions()].length === 2, { what: 'both to be cut off' });
  t.ok(performance.now() - begin >= 1000, 'not before its second was over');
  const cut = records.filter(({ event }) => event === 'client cut off: too much output that it does not read');
  t.same(cut.map(({ limitBytes }) => limitBytes).sort(), [4 * MB, 64 * MB]);
  t.equal(server.server.counters.outputLimitDisconnections, 2);
  t.equal(await brief.ask('PING'), 'PONG');
});

t.test(
  'G3: a request longer than the query buffer may be ends its connection, as in Redis, also as a transaction',
  async (t) => {
    const { log, records } = capturingLog();
    const server = await startTestServer(t, { queryBufferLimitBytes: 4 * MB }, log);
    const [argument, transaction, within] = [await server.open(), await server.open(), await server.open()];
    argument.send(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${100 * MB}\r\n`);
    argument.send(Buffer.alloc(5 * MB));
    transaction.send(multibulk('MULTI'));
    for (let nth = 0; nth < 5; nth++) transaction.send(multibulk('SET', 'k', 'x'.repeat(MB)));
    t.equal((await argument.rest()).length, 0, 'without an answer');
    t.match((await transaction.rest()).toString(), /^\+OK\r\n(\+QUEUED\r\n)*$/);
    for (let nth = 0; nth < 20; nth++) t.equal(await within.ask('SET', 'k', 'x'.repeat(MB)), 'OK');
    t.equal(server.server.counters.queryLimitDisconnections, 2);
    t.equal(records.filter(({ event }) => /query buffer/.test(event)).length, 2);
    await waitFor(() => held(server) < KB, { what: 'everything to be let go' });
  },
);

t.test('G3: who leaves in the middle of a request, a transaction or a reply leaves nothing behind', async (t) => {
  const server = await startTestServer(t);
  const stays = await server.open();
  await stays.ask('SET', 'big', 'x'.repeat(2 * MB));
  const endings: ((client: RawClient) => void)[] = [
    ({ socket }) => socket.destroy(),
    ({ socket }) => socket.resetAndDestroy(),
    ({ socket }) => socket.end(),
  ];
  for (const end of endings) {
    for (const bytes of [
      '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\nabc',
      'MULTI\r\nSET a 1\r\nSET b ',
      'WATCH a b c\r\n',
      'GET big\r\n'.repeat(20),
      '"',
    ]) {
      const client = await server.open();
      if (bytes.startsWith('GET')) client.socket.removeAllListeners('data').pause();
      const before = server.server.counters.inputBytes;
      client.send(bytes);
      await seen(server, before, bytes.length);
      end(client);
      client.socket.resume();
    }
  }
  await waitFor(() => [...server.server.sessions()].length === 1, { what: 'all of them to be gone' });
  t.equal(held(server), 0);
  t.equal(await stays.ask('EXISTS', 'a', 'b', 'k'), ':0');
});

t.test('G3: a payload of DUMP that grows to more than proto_max_bulk_len is not restored', async (t) => {
  const [any, small] = [await startTestServer(t), await startTestServer(t, { protoMaxBulkLen: MB })];
  const [from, to] = [await any.open(), await small.open()];
  for (const [size, answer] of [
    [MB, 'OK'],
    [MB + 1, 'ERR Bad data format'],
  ] as const) {
    await from.ask('SET', 'k', 'x'.repeat(size));
    from.send(multibulk('DUMP', 'k'));
    const reply = await from.next();
    const payload = Buffer.from(reply?.type === 'bulk' ? reply.text : '', 'latin1');
    t.ok(payload.length > 0 && payload.length < MB / 10, `${payload.length} bytes are sent`);
    to.send(multibulk('RESTORE', 'k', '0', payload, 'REPLACE'));
    t.match(await to.next(), { text: answer });
  }
  t.equal(await to.ask('STRLEN', 'k'), `:${MB}`);
});

t.test('G3: the system probes a peer that has vanished: keepalive is on for what is accepted', async (t) => {
  const server = await startTestServer(t, { tcpKeepaliveSeconds: 60 });
  const client = await server.open();
  await client.ask('PING');
  const here = client.socket.localPort as number;
  // In /proc/net/tcp timer 02 is the keepalive timer; its time left follows, in hundredths of a second.
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find(([, local, remote]) => local === hexAddress(server.port) && remote === hexAddress(here));
  t.ok(line, 'the server’s end of the connection');
  const [timer, left] = (line?.[5] ?? '').split(':');
  t.equal(timer, '02');
  const seconds = Number.parseInt(left ?? '', 16) / 100;
  t.ok(seconds > 0 && seconds <= 60, `first probe in ${seconds} s`);
});

function hexAddress(port: number): string {
  return `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

t.test('G3: hundreds of half-sent arguments: the biggest go, loudly, until the rest fits', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, { maxmemoryClientsBytes: 32 * MB }, log);
  const [small, spared] = [await server.open(), await server.open()];
  await spared.ask('CLIENT', 'NO-EVICT', 'ON');
  await halfSent(server, spared, 6 * MB);
  const greedy: RawClient[] = [];
  for (let nth = 0; nth < 200; nth++) {
    const client = await server.open();
    greedy.push(client);
    await halfSent(server, client, 512 * KB + nth * KB);
    t.ok(held(server) <= 32 * MB) || t.bailout('more was held than may be');
  }
  const evicted = server.server.counters.evictedClients;
  await closedBy(server, greedy, evicted);
  t.ok(evicted > 100 && evicted < 200, `${evicted} of 200 were cut off`);
  t.equal(await small.ask('PING'), 'PONG');
  t.notOk(spared.ended, 'who said NO-EVICT stays');
  const cut = records.filter(({ event }) => event.startsWith('client cut off: all clients together'));
  t.equal(cut.length, evicted, 'each one is told of');
  t.match(cut[0], { level: 'warn', pressure: 'bytes', limitBytes: 32 * MB });
  t.match(await small.ask('INFO', 'stats'), new RegExp(`evicted_clients:${evicted}\r\n`));
  await small.ask('CONFIG', 'RESETSTAT');
  t.match(await small.ask('INFO', 'stats'), /evicted_clients:0\r\n/);
});

/** An argument of 512 MB is announced, and that much of it sent. */
async function halfSent(server: TestServer, client: RawClient, bytes: number): Promise<void> {
  const head = Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${512 * MB}\r\n`);
  const before = server.server.counters.inputBytes;
  client.send(Buffer.concat([head, Buffer.alloc(bytes)]));
  await waitFor(() => client.ended || server.server.counters.inputBytes >= before + bytes, { what: 'it to arrive' });
}

/** The most that a client may send before it has said who it is, without an end. */
const strangersLargest = Buffer.concat([
  Buffer.from('*10\r\n'),
  ...Array.from({ length: 9 }, () =>
    Buffer.concat([Buffer.from('$16384\r\n'), Buffer.alloc(16384), Buffer.from('\r\n')]),
  ),
  Buffer.from('$16384\r\n'),
  Buffer.alloc(16383),
]);

t.test('G3, G4: however many strangers send the most they may, they hold no more than their budget', async (t) => {
  const { log, records } = capturingLog();
  const server = await startTestServer(t, {}, log);
  server.setPassword('secret');
  const known = await server.open();
  t.equal(await known.ask('AUTH', 'secret'), 'OK');
  const strangers: RawClient[] = [];
  let most = 0;
  for (let nth = 0; nth < 600; nth++) {
    const client = await server.open();
    strangers.push(client);
    client.send(nth % 2 === 0 ? strangersLargest : Buffer.alloc(64 * KB - 1, 'x'));
    most = Math.max(most, held(server));
  }
  t.equal(await known.ask('PING'), 'PONG');
  await waitFor(
    () => {
      most = Math.max(most, held(server));
      return (
        server.server.counters.inputBytes > 300 * (strangersLargest.length + 64 * KB - 1) ||
        server.server.counters.evictedClients > 10
      );
    },
    { what: 'the strangers to be heard' },
  );
  t.ok(most <= 65 * MB, `${(most / MB).toFixed(1)} MB were held at most`);
  t.notOk(known.ended, 'who has logged in stays');
  const lines = records.filter(({ event }) => event.startsWith('client cut off'));
  t.ok(lines.length <= 2, `${lines.length} lines in the log for ${server.server.counters.evictedClients} strangers`);
});

t.test('G4: a stranger that does not read what it is told is cut off at 16 KB', async (t) => {
  const server = await startTestServer(t);
  server.setPassword('secret');
  const [stranger, other] = [await server.open(), await server.open()];
  stranger.socket.pause();
  let most = 0;
  const begun = server.server.counters.inputBytes;
  const requests = Buffer.from('HELLO\r\n'.repeat(5000));
  while (server.server.counters.outputLimitDisconnections === 0) {
    stranger.send(requests);
    await other.ask('PING');
    most = Math.max(most, ...[...server.server.sessions()].map(({ pendingOutputBytes }) => pendingOutputBytes));
    if (server.server.counters.inputBytes - begun > 200 * MB) throw new Error('it was never cut off');
  }
  t.ok(most <= 32 * KB, `${most} bytes waited`);
});

t.test('G4: wrong passwords in a pipeline wait one after the other, and cost nobody else anything', async (t) => {
  const server = await startTestServer(t);
  server.setPassword('secret');
  const [guesser, other] = [await server.open(), await server.open()];
  guesser.send(Buffer.concat(Array.from({ length: 20_000 }, (_, nth) => multibulk('AUTH', `guess-${nth}`))));
  for (let nth = 0; nth < 4; nth++) t.match(await guesser.next(), { type: 'error', text: /^WRONGPASS / });
  for (let nth = 0; nth < 20; nth++) t.match(await other.ask('PING'), /^-NOAUTH /);
  t.ok(held(server) < MB, `${held(server)} bytes wait`);
  t.notOk(guesser.ended);
});

t.test('G3, G4: strangers who send without end hold up neither who has logged in nor who is about to', async (t) => {
  const server = await startTestServer(t);
  server.setPassword('secret');
  const known = await server.open();
  t.equal(await known.ask('AUTH', 'secret'), 'OK');
  const flood = Buffer.from('PING\r\n'.repeat(10_000));
  const strangers: RawClient[] = [];
  for (let nth = 0; nth < 100; nth++) {
    const stranger = await server.open();
    // It reads all that it is told, so that nothing cuts it off.
    stranger.socket.removeAllListeners('data');
    stranger.socket.resume();
    stranger.send(flood);
    strangers.push(stranger);
  }
  const { statistics } = server.server;
  const before = statistics.errorReplies;
  await waitFor(() => statistics.errorReplies > before + 5000, { what: 'the strangers to be answered' });
  // Requests of others that ran meanwhile, each time from asking to the answer.
  for (let nth = 0; nth < 20; nth++) {
    const begun = statistics.errorReplies;
    t.equal(await known.ask('PING'), 'PONG');
    const newcomer = await server.open();
    t.equal(await newcomer.ask('AUTH', 'secret'), 'OK');
    t.equal(await newcomer.ask('PING'), 'PONG');
    newcomer.socket.destroy();
    t.ok(
      statistics.errorReplies - begun < 20_000,
      `${statistics.errorReplies - begun} requests of strangers came before`,
    );
  }
  t.ok(statistics.errorReplies < 900_000, 'the flood was still going on');
});

t.test('a churn of connections leaves nothing', async (t) => {
  const server = await startTestServer(t, { maxclients: 50 });
  server.setPassword('secret');
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(Array.from({ length: 80 }, () => server.open()));
    for (const client of clients) client.send('*2\r\n$4\r\nAUTH\r\n$16000\r\nabc');
    for (const [nth, client] of clients.entries()) nth % 2 === 0 ? client.close() : client.socket.resetAndDestroy();
  }
  await waitFor(() => [...server.server.sessions()].length === 0, { what: 'all of them to be gone' });
  t.equal(held(server), 0);
  t.equal(await (await server.open()).ask('AUTH', 'secret'), 'OK');
});

t.test('what there is too much of is named, objects before bytes, strangers before both', (t: Test) => {
  let limit = 1000;
  const memory = new ClientMemory(() => limit, 500, 100);
  const [known, stranger] = [new Account(), new Account()];
  memory.set(known, 900, 400, false);
  memory.set(stranger, 100, 0, true);
  t.equal(memory.pressure, null);
  memory.set(stranger, 101, 0, true);
  t.equal(memory.pressure, 'strangers');
  t.same([known.of('strangers'), stranger.of('strangers')], [0, 101]);
  memory.set(stranger, 101, 0, false);
  t.equal(memory.pressure, 'bytes', 'it has logged in');
  memory.set(known, 900, 501, false);
  t.equal(memory.pressure, 'objects');
  t.same(memory.numbers('objects'), { heldBytes: 501, limitBytes: 500 });
  memory.set(known, 0, 0, false);
  memory.set(stranger, 5000, 0, false);
  limit = 0;
  t.equal(memory.pressure, null, '0: no limit');
  memory.set(stranger, 0, 0, false);
  t.equal(memory.heldBytes, 0);
  t.end();
});

t.test('what strangers cause is logged once in ten seconds, and how often it was', async (t) => {
  const { log, records } = capturingLog();
  let nowMs = 0;
  const repeated = new RepeatedEvents(log, () => nowMs);
  for (let nth = 0; nth < 1000; nth++) repeated.warn('knocked', { client: `c${nth}` });
  repeated.warn('another', {});
  nowMs = 10_000;
  repeated.warn('knocked', { client: 'later' });
  nowMs = 20_000;
  repeated.warn('knocked', { client: 'alone' });
  t.match(records, [
    { event: 'knocked', client: 'c0' },
    { event: 'another' },
    { event: 'knocked', client: 'later', alsoSince: 999 },
    { event: 'knocked', client: 'alone' },
  ]);
  t.equal(records.length, 4);
  t.notOk('alsoSince' in (records[3] as object));
});

t.test('no command makes a string longer than proto_max_bulk_len, and the limit may change meanwhile', async (t) => {
  const server = await startTestServer(t, { protoMaxBulkLen: MB });
  const client = await server.open();
  const tooLong = '-ERR string exceeds maximum allowed size (proto-max-bulk-len)';
  const noOffset = '-ERR bit offset is not an integer or out of range';
  t.equal(await client.ask('SETRANGE', 'k', `${MB}`, 'x'), tooLong);
  t.equal(await client.ask('SETRANGE', 'k', `${MB - 1}`, 'x'), `:${MB}`);
  t.equal(await client.ask('APPEND', 'k', 'x'), tooLong);
  for (const last of [
    ['SETBIT', 'k', `${MB * 8}`, '1'],
    ['GETBIT', 'k', `${MB * 8}`],
  ]) {
    t.equal(await client.ask(...last), noOffset);
  }
  t.equal(await client.ask('BITFIELD', 'k', 'SET', 'u8', `${MB * 8}`, '1'), noOffset);
  t.equal(await client.ask('SETBIT', 'k', `${MB * 8 - 1}`, '1'), ':0');
  t.equal(await client.ask('STRLEN', 'k'), `:${MB}`);
  server.settings.protoMaxBulkLen = 2 * MB;
  t.equal(await client.ask('APPEND', 'k', 'x'), `:${MB + 1}`);
});

t.test('BITOP and BITFIELD take more operands than a function of JavaScript takes arguments', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  await client.ask('SET', 'a', 'abc');
  const count = 130_000;
  client.send(`*${3 + count}\r\n$5\r\nBITOP\r\n$2\r\nOR\r\n$1\r\nz\r\n${'$1\r\na\r\n'.repeat(count)}`);
  t.same(await client.next(), { type: 'integer', text: '3' });
  t.equal(await client.ask('GET', 'z'), 'abc');
  const set = '$3\r\nSET\r\n$2\r\nu8\r\n$1\r\n8\r\n$1\r\n7\r\n';
  client.send(`*${2 + 4 * count}\r\n$8\r\nBITFIELD\r\n$1\r\nb\r\n${set.repeat(count)}`);
  const reply = await client.next();
  t.equal(reply !== null && 'items' in reply && reply.items.length, count);
  t.equal(await client.ask('GET', 'b'), '\0\x07');
});
