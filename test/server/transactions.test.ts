import t from 'tap';
import { startTestServer } from '../support/server.js';

const server = await startTestServer(t);

t.test('EXEC answers every command in its place and writes them as one commit', async (t) => {
  const client = await server.open();
  const before = server.fixture.keyspace.position.commitCount;
  t.equal(await client.ask('MULTI'), 'OK');
  t.equal(await client.ask('SET', 'a', '1'), 'QUEUED');
  t.equal(await client.ask('INCR', 'a'), 'QUEUED');
  t.equal(await client.ask('GET', 'a'), 'QUEUED');
  t.same(await client.ask('EXEC'), ['OK', ':2', '2']);
  t.equal(server.fixture.keyspace.position.commitCount, before + 1);
});

t.test('what is queued is not seen before EXEC, and not at all after DISCARD', async (t) => {
  const client = await server.open();
  const other = await server.open();
  await client.ask('SET', 'b', '1');
  await client.ask('MULTI');
  await client.ask('SET', 'b', '2');
  t.equal(await other.ask('GET', 'b'), '1');
  t.equal(await client.ask('DISCARD'), 'OK');
  t.equal(await other.ask('GET', 'b'), '1');
  t.equal(await client.ask('EXEC'), '-ERR EXEC without MULTI');
  t.equal(await client.ask('DISCARD'), '-ERR DISCARD without MULTI');
});

t.test('a refusal while queueing makes EXEC run nothing', async (t) => {
  const client = await server.open();
  for (const refused of [['NOPE'], ['GET'], ['CONFIG', 'NOPE'], ['ADMIN.BACKUP', 'CREATE'], ['SHUTDOWN']]) {
    await client.ask('MULTI');
    t.equal(await client.ask('SET', 'c', 'wrong'), 'QUEUED');
    t.match(await client.ask(...refused), /^-ERR /, refused.join(' '));
    t.equal(await client.ask('SET', 'c', 'wrong'), 'QUEUED');
    t.equal(await client.ask('EXEC'), '-EXECABORT Transaction discarded because of previous errors.');
  }
  t.equal(await client.ask('EXISTS', 'c'), ':0');
});

t.test('an error in the midst of EXEC does not undo the others', async (t) => {
  const client = await server.open();
  client.send('MULTI\r\nSET d text\r\nINCR d\r\nSET e 1\r\nEXEC\r\nMGET d e\r\n');
  await client.take(4);
  t.same((await client.ask('PING')) as unknown[], ['OK', '-ERR value is not an integer or out of range', 'OK']);
  t.same(await client.ask('PING'), ['text', '1']);
});

t.test('WATCH: EXEC answers nil when a key changed, and runs when none did', async (t) => {
  const client = await server.open();
  const other = await server.open();
  t.equal(await client.ask('WATCH', 'w', 'x'), 'OK');
  await other.ask('SET', 'x', '1');
  await client.ask('MULTI');
  t.equal(await client.ask('WATCH', 'y'), '-ERR WATCH inside MULTI is not allowed');
  await client.ask('SET', 'w', 'mine');
  t.equal(await client.ask('EXEC'), null);
  t.equal(await client.ask('EXISTS', 'w'), ':0');
  await client.ask('MULTI');
  await client.ask('SET', 'w', 'mine');
  t.same(await client.ask('EXEC'), ['OK'], 'EXEC ended the watch');
  await client.ask('WATCH', 'w');
  await client.ask('UNWATCH');
  await other.ask('SET', 'w', 'theirs');
  await client.ask('MULTI');
  t.same(await client.ask('EXEC'), []);
  await client.ask('WATCH', 'w');
  await client.ask('SET', 'w', 'own');
  await client.ask('MULTI');
  t.equal(await client.ask('EXEC'), null, 'own writes count too');
});

t.test('SELECT inside a transaction holds for what follows it', async (t) => {
  const client = await server.open();
  client.send('MULTI\r\nSET s zero\r\nSELECT 4\r\nSET s four\r\nGET s\r\nEXEC\r\n');
  await client.take(5);
  t.same(await client.ask('GET', 's'), ['OK', 'OK', 'OK', 'four']);
  t.equal(await client.ask('SELECT', '0'), 'four');
  t.equal(await client.ask('GET', 's'), 'OK');
  t.equal(await client.ask('PING'), 'zero');
});

t.test('server commands run inside EXEC, protocol changes included', async (t) => {
  const client = await server.open();
  const words = ['PING', 'ECHO x', 'CLIENT ID', 'UNWATCH', 'DBSIZE', 'INFO server', 'COMMAND COUNT', 'HELLO 3', 'TIME'];
  client.send(`MULTI\r\n${words.map((line) => `${line}\r\n`).join('')}EXEC\r\n`);
  await client.take(words.length + 1);
  const replies = (await client.ask('PING')) as unknown[];
  t.equal(replies.length, words.length);
  t.notOk(
    replies.some((reply) => String(reply).startsWith('-')),
    JSON.stringify(replies),
  );
});

t.test('nested MULTI is refused, and the transaction goes on', async (t) => {
  const client = await server.open();
  await client.ask('MULTI');
  t.equal(await client.ask('MULTI'), '-ERR MULTI calls can not be nested');
  await client.ask('SET', 'n', '1');
  t.same(await client.ask('EXEC'), ['OK']);
});

t.test('a pipeline of transactions shares write groups and keeps its order', async (t) => {
  const client = await server.open();
  let bytes = '';
  for (let nth = 0; nth < 500; nth++) bytes += 'MULTI\r\nINCR p\r\nINCR p\r\nEXEC\r\n';
  client.send(bytes);
  for (let nth = 0; nth < 500; nth++) {
    await client.take(3);
    const exec = await client.next();
    if (
      JSON.stringify(exec) !==
      `{"type":"array","items":[{"type":"integer","text":"${2 * nth + 1}"},{"type":"integer","text":"${2 * nth + 2}"}]}`
    ) {
      t.fail(`transaction ${nth}: ${JSON.stringify(exec)}`);
      return;
    }
  }
});

t.test(
  'writes refused: they are refused when queued, and a transaction that was queued before is aborted',
  async (t) => {
    const client = await server.open();
    const other = await server.open();
    await client.ask('MULTI');
    await client.ask('SET', 'r', '1');
    t.equal(await other.ask('ADMIN.READONLY', 'ON'), 'OK');
    t.match(await client.ask('EXEC'), /^-EXECABORT Transaction discarded because of: READONLY /);
    t.match(await client.ask('SET', 'r', '1'), /^-READONLY /);
    t.equal(await client.ask('GET', 'r'), null, 'reads go on');
    await client.ask('MULTI');
    t.match(await client.ask('SET', 'r', '1'), /^-READONLY /);
    t.equal(await client.ask('EXEC'), '-EXECABORT Transaction discarded because of previous errors.');
    t.equal(await other.ask('ADMIN.READONLY', 'OFF'), 'OK');
    t.equal(await client.ask('SET', 'r', '1'), 'OK');
  },
);

t.test('a restore in place aborts transactions and touches watches; connections stay', async (t) => {
  const client = await server.open();
  const watching = await server.open();
  const admin = await server.open();
  await client.ask('SET', 'restored', 'then');
  const id = await server.fixture.create();
  await client.ask('SET', 'restored', 'now');
  await client.ask('MULTI');
  await client.ask('SET', 'restored', 'queued');
  await watching.ask('WATCH', 'restored');
  t.type(await admin.ask('ADMIN.BACKUP', 'RESTORE', String(id)), Array);
  t.match(await client.ask('EXEC'), /^-EXECABORT Transaction discarded because a restore replaced the database/);
  t.equal(await client.ask('GET', 'restored'), 'then');
  await watching.ask('MULTI');
  await watching.ask('SET', 'restored', 'queued');
  t.equal(await watching.ask('EXEC'), null);
});
