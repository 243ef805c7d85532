/** Small replies leave together: to everybody, in order, also where a socket takes only a part of them or none. */
import t from 'tap';
import { multibulk } from '../support/resp.js';
import { RawClient, startTestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';

t.test('a client that reads late gets every byte in order; the others are not held up by it', async (t) => {
  const { port, server } = await startTestServer(t);
  const slow = await RawClient.connect(port);
  const quick = await RawClient.connect(port);
  t.teardown(() => [slow, quick].map((client) => client.close()));
  const values = Array.from({ length: 8 }, (_, n) => Buffer.alloc(1000 + n, `${n}`));
  for (const [n, value] of values.entries()) await quick.ask('SET', `key:${n}`, value.toString('latin1'));
  slow.socket.pause();
  const requests = 40_000;
  const before = server.counters.outputBytes;
  let expectedBytes = 0;
  // One request for each chunk, so that each reply goes through the outbox, until the socket takes no more.
  for (let n = 0; n < requests; n++) {
    slow.send(multibulk('GET', `key:${n % 8}`));
    expectedBytes += 1000 + (n % 8) + '$1000\r\n\r\n'.length;
    if (n % 400 === 0) t.equal((await quick.ask('GET', `key:${n % 8}`)) as string, values[n % 8]?.toString('latin1'));
  }
  await waitFor(() => server.counters.outputBytes - before > expectedBytes, { what: 'all requests to have run' });
  t.match(await quick.ask('CLIENT', 'LIST'), / omem=[1-9]/, 'the system did not take all of it: the rest waits');
  slow.socket.resume();
  for (let n = 0; n < requests; n++) {
    const reply = await slow.next();
    if (reply?.type !== 'bulk' || reply.text !== values[n % 8]?.toString('latin1')) {
      t.fail(`reply ${n} is another one`);
      break;
    }
  }
  t.equal(slow.unread, 0);
});

t.test('what the system did not take counts as held at once, though its client asks for nothing more', async (t) => {
  const { port, server } = await startTestServer(t);
  const slow = await RawClient.connect(port);
  const asker = await RawClient.connect(port);
  t.teardown(() => [slow, asker].map((client) => client.close()));
  await asker.ask('SET', 'key', 'x'.repeat(15_000));
  slow.socket.pause();
  let held = 0;
  for (let n = 0; held === 0 && n < 10_000; n++) {
    const before = server.counters.outputBytes;
    slow.send(multibulk('GET', 'key'));
    await waitFor(() => server.counters.outputBytes > before, { what: 'it to be answered' });
    held = Number(/ omem=([1-9]\d*)/.exec(String(await asker.ask('CLIENT', 'LIST')))?.[1] ?? 0);
  }
  t.ok(held > 0, 'the system takes no more');
  t.ok(server.clientBytes >= held, `${server.clientBytes} bytes are counted, ${held} are held`);
});

t.test('replies, large ones between them, keep their order with what a monitor is told', async (t) => {
  const { port } = await startTestServer(t);
  const client = await RawClient.connect(port);
  const monitor = await RawClient.connect(port);
  t.teardown(() => [client, monitor].map((each) => each.close()));
  await monitor.ask('MONITOR');
  const large = 'x'.repeat(300_000);
  const medium = 'y'.repeat(20_000);
  await client.ask('MSET', 'large', large, 'medium', medium);
  const words = ['large', 'medium', 'small', 'medium', 'small', 'large', 'small'];
  client.send(Buffer.concat(words.map((word) => multibulk('GET', word))));
  client.send(multibulk('PING'));
  const texts = (await client.take(words.length + 1)).map((reply) => (reply as { text?: string }).text);
  t.same(
    texts.map((text) => text?.length ?? null),
    [300_000, 20_000, null, 20_000, null, 300_000, null, 4],
  );
  const told = await monitor.take(words.length + 2);
  t.same(
    told.slice(1).map((line) =>
      /"(?:GET" "(\w+)|(PING))"/
        .exec((line as { text: string }).text)
        ?.slice(1)
        .join(''),
    ),
    [...words, 'PING'],
  );
});

t.test('a reply that closes the connection leaves before it', async (t) => {
  const { port } = await startTestServer(t);
  for (let n = 0; n < 20; n++) {
    const client = await RawClient.connect(port);
    client.send(Buffer.concat([multibulk('PING'), multibulk('QUIT'), multibulk('PING')]));
    t.same(await client.take(3), [{ type: 'simple', text: 'PONG' }, { type: 'simple', text: 'OK' }, null]);
    client.close();
  }
});

t.test('clients that go while replies are on their way leave the server whole', async (t) => {
  const { port } = await startTestServer(t);
  const steady = await RawClient.connect(port);
  t.teardown(() => steady.close());
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(port)));
    for (const [n, client] of clients.entries()) {
      client.send(Buffer.concat(Array.from({ length: 50 }, () => multibulk('SET', `key:${n}`, 'v'.repeat(200)))));
      client.send(Buffer.concat(Array.from({ length: 50 }, () => multibulk('GET', `key:${n}`))));
    }
    for (const [n, client] of clients.entries()) if (n % 2 === 0) client.socket.destroy();
    for (const [n, client] of clients.entries()) {
      if (n % 2 === 0) continue;
      t.equal((await client.take(100)).filter((reply) => reply === null).length, 0);
      client.close();
    }
    t.equal(await steady.ask('PING'), 'PONG');
  }
  await waitFor(async () => ((await steady.ask('CLIENT', 'LIST')) as string).split('\n').length === 2, {
    what: 'the others to be gone',
  });
});
