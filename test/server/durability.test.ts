/** When replies leave: after their write group, in order, also when a key has to be fetched from disk first. */
import t from 'tap';
import type { Outcome } from '../../src/keyspace/keyspace.js';
import { brief, startTestServer } from '../support/server.js';

t.test('the commands of one chunk share one write group, and no reply leaves before it is durable', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  const { keyspace } = server.fixture;
  let release = (): void => {};
  const paused = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holding = keyspace.pausedBetweenGroups(() => paused);
  const executed: (Promise<void> | null)[] = [];
  const execute = keyspace.execute.bind(keyspace);
  keyspace.execute = ((body, keys) => {
    const outcome = execute(body, keys) as Outcome<never>;
    executed.push(outcome.durable);
    return outcome;
  }) as typeof keyspace.execute;
  t.teardown(() => {
    keyspace.execute = execute;
  });
  client.send('SET a 1\r\nINCR a\r\nPING\r\nGET a\r\nGET other\r\n');
  const other = await server.open();
  while (executed.length < 4) await other.ask('PING');
  t.equal(new Set(executed.slice(0, 3)).size, 1, 'SET, INCR and the GET that saw them wait for one group');
  t.equal(executed[3], null, 'what saw nothing unwritten waits for its turn alone');
  t.equal(client.socket.bytesRead, 0);
  release();
  await holding;
  t.same((await client.take(5)).map(brief), ['OK', ':2', 'PONG', '2', null]);
});

t.test('a write group that fails is the reply of all its commands, and of no others', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  await client.ask('SET', 'a', '1');
  const database = server.fixture.keyspace.database as NonNullable<typeof server.fixture.keyspace.database>;
  const write = database.write.bind(database);
  database.write = () => Promise.reject(new Error('disk on fire'));
  client.send('SET a 2\r\nGET b\r\nINCR a\r\nMULTI\r\nSET c 1\r\nEXEC\r\nPING\r\n');
  const replies = (await client.take(7)).map(brief);
  for (const nth of [0, 2, 5]) t.match(replies[nth], /^-MISCONF /);
  t.same([replies[1], replies[3], replies[4], replies[6]], [null, 'OK', 'QUEUED', 'PONG']);
  t.match(await client.ask('SET', 'a', '3'), /^-MISCONF /, 'writes are refused from now on');
  database.write = write;
  t.equal(await client.ask('ADMIN.READONLY', 'OFF'), 'OK');
  t.equal(await client.ask('GET', 'a'), '1');
});

t.test('keys that are on disk alone: replies stay in order, other connections go on', async (t) => {
  const server = await startTestServer(t);
  const client = await server.open();
  const count = 300;
  const value = 'v'.repeat(2000);
  for (let nth = 0; nth < count; nth++) client.send(`SET cold:${nth} ${value}${nth}\r\n`);
  await client.take(count);
  await server.fixture.keyspace.database?.flush();
  const id = await server.fixture.create();
  // A restored database is opened anew: nothing of it is in memory.
  await client.ask('ADMIN.BACKUP', 'RESTORE', String(id));
  const { keyspace } = server.fixture;
  const execute = keyspace.execute.bind(keyspace);
  let fetched = 0;
  keyspace.execute = ((body, keys) => {
    const outcome = execute(body, keys);
    if (outcome instanceof Promise) fetched++;
    return outcome;
  }) as typeof keyspace.execute;
  t.teardown(() => {
    keyspace.execute = execute;
  });
  const expected: unknown[] = [];
  let bytes = '';
  for (let nth = 0; nth < count; nth += 3) {
    bytes += `GET cold:${nth}\r\nSET cold:${nth} new${nth}\r\n`;
    bytes += `MULTI\r\nGET cold:${nth + 1}\r\nSELECT 2\r\nGET cold:0\r\nSELECT 0\r\nEXEC\r\n`;
    bytes += `GET cold:${nth}\r\nAPPEND cold:${nth + 2} x\r\n`;
    expected.push(`${value}${nth}`, 'OK', 'OK', 'QUEUED', 'QUEUED', 'QUEUED', 'QUEUED');
    expected.push([`${value}${nth + 1}`, 'OK', null, 'OK'], `new${nth}`, `:${`${value}${nth + 2}x`.length}`);
  }
  client.send(bytes);
  const other = await server.open();
  t.equal(await other.ask('PING'), 'PONG');
  t.same((await client.take(expected.length)).map(brief), expected);
  t.ok(fetched > 0, `${fetched} commands went to disk`);
});
