/**
 * Side by side with a real redis-server: the same bytes to both, the same bytes back. Where Cairn differs on purpose
 * the difference is a case of its own below.
 */
import t, { type Test } from 'tap';
import { RealRedis } from '../support/real-redis.js';
import { multibulk } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { RawClient, startTestServer } from '../support/server.js';

const server = await startTestServer(t);
const redis = await RealRedis.start(scratch(t));
t.teardown(() => redis?.stop());
const options = { skip: redis === null ? 'no redis-server here' : false };

/** Sends the bytes, then asks to be closed (or is closed); everything that came back. */
async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const client = await RawClient.connect(port);
  client.send(Buffer.concat([Buffer.from(bytes as string), Buffer.from('\r\nQUIT\r\n')]));
  const answer = (await client.rest()).toString('latin1');
  client.close();
  return answer;
}

async function same(t: Test, bytes: string | Buffer): Promise<void> {
  const [ours, theirs] = await Promise.all([exchange(server.port, bytes), exchange(redis?.port as number, bytes)]);
  t.equal(ours, theirs, JSON.stringify(bytes.toString('latin1').slice(0, 60)));
}

t.test('broken and odd framing', options, async (t) => {
  const big = 'a'.repeat(200_000);
  const cases = [
    '*a\r\n',
    '*1x\r\n',
    '*+1\r\n',
    '*01\r\n',
    '*-0\r\n',
    '*\r\n',
    '*99999999999999999999\r\n',
    '*4294967296\r\n',
    '*-99999999999999999999\r\n',
    '*1\r\n$-1\r\n',
    '*1\r\n$-10\r\n',
    '*1\r\n$x\r\n',
    '*1\r\n$\r\n',
    '*1\r\n$01\r\n0\r\n',
    '*1\r\n$1000000000\r\n',
    '*1\r\n!4\r\nPING\r\n',
    '*1\r\n\r\n\r\n',
    '*2\r\n$4\r\nPING\r\n*1\r\n',
    'SET "a\r\n',
    `SET 'a\r\n`,
    'SET "a"b c\r\n',
    'PING\r\n*0\r\n*-1\r\n*-5\r\n\r\n\n   \r\nPING\r\n',
    'PING\nPING\n',
    'ECHO "\\x41\\n\\"" \r\n',
    "ECHO 'it\\'s \\n'\r\n",
    'ECHO foo"bar"\r\n',
    'ECHO \\n\r\n',
    '\tPING \x0b x\r\n',
    '*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n',
    '*0001\r\n$4\r\nPING\r\n',
    `${big}`,
    `*${'1'.repeat(200_000)}`,
    `*1\r\n$${'1'.repeat(200_000)}`,
    '*1\r\n$0\r\n\r\n',
    '""\r\n',
  ];
  for (const bytes of cases) await same(t, bytes);
});

t.test('unknown commands, wrong arity, wrong words', options, async (t) => {
  const requests = [
    ['nope'],
    ['nope', 'a', 'b\r\nc', 'x'.repeat(200)],
    ['GET'],
    ['get', 'a', 'b'],
    ['PING', 'a', 'b'],
    ['ECHO'],
    ['CLIENT'],
    ['CLIENT', 'NOPE'],
    ['client', 'getname', 'x'],
    ['CONFIG', 'GET'],
    ['SELECT', 'x'],
    ['SELECT', '16'],
    ['SELECT', '-1'],
    ['SELECT', '99999999999'],
    ['HELLO', 'x'],
    ['HELLO', '4'],
    ['HELLO', '3.5'],
    ['HELLO', '2', 'NOPE'],
    ['HELLO', '2', 'AUTH', 'default'],
    ['HELLO', '2', 'SETNAME'],
    ['HELLO', '2', 'SETNAME', 'a b'],
    ['AUTH', 'x'],
    ['AUTH', 'default', 'x'],
    ['AUTH', 'nobody', 'x'],
    ['AUTH', 'a', 'b', 'c'],
    ['EXEC'],
    ['DISCARD'],
    ['UNWATCH'],
    ['RESET'],
    ['CLIENT', 'SETNAME', 'a b'],
    ['CLIENT', 'SETNAME', ''],
    ['CLIENT', 'GETNAME'],
    ['CLIENT', 'NO-EVICT', 'x'],
    ['CLIENT', 'LIST', 'TYPE', 'x'],
    ['CLIENT', 'LIST', 'TYPE', 'replica'],
    ['CLIENT', 'LIST', 'ID', 'x'],
    ['CLIENT', 'LIST', 'ID', '0'],
    ['CLIENT', 'LIST', 'NOPE'],
    ['SHUTDOWN', 'NOPE'],
    ['SHUTDOWN', 'SAVE', 'NOSAVE'],
    ['SHUTDOWN', 'ABORT', 'NOW'],
    ['SHUTDOWN', 'ABORT'],
    ['INFO', 'nothing'],
    ['PING', 'x'],
    ['', 'x'],
  ];
  for (const words of requests) await same(t, multibulk(...words));
});

t.test('transactions', options, async (t) => {
  const scripts = [
    'MULTI\r\nSET a 1\r\nINCR a\r\nGET a\r\nEXEC\r\n',
    'MULTI\r\nEXEC\r\n',
    'MULTI\r\nMULTI\r\nPING\r\nEXEC\r\n',
    'MULTI\r\nWATCH a\r\nPING\r\nEXEC\r\n',
    'MULTI\r\nNOPE\r\nPING\r\nEXEC\r\nEXEC\r\n',
    'MULTI\r\nGET\r\nEXEC\r\n',
    'MULTI\r\nSAVE\r\nEXEC\r\n',
    'MULTI\r\nSHUTDOWN\r\nDISCARD\r\n',
    'MULTI\r\nSET s x\r\nINCR s\r\nSELECT 3\r\nSET s y\r\nGET s\r\nSELECT 99\r\nEXEC\r\nGET s\r\nSELECT 0\r\nGET s\r\n',
    'MULTI\r\nPING\r\nQUIT\r\n',
    'MULTI\r\nPING\r\nRESET\r\nEXEC\r\n',
    'MULTI\r\nAUTH x\r\nAUTH default y\r\nAUTH nobody y\r\nEXEC\r\n',
    'MULTI\r\nHELLO 2 NOPE\r\nUNWATCH\r\nECHO x\r\nCLIENT SETNAME q\r\nCLIENT GETNAME\r\nEXEC\r\n',
    'WATCH a\r\nSET a 2\r\nMULTI\r\nGET a\r\nEXEC\r\nMULTI\r\nGET a\r\nEXEC\r\n',
    'WATCH a\r\nSET a 2\r\nUNWATCH\r\nMULTI\r\nGET a\r\nEXEC\r\n',
    'WATCH a\r\nWATCH b\r\nMULTI\r\nDISCARD\r\nSET b 2\r\nMULTI\r\nGET b\r\nEXEC\r\n',
    'WATCH\r\nMULTI x\r\nEXEC x\r\n',
    'MULTI\r\nGET nothing\r\nEXEC\r\nWATCH a\r\nSET a 3\r\nMULTI\r\nEXEC\r\nGET nothing\r\n',
    'MULTI\r\nPING\r\nEXEC x\r\nPING\r\nEXEC\r\n',
  ];
  for (const bytes of scripts) await same(t, bytes);
});

t.test('a password', options, async (t) => {
  await redis?.ask('CONFIG', 'SET', 'requirepass', 'secret');
  server.setPassword('secret');
  t.teardown(async () => {
    server.setPassword('');
  });
  const big = 'x'.repeat(17_000);
  const scripts = [
    'PING\r\nGET a\r\nNOPE\r\nGET\r\nHELLO\r\nHELLO 3\r\nRESET\r\n',
    'AUTH secret\r\nPING\r\nRESET\r\nPING\r\n',
    'AUTH wrong\r\nPING\r\n',
    'AUTH default secret\r\nPING\r\n',
    'AUTH nobody secret\r\nPING\r\n',
    'HELLO 2 AUTH default wrong\r\nPING\r\n',
    'AUTH secret\r\nHELLO 2 AUTH default wrong\r\nPING\r\n',
    'MULTI\r\nEXEC\r\n',
    'QUIT\r\nPING\r\n',
    multibulk(...Array.from({ length: 11 }, () => 'x')).toString(),
    multibulk('PING', big).toString(),
    Buffer.concat([
      multibulk('AUTH', 'secret'),
      multibulk('ECHO', big),
      multibulk('DEL', ...'abcdefghijklmn'),
    ]).toString(),
    `*1\r\n$4\r\nPING\r\n*11\r\n`,
  ];
  for (const bytes of scripts) await same(t, bytes);
});

t.test('on purpose another answer', options, async (t) => {
  // Redis 7 takes up to 2^31 arguments; the memory for so many would be taken before the first one came.
  t.match(await exchange(server.port, '*1048577\r\n'), '-ERR Protocol error: invalid multibulk length\r\n');
});
