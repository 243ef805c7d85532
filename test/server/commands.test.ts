/** Connections, CLIENT, INFO and the like, through real sockets. */
import t from 'tap';
import { brief, startTestServer } from '../support/server.js';

const server = await startTestServer(t);

t.test('PING, ECHO, TIME and SELECT answer as in Redis', async (t) => {
  const client = await server.open();
  t.equal(await client.ask('PING'), 'PONG');
  t.equal(await client.ask('ping', 'hi'), 'hi');
  t.equal(await client.ask('ECHO', 'a\r\nb'), 'a\r\nb');
  const before = server.fixture.keyspace.nowUs();
  const [seconds, micros] = (await client.ask('TIME')) as [string, string];
  t.ok(Number(seconds) * 1e6 + Number(micros) >= before, 'the commit clock');
  t.equal(await client.ask('SELECT', '15'), 'OK');
  t.equal(await client.ask('SET', 'k', 'in 15'), 'OK');
  t.equal(await client.ask('SELECT', '0'), 'OK');
  t.equal(await client.ask('GET', 'k'), null);
});

t.test('QUIT answers, closes, and runs nothing that was sent behind it', async (t) => {
  const client = await server.open();
  client.send('SET quit before\r\nQUIT\r\nSET quit behind\r\nPING\r\n');
  t.equal((await client.rest()).toString(), '+OK\r\n+OK\r\n');
  t.equal(await (await server.open()).ask('GET', 'quit'), 'before');
});

t.test('HELLO switches to RESP3, and what was asked before is answered in RESP2', async (t) => {
  const client = await server.open();
  client.send(
    'SET hello 1\r\nHELLO 2\r\nHELLO 3 SETNAME me\r\nGET nothing\r\nCLIENT GETNAME\r\nHELLO 2\r\nGET nothing\r\n',
  );
  const replies = await client.take(7);
  t.same(
    replies.map((reply) => reply?.type),
    ['simple', 'array', 'map', 'null', 'bulk', 'array', 'null bulk'],
  );
  const [, , hello] = replies;
  const fields = brief(hello ?? null) as unknown[];
  t.same(fields.slice(0, 6), ['server', 'redis', 'version', '7.0.15', 'proto', ':3']);
  t.same(fields.slice(8), ['mode', 'standalone', 'role', 'master', 'modules', []]);
});

t.test('RESET puts the connection back to its beginning', async (t) => {
  const client = await server.open();
  client.send(
    'HELLO 3\r\nSELECT 3\r\nCLIENT SETNAME x\r\nWATCH a\r\nMULTI\r\nSET a 1\r\nRESET\r\nCLIENT GETNAME\r\nEXEC\r\n',
  );
  const replies = await client.take(9);
  t.equal(brief(replies[6] ?? null), 'RESET');
  t.equal(replies[7]?.type, 'null bulk', 'RESP2 again, no name');
  t.equal(brief(replies[8] ?? null), '-ERR EXEC without MULTI');
  t.match(await client.ask('CLIENT', 'INFO'), / db=0 .* multi=-1 /);
});

t.test('CLIENT tells who is connected', async (t) => {
  const client = await server.open();
  const other = await server.open();
  const id = (await client.ask('CLIENT', 'ID')) as string;
  t.equal(await client.ask('CLIENT', 'SETNAME', 'first'), 'OK');
  t.match(await client.ask('CLIENT', 'SETNAME', 'a b'), /^-ERR Client names cannot contain spaces/);
  t.equal(await client.ask('CLIENT', 'SETINFO', 'LIB-NAME', 'test'), 'OK');
  t.equal(await client.ask('CLIENT', 'SETINFO', 'lib-ver', '1.2'), 'OK');
  t.equal(await client.ask('CLIENT', 'SETINFO', 'lib-x', '1.2'), "-ERR Unrecognized option 'lib-x'");
  t.equal(await client.ask('CLIENT', 'NO-EVICT', 'ON'), 'OK');
  t.equal(await client.ask('CLIENT', 'NO-TOUCH', 'maybe'), '-ERR syntax error');
  t.match(
    await client.ask('CLIENT', 'INFO'),
    new RegExp(`^id=${id.slice(1)} addr=127.0.0.1:${client.socket.localPort} `),
  );
  t.match(
    await client.ask('CLIENT', 'INFO'),
    / name=first .* flags=e .* cmd=client\|info .* lib-name=test lib-ver=1.2\n$/,
  );
  const otherId = ((await other.ask('CLIENT', 'ID')) as string).slice(1);
  t.match(await client.ask('CLIENT', 'LIST', 'ID', otherId), new RegExp(`^id=${otherId} [^\n]*\n$`));
  const all = (await client.ask('CLIENT', 'LIST')) as string;
  t.equal(all.split('\n').length - 1, [...server.server.sessions()].length);
  t.equal(await client.ask('CLIENT', 'LIST', 'TYPE', 'master'), '');
  t.equal(await client.ask('CLIENT', 'LIST', 'TYPE', 'x'), "-ERR Unknown client type 'x'");
  t.equal(await client.ask('CLIENT', 'LIST', 'ID', 'x'), '-ERR Invalid client ID');
});

t.test('INFO has the sections that were asked for, with numbers that are true', async (t) => {
  const client = await server.open();
  await client.ask('SET', 'info', '1');
  const text = (await client.ask('INFO')) as string;
  const headings = text.match(/^# .*/gm)?.map((line) => line.slice(2).trim());
  t.same(headings, [
    'Server',
    'Clients',
    'Memory',
    'Persistence',
    'Backup',
    'Tls',
    'Audit',
    'Stats',
    'Replication',
    'CPU',
    'Modules',
    'Rocksdb',
    'Errorstats',
    'Cluster',
    'Keyspace',
  ]);
  t.match(text, /\r\nredis_version:7\.0\.15\r\ncairn_version:0\.0\.0-test\r\n/);
  for (const field of [
    'redis_mode:standalone',
    'role:master',
    'loading:0',
    'backup_count:0',
    `tcp_port:${server.port}`,
  ]) {
    t.match(text, `\r\n${field}\r\n`);
  }
  t.match(text, /\r\ndb0:keys=\d+,expires=/);
  t.match(
    await client.ask('INFO', 'commandstats', 'CPU'),
    /^# CPU\r\n.*\r\n\r\n# Commandstats\r\n.*cmdstat_client\|id:calls=2,/s,
  );
  t.equal(await client.ask('INFO', 'nothing'), '');
  const id = await server.fixture.create();
  t.match(await client.ask('INFO', 'backup'), /backup_count:1\r\n/, `backup ${id}`);
  const queued = await (async () => {
    await client.ask('MULTI');
    await client.ask('INFO', 'keyspace');
    return client.ask('EXEC');
  })();
  t.match((queued as string[])[0], /^# Keyspace\r\ndb0:keys=/);
});

t.test('SHUTDOWN asks whoever started the server, and answers nothing until the end', async (t) => {
  const client = await server.open();
  t.equal(await client.ask('SHUTDOWN', 'ABORT'), '-ERR No shutdown in progress.');
  t.equal(await client.ask('SHUTDOWN', 'SAVE', 'NOSAVE'), '-ERR syntax error');
  t.equal(await client.ask('SHUTDOWN', 'PLEASE'), '-ERR syntax error');
  t.equal(server.shutdowns, 0);
  client.send('SHUTDOWN NOSAVE\r\nPING\r\n');
  const other = await server.open();
  while (server.shutdowns === 0) await other.ask('PING');
  t.equal(server.shutdowns, 1);
  await server.server.stop(1000);
  t.equal(client.ended, false, 'it ends with the process');
  t.equal((await other.rest()).length, 0, 'others were closed');
});
