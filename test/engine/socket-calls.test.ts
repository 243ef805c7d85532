/** What the system says to bytes that are sent past Node's stream, descriptor by descriptor. */
import { closeSync, openSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { nativeSockets } from '../../src/engine/index.js';
import { scratch } from '../support/scratch.js';
import { RawClient } from '../support/server.js';

const { errno } = constants;

interface Pair {
  accepted: Socket;
  descriptor: number;
  client: RawClient;
}

async function pair(t: Test): Promise<Pair> {
  const server = createServer({ noDelay: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = await RawClient.connect((server.address() as { port: number }).port);
  const accepted = await connected;
  accepted.on('error', () => {});
  t.teardown(() => {
    accepted.destroy();
    client.socket.destroy();
    server.close();
  });
  return { accepted, client, descriptor: (accepted as unknown as { _handle: { fd: number } })._handle.fd };
}

const sent = (descriptors: readonly number[], pieces: readonly Buffer[]): number[] => {
  const results = Int32Array.from(descriptors);
  nativeSockets.send(results, pieces);
  return [...results];
};

t.test('each socket gets its piece; one that fails takes nothing from the others', async (t) => {
  const [first, second] = [await pair(t), await pair(t)];
  const closed = openSync(join(scratch(t), 'file'), 'w');
  const descriptors = [first.descriptor, closed, second.descriptor];
  const pieces = ['+one\r\n', '+lost\r\n', '+two\r\n'].map((text) => Buffer.from(text));
  t.same(sent(descriptors, pieces), [6, -errno.ENOTSOCK, 6], 'a file is no socket');
  closeSync(closed);
  t.same(sent([closed], [Buffer.from('+lost\r\n')]), [-errno.EBADF], 'a descriptor that is closed');
  t.same(await first.client.next(), { type: 'simple', text: 'one' });
  t.same(await second.client.next(), { type: 'simple', text: 'two' });
  t.same(sent([], []), []);
  t.same(sent([first.descriptor], [Buffer.alloc(0)]), [0], 'nothing to send is no error');
});

t.test('a client that reads nothing: what the system does not take is told, nothing waits', async (t) => {
  const { client, descriptor } = await pair(t);
  client.socket.pause();
  const piece = Buffer.alloc(1 << 20, 'x');
  let taken = 0;
  let last = 0;
  for (let n = 0; n < 64; n++) {
    last = sent([descriptor], [piece])[0] as number;
    if (last < 0) break;
    taken += last;
  }
  t.equal(last, -errno.EAGAIN);
  t.ok(taken > 0 && taken < 64 << 20, String(taken));
});

t.test('a client that is gone: EPIPE, and no signal that would end the process', async (t) => {
  const { accepted, client, descriptor } = await pair(t);
  // It sees the end itself first, and then a reset.
  const ended = new Promise((resolve) => accepted.once('end', resolve));
  accepted.resume();
  client.socket.resetAndDestroy();
  await Promise.race([ended, new Promise((resolve) => accepted.once('error', resolve))]);
  const [result] = sent([descriptor], [Buffer.from('+late\r\n')]);
  t.ok([-errno.EPIPE, -errno.ECONNRESET, -errno.EBADF].includes(result as number), String(result));
});
