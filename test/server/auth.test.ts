import t from 'tap';
import { Authenticator } from '../../src/server/auth.js';
import { startTestServer } from '../support/server.js';

t.test('without the password only what logs in is answered', async (t) => {
  const server = await startTestServer(t, { requirepass: 'secret' });
  const client = await server.open();
  t.equal(await client.ask('GET', 'a'), '-NOAUTH Authentication required.');
  t.equal(await client.ask('CONFIG', 'GET', '*'), '-NOAUTH Authentication required.');
  t.equal(await client.ask('AUTH', 'Secret'), '-WRONGPASS invalid username-password pair or user is disabled.');
  t.equal(await client.ask('AUTH', 'secret'), 'OK');
  t.equal(await client.ask('GET', 'a'), null);
  t.equal(await client.ask('RESET'), 'RESET');
  t.equal(await client.ask('GET', 'a'), '-NOAUTH Authentication required.');
});

t.test('a password that is set later holds for new connections, as in Redis', async (t) => {
  const server = await startTestServer(t);
  const before = await server.open();
  await before.ask('PING');
  server.settings.requirepass = 'secret';
  t.equal(await before.ask('PING'), 'PONG');
  t.equal(await (await server.open()).ask('PING'), '-NOAUTH Authentication required.');
});

t.test('AUTH and what needs it may be in one pipeline', async (t) => {
  const server = await startTestServer(t, { requirepass: 'secret' });
  const client = await server.open();
  client.send('AUTH secret\r\nMSET a 1 b 2 c 3 d 4 e 5 f 6\r\nMGET a f\r\n');
  await client.take(2);
  t.same(await client.ask('PING'), ['1', '6']);
});

t.test('guesses are answered later and later, up to a second; others are not held up', async (t) => {
  const server = await startTestServer(t, { requirepass: 'secret' });
  const guesser = await server.open();
  const other = await server.open();
  for (let nth = 0; nth < 3; nth++) await guesser.ask('AUTH', 'wrong');
  const begin = performance.now();
  guesser.send('AUTH wrong\r\nPING\r\n');
  t.equal(await other.ask('AUTH', 'secret'), 'OK');
  t.ok(performance.now() - begin < 45, 'the right password is not delayed');
  t.match(await guesser.next(), { text: /^WRONGPASS/ });
  t.ok(performance.now() - begin >= 45, 'the wrong one is');
  t.match(await guesser.next(), { text: /^NOAUTH/ });
});

t.test('the delay is bounded, and so is what is remembered', async (t) => {
  const auth = new Authenticator(() => 'secret');
  const wrong = Buffer.from('wrong');
  for (let nth = 0; nth < 3; nth++) t.throws(() => auth.check('a', null, wrong), { code: 'WRONGPASS' });
  const waiting = Array.from({ length: 30 }, () => auth.check('a', null, wrong) as Promise<void>);
  const begin = performance.now();
  for (const each of await Promise.allSettled(waiting)) t.equal(each.status, 'rejected');
  t.ok(performance.now() - begin < 1500);
  for (let nth = 0; nth < 10_000; nth++) {
    try {
      auth.check(`10.0.${nth >> 8}.${nth & 255}`, null, wrong);
    } catch {}
  }
  t.throws(() => auth.check('a', null, wrong), { code: 'WRONGPASS' }, 'the oldest was forgotten');
});

t.test('without a password AUTH says so; the default user takes any', async (t) => {
  const auth = new Authenticator(() => '');
  t.throws(() => auth.check('a', null, Buffer.from('x')), { code: 'ERR', message: /without any password configured/ });
  t.equal(auth.check('a', 'default', Buffer.from('x')), undefined);
  t.throws(() => auth.check('a', 'nobody', Buffer.from('x')), { code: 'WRONGPASS' });
});

t.test('protected mode serves this machine alone while there is no password', async (t) => {
  const { networkInterfaces } = await import('node:os');
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((each) => each?.family === 'IPv4' && !each.internal)?.address;
  if (outside === undefined) {
    t.comment('this machine has no address but loopback');
    return;
  }
  const server = await startTestServer(t, { bind: ['0.0.0.0'] });
  const { connect } = await import('node:net');
  const ask = (): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(server.port, outside);
      socket.on('data', (data: Buffer) => {
        resolve(data.toString());
        socket.destroy();
      });
      socket.on('error', () => {});
      socket.write('PING\r\n');
    });
  t.match(await ask(), /^-DENIED Cairn is running in protected mode/);
  t.equal(await (await server.open()).ask('PING'), 'PONG');
  server.settings.requirepass = 'secret';
  t.equal(await ask(), '-NOAUTH Authentication required.\r\n');
  server.settings.requirepass = '';
  server.settings.protectedMode = false;
  t.equal(await ask(), '+PONG\r\n');
});
