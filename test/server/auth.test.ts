import t from 'tap';
import { Users } from '../../src/acl/users.js';
import { sha256 } from '../../src/base/hash.js';
import { allSpecs, lookup } from '../../src/commands/spec.js';
import { Authenticator } from '../../src/server/auth.js';
import { startTestServer } from '../support/server.js';

t.test('without the password only what logs in is answered', async (t) => {
  const server = await startTestServer(t);
  server.setPassword('secret');
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
  server.setPassword('secret');
  t.equal(await before.ask('PING'), 'PONG');
  t.equal(await (await server.open()).ask('PING'), '-NOAUTH Authentication required.');
});

t.test('AUTH and what needs it may be in one pipeline', async (t) => {
  const server = await startTestServer(t);
  server.setPassword('secret');
  const client = await server.open();
  client.send('AUTH secret\r\nMSET a 1 b 2 c 3 d 4 e 5 f 6\r\nMGET a f\r\n');
  await client.take(2);
  t.same(await client.ask('PING'), ['1', '6']);
});

t.test('guesses are answered later and later, up to a second; others are not held up', async (t) => {
  const server = await startTestServer(t);
  server.setPassword('secret');
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

function authenticator(defaultPassword: string): { auth: Authenticator; users: Users } {
  const hash = defaultPassword === '' ? '' : sha256(Buffer.from(defaultPassword));
  const users = new Users({ catalogue: { lookup, all: allSpecs }, defaultPassword: hash, maxDenials: () => 1 });
  return { auth: new Authenticator(users), users };
}

t.test('the delay is bounded, and so is what is remembered', async (t) => {
  const { auth } = authenticator('secret');
  let names = 0;
  const guess = (address: string, user = `nobody${names++}`) =>
    auth.check(address, { user, password: Buffer.from('wrong') }, () => {});
  for (let nth = 0; nth < 3; nth++) t.throws(() => guess('a'), { code: 'WRONGPASS' });
  const waiting = Array.from({ length: 30 }, () => guess('a') as Promise<never>);
  const begin = performance.now();
  for (const each of await Promise.allSettled(waiting)) t.equal(each.status, 'rejected');
  t.ok(performance.now() - begin < 1500);
  for (let nth = 0; nth < 10_000; nth++) {
    try {
      guess(`10.0.${nth >> 8}.${nth & 255}`);
    } catch {}
  }
  t.throws(() => guess('a'), { code: 'WRONGPASS' }, 'the oldest was forgotten');
});

t.test('guesses for one name are slowed down from whatever address they come, also when nobody has it', async (t) => {
  const { auth, users } = authenticator('secret');
  users.set('ann', ['on', '>right']);
  for (const user of ['ann', 'nobody', null]) {
    const guess = (address: string, password: string) =>
      auth.check(`${user} ${address}`, { user, password: Buffer.from(password) }, () => {});
    for (let nth = 0; nth < 3; nth++) t.throws(() => guess(String(nth), 'wrong'), { code: 'WRONGPASS' });
    await t.rejects(guess('another', 'wrong') as Promise<never>, { code: 'WRONGPASS' }, String(user));
  }
  const right = auth.check('x', { user: 'ann', password: Buffer.from('right') }, () => t.fail('it is right'));
  t.equal(right, users.get('ann'), 'the right password does not wait');
});

t.test('without a password AUTH says so; the default user takes any', async (t) => {
  const { auth, users } = authenticator('');
  const failed: string[] = [];
  const check = (user: string | null) =>
    auth.check('a', { user, password: Buffer.from('x') }, (name) => failed.push(name));
  t.throws(() => check(null), { code: 'ERR', message: /without any password configured/ });
  t.equal(check('default'), users.default);
  t.throws(() => check('nobody'), { code: 'WRONGPASS' });
  t.same(failed, ['nobody']);
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
  server.setPassword('secret');
  t.equal(await ask(), '-NOAUTH Authentication required.\r\n');
  server.setPassword('');
  server.settings.protectedMode = false;
  t.equal(await ask(), '+PONG\r\n');
});

t.test(
  'guesses inside EXEC are not tried once logins have failed: a transaction is no way around the wait',
  async (t) => {
    const server = await startTestServer(t);
    server.setPassword('secret');
    const client = await server.open();
    await client.ask('AUTH', 'secret');
    const inside = async (...logins: string[][]) => {
      await client.ask('MULTI');
      for (const login of logins) await client.ask(...login);
      return (await client.ask('EXEC')) as string[];
    };
    const wrong = /^-WRONGPASS invalid username-password pair or user is disabled\.$/;
    const untried = /^-WRONGPASS .*log in outside of it/;
    const replies = await inside(
      ...['a', 'b', 'c'].map((guess) => ['AUTH', guess]),
      ['AUTH', 'secret'],
      ['HELLO', '2', 'AUTH', 'default', 'secret'],
    );
    t.match(replies, [wrong, wrong, wrong, untried, untried]);
    t.match(await inside(['AUTH', 'default', 'secret']), [untried], 'in the next one neither');
    t.equal(await client.ask('AUTH', 'secret'), 'OK', 'outside the right one is taken at once');
    t.match(await inside(['AUTH', 'secret']), ['OK'], 'and then inside too');
  },
);
