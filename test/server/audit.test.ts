/** Which calls are in the audit log, and what their records say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../src/base/clock.js';
import { openAudit } from '../../src/observability/audit.js';
import { silentLog } from '../support/log.js';
import { multibulk } from '../support/resp.js';
import { scratch } from '../support/scratch.js';
import { startTestServer } from '../support/server.js';
import { waitFor } from '../support/wait.js';

interface Line {
  time: string;
  user: string | null;
  client: string;
  client_id: number;
  command: string;
  argv: string[];
  outcome: string;
  error?: string;
  duration_us: number;
  multi?: number;
  disconnected?: number;
}

async function audited(t: Test, password = '') {
  const path = join(scratch(t), 'audit.jsonl');
  const audit = await openAudit({ path, clock: systemClock(), log: silentLog() });
  const server = await startTestServer(t, {}, silentLog(), audit);
  server.setPassword(password);
  const text = () => readFileSync(path, 'utf8');
  const lines = () =>
    text()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  return {
    server,
    text,
    lines,
    /** All lines, once there are so many. */
    until: (count: number) => waitFor(() => (lines().length >= count ? lines() : null), { what: `${count} records` }),
  };
}

/** What a test compares of a line. */
function brief({ command, argv, outcome }: Line): string {
  return `${command}: ${argv.join(' ')} → ${outcome}`;
}

t.test('a record says when, who, from where, what, how it ended and how long it took', async (t) => {
  const { server, until } = await audited(t);
  const client = await server.open();
  const id = String(await client.ask('CLIENT', 'ID')).slice(1);
  const before = Date.now();
  await client.ask('config', 'Set', 'maxclients', '500');
  const [line] = await until(1);
  const { time, duration_us, ...rest } = line as Line;
  t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  t.ok(Math.abs(Date.parse(time) - before) < 60_000, time);
  t.ok(Number.isInteger(duration_us) && duration_us >= 0);
  t.same(rest, {
    user: 'default',
    client: `127.0.0.1:${client.socket.localPort}`,
    client_id: Number(id),
    command: 'config|set',
    argv: ['config', 'Set', 'maxclients', '500'],
    outcome: 'ok',
  });
});

t.test('administrative calls are recorded whatever becomes of them; others are not', async (t) => {
  const { server, until } = await audited(t);
  const client = await server.open();
  for (const words of [
    ['SET', 'a', '1'],
    ['ADMIN.BACKUP', 'LIST'],
    ['ADMIN.BACKUP', 'INFO', '99'],
    ['ADMIN.BACKUP', 'NOPE'],
    ['ADMIN.BACKUP'],
    ['ADMIN.NOPE', 'x'],
    ['GET', 'a', 'b'],
    ['CONFIG', 'GET'],
    ['CONFIG', 'NOPE', 'x'],
    ['FLUSHALL', 'SOON'],
    ['NOPE'],
    ['FLUSHDB'],
    ['SHUTDOWN', 'ABORT'],
    ['ADMIN.READONLY', 'ON'],
    ['FLUSHALL'],
    ['ADMIN.READONLY', 'OFF'],
    ['GET', 'a'],
  ]) {
    await client.ask(...words);
  }
  t.same((await until(13)).map(brief), [
    'admin.backup|list: ADMIN.BACKUP LIST → ok',
    'admin.backup|info: ADMIN.BACKUP INFO 99 → BACKUPNOTFOUND',
    'admin.backup: ADMIN.BACKUP NOPE → ERR',
    'admin.backup: ADMIN.BACKUP → ERR',
    'admin.nope: ADMIN.NOPE x → ERR',
    'config|get: CONFIG GET → ERR',
    'config: CONFIG NOPE x → ERR',
    'flushall: FLUSHALL SOON → ERR',
    'flushdb: FLUSHDB → ok',
    'shutdown: SHUTDOWN ABORT → ERR',
    'admin.readonly: ADMIN.READONLY ON → ok',
    'flushall: FLUSHALL → READONLY',
    'admin.readonly: ADMIN.READONLY OFF → ok',
  ]);
});

t.test('G4: no secret is in it: not from AUTH, HELLO, CONFIG SET, ACL, however they are misspelt', async (t) => {
  const { server, text, until } = await audited(t, 'right');
  const client = await server.open();
  await client.ask('AUTH', 'hunter2-a');
  await client.ask('AUTH', 'bob', 'hunter2-b');
  await client.ask('HELLO', '3', 'AUTH', 'bob', 'hunter2-c');
  await client.ask('HELLO', '3', 'AUTH', 'bob', 'hunter2-d', 'SETNAME', 'me');
  await client.ask('CONFIG', 'SET', 'requirepass', 'hunter2-e');
  await client.ask('AUTH', 'right');
  await client.ask('CONFIG', 'SET', 'RequirePass', 'hunter2-f');
  await client.ask('CONFIG', 'SET', 'requierpass', 'hunter2-g');
  await client.ask('CONFIG', 'SET', 'maxclients', '100', 'masterauth', 'hunter2-h');
  await client.ask('CONFIG', 'SET', 'maxclients', 'requirepass', 'hunter2-i');
  await client.ask('CONFIG', 'STE', 'requirepass', 'hunter2-j');
  await client.ask('ACL', 'SETUSER', 'eve', 'on', '>hunter2-k', '<hunter2-l', '#hunter2-m', '~*', '+@all');
  await client.ask('ACL', 'SETUSER', '>hunter2-n');
  await client.ask('ACL', 'STEUSER', 'eve', 'hunter2-o>', '~*');
  await client.ask('ACL', 'DRYRUN', 'eve', 'AUTH', 'hunter2-p');
  await client.ask('MULTI');
  await client.ask('CONFIG', 'SET', 'requirepass', 'hunter2-q');
  await client.ask('AUTH', 'hunter2-r');
  await client.ask('EXEC');
  const lines = await until(16);
  t.notMatch(text(), /hunter2/);
  const shown = lines.map(({ argv }) => argv.join(' '));
  for (const expected of [
    'AUTH [secret]',
    'AUTH bob [secret]',
    'HELLO 3 AUTH bob [secret]',
    'HELLO 3 AUTH bob [secret] SETNAME me',
    'CONFIG SET requirepass [secret]',
    'CONFIG SET RequirePass [secret]',
    'ACL SETUSER eve on >[secret] <[secret] #[secret] ~* +@all',
  ]) {
    t.ok(shown.includes(expected), `${expected} in ${JSON.stringify(shown)}`);
  }
});

t.test('whoever has not logged in is nobody; a right password leaves no record, a wrong one does', async (t) => {
  const { server, until } = await audited(t, 'right');
  const client = await server.open();
  await client.ask('FLUSHALL');
  await client.ask('AUTH', 'wrong');
  await client.ask('AUTH', 'right');
  await client.ask('AUTH', 'a', 'b', 'c');
  await client.ask('FLUSHALL');
  t.same(
    (await until(3)).map((line) => [line.user, brief(line)]),
    [
      [null, 'flushall: FLUSHALL → NOAUTH'],
      [null, 'auth: AUTH [secret] → WRONGPASS'],
      ['default', 'flushall: FLUSHALL → ok'],
    ],
  );
});

t.test('G1: one record is one line: control characters, binary, long and many arguments', async (t) => {
  const { server, text, until } = await audited(t);
  const client = await server.open();
  await client.ask('CONFIG', 'GET', 'a\r\n{"outcome":"forged"}\u2028\u0085\u202e\u001b[2J');
  await client.ask('CONFIG', 'GET', Buffer.from([0, 0xff, 0xfe, 0x41, 0x5c]));
  await client.ask('CONFIG', 'GET', 'é'.repeat(1000));
  await client.ask('CONFIG', 'GET', ...Array.from({ length: 1000 }, (_, nth) => `p${nth}`));
  await client.ask('CONFIG', 'SET', 'maxclients', 'x\r\ny');
  const lines = await until(5);
  t.equal(text().split('\n').length, 6);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
  t.notMatch(text().replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]/);
  t.equal(lines[0]?.argv[2], 'a\\x0d\\x0a{"outcome":"forged"}\\xe2\\x80\\xa8\\xc2\\x85\\xe2\\x80\\xae\\x1b[2J');
  t.equal(lines[1]?.argv[2], '\\x00\\xff\\xfeA\\\\');
  t.equal(lines[2]?.argv[2], `${'é'.repeat(64)}... (2000 bytes)`);
  t.equal(lines[3]?.argv.length, 33);
  t.equal(lines[3]?.argv[32], '... (970 more arguments)');
  for (const line of text().split('\n')) t.ok(line.length < 16_384, `${line.length} characters`);
});

t.test('what is queued in MULTI has the outcome that it had at EXEC, each by itself', async (t) => {
  const { server, until } = await audited(t);
  const client = await server.open();
  const other = await server.open();
  await client.ask('WATCH', 'w');
  for (const words of [['MULTI'], ['SET', 'a', '1'], ['FLUSHALL'], ['CONFIG', 'SET', 'nope', '1'], ['EXEC']]) {
    await client.ask(...words);
  }
  await client.ask('MULTI');
  await client.ask('FLUSHDB');
  await client.ask('DISCARD');
  await client.ask('MULTI');
  await client.ask('FLUSHDB', 'ASYNC');
  await client.ask('ADMIN.BACKUP', 'CREATE');
  await client.ask('EXEC');
  await client.ask('WATCH', 'w');
  await other.ask('SET', 'w', '1');
  await client.ask('MULTI');
  await client.ask('FLUSHALL', 'ASYNC');
  await client.ask('EXEC');
  await client.ask('MULTI');
  await client.ask('FLUSHALL', 'SYNC');
  await client.ask('RESET');
  const lines = await until(7);
  t.same(lines.map(brief), [
    'flushall: FLUSHALL → ok',
    'config|set: CONFIG SET nope 1 → ERR',
    'flushdb: FLUSHDB → EXECABORT',
    'admin.backup|create: ADMIN.BACKUP CREATE → ERR',
    'flushdb: FLUSHDB ASYNC → EXECABORT',
    'flushall: FLUSHALL ASYNC → EXECABORT',
    'flushall: FLUSHALL SYNC → EXECABORT',
  ]);
  t.same(
    lines.map(({ multi }) => multi),
    [1, 1, 1, undefined, 1, 1, 1],
  );
  t.equal(lines[5]?.error, 'A watched key changed before EXEC.');
  t.equal(lines[6]?.error, 'The transaction was discarded.');
});

t.test('a client that goes away leaves the records of what it asked for', async (t) => {
  const { server, until, lines } = await audited(t);
  const queued = await server.open();
  await queued.ask('MULTI');
  await queued.ask('FLUSHALL');
  queued.close();
  const [abandoned] = await until(1);
  t.match(abandoned, { command: 'flushall', outcome: 'EXECABORT', multi: 1, disconnected: 1 });

  const creating = await server.open();
  creating.send(multibulk('ADMIN.BACKUP', 'CREATE', 'LABEL', 'left'));
  const looking = await server.open();
  await waitFor(
    async () => String(await looking.ask('ADMIN.BACKUP', 'STATUS', 'FORMAT', 'JSON')).includes('"last_id":1'),
    { what: 'the create to have begun' },
  );
  creating.close();
  const created = await waitFor(() => lines().find(({ command }) => command === 'admin.backup|create'), {
    what: 'the record of the create',
  });
  t.match(created, { command: 'admin.backup|create', outcome: 'ok' });
});

t.test('SHUTDOWN, which has no answer, has its record', async (t) => {
  const { server, until } = await audited(t);
  const client = await server.open();
  client.send(multibulk('SHUTDOWN', 'NOSAVE'));
  t.same((await until(1)).map(brief), ['shutdown: SHUTDOWN NOSAVE → ok']);
});
