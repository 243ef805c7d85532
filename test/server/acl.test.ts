/** Users on connections: logging in, rights that change under a client, and clients whose user is gone. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AclFile } from '../../src/acl/file.js';
import { silentLog } from '../support/log.js';
import { multibulk } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { type RawClient, startTestServer, type TestServer } from '../support/server.js';

async function loggedIn(server: TestServer, user: string, password = 'p'): Promise<RawClient> {
  const client = await server.open();
  if ((await client.ask('AUTH', user, password)) !== 'OK') throw new Error(`${user} cannot log in`);
  return client;
}

/** An administrator, and a user `ann` with these rules. */
async function withUser(t: Test, ...rules: string[]) {
  const server = await startTestServer(t);
  const admin = await server.open();
  if ((await admin.ask('ACL', 'SETUSER', 'ann', 'on', '>p', ...rules)) !== 'OK') throw new Error(`refused: ${rules}`);
  return { server, admin, client: await loggedIn(server, 'ann') };
}

const noCommand = (name: string) => `-NOPERM this user has no permissions to run the '${name}' command`;
const noKey = '-NOPERM this user has no permissions to access one of the keys used as arguments';

t.test('AUTH and HELLO log in as any user, RESET goes back to the default one', async (t) => {
  const { server, admin, client } = await withUser(t, '+@all', '~*');
  t.equal(await client.ask('ACL', 'WHOAMI'), 'ann');
  t.match(await client.ask('CLIENT', 'INFO'), / user=ann /);
  t.match(await admin.ask('CLIENT', 'LIST'), / user=ann /);
  t.equal(await client.ask('RESET'), 'RESET');
  t.equal(await client.ask('ACL', 'WHOAMI'), 'default');
  const other = await server.open();
  t.match(await other.ask('HELLO', '3', 'AUTH', 'ann', 'p'), ['server', 'redis']);
  t.equal(await other.ask('ACL', 'WHOAMI'), 'ann');
  t.match(await other.ask('HELLO', '2', 'AUTH', 'ann', 'wrong'), /^-WRONGPASS/);
  t.equal(await other.ask('ACL', 'WHOAMI'), 'ann', 'a failed login changes nothing');
});

t.test('with the default user off, nobody who has not logged in gets further, nor after RESET', async (t) => {
  const { server, admin, client } = await withUser(t, '+ping');
  t.equal(await admin.ask('ACL', 'SETUSER', 'default', 'off'), 'OK');
  const fresh = await server.open();
  for (const words of [['PING'], ['ACL', 'WHOAMI'], ['GET', 'a']])
    t.equal(await fresh.ask(...words), '-NOAUTH Authentication required.');
  t.match(await fresh.ask('AUTH', 'anything'), /^-(ERR|WRONGPASS)/);
  t.match(await fresh.ask('AUTH', 'default', 'anything'), /^-WRONGPASS/);
  t.equal(await client.ask('PING'), 'PONG');
  t.equal(await client.ask('RESET'), 'RESET');
  t.equal(await client.ask('PING'), '-NOAUTH Authentication required.');
  t.equal(await admin.ask('ACL', 'WHOAMI'), 'default', 'who is in stays in, as in Redis');
});

t.test('a change of rights holds for connected clients at once, also within one pipeline', async (t) => {
  const { admin, client } = await withUser(t, '+@all', '~*');
  t.equal(await client.ask('SET', 'a', '1'), 'OK');
  await admin.ask('ACL', 'SETUSER', 'ann', 'resetkeys', '~b*');
  t.equal(await client.ask('GET', 'a'), noKey);
  await admin.ask('ACL', 'SETUSER', 'ann', '-@write');
  t.equal(await client.ask('SET', 'b', '1'), noCommand('set'));
  await admin.ask('ACL', 'SETUSER', 'ann', '+@all', '~*');
  client.send(
    Buffer.concat([multibulk('GET', 'a'), multibulk('ACL', 'SETUSER', 'ann', '-get'), multibulk('GET', 'a')]),
  );
  t.match(await client.take(3), [{ text: '1' }, { text: 'OK' }, { text: /^NOPERM/ }]);
  await admin.ask('ACL', 'SETUSER', 'ann', 'off');
  t.equal(await client.ask('PING'), 'PONG', 'off keeps out who is not in yet, as in Redis');
});

t.test('a deleted user is disconnected, with what was queued; others are not', async (t) => {
  const { server, admin, client } = await withUser(t, '+@all', '~*');
  await admin.ask('ACL', 'SETUSER', 'bob', 'on', '>p', '+@all', '~*');
  const [again, bob] = [await loggedIn(server, 'ann'), await loggedIn(server, 'bob')];
  await client.ask('MULTI');
  await client.ask('SET', 'a', '1');
  t.equal(await admin.ask('ACL', 'DELUSER', 'ann', 'nobody'), ':1');
  for (const gone of [client, again]) {
    gone.send(multibulk('EXEC'));
    t.equal(await gone.next(), null);
  }
  t.equal(await admin.ask('GET', 'a'), null);
  t.equal(await bob.ask('PING'), 'PONG');
  t.match(await (await server.open()).ask('AUTH', 'ann', 'p'), /^-WRONGPASS/);
});

t.test('who deletes the own user is answered first; what comes behind it does not run', async (t) => {
  const { admin, client } = await withUser(t, '+@all', '~*');
  client.send(Buffer.concat([multibulk('ACL', 'DELUSER', 'ann'), multibulk('SET', 'a', '1')]));
  t.match(await client.next(), { text: '1' });
  t.equal(await client.next(), null);
  t.equal(await admin.ask('GET', 'a'), null);
});

t.test('rights are looked at when a command is queued, and again when EXEC comes to it', async (t) => {
  const { admin, client } = await withUser(t, '+@all', '-flushall', '~a*');
  await client.ask('MULTI');
  t.equal(await client.ask('FLUSHALL'), noCommand('flushall'));
  t.equal(await client.ask('GET', 'b'), noKey);
  t.equal(await client.ask('EXEC'), '-EXECABORT Transaction discarded because of previous errors.');
  await client.ask('MULTI');
  await client.ask('SET', 'a1', '1');
  await client.ask('SET', 'a2', '2');
  await client.ask('GET', 'a1');
  await admin.ask('ACL', 'SETUSER', 'ann', '-get', 'resetkeys', '~a1');
  const why = (reason: string) =>
    '-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. ' +
    `This command is no longer allowed for the following reason: ${reason}`;
  t.same(await client.ask('EXEC'), [
    'OK',
    why('no permission to touch the specified keys'),
    why('no permission to execute the command or subcommand'),
  ]);
  t.same(await admin.ask('MGET', 'a1', 'a2'), ['1', null]);
  const denials = (await admin.ask('ACL', 'LOG')) as unknown[][];
  t.same(
    denials.map((fields) => [fields[3], fields[5], fields[7], fields[9]]),
    [
      ['command', 'multi', 'get', 'ann'],
      ['key', 'multi', 'a2', 'ann'],
      ['key', 'multi', 'b', 'ann'],
      ['command', 'multi', 'flushall', 'ann'],
    ],
  );
  await admin.ask('ACL', 'SETUSER', 'ann', '-exec');
  await client.ask('MULTI');
  t.equal(await client.ask('EXEC'), `-EXECABORT Transaction discarded because of: ${noCommand('exec').slice(1)}`);
});

t.test('EXEC that begins anew after a fetch changes users once, and as the user that it began as', async (t) => {
  const { server, admin, client } = await withUser(t, '+@all', '-set', '~*');
  // On disk and not in memory: the first run of the body has to stop for it.
  await admin.ask('SET', 'cold', 'x'.repeat(100));
  await server.fixture.keyspace.database?.flush();
  for (const user of ['x', 'y']) await admin.ask('ACL', 'SETUSER', user, 'on', '>p', '>q');
  let runs = 0;
  const { keyspace } = server.fixture;
  const execute = keyspace.execute.bind(keyspace);
  // Only counts: how often the keyspace calls the body.
  keyspace.execute = ((body: (tx: unknown) => unknown, keys: never) =>
    execute((tx) => {
      runs++;
      return body(tx);
    }, keys)) as typeof keyspace.execute;
  await client.ask('MULTI');
  await client.ask('ACL', 'DELUSER', 'x');
  await client.ask('ACL', 'SETUSER', 'y', '<p');
  await client.ask('SET', 'a', '1');
  await client.ask('AUTH', 'default', 'any');
  await client.ask('SET', 'a', '2');
  await client.ask('GET', 'cold');
  await client.ask('RANDOMKEY');
  t.match(await client.ask('EXEC'), '-EXECABORT', 'SET was refused when it was queued');
  await admin.ask('ACL', 'SETUSER', 'ann', '+set');
  await client.ask('MULTI');
  await client.ask('ACL', 'DELUSER', 'x');
  await client.ask('ACL', 'SETUSER', 'y', '<p');
  await client.ask('SET', 'a', '1');
  await client.ask('AUTH', 'default', 'any');
  await client.ask('SET', 'a', '2');
  await client.ask('GET', 'cold');
  await admin.ask('ACL', 'SETUSER', 'ann', '-set');
  await admin.ask('ACL', 'LOG', 'RESET');
  runs = 0;
  const [deleted, set, refused, auth, written, cold] = (await client.ask('EXEC')) as unknown[];
  t.ok(runs > 1, 'the body ran again');
  t.same([deleted, set, auth, written], [':1', 'OK', 'OK', 'OK']);
  t.match(refused, /^-NOPERM ACLs rules changed/);
  t.equal(cold, 'x'.repeat(100));
  const denials = (await admin.ask('ACL', 'LOG')) as unknown[][];
  t.same(
    denials.map((fields) => [fields[1], fields[7]]),
    [[':1', 'set']],
    'one line for one refusal',
  );
});

t.test('what has no keys is not held back by key patterns, as in Redis', async (t) => {
  const { admin, client } = await withUser(t, '+@all', '~mine:*');
  await admin.ask('MSET', 'mine:1', 'a', 'other:1', 'b');
  t.same(((await client.ask('KEYS', '*')) as string[]).sort(), ['mine:1', 'other:1']);
  t.equal(await client.ask('DBSIZE'), ':2');
  t.equal(await client.ask('GET', 'other:1'), noKey);
  t.equal(await client.ask('COPY', 'other:1', 'mine:2'), noKey);
  t.equal(await client.ask('RENAME', 'mine:1', 'other:2'), noKey);
  t.equal(await client.ask('SELECT', '5'), 'OK');
  t.equal(await client.ask('SET', 'other:1', 'x'), noKey, 'in every logical database');
  t.equal(await client.ask('FLUSHALL'), 'OK');
});

t.test('ACL LOAD: all or nothing; clients stay when their user is described as before', async (t) => {
  const path = join(scratch(t), 'users.acl');
  const lines = (...users: string[]) => writeFileSync(path, users.map((user) => `user ${user}\n`).join(''));
  lines('same on >p +@all ~*', 'changed on >p +@all ~*', 'gone on >p +@all ~*');
  const server = await startTestServer(t, {}, silentLog(), undefined, new AclFile(path));
  const admin = await server.open();
  t.equal(await admin.ask('ACL', 'LOAD'), 'OK');
  const users = ['same', 'changed', 'gone'];
  const [same, changed, gone] = (await Promise.all(users.map((user) => loggedIn(server, user)))) as [
    RawClient,
    RawClient,
    RawClient,
  ];
  lines('same on >p +@all ~*', 'changed on >q +@all ~*', 'bad +nope');
  t.equal(
    await admin.ask('ACL', 'LOAD'),
    `-ERR ${path}:3: Error in applying operation '+nope': Unknown command or category name in ACL. ` +
      'WARNING: ACL errors detected, no change to the previously active ACL rules was performed',
  );
  for (const client of [same, changed, gone]) t.equal(await client.ask('PING'), 'PONG');
  lines('same on >p +@all ~*', 'changed on >q +@all ~*', 'new on');
  t.equal(await changed.ask('ACL', 'LOAD'), 'OK', 'whom it ends is answered first');
  t.equal(await changed.next(), null);
  t.equal(await gone.next(), null);
  t.equal(await same.ask('PING'), 'PONG');
  t.equal(await admin.ask('PING'), 'PONG');
  t.same(await admin.ask('ACL', 'USERS'), ['changed', 'default', 'new', 'same']);
  t.equal(await admin.ask('ACL', 'SETUSER', 'temporary', 'on'), 'OK');
  t.equal(await admin.ask('ACL', 'LOAD'), 'OK');
  t.same(await admin.ask('ACL', 'USERS'), ['changed', 'default', 'new', 'same'], 'only what was saved is there');
  t.match(await admin.ask('MULTI'), 'OK');
  t.equal(await admin.ask('ACL', 'SAVE'), '-ERR Command not allowed inside a transaction');
});

t.test('G4: no password is in what ACL, CLIENT and CONFIG show, nor in the log', async (t) => {
  const said: string[] = [];
  const note = (message: string, details?: unknown) => void said.push(message + JSON.stringify(details ?? {}));
  const log = { ...silentLog(), debug: note, info: note, warn: note, error: note };
  const server = await startTestServer(t, {}, log);
  const client = await server.open();
  const asked: [string, ...string[]][] = [
    ['ACL', 'SETUSER', 'ann', 'on', '>hunter2-a', '+@all', '~*', '#hunter2-b'],
    ['ACL', 'SETUSER', 'ann', '<hunter2-c'],
    ['ACL', 'SETUSER', 'ann', '(>hunter2-d)'],
    ['ACL', 'SETUSER', 'ann', '(>hunter2-e'],
    ['ACL', 'SETUSER', 'ann', 'on', '>hunter2-f', '+@all', '~*'],
    ['AUTH', 'ann', 'hunter2-g'],
    ['HELLO', '3', 'AUTH', 'ann', 'hunter2-h'],
    ['AUTH', 'ann', 'hunter2-f'],
    ['MULTI'],
    ['AUTH', 'ann', 'hunter2-i'],
    ['EXEC'],
    ['CONFIG', 'SET', 'requirepass', 'hunter2-j'],
    ['ACL', 'LOG'],
    ['ACL', 'LIST'],
    ['ACL', 'GETUSER', 'ann'],
    ['ACL', 'GETUSER', 'default'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'INFO'],
    ['CONFIG', 'GET', '*'],
    ['INFO', 'everything'],
    ['ACL', 'SAVE'],
  ];
  for (const words of asked) {
    const reply = JSON.stringify(await client.ask(...words));
    t.notMatch(reply, /hunter2/, words.slice(0, 2).join(' '));
  }
  t.ok(said.some((line) => line.includes('user changed')));
  t.notMatch(said.join('\n'), /hunter2/);
});
